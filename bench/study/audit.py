"""Confounds: what differs between a variant and the baseline beyond what the factors between them are about.

Works on facts (:func:`bench.run.check.facts`) that were taken where the networks can be built, so it needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.records.plan import Audit, Described, Facts, as_part

Kind = Literal["declared", "follows", "undeclared"]
"""Of a difference: what a factor is about, the same Part beside changed neighbours, or anything else."""

COUNTS = ("parameters", "trainable", "macs")


@dataclass(frozen=True)
class Difference:
    """One thing in which a variant differs from the baseline.

    Attributes:
        where: a slot, ``losses``, ``recipe.<field>``, ``learning rate of <slot>`` or a resize convention.
        kind: whether a factor between the two is about it.
        what: as ``EncNetHead: entry_kernel 3 → 1``.
        parameters: the variant's minus the baseline's, 0 for what has none.
        macs: likewise, one forward without auxiliaries.
    """

    where: str
    kind: Kind
    what: str
    parameters: int = 0
    macs: int = 0


def differences(audit: Audit, variant: str, baseline: str) -> list[Difference]:
    """Everything that differs between two variants, undeclared things first.

    Args:
        audit: the facts, as ``study.json`` keeps them.
        variant: one side.
        baseline: the other, which counts are taken from.
    """
    one, other = audit.variants[variant], audit.variants[baseline]
    changed = [factor for factor, level in one.levels.items() if level != other.levels[factor]]
    about = {subject for factor in changed for subject in audit.about[factor]}
    found = [*_slots(one, other, about), *_losses(one, other, about), *_settings(one, other, about)]
    return sorted(found, key=lambda each: ("undeclared", "declared", "follows").index(each.kind))


@dataclass(frozen=True)
class Hidden:
    """A difference that no factor is about in pairs that a factor's average effect, or an interaction, is made of.

    Against the baseline it may pass for declared: EncNet's entry convolution is part of the head, and the head is
    another factor's.

    Attributes:
        compared: what the effect is called: ``head=encnet, on average``.
        where: as in :class:`Difference`.
        what: likewise.
        others: the other factors' levels in the pairs that have it, a text a pair.
        pairs: how many pairs there are.
        parameters: the smallest and the largest difference in these pairs.
        macs: likewise.
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
        """What, and ``in 1 of 5 pairs (head=encnet)``, the pairs named where they are few."""
        if self.pairs == 1:
            return self.what
        named = f" ({'; '.join(self.others)})" if len(self.others) < min(self.pairs, MOST_NAMED + 1) else ""
        return f"{self.what}, in {len(self.others)} of {self.pairs} pairs{named}"


def compared(
    factor: str, level: str, pairs: Sequence[tuple[str, str]], levels: Mapping[str, Mapping[str, str]],
    base: Mapping[str, str],
) -> str:  # fmt: skip
    """What a factor's effect is called that is made of these pairs: ``jpu=on, on average``, ``jpu=on at head=psp``."""
    if len(pairs) > 1:
        return f"{factor}={level}, on average"
    place = {name: at for name, at in levels[pairs[0][0]].items() if name != factor}
    if all(base[name] == at for name, at in place.items()):
        return f"{factor}={level}"
    return f"{factor}={level} at {', '.join(f'{name}={at}' for name, at in place.items())}"


MOST_NAMED = 3
"""Pairs that are named."""


def pairs_of_factors(
    levels: Mapping[str, Mapping[str, str]], base: Mapping[str, str], against: Mapping[str, Mapping[str, str]]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Factor and level -> every two variants that differ in that factor alone, one at the level, one at the baseline's.

    Those of one pair only are left out where the baseline is the other side: it is one of two variants, and listed so.

    Args:
        levels: variant -> its level of every factor.
        base: the baseline's.
        against: factor -> level -> another level that the study compares it with; ``level against other`` here.
    """
    variants = {tuple(sorted(own.items())): variant for variant, own in levels.items()}
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for variant, own in levels.items():
        for factor, level in own.items():
            sides = {level: base[factor]} if level != base[factor] else {}
            if (named := against.get(factor, {}).get(level)) is not None:
                sides[f"{level} against {named}"] = named
            for name, side in sides.items():
                if (other := variants.get(tuple(sorted({**own, factor: side}.items())))) is not None:
                    found.setdefault((factor, name), []).append((variant, other))
    of_base = variants.get(tuple(sorted(base.items())))
    return {name: pairs for name, pairs in found.items() if len(pairs) > 1 or pairs[0][1] != of_base}


def hidden(audit: Audit, baseline: str, against: Mapping[str, Mapping[str, str]]) -> list[Hidden]:
    """What no factor is about in the pairs behind effects of factors and interactions, in the order of the factors."""
    levels = {variant: facts.levels for variant, facts in audit.variants.items()}
    found = []
    base = levels[baseline]
    for (factor, level), pairs in pairs_of_factors(levels, base, against).items():
        effect = compared(factor, level, pairs, levels, base)
        seen: dict[tuple[str, str], list[tuple[str, Difference]]] = {}
        for variant, other in pairs:
            rest = ", ".join(f"{name}={at}" for name, at in levels[variant].items() if name != factor)
            for each in differences(audit, variant, other):
                if each.kind == "undeclared":
                    seen.setdefault((each.where, each.what), []).append((rest, each))
        for (where, what), having in seen.items():
            counts = [[getattr(each, name) for _, each in having] for name in ("parameters", "macs")]
            ranges = [(min(values), max(values)) for values in counts]
            others = tuple(rest for rest, _ in having)
            found.append(Hidden(effect, where, what, others, len(pairs), *ranges))
    return found


def undeclared_share(found: Iterable[Difference]) -> float | None:
    """Share of the difference in MACs that undeclared differences make; ``None`` where MACs do not differ."""
    listed = list(found)
    total = sum(each.macs for each in listed)
    return sum(each.macs for each in listed if each.kind == "undeclared") / total if total else None


def unnamed(audit: Audit) -> dict[str, list[str]]:
    """Factors that change several things and do not say what they are about -> what they change."""
    return {factor: touched for factor, touched in audit.touched.items() if not audit.about[factor]}


def summary(audit: Audit, baseline: str, against: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    """What is undeclared, in sentences: for factors that leave it open, variants, and effects of factors.

    Args:
        audit: the facts.
        baseline: the variant that the others are compared with.
        against: factor -> level -> another level that the study compares it with.
    """
    lines = [
        f"{factor} changes {_and(touched)}: name what it is about, as in about={tuple(touched[:2])!r}; until then all "
        "of it counts as undeclared."
        for factor, touched in unnamed(audit).items()
    ]
    for variant in audit.variants:
        found = differences(audit, variant, baseline)
        undeclared = [each for each in found if each.kind == "undeclared"]
        if undeclared:
            told = "; ".join(f"{each.where}: {each.what}" for each in undeclared)
            lines.append(f"{variant} differs beyond its factors: {told}.{share_in_words(found)}")
    effects: dict[str, list[str]] = {}
    for each in hidden(audit, baseline, against or {}):
        effects.setdefault(each.compared, []).append(f"{each.where}: {each.told}")
    return lines + [
        f"{effect}{',' * effect.endswith('average')} differs beyond its factor: {'; '.join(told)}."
        for effect, told in effects.items()
    ]


def share_in_words(found: Sequence[Difference]) -> str:
    """`` 34.4 of 82.7 GMACs saved (42%) are undeclared.``, or nothing where MACs have no part in it."""
    share, total = undeclared_share(found), sum(each.macs for each in found)
    if not share:
        return ""
    part = abs(share * total) / 1e9
    verb = "saved" if total < 0 else "added"
    if not 0 < share <= 1:
        sign = "more" if share * total > 0 else "fewer"
        return f" {part:.3g} GMACs {sign} are undeclared, beside {abs(total) / 1e9:.3g} {verb} in all."
    return f" {part:.3g} of {abs(total) / 1e9:.3g} GMACs {verb} ({share:.0%}) are undeclared."


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _slots(one: Facts, other: Facts, about: set[str]) -> Iterator[Difference]:
    for slot in dict.fromkeys([*other.slots, *one.slots]):
        now, before = one.slots.get(slot), other.slots.get(slot)
        counts = {name: int(getattr(now, name, 0) - getattr(before, name, 0)) for name in COUNTS}
        changed = _part_change(before, now)
        if changed is None and not any(counts.values()):
            continue
        kind: Kind = "follows" if changed is None else "declared" if slot in about else "undeclared"
        what = changed or f"{_short(now)}, the same beside other neighbours"
        yield Difference(slot, kind, what, counts["parameters"], counts["macs"])


def _losses(one: Facts, other: Facts, about: set[str]) -> Iterator[Difference]:
    now, before = one.losses, other.losses
    if now == before:
        return
    gone, new = ([_long(each) for each in side if each not in rest] for side, rest in ((before, now), (now, before)))
    what = "; ".join([*(f"without {each}" for each in gone), *(f"with {each}" for each in new)]) or "another order"
    yield Difference("losses", "declared" if "losses" in about else "undeclared", what)


def _settings(one: Facts, other: Facts, about: set[str]) -> Iterator[Difference]:
    """Recipe fields, learning rates of slots that both have, resize conventions."""
    for name, (before, now) in _changed(other.recipe, one.recipe):
        yield Difference(f"recipe.{name}", "declared" if "recipe" in about else "undeclared", _change(before, now))
    for slot, (before, now) in _changed(other.learning_rates, one.learning_rates):
        if before is not None and now is not None:
            kind: Kind = "declared" if "recipe" in about else "undeclared"
            yield Difference(f"learning rate of {slot}", kind, f"{before:g} → {now:g}")
    for name, (before, now) in _changed(other.conventions, one.conventions):
        yield Difference(name, "declared" if name in about else "undeclared", f"{before} → {now}")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            yield name, (before.get(name), now.get(name))


def _part_change(before: Described | None, now: Described | None) -> str | None:
    """What changed in a slot's Part, ``None`` for nothing."""
    if before is None or now is None or before.class_name != now.class_name:
        return None if before is now else f"{_long(before)} → {_long(now)}"
    choices = [f"{name} {_value(a)} → {_value(b)}" for name, (a, b) in _changed(before.choices, now.choices)]
    return f"{_short(now)}: {', '.join(choices)}" if choices else None


def _change(before: Any, now: Any) -> str:
    """As :func:`_part_change` where both are Parts of one class."""
    parts = [part for part in map(as_part, (before, now)) if part]
    change = _part_change(*parts) if len(parts) == 2 else None
    return change or f"{_value(before)} → {_value(now)}"


def _short(part: Described | None) -> str:
    return "none" if part is None else part.class_name.rpartition(".")[2]


def _long(part: Described | None) -> str:
    if part is None:
        return "none"
    return f"{_short(part)}({', '.join(f'{name}={_value(value)}' for name, value in part.choices.items())})"


def _value(value: Any) -> str:
    if part := as_part(value):
        return _long(part)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"({', '.join(map(_value, value))})"
    return str(value)
