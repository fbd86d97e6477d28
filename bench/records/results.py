"""Results: a folder of records as DataFrames with one row for each trial, by pandas alone, without torch and ray.

mIoU, medians and totals are derived by :meth:`Results.frame`, in :mod:`bench.records.quality` and
:mod:`bench.records.cost`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.protocol.columns import COLUMNS, META, Column, column
from bench.protocol.scores import iou
from bench.records.agreement import check_agreement, paired
from bench.records.cost import MeasuredCost, cost_columns
from bench.records.files import no_collection
from bench.records.measured import Measured, doubts
from bench.records.plan.plan import Plan, PlannedTrial, read_plan
from bench.records.quality import MeasuredQuality, quality_columns
from bench.records.record import AnyMeasured, Record, measured_by, read_all


@dataclass(frozen=True)
class Results:
    """A results folder as read: the plan and its records. Columns are derived from the records only once.

    Attributes:
        plan: the content of ``study.json``: name, question, factors, baseline, recipe, stages and every planned trial.
        records: the records of planned trials, in the order of the plan.
        stale: records whose key no planned trial has: made by other source, data or settings.
        folder: the folder that the results were read from, if they were.
    """

    plan: Plan
    records: Sequence[Record]
    stale: Sequence[Record] = ()
    folder: Path | None = None

    @cached_property
    def factors(self) -> dict[str, list[str]]:
        """Factor -> its levels, in the study's order."""
        return self.plan.factors

    @property
    def variants(self) -> list[str]:
        """The names of the planned variants in the study's order, without excluded ones."""
        return list(dict.fromkeys(trial.variant for trial in self.plan.trials if not trial.excluded))

    @cached_property
    def baseline(self) -> str:
        """The variant that the others are compared with."""
        return self.plan.baseline

    @cached_property
    def comparable(self) -> frozenset[str]:
        """The variants whose quality may be compared with the baseline's: of the same classes on the same images."""
        return frozenset(variant for variant in self.variants if not self.apart_from_baseline[variant])

    @cached_property
    def apart_from_baseline(self) -> dict[str, str]:
        """Variant -> the reason why its quality is not compared with the baseline's; empty if it may be compared."""
        base = self.plan.evaluation_of(self.baseline)
        return {variant: self.plan.evaluation_of(variant).differs_from(base) for variant in self.variants}

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The measured columns: :data:`~bench.protocol.columns.COLUMNS` and those that the recipe adds."""
        names = dict.fromkeys(name for _, derived in self._rows for name in derived)
        return {**COLUMNS, **{name: column(name) for name in names if name not in COLUMNS}}

    @cached_property
    def files(self) -> list[Record]:
        """The records of planned trials as files, each once, also where several variants share the record of a cost."""
        return list({(record.key, record.environment.host): record for record in self.records}.values())

    def planned(self, stage: str) -> dict[str, int]:
        """Variant -> the number of its planned trials of a stage."""
        return dict(self._planned.get(stage, {}))

    @cached_property
    def _planned(self) -> dict[str, Counter[str]]:
        counts: dict[str, Counter[str]] = {}
        for trial in self.plan.trials:
            if not trial.excluded:
                counts.setdefault(trial.stage, Counter())[trial.variant] += 1
        return counts

    def frame(self) -> pd.DataFrame:
        """The table of planned quality and cost trials, one row each.

        Its columns are :data:`~bench.protocol.columns.META`, one for each factor, and exactly :attr:`columns`, with NaN
        where nothing was measured. Speed comparisons have a table of their own, :func:`bench.evidence.speedups.frame`.

        A trial without a record has the status ``missing``; one timed on two hardware classes has a row for each.
        """
        return self._frame.copy()

    def trials(self) -> pd.DataFrame:
        """The table of all planned trials, one row each.

        Its columns are :data:`~bench.protocol.columns.META`, and ``setting``, which is empty unless the trial is a
        speed comparison.
        """
        return pd.DataFrame([meta for meta, _ in self._rows], columns=[*META, "setting"])

    def scores(self, name: str) -> dict[str, dict[int, float]]:
        """Variant -> seed -> the measured value of a quality column, in its stored unit."""
        values: dict[str, dict[int, float]] = {}
        for meta, derived in self._rows:
            if meta["stage"] == "quality" and not math.isnan(value := derived.get(name, math.nan)):
                values.setdefault(meta["variant"], {})[meta["seed"]] = value
        return values

    def class_iou(self) -> pd.DataFrame:
        """The IoU of each class, a row for each trial and class: variant, seed, class, iou. NaN is an empty union."""
        return self._class_iou.copy()

    def curves(self) -> pd.DataFrame:
        """The losses in training, one row for each trial and recorded iteration: variant, seed, iteration, loss."""
        histories = [(record, measured.history) for record, measured in self.done(MeasuredQuality)]
        return _long(("iteration", int), "loss", [(record, curve.iteration, curve.loss) for record, curve in histories])

    def score_curves(self) -> pd.DataFrame:
        """The mean IoUs on the validation split while networks were trained: variant, seed, iteration, miou.

        A row for each look, of the trials that have any. The last row of a trial is what it reports, if that is of the
        validation split too.
        """
        rows = []
        for record, measured in self.done(MeasuredQuality):
            if measured.curve is not None:
                iterations, values = list(measured.curve.iteration), list(measured.curve.miou)
                if measured.split == "val":
                    iterations.append(float(measured.iterations))
                    values.append(measured.miou)
                rows.append((record, iterations, values))
        return _long(("iteration", int), "miou", rows)

    @cached_property
    def _rows(self) -> list[tuple[dict[str, Any], dict[str, float]]]:
        """The facts and levels of each trial, and the measured columns of a quality or cost trial."""
        by_trial: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            by_trial.setdefault((record.planned_key, record.trial.variant), []).append(record)
        nothing: list[Record | None] = [None]
        with no_collection():
            derived = self._derived()
            return [
                _row(trial, record, derived.get(record.key, {}) if record else {}, self.plan.name)
                for trial in self.plan.trials
                for record in by_trial.get((trial.key, trial.variant), nothing)
            ]

    def _derived(self) -> dict[str, dict[str, float]]:
        """Key of a finished quality or cost record -> its columns."""
        trained, costs = self.done(MeasuredQuality), self.done(MeasuredCost)
        columns = {record.key: cost_columns(measured) for record, measured in costs}
        if trained:
            for alike in _by_number_of_classes(trained):
                rows = quality_columns([measured for _, measured in alike])
                columns |= zip((record.key for record, _ in alike), rows, strict=True)
        return columns

    @cached_property
    def _frame(self) -> pd.DataFrame:
        measured = self.columns
        rows = [{**meta, **derived} for meta, derived in self._rows if meta["stage"] != "speed"]
        names = [*META, *self.factors, *measured]
        return pd.DataFrame(rows, columns=names).astype(dict.fromkeys(measured, float))

    @cached_property
    def _class_iou(self) -> pd.DataFrame:
        ious = {
            record.key: scores
            for alike in _by_number_of_classes(self.done(MeasuredQuality))
            for (record, _), scores in zip(
                alike, iou([measured.confusion for _, measured in alike]).tolist(), strict=True
            )
        }
        rows = [(record, measured.classes, ious[record.key]) for record, measured in self.done(MeasuredQuality)]
        return _long(("class", object), "iou", rows)

    def done(self, form: type[AnyMeasured]) -> list[tuple[Record, AnyMeasured]]:
        """The finished records of one stage with their measurements, as :func:`~.record.measured_by` gives them."""
        if form not in self._done:
            self._done[form] = list(measured_by(self.records, form))
        finished: list[tuple[Record, AnyMeasured]] = self._done[form]
        return finished

    @cached_property
    def _done(self) -> dict[type[Measured], list[Any]]:
        """The form of a stage's measurements -> :meth:`done`, for the stages that were asked for."""
        return {}


def _by_number_of_classes(
    trained: Sequence[tuple[Record, MeasuredQuality]],
) -> Iterable[list[tuple[Record, MeasuredQuality]]]:
    """The trained trials in groups whose confusion matrices have the same size."""
    groups: dict[int, list[tuple[Record, MeasuredQuality]]] = {}
    for record, measured in trained:
        groups.setdefault(len(measured.classes), []).append((record, measured))
    return groups.values()


def _long(
    name: tuple[str, type], value: str, trials: Sequence[tuple[Record, Sequence[Any], Sequence[float]]]
) -> pd.DataFrame:
    """A table with a row for each trial and entry: variant, seed, the name of the entry and its value.

    Texts are stored as Python's own: there may be millions of rows, and Arrow's texts take ten times as long.
    """
    rows = [len(values) for _, _, values in trials]
    entries = [entry for _, names, values in trials for entry, _ in zip(names, values, strict=True)]
    variants = np.array([record.trial.variant for record, _, _ in trials], dtype=object)
    columns = {
        "variant": pd.Series(np.repeat(variants, rows), dtype=object),
        "seed": np.repeat(np.array([record.trial.seed for record, _, _ in trials], dtype=int), rows),
        name[0]: pd.Series(entries, dtype=name[1]),
        value: np.array([number for _, _, values in trials for number in values], dtype=float),
    }
    return pd.DataFrame(columns)


def load(folder: str | Path) -> Results:
    """The results in ``folder``: its ``study.json`` and everything under ``records/``.

    Raises:
        RecordError: for a folder without ``study.json``, unreadable records, two records of one trial, and records that
            contradict the plan or each other.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    order = {id(row): position for position, row in enumerate(plan.trials)}
    all_records = read_all(folder / "records")
    current = sorted(paired(plan, all_records), key=lambda pair: order[id(pair[0])])
    check_agreement(plan, current)
    planned = {record.key for _, record in current}
    stale = tuple(record for record in all_records if record.key not in planned)
    return Results(plan, tuple(record for _, record in current), stale=stale, folder=folder)


def frame(folder: str | Path) -> pd.DataFrame:
    """:meth:`Results.frame` of a results folder."""
    return load(folder).frame()


def _row(
    trial: PlannedTrial, record: Record | None, derived: dict[str, float], study: str
) -> tuple[dict[str, Any], dict[str, float]]:
    status = "excluded" if trial.excluded else "missing" if record is None else record.status
    meta: dict[str, Any] = {
        "key": trial.key,
        "study": study,
        "variant": trial.variant,
        "stage": trial.stage,
        "seed": trial.seed,
        "status": status,
        "reason": trial.excluded or (record.outcome.reason if record else None) or "",
        "device": (record.environment.device or "") if record else "",
        "host": record.environment.host if record else "",
        "file": record.file_name if record else "",
        "setting": trial.setting.name if trial.setting else "",
        **trial.levels,
    }
    if record is None or status != "done":
        return meta, {}
    return {**meta, "reason": "; ".join(doubts(record.measured, derived))}, derived


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries, whose values keep their types."""
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]
