"""Confounds: differences between a variant and the baseline that no factor between the two is meant to make.

The audit compares facts that :func:`bench.run.check.facts` took from the built networks, so it needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.protocol.words import joined, plural
from bench.records.plan.audit import Audit, Described, Facts, as_part
from bench.records.plan.tuned import SETTINGS, TUNED, Best, Tuned

Kind = Literal["declared", "follows", "undeclared"]
"""The three kinds of difference: a factor is meant to make it (``declared``); the same Part has other counts beside
changed neighbours (``follows``); or neither (``undeclared``, a confound)."""

COUNTS = ("parameters", "trainable", "macs")


@dataclass(frozen=True)
class Difference:
    """One difference between a variant and the baseline.

    Attributes:
        where: the place: a slot, ``losses``, ``recipe.<field>``, ``learning rate of <slot>``, a resize convention or
            ``tuning``.
        kind: one of the three kinds of difference.
        what: the change in words, such as ``EncNetHead: entry_kernel 3 → 1``.
        parameters: the variant's number of parameters in this place minus the baseline's; 0 if the place has none.
        macs: the difference in multiply-accumulates of one forward without auxiliary heads, counted in the same way.
    """

    where: str
    kind: Kind
    what: str
    parameters: int = 0
    macs: int = 0


def differences(audit: Audit, variant: str, baseline: str) -> list[Difference]:
    """All differences between two variants, undeclared ones first.

    Args:
        audit: the facts, as ``study.json`` keeps them.
        variant: the one variant.
        baseline: the other variant, whose counts are subtracted.
    """
    one, other = audit.variants[variant], audit.variants[baseline]
    changed = [factor for factor, level in one.levels.items() if level != other.levels[factor]]
    about = {subject for factor in changed for subject in audit.about[factor]}
    unsorted = [
        *_slots(one, other, about),
        *_losses(one, other, about),
        *_settings(one, other, about, _tuned_fields(one, other, audit.tuned)),
        *_tuning(one, other, audit.tuned),
    ]
    return sorted(unsorted, key=lambda difference: ("undeclared", "declared", "follows").index(difference.kind))


@dataclass(frozen=True)
class Hidden:
    """An undeclared difference within the pairs of variants from which an effect or an interaction is computed.

    The same difference may count as declared between a variant and the baseline: EncNet's entry convolution, for
    example, is part of the head, and another factor may be about the head.

    Attributes:
        compared: the name of the effect, such as ``head=encnet, on average``.
        where: the place of the difference, as in :class:`Difference`.
        what: the change in words, as in :class:`Difference`.
        others: for each pair with this difference, the levels of the other factors as a text.
        pairs: the number of all pairs of the effect.
        parameters: the smallest and the largest difference in parameters among the pairs with this difference.
        macs: the smallest and the largest difference in multiply-accumulates among them.
    """

    compared: str
    where: str
    what: str
    others: tuple[str, ...]
    pairs: int
    parameters: tuple[int, int]
    macs: tuple[int, int]

    @property
    def told(self) -> str:
        """The change in words and ``in 1 of 5 pairs (head=encnet)``; up to :data:`MOST_NAMED` pairs are named."""
        if self.pairs == 1:
            return self.what
        names = f" ({'; '.join(self.others)})" if len(self.others) < min(self.pairs, MOST_NAMED + 1) else ""
        return f"{self.what}, in {len(self.others)} of {self.pairs} pairs{names}"


def compared(
    factor: str, level: str, pairs: Sequence[tuple[str, str]], levels: Mapping[str, Mapping[str, str]],
    base: Mapping[str, str],
) -> str:  # fmt: skip
    """The name of a factor's effect over these pairs, such as ``jpu=on, on average`` or ``jpu=on at head=psp``."""
    if len(pairs) > 1:
        return f"{factor}={level}, on average"
    others = {name: level_of_pair for name, level_of_pair in levels[pairs[0][0]].items() if name != factor}
    if all(base[name] == level_of_pair for name, level_of_pair in others.items()):
        return f"{factor}={level}"
    return f"{factor}={level} at {', '.join(f'{name}={level_of_pair}' for name, level_of_pair in others.items())}"


MOST_NAMED = 3
"""Up to this many pairs are named; more are only counted."""


def pairs_of_factors(
    levels: Mapping[str, Mapping[str, str]], base: Mapping[str, str], against: Mapping[str, Mapping[str, str]]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """For each factor and level, the pairs of variants that differ in that factor alone: this level and the baseline's.

    A single pair whose second variant is the baseline is left out, because the comparison with the baseline lists it.

    Args:
        levels: variant -> its level of every factor.
        base: the baseline's level of every factor.
        against: factor -> level -> another level that the study compares it with; the key of such pairs has
            ``level against other`` in the place of the level.
    """
    variants = {tuple(sorted(variant_levels.items())): variant for variant, variant_levels in levels.items()}
    pairs_of: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for variant, variant_levels in levels.items():
        for factor, level in variant_levels.items():
            other_levels = {level: base[factor]} if level != base[factor] else {}
            if (control := against.get(factor, {}).get(level)) is not None:
                other_levels[f"{level} against {control}"] = control
            for name, other_level in other_levels.items():
                if (other := variants.get(tuple(sorted({**variant_levels, factor: other_level}.items())))) is not None:
                    pairs_of.setdefault((factor, name), []).append((variant, other))
    baseline = variants.get(tuple(sorted(base.items())))
    return {effect: pairs for effect, pairs in pairs_of.items() if len(pairs) > 1 or pairs[0][1] != baseline}


def hidden(audit: Audit, baseline: str, against: Mapping[str, Mapping[str, str]]) -> list[Hidden]:
    """The undeclared differences within the pairs behind each effect and interaction, in the order of the factors."""
    levels = {variant: facts.levels for variant, facts in audit.variants.items()}
    confounds = []
    base = levels[baseline]
    for (factor, level), pairs in pairs_of_factors(levels, base, against).items():
        effect = compared(factor, level, pairs, levels, base)
        undeclared: dict[tuple[str, str], list[tuple[str, Difference]]] = {}
        for variant, other in pairs:
            context = ", ".join(
                f"{name}={other_level}" for name, other_level in levels[variant].items() if name != factor
            )
            for difference in differences(audit, variant, other):
                if difference.kind == "undeclared":
                    undeclared.setdefault((difference.where, difference.what), []).append((context, difference))
        for (place, change), occurrences in undeclared.items():
            counts = [[getattr(difference, name) for _, difference in occurrences] for name in ("parameters", "macs")]
            ranges = [(min(values), max(values)) for values in counts]
            contexts = tuple(context for context, _ in occurrences)
            confounds.append(Hidden(effect, place, change, contexts, len(pairs), *ranges))
    return confounds


def undeclared_share(listed: Sequence[Difference]) -> float | None:
    """The undeclared share of a difference in MACs; ``None`` if the MACs do not differ."""
    total = sum(difference.macs for difference in listed)
    return sum(difference.macs for difference in listed if difference.kind == "undeclared") / total if total else None


def unnamed(audit: Audit) -> dict[str, list[str]]:
    """The factors that change several fields and do not declare what they are about, with the fields they change."""
    return {factor: touched for factor, touched in audit.touched.items() if not audit.about[factor]}


def unfair_tuning(tuned: Tuned | None) -> list[str]:
    """The reasons why variants at tuned settings say little against each other, as sentences; none for equal budgets.

    Args:
        tuned: what each arm was tuned with; ``None`` for a study at its own settings alone.
    """
    if tuned is None:
        return []
    lines = []
    if len({arm.trials for arm in tuned.arms}) > 1:
        budgets = ", ".join(f"{_name_of(arm)} {_tried(arm.trials)}" for arm in tuned.arms)
        lines.append(f"The arms were not tuned alike: {budgets}.")
    if not tuned.as_written:
        lines.append("The tuned settings are not as bench tune wrote them: their file was edited, or has no digest.")
    return lines


def summary(audit: Audit, baseline: str, against: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    """All undeclared differences, as sentences: first factors without a declaration, then arms that were not
    tuned alike, then variants, then effects.

    Args:
        audit: the facts, as ``study.json`` keeps them.
        baseline: the variant that the others are compared with.
        against: factor -> level -> another level that the study compares it with.
    """
    lines = [
        f"{factor} changes {joined(touched)}: name what it is about, as in about={tuple(touched[:2])!r}; until then "
        "all of it counts as undeclared."
        for factor, touched in unnamed(audit).items()
    ]
    lines += unfair_tuning(audit.tuned)
    for variant in audit.variants:
        listed = differences(audit, variant, baseline)
        undeclared = [f"{entry.where}: {entry.what}" for entry in listed if entry.kind == "undeclared"]
        if undeclared:
            lines.append(f"{variant} differs beyond its factors: {'; '.join(undeclared)}.{share_in_words(listed)}")
    effects: dict[str, list[str]] = {}
    for confound in hidden(audit, baseline, against or {}):
        effects.setdefault(confound.compared, []).append(f"{confound.where}: {confound.told}")
    return lines + [
        f"{effect}{',' * effect.endswith('average')} differs beyond its factor: {'; '.join(changes)}."
        for effect, changes in effects.items()
    ]


def share_in_words(listed: Sequence[Difference]) -> str:
    """A sentence such as `` 34.4 of 82.7 GMACs saved (42%) are undeclared.``; empty if no undeclared MACs differ."""
    share, total = undeclared_share(listed), sum(difference.macs for difference in listed)
    if not share:
        return ""
    part = abs(share * total) / 1e9
    verb = "saved" if total < 0 else "added"
    if not 0 < share <= 1:
        sign = "more" if share * total > 0 else "fewer"
        return f" {part:.3g} GMACs {sign} are undeclared, beside {abs(total) / 1e9:.3g} {verb} in all."
    return f" {part:.3g} of {abs(total) / 1e9:.3g} GMACs {verb} ({share:.0%}) are undeclared."


def _slots(one: Facts, other: Facts, about: set[str]) -> Iterator[Difference]:
    for slot in dict.fromkeys([*other.slots, *one.slots]):
        now, before = one.slots.get(slot), other.slots.get(slot)
        counts = {name: int(getattr(now, name, 0) - getattr(before, name, 0)) for name in COUNTS}
        changed = _part_change(before, now)
        if changed is None and not any(counts.values()):
            continue
        kind: Kind = "follows" if changed is None else "declared" if slot in about else "undeclared"
        change = changed or f"{short_name(now)}, the same beside other neighbours"
        yield Difference(slot, kind, change, counts["parameters"], counts["macs"])


def _losses(one: Facts, other: Facts, about: set[str]) -> Iterator[Difference]:
    now, before = one.losses, other.losses
    if now == before:
        return
    gone, new = (
        [in_full(loss) for loss in losses if loss not in others] for losses, others in ((before, now), (now, before))
    )
    change = "; ".join([*(f"without {loss}" for loss in gone), *(f"with {loss}" for loss in new)]) or "another order"
    yield Difference("losses", "declared" if "losses" in about else "undeclared", change)


def _settings(one: Facts, other: Facts, about: set[str], tuned: set[str]) -> Iterator[Difference]:
    """The differences in recipe fields, in learning rates of slots that both have, and in resize conventions.

    Args:
        one: the one network.
        other: the other one.
        about: the fields that the factors between the two are about.
        tuned: the fields of the recipe whose best values each of the two has by its arm's tuning.
    """
    for name, (before, now) in _changed(other.recipe, one.recipe):
        is_declared = "recipe" in about or name in tuned
        yield Difference(f"recipe.{name}", "declared" if is_declared else "undeclared", _change(before, now))
    for slot, (before, now) in _changed(other.learning_rates, one.learning_rates):
        if before is not None and now is not None:
            is_declared = "recipe" in about or bool(tuned & RATES)
            kind: Kind = "declared" if is_declared else "undeclared"
            yield Difference(f"learning rate of {slot}", kind, f"{before:g} → {now:g}")
    for name, (before, now) in _changed(other.conventions, one.conventions):
        yield Difference(name, "declared" if name in about else "undeclared", f"{before} → {now}")


def _tuning(one: Facts, other: Facts, tuned: Tuned | None) -> Iterator[Difference]:
    """The difference in the number of settings that were tried for two variants, one of them at tuned settings."""
    if tuned is None or TUNED not in (one.levels.get(SETTINGS), other.levels.get(SETTINGS)):
        return
    now, before = (sum(arm.trials for arm in tuned.arms if arm.has(side.levels)) for side in (one, other))
    if now != before:
        yield Difference("tuning", "undeclared", f"{_tried(before)} → {_tried(now)}")


RATES = {"learning_rate", "head_lr_factor"}
"""The fields of the recipe that the learning rates of slots follow from."""


def _tuned_fields(one: Facts, other: Facts, tuned: Tuned | None) -> set[str]:
    """The tuned fields of the recipe, if both networks are at the tuned settings of their arms."""
    both = tuned is not None and one.levels.get(SETTINGS) == other.levels.get(SETTINGS) == TUNED
    return {name for arm in tuned.arms for name in arm.settings} if tuned is not None and both else set()


def _tried(count: int) -> str:
    return f"{plural(count, 'setting')} tried" if count else "not tuned"


def _name_of(arm: Best) -> str:
    return ",".join(f"{factor}={level}" for factor, level in arm.levels.items())


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            yield name, (before.get(name), now.get(name))


def _part_change(before: Described | None, now: Described | None) -> str | None:
    """The change in a slot's Part, in words; ``None`` if nothing changed."""
    if before is None or now is None or before.class_name != now.class_name:
        return None if before is now else f"{in_full(before)} → {in_full(now)}"
    choices = [f"{name} {_value(a)} → {_value(b)}" for name, (a, b) in _changed(before.choices, now.choices)]
    return f"{short_name(now)}: {', '.join(choices)}" if choices else None


def _change(before: Any, now: Any) -> str:
    """The change of a value, in words; for two Parts as :func:`_part_change` writes it."""
    parts = [part for part in map(as_part, (before, now)) if part is not None]
    change = _part_change(*parts) if len(parts) == 2 else None
    return change or f"{_value(before)} → {_value(now)}"


def short_name(part: Described | None) -> str:
    """The name of a component's class without its module; ``none`` for no component."""
    return "none" if part is None else part.class_name.rpartition(".")[2]


def in_full(part: Described | None) -> str:
    """A component with all of its choices, as in ``FCNHead(width=64, dropout=0.1)``; ``none`` for no component."""
    if part is None:
        return "none"
    return f"{short_name(part)}({', '.join(f'{name}={_value(value)}' for name, value in part.choices.items())})"


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and (part := as_part(value)):
        return in_full(part)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"({', '.join(map(_value, value))})"
    return str(value)
