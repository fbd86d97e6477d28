"""Trials that one side of a comparison has finished and the other has not: lost to a failure, or never run.

What is left of a variant after a failure says nothing about the failure: a mean over the surviving seeds may even rise.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.evidence.compare.sides import Side
from bench.records.plan import PlannedTrial
from bench.records.record import Record, TrialFacts

BROKEN = ("diverged", "failed", "out_of_memory", "timed_out")
DONE_IN_WORDS = {"quality": "trained", "cost": "measured", "speed": "timed"}
Trial = tuple[str, str, str, str, str]
"""Variant, stage, seed, other side and setting."""


def lost(a: Side, b: Side) -> list[str]:
    """``attention=on: trained in A, 2 diverged, 1 failed in B``: what A has finished and B failed at.

    Of quality seed by seed or, without a seed in common, where A had no such outcome; of timings and memory on hardware
    that A has measured on.
    """
    finished = {_identity(record) for record in a.records if record.status == "done"}
    broken: dict[tuple[str, str], Counter[str]] = {}
    for record in b.records:
        known = _identity(record) in finished or _without_counterpart(record, a, b)
        if record.status in BROKEN and known:
            of = record.trial.variant, record.trial.stage
            broken.setdefault(of, Counter())[record.status.replace("_", " ")] += 1
    order = [(variant, stage) for variant in a.variants for stage in DONE_IN_WORDS]
    return [
        f"{variant}: {DONE_IN_WORDS[stage]} in A, {', '.join(f'{n} {what}' for what, n in counts.items())} in B"
        for variant, stage in order
        if (counts := broken.get((variant, stage)))
    ]


def lacking(a: Side, b: Side) -> list[str]:
    """``B has not finished 3 quality trials that A has``: planned on both sides, and no failure either."""
    return [
        f"{name} has not finished {count} {stage} trial{'s' * (count > 1)} that {other_name} has"
        for (name, one), (other_name, other) in ((("A", a), ("B", b)), (("B", b), ("A", a)))
        for stage, count in Counter(trial[1] for trial in _unfinished(one, other)).items()
    ]


def _unfinished(one: Side, other: Side) -> set[Trial]:
    """What the one side plans and has neither finished nor failed at, and the other has finished."""
    planned = {_trial(trial) for trial in one.plan.trials if not trial.excluded}
    ended = {_trial(record.trial) for record in one.records if record.status in (*BROKEN, "done")}
    return {_trial(record.trial) for record in other.records if record.status == "done"} & planned - ended


def _without_counterpart(record: Record, a: Side, b: Side) -> bool:
    """Whether a quality trial's variant was trained on either side, but with no seed in common."""
    variant, stage = record.trial.variant, record.trial.stage
    seeds = [set(_outcomes(each, variant)) for each in (a, b)]
    outcomes = set(_outcomes(a, variant).values())
    return stage == "quality" and not seeds[0] & seeds[1] and "done" in outcomes and not outcomes & set(BROKEN)


def _outcomes(side: Side, variant: str) -> dict[Any, str]:
    trained = (each for each in side.records if each.trial.stage == "quality" and each.trial.variant == variant)
    return {each.trial.seed: each.status for each in trained}


def _identity(record: Record) -> tuple[Trial, str]:
    """The trial and, where it matters, the hardware class."""
    return _trial(record.trial), "" if record.trial.stage == "quality" else str(record.environment.hardware)


def _trial(trial: TrialFacts | PlannedTrial) -> Trial:
    setting = trial.setting.name if trial.setting else ""
    return trial.variant, trial.stage, str(trial.seed), str(trial.against), setting
