"""The differences between compared variants beyond the factors, from ``study.json`` and the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pandas as pd

from bench.evidence.speedups import spread
from bench.protocol.words import REPEAT, maybe_not_alone, plural
from bench.records.cost import MeasuredCost
from bench.records.measured import NOISY
from bench.records.plan.tuned import SETTINGS, TUNED
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.records.results import Results
from bench.records.speed import MeasuredSpeed
from bench.study import audit

COUNTS = ("parameters_low", "parameters_high", "macs_low", "macs_high", "macs_share")
COLUMNS = ("Compared", "Where", "Difference", "Kind", *COUNTS)
"""The columns of :func:`differences`. The counts are differences, the smallest and the largest among the pairs of a
comparison. ``macs_share`` is the share of the whole difference in MACs. Where nothing is counted, all are NaN."""
CONFOUNDS = ("undeclared", "environment", "timing")
"""The kinds of difference that no factor is about. ``timing`` stands for timings of either side that are in doubt."""
KINDS = (*CONFOUNDS, "declared", "follows")
ENVIRONMENT = (
    "commit", "dirty", "study_commit", "study_dirty", "python", "torch", "cuda", "cudnn", "driver", "device", "threads",
    "platform", "host",
)  # fmt: skip
"""The facts of the environment that trials of two variants should share, besides the versions of packages that both
use: a record names the packages that the code of its trial reaches."""
OF_TRAINING = "processes"
"""The fact of a training that trials of two variants should share: the number of processes that trained together. Only
trials that are done have it."""
COMMIT_DIGITS = 12
"""The number of digits of a commit that are printed."""
VariantPair = tuple[str, str]
"""Two variants that are compared: one, and the other side."""


def differences(results: Results, names: Mapping[str, str], levels: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """The differences between compared variants, one row each, those that no factor declares first.

    A trained variant is compared with the baseline, a timed one with the other side of its comparison. The average
    effect of a factor is made of all pairs of variants that differ in this factor alone. Differences of networks are
    listed for the variants whose facts are in the plan's audit.

    Args:
        names: variant -> its short name.
        levels: variant -> factor -> its level.
    """
    facts = _environments(results.records)
    known = _audited(results)
    rows: list[dict[str, str | float]] = []
    for variant, other in _pairs(results):
        name = names[variant] if other == results.baseline else f"{names[variant]} against {names.get(other, other)}"
        if variant in known and other in known:
            rows += _networks(results, name, variant, other)
        rows += _environment(results, name, facts, variant, other)
    rows += [
        *_in_parts(results, names),
        *_tuning(results),
        *_effects(results, facts, levels),
        *_timings(results, names),
    ]
    rows.sort(key=lambda row: KINDS.index(str(row["Kind"])))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(dict.fromkeys(COUNTS, float))


def sentence(results: Results, pairs: Iterable[VariantPair]) -> str:
    """A sentence that names the differences between compared sides that no factor is about; empty if there are none.

    The sentence about a single pair also gives the share of its difference in MACs.
    """
    known = _audited(results)
    by_pair = [audit.differences(results.plan.audit, *pair) for pair in pairs if known.issuperset(pair)]
    places = [
        [difference.where.replace("_", " ") for difference in pair if difference.kind == "undeclared"]
        for pair in by_pair
    ]
    if not any(places):
        return ""
    some = f"In {sum(map(bool, places))} of {len(places)} pairs the" if len(places) > 1 else "The"
    share = audit.share_in_words(by_pair[0]) if len(by_pair) == 1 else ""
    where = ", ".join(dict.fromkeys(chain(*places)))
    return f"{some} sides differ in more than the factors are about: {where}.{share}"


def confounded(table: pd.DataFrame) -> list[str]:
    """The comparisons whose sides differ in something that no factor is about, or were measured elsewhere."""
    return list(dict.fromkeys(table.loc[table["Kind"].isin(("undeclared", "environment")), "Compared"]))


def in_doubt(table: pd.DataFrame) -> list[str]:
    """The variants and comparisons with timings that were not alone, were noisy or were not steady."""
    return list(dict.fromkeys(table.loc[table["Kind"] == "timing", "Compared"]))


def _audited(results: Results) -> set[str]:
    return set(results.plan.audit.variants)


def _pairs(results: Results) -> list[VariantPair]:
    """The pairs of compared variants: one, and the other side."""
    planned = [trial for trial in results.plan.trials if not trial.excluded]
    pairs = [(trial.variant, trial.against or results.baseline) for trial in planned]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]


def _difference(compared: str, where: str, difference: str, kind: str, **counts: float) -> dict[str, str | float]:
    return {"Compared": compared, "Where": where, "Difference": difference, "Kind": kind, **counts}


def _networks(results: Results, name: str, variant: str, other: str) -> Iterator[dict[str, str | float]]:
    network_differences = audit.differences(results.plan.audit, variant, other)
    total = sum(difference.macs for difference in network_differences)
    for difference in network_differences:
        counts = _counts((difference.parameters, difference.parameters), (difference.macs, difference.macs))
        if counts and total:
            counts["macs_share"] = difference.macs / total
        yield _difference(name, difference.where.replace("_", " "), difference.what, difference.kind, **counts)


def _counts(parameters: tuple[int, int], macs: tuple[int, int]) -> dict[str, float]:
    """The lower and the upper end of both counts, by column; empty if all are 0."""
    if not any((*parameters, *macs)):
        return {}
    return dict(zip(COUNTS, (*parameters, *macs), strict=False))


Environments = Mapping[tuple[str, str], Mapping[str, Mapping[Any, str]]]
"""Variant and stage -> fact -> seed or setting of a trial -> the value there. Several attempts are joined."""


def _environments(records: Iterable[Record]) -> Environments:
    environments: dict[tuple[str, str], dict[str, dict[Any, str]]] = {}
    facts_by_environment: dict[str, dict[str, str]] = {}
    for record in records:
        trial, environment = record.trial, record.environment
        key = repr(environment)
        if key not in facts_by_environment:  # many records share an environment, so few are different
            facts_by_environment[key] = _facts_of(environment.as_json())
        facts = environments.setdefault((trial.variant, trial.stage), {})
        at = (trial.seed, str(trial.setting))
        own = facts_by_environment[key]
        if isinstance(record.measured, MeasuredQuality):
            own = {**own, OF_TRAINING: str(record.measured.processes)}
        for fact, text in own.items():
            texts = facts.setdefault(fact, {})
            before = texts.get(at)
            texts[at] = ", ".join(dict.fromkeys([*before.split(", "), text])) if before else text
    return environments


def _facts_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """The facts that trials should have in common, with shortened commits."""
    facts = {fact: environment[fact] for fact in ENVIRONMENT if fact in environment} | environment.get("bench", {})
    return {
        fact: str(value)[:COMMIT_DIGITS] if fact in ("commit", "study_commit") else str(value)
        for fact, value in facts.items()
    }


def _differing(results: Results, facts: Environments, variant: str, other: str) -> Iterator[tuple[str, str]]:
    """Yield each fact of the environment that differs between trials of two variants of one seed, and the change."""
    for stage in results.plan.stages:
        ours, theirs = (facts.get((side, stage), {}) for side in (variant, other))
        for fact in dict.fromkeys([*theirs, *ours]) if ours and theirs else ():
            if fact not in ENVIRONMENT and not (fact in ours and fact in theirs):
                continue  # a package that one of the two does not use, or the processes of a training that failed
            if changes := _changes(theirs.get(fact, {}), ours.get(fact, {})):
                yield f"{fact.replace('_', ' ')} of {stage} trials", changes


def _changes(before: Mapping[Any, str], now: Mapping[Any, str]) -> str:
    """The change as ``a → b``, with the number of trials if only some of those of both differ; empty for no change."""
    both = [at for at in before if at in now]
    if not both:
        sides = [", ".join(sorted(set(side.values()))) or "not known" for side in (before, now)]
        return "" if sides[0] == sides[1] else " → ".join(sides)
    transitions = Counter(f"{before[at]} → {now[at]}" for at in both if before[at] != now[at])
    return "; ".join(
        transition if count == len(both) else f"{transition} in {count} of {len(both)} trials"
        for transition, count in transitions.items()
    )


def _environment(
    results: Results, name: str, facts: Environments, variant: str, other: str
) -> Iterator[dict[str, str | float]]:
    for where, what in _differing(results, facts, variant, other):
        yield _difference(name, where, what, "environment")


def _effects(
    results: Results, facts: Environments, levels: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, str | float]]:
    """Yield a row for each undeclared difference in the pairs from which main effects and interactions are computed."""
    if "quality" not in results.plan.stages:
        return
    against = results.plan.against
    if results.baseline in _audited(results):
        for hidden in audit.hidden(results.plan.audit, results.baseline, against):
            counts, where = _counts(hidden.parameters, hidden.macs), hidden.where.replace("_", " ")
            yield _difference(hidden.compared, where, hidden.told, "undeclared", **counts)
    planned = results.planned("quality")
    trained = {variant: levels_of_variant for variant, levels_of_variant in levels.items() if variant in planned}
    base = results.plan.baseline_levels
    for (factor, level), pairs in audit.pairs_of_factors(trained, base, against).items():
        changes_by_place: dict[str, list[str]] = {}
        for place, change in chain.from_iterable(_differing(results, facts, *pair) for pair in pairs):
            changes_by_place.setdefault(place, []).append(change)
        effect = audit.compared(factor, level, pairs, trained, base)
        for place, changes in changes_by_place.items():
            description = f"differs in {len(changes)} of {len(pairs)} pairs" if len(pairs) > 1 else changes[0]
            yield _difference(effect, place, description, "environment")


def _tuning(results: Results) -> Iterator[dict[str, str | float]]:
    """Yield a row for each reason why variants at tuned settings say little against each other."""
    for reason in audit.unfair_tuning(results.plan.audit.tuned):
        yield _difference(f"{SETTINGS}={TUNED}", "tuning", reason.rstrip("."), "undeclared")


def _in_parts(results: Results, names: Mapping[str, str]) -> Iterator[dict[str, str | float]]:
    """Yield a row for each variant with trainings whose batches were computed in parts, since memory had run out."""
    for variant, difference in in_parts(results).items():
        yield _difference(names[variant], "batches", difference, "undeclared")


def in_parts(results: Results) -> dict[str, str]:
    """Variant -> the parts in which batches of its trainings were computed, since memory had run out, in words."""
    parts: dict[str, Counter[str]] = {}
    trained = Counter(record.trial.variant for record, _ in results.done(MeasuredQuality))
    for record, _ in results.done(MeasuredQuality):
        if record.outcome.parts is not None:
            batch = record.choices.recipe.get("batch")
            words = f"trained in {record.outcome.parts} parts, because memory ran out at batch {batch}"
            parts.setdefault(record.trial.variant, Counter())[words] += 1
    return {
        variant: "; ".join(
            f"{words} ({count} of {plural(trained[variant], 'training')})" for words, count in told.items()
        )
        for variant, told in parts.items()
    }


def _timings(results: Results, names: Mapping[str, str]) -> Iterator[dict[str, str | float]]:
    """Yield a row for each timing that is not known to be alone, noisy or not steady: of a variant or a comparison."""
    sides = {trial.key: trial.against for trial in results.plan.trials if trial.against}
    for record in results.records:
        trial, measured = record.trial, record.measured
        if not isinstance(measured, (MeasuredCost, MeasuredSpeed)):
            continue
        name, where = names[trial.variant], "latency"
        if trial.setting:
            against = sides[record.planned_key]
            name, where = (
                f"{name} against {names.get(against, against)}",
                f"times at {trial.setting.name}",
            )
        if measured.isolated is False:
            reasons = "; ".join(measured.isolation.reasons) or "no reason is known"
            yield _difference(name, where, f"not alone, so left out: {reasons}; {REPEAT}", "timing")
        elif doubts := _unsure(measured):
            yield _difference(name, where, "; ".join(doubts), "timing")


def _unsure(measured: MeasuredCost | MeasuredSpeed) -> list[str]:
    if isinstance(measured, MeasuredSpeed):
        widest, steady = max(spread(measured.latency_s), spread(measured.against_s)), measured.steady
    else:
        widest = spread(measured.latency_s)
        steady = measured.latency_protocol is None or measured.latency_protocol.steady is not False
    noisy = [f"noisy: quartiles {widest:.0%} of the median apart"] if widest > NOISY else []
    unsure = [maybe_not_alone(measured.maybe_not_alone)] if measured.maybe_not_alone else []
    return [*noisy, *(["not steady after warm-up"] if not steady else []), *unsure]
