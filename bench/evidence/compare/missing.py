"""Trials that one side of a comparison has finished and the other has not: lost to a failure, or never run.

What is left of a variant after a failure says nothing about the failure: a mean over the surviving seeds may even rise.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.evidence.compare.sides import Side, TrialName, hardware_of, name_of
from bench.protocol.words import tally
from bench.records.record import Record

BROKEN = ("diverged", "failed", "out_of_memory", "timed_out")
DONE_IN_WORDS = {"quality": "trained", "cost": "measured", "speed": "timed"}


def lost(a: Side, b: Side) -> list[str]:
    """The trials that A has finished and B failed at: ``attention=on: trained in A, 2 diverged, 1 failed in B``.

    Quality is matched seed by seed; without a seed in common, it counts if A had no such outcome. Timings and memory
    are matched on the hardware that A has measured on.
    """
    finished = {(name_of(record.trial), hardware_of(record)) for record in a.records if record.status == "done"}
    broken: dict[tuple[str, str], list[str]] = {}
    for record in b.records:
        known = (name_of(record.trial), hardware_of(record)) in finished or _without_counterpart(record, a, b)
        if record.status in BROKEN and known:
            broken.setdefault((record.trial.variant, record.trial.stage), []).append(record.status)
    order = [(variant, stage) for variant in a.variants for stage in DONE_IN_WORDS]
    return [
        f"{variant}: {DONE_IN_WORDS[stage]} in A, {tally(broken[variant, stage])} in B"
        for variant, stage in order
        if (variant, stage) in broken
    ]


def lacking(a: Side, b: Side) -> list[str]:
    """The trials that one side plans and the other has finished: ``B has not finished 3 quality trials that A has``.

    Trials that failed are not among them.
    """
    return [
        f"{name} has not finished {count} {stage} trial{'s' * (count > 1)} that {other_name} has"
        for (name, one), (other_name, other) in ((("A", a), ("B", b)), (("B", b), ("A", a)))
        for stage, count in Counter(trial.stage for trial in _unfinished(one, other)).items()
    ]


def _unfinished(one: Side, other: Side) -> set[TrialName]:
    """The trials that the one side plans and has neither finished nor failed at, and that the other has finished."""
    planned = {name_of(trial) for trial in one.plan.trials if not trial.excluded}
    ended = {name_of(record.trial) for record in one.records if record.status in (*BROKEN, "done")}
    return {name_of(record.trial) for record in other.records if record.status == "done"} & planned - ended


def _without_counterpart(record: Record, a: Side, b: Side) -> bool:
    """True if a quality trial's variant was trained on both sides, but with no seed in common."""
    variant, stage = record.trial.variant, record.trial.stage
    seeds = [set(_outcomes(side, variant)) for side in (a, b)]
    outcomes = set(_outcomes(a, variant).values())
    return stage == "quality" and not seeds[0] & seeds[1] and "done" in outcomes and not outcomes & set(BROKEN)


def _outcomes(side: Side, variant: str) -> dict[Any, str]:
    trained = (record for record in side.records if record.trial.stage == "quality" and record.trial.variant == variant)
    return {record.trial.seed: record.status for record in trained}
