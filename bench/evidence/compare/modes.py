"""The quality of trained networks in an execution mode or precision, against that of their weights in eager torch."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass, replace

from bench.evidence.speedups import CHANGES
from bench.protocol.words import tally
from bench.records.quality import MeasuredQuality
from bench.records.results import Results


@dataclass(frozen=True, kw_only=True)
class QualityInMode:
    """The networks of one variant, each tested by eager torch and in a mode on the same images. Means are over seeds.

    Attributes:
        variant: the variant.
        mode: the execution mode.
        precision: the precision of the test.
        seeds: the seeds that were tested in both ways.
        miou_eager: the mean IoU by eager torch, 0 to 1; ``None`` without such seeds, as the next ones.
        miou: the mean IoU in the mode.
        delta: the mean IoU in the mode less that by eager torch.
        largest_delta: the difference of the seed whose mean IoU changed most.
        changed: the share of pixels whose class is another one than by eager torch, in the seed that has most of them.
        max_abs: the largest difference of a logit.
        prepared_s: the seconds of export, compilation and first calls, of the seed that took longest.
        changes_answer: ``True`` if more than :data:`~bench.evidence.speedups.CHANGES` of the pixels change their class.
        left: the trials of the mode that were not done, as ``2 failed``; empty for none.
        reason: why the first of them was not; empty for none.
    """

    variant: str
    mode: str
    precision: str
    seeds: list[int]
    miou_eager: float | None = None
    miou: float | None = None
    delta: float | None = None
    largest_delta: float | None = None
    changed: float | None = None
    max_abs: float | None = None
    prepared_s: float | None = None
    changes_answer: bool = False
    left: str = ""
    reason: str = ""


def quality_in_mode(
    eager: Results, tested: Results, mode: str, precision: str, keys: Collection[str]
) -> list[QualityInMode]:
    """A row for each variant that was to be tested in a mode.

    Args:
        eager: the results of the test by eager torch.
        tested: the results of the test in the mode.
        mode: the mode.
        precision: its precision.
        keys: the keys of the trials that were to be tested.
    """
    trials = [trial for trial in tested.plan.trials if trial.key in keys]
    outcomes = {record.planned_key: record for record in tested.records}
    plain, other = (
        {(record.trial.variant, record.trial.seed): measured for record, measured in results.done(MeasuredQuality)}
        for results in (eager, tested)
    )
    rows = []
    for variant in dict.fromkeys(trial.variant for trial in trials):
        of_variant = [trial for trial in trials if trial.variant == variant]
        pairs = {
            trial.seed: (plain[variant, trial.seed], other[variant, trial.seed])
            for trial in of_variant
            if trial.seed is not None and (variant, trial.seed) in plain.keys() & other.keys()
        }
        records = [outcomes.get(trial.key) for trial in of_variant if (variant, trial.seed) not in other]
        reasons = [record.outcome.reason for record in records if record is not None and record.outcome.reason]
        left = tally("missing" if record is None else record.status for record in records)
        row = QualityInMode(
            variant=variant, mode=mode, precision=precision, seeds=sorted(pairs), left=left, reason="".join(reasons[:1])
        )
        rows.append(_with_scores(row, list(pairs.values())) if pairs else row)
    return rows


def _with_scores(row: QualityInMode, pairs: list[tuple[MeasuredQuality, MeasuredQuality]]) -> QualityInMode:
    """The row with what its pairs of (by eager torch, in the mode) measured."""
    deltas = [in_mode.miou - by_eager.miou for by_eager, in_mode in pairs]
    apart = [in_mode.difference for _, in_mode in pairs if in_mode.difference is not None]
    changed = max((each.changed for each in apart), default=None)
    return replace(
        row,
        miou_eager=statistics.fmean(by_eager.miou for by_eager, _ in pairs),
        miou=statistics.fmean(in_mode.miou for _, in_mode in pairs),
        delta=statistics.fmean(deltas),
        largest_delta=max(deltas, key=abs),
        changed=changed,
        changes_answer=changed is not None and changed > CHANGES,
        max_abs=max((each.max_abs for each in apart), default=None),
        prepared_s=max((in_mode.prepared_s or 0.0 for _, in_mode in pairs), default=None),
    )
