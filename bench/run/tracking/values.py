"""The parameters and metrics of a trial, as a run of a tracker shows them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from bench.records.cost import MeasuredCost, cost_columns
from bench.records.quality import MeasuredQuality, quality_columns
from bench.records.record import Record
from bench.records.speed import MeasuredSpeed
from bench.run.trial import Trial
from bench.study.cells import Cell

Value = str | int | float | bool


def parameters_of(trial: Trial, cell: Cell) -> dict[str, Value]:
    """Factor -> level, then what else makes the trial: variant, seed, stage, key, and the recipe field by field."""
    levels: dict[str, Value] = {f"level.{factor}": level for factor, level in cell.levels.items()}
    facts = {"variant": trial.variant, "stage": trial.stage, "seed": trial.seed, "key": trial.key}
    if trial.setting is not None:
        facts |= {"setting": trial.setting.name, "against": trial.against}
    return levels | dict(_flat(facts)) | dict(_flat({"recipe": cell.recipe.describe()}))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Value]]:
    """The values of nested mappings under names with dots. A list is a text, and what is ``None`` is left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", value if isinstance(value, str | int | float | bool) else str(value)


def metrics_of(record: Record) -> dict[str, float]:
    """Column -> its value, in the units of :mod:`bench.protocol.columns`; of a trial that is not done the time alone.

    A speed trial has the median times of both its sides.
    """
    measured = record.measured
    columns: dict[str, float] = {}
    if record.status == "done":
        if isinstance(measured, MeasuredQuality):
            (columns,) = quality_columns([measured])
        elif isinstance(measured, MeasuredCost):
            columns = cost_columns(measured)
        elif isinstance(measured, MeasuredSpeed) and measured.isolated is not False:
            both = {"latency_s": measured.latency_s, "against_s": measured.against_s}
            columns = {name: statistics.median(samples) for name, samples in both.items()}
    if record.outcome.wall_s is not None:
        columns = {**columns, "wall_s": record.outcome.wall_s}
    return {name: float(value) for name, value in columns.items() if math.isfinite(value)}


def curves_of(record: Record) -> dict[int, dict[str, float]]:
    """Iteration -> the training's ``loss``, and the ``val_miou`` of a look at the network, where it has them."""
    measured, points = record.measured, dict[int, dict[str, float]]()
    if record.status != "done" or not isinstance(measured, MeasuredQuality):
        return {}
    curves = {"loss": (measured.history.iteration, measured.history.loss)}
    if measured.curve is not None:
        curves["val_miou"] = (measured.curve.iteration, measured.curve.miou)
    for name, (iterations, values) in curves.items():
        for iteration, value in zip(iterations, values, strict=True):
            points.setdefault(int(iteration), {})[name] = float(value)
    return dict(sorted(points.items()))
