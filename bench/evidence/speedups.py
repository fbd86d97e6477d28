"""Speed-ups from records: one row for each comparison, and the input sizes at which the ratio crosses 1."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from bench.evidence.ranks import Ratio, ratio_interval, ratio_verdict
from bench.evidence.stats import NAN, holm
from bench.protocol.columns import level_key
from bench.protocol.setting import CONDITIONS, Setting
from bench.records.cost import percentile
from bench.records.measured import NOISY
from bench.records.plan.plan import PlannedTrial
from bench.records.record import Record
from bench.records.results import Results
from bench.records.speed import MeasuredSpeed

CHANGES = 1e-3
"""The share of pixels of another class above which a mode is said to change the answer. Rounding of float32 alone was
seen to change fewer than one pixel in 10,000."""
NOWHERE = "none in the range"
"""The words for a ratio that does not cross 1 between the sizes measured."""
SETTING = ("height", "width", "batch", *CONDITIONS)
MEASURED = (
    "ratio", "low", "high", "p", "p_holm", "verdict", "verdict_reason", "blocks",
    "latency_s", "against_s", "images_per_s", "against_images_per_s", "forward_s", "backward_s", "update_s",
    "noisy", "isolated", "maybe_not_alone", "notes", "steady", "prepared_s", "against_prepared_s",
    "difference", "against_difference", "changed", "against_changed",
)  # fmt: skip

OWN: frozenset[str] = frozenset({"variant", "against", *SETTING, "status", "reason", "device", *MEASURED, "estimate"})
"""The columns of this table. A factor of the same name, such as ``precision``, has the column ``factor precision``."""


def frame(results: Results) -> pd.DataFrame:
    """The table of planned comparisons, one row each: variant, against, factors, setting, status, reason, measurements.

    ``ratio`` is the time of the other side over that of the variant, so above 1 where the variant is faster; ``low``
    and ``high`` are the ends of its 95 % interval. The verdict is better or worse if the p-value passes Holm's
    correction over all rows, and not resolved otherwise. ``changed`` and ``difference`` say how a mode's outputs differ
    from those of eager torch. Measurements are NaN if there are none, and times if the timing was not alone, or if most
    others were made on other hardware, as ``reason`` then says. A timing of which it is not known whether it was alone
    counts; ``maybe_not_alone`` then says what is not known.
    """
    by_trial: dict[str, list[Record | None]] = {}
    for record in results.records:
        by_trial.setdefault(record.planned_key, []).append(record)
    rows = [
        _timed(trial, trial.setting, record)
        for trial in results.plan.trials
        if trial.setting and not trial.excluded
        for record in by_trial.get(trial.key, [None])
    ]
    factors = [level_key(name, OWN) for name in results.factors]
    names = ["variant", "against", *factors, *SETTING, "status", "reason", "device", *MEASURED]
    return pd.DataFrame([*_judged(_of_one_hardware(rows))], columns=names)


def _of_one_hardware(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, those without measurements that were timed on other hardware than most of them.

    Ratios of two hardware classes must stand neither on one line over the sizes of inputs nor under one correction.
    """
    devices = Counter(row["device"] for row in rows if "estimate" in row)
    if len(devices) <= 1:
        return list(rows)
    usual = devices.most_common(1)[0][0]
    return [
        row if "estimate" not in row or row["device"] == usual
        else {name: value for name, value in row.items() if name not in (*MEASURED, "estimate")}
        | {"reason": f"timed on {row['device']}, most others on {usual}"}
        for row in rows
    ]  # fmt: skip


def _judged(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    adjusted = holm([row["estimate"].p if "estimate" in row else NAN for row in rows])
    compared = sum(not math.isnan(p) for p in adjusted)
    for row, p_holm in zip(rows, adjusted, strict=True):
        if "estimate" not in row:
            yield row
            continue
        estimate: Ratio = row["estimate"]
        judged = ratio_verdict(estimate, p_holm, compared)
        values = {name: getattr(estimate, name) for name in ("ratio", "low", "high", "p")}
        yield {**row, **values, "p_holm": p_holm, "verdict": judged.word, "verdict_reason": judged.reason}


@dataclass(frozen=True)
class Crossing:
    """The number of pixels of the input at which a ratio crosses 1 as inputs grow; NaN outside of the measured range.

    Attributes:
        pixels: the size at which the ratio itself crosses 1.
        low: the smaller size at which an end of its interval crosses 1.
        high: the larger size at which the other end crosses 1.
    """

    pixels: float
    low: float
    high: float


def crossings(points: Sequence[tuple[int, Ratio]]) -> list[Crossing]:
    """Every crossing of 1. Between neighbouring sizes, log(ratio) is taken as a straight line over log(pixels).

    Args:
        points: the number of pixels of an input, and the ratio there.
    """
    ordered = sorted(points, key=lambda point: point[0])
    pixels = [math.log(size) for size, _ in ordered]

    def zeros(side: str) -> list[float]:
        return _zeros(pixels, [math.log(getattr(ratio, side)) for _, ratio in ordered])

    ends = sorted(zeros("low") + zeros("high"))
    return [
        Crossing(
            math.exp(zero),
            math.exp(max((end for end in ends if end <= zero), default=NAN)),
            math.exp(min((end for end in ends if end >= zero), default=NAN)),
        )
        for zero in zeros("ratio")
    ]


def crossing_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The crossings in words, one row for each variant and kind of setting that was timed at two sizes or more."""
    rows = []
    kinds = ["variant", "against", "batch", *CONDITIONS]
    for kind, group in comparisons.dropna(subset=["low", "high"]).groupby(kinds, sort=False):
        if crossing := crossings_in_words(group):
            rows.append({**dict(zip(kinds, kind, strict=True)), "ratio crosses 1": crossing})
    return pd.DataFrame(rows, columns=[*kinds, "ratio crosses 1"])


def crossings_in_words(comparisons: pd.DataFrame) -> str:
    """The sizes at which the ratio crosses 1, in words: ``none in the range`` for no crossing, empty for one size.

    The comparisons are of one kind of setting and differ in size.
    """
    points = [
        (int(row["height"] * row["width"]), Ratio(row["ratio"], row["low"], row["high"], int(row["blocks"])))
        for row in comparisons.dropna(subset=["low", "high"]).to_dict("records")
    ]
    return "; ".join(map(_spell, crossings(points))) or NOWHERE if len(points) > 1 else ""


def _timed(trial: PlannedTrial, setting: Setting, record: Record | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "variant": trial.variant,
        "against": trial.against,
        **{level_key(name, OWN): level for name, level in trial.levels.items()},
        **{name: getattr(setting, name) for name in SETTING},
        "status": "missing" if record is None else record.status,
        "reason": (record.outcome.reason if record else None) or "",
        "device": (record.environment.hardware if record else None) or "",
    }
    measured = record.measured if record else None
    if not isinstance(measured, MeasuredSpeed):
        return row
    row |= {"isolated": measured.isolated, "steady": measured.steady, "blocks": len(measured.log_ratios)}
    row |= {"maybe_not_alone": measured.maybe_not_alone, "notes": "; ".join(measured.isolation.notes)}
    row |= _of_mode(measured)
    if measured.isolated is False:
        return {**row, "reason": "; ".join(measured.isolation.reasons)}
    samples_s = {"latency_s": measured.latency_s, "against_s": measured.against_s}
    seconds = {side: statistics.median(samples) for side, samples in samples_s.items()}
    steps = {f"{name}_s": statistics.median(all_s) for name, all_s in measured.step_s.get("ours", {}).items()}
    return {
        **row,
        **seconds,
        **steps,
        "estimate": ratio_interval(measured.log_ratios),
        "images_per_s": setting.batch / seconds["latency_s"],
        "against_images_per_s": setting.batch / seconds["against_s"],
        "noisy": max(map(spread, samples_s.values())) > NOISY,
    }


def _of_mode(measured: MeasuredSpeed) -> dict[str, float]:
    """The seconds that a mode took to prepare each side, and how its logits differ from those of eager torch."""
    values: dict[str, float] = {}
    for side, lead in (("ours", ""), ("against", "against_")):
        values[f"{lead}prepared_s"] = measured.prepared_s.get(side, NAN)
        apart = measured.difference.get(side)
        values[f"{lead}difference"] = NAN if apart is None else apart.max_abs
        values[f"{lead}changed"] = NAN if apart is None else apart.changed
    return values


def changes_answer(row: Mapping[Any, Any]) -> bool:
    """``True`` if a comparison was timed in a mode that changes the classes of more than :data:`CHANGES` of the pixels.

    ``False`` also where nothing is known, as in eager torch itself.
    """
    return any(row[name] > CHANGES for name in ("changed", "against_changed"))


def setting_of(row: Mapping[Any, Any]) -> Setting:
    """The setting that a row of :func:`frame` was timed at."""
    return Setting(**{name: row[name] for name in SETTING})


def spread(samples: Sequence[float]) -> float:
    """The distance between the quartiles as a share of the median."""
    return (percentile(samples, 0.75) - percentile(samples, 0.25)) / statistics.median(samples)


def _zeros(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """The x at which the polyline through (x, y) crosses 0; a point that lies on 0 counts once."""
    zeros = []
    for (x0, y0), (x1, y1) in pairwise(zip(x, y, strict=True)):
        if (y0 > 0) != (y1 > 0):
            zeros.append(x0 + (x1 - x0) * y0 / (y0 - y1))
    return zeros


def _spell(crossing: Crossing) -> str:
    def side(pixels: float) -> str:
        return "beyond the range" if math.isnan(pixels) else f"{math.sqrt(pixels):.0f}²"

    return f"at {side(crossing.pixels)} px ({side(crossing.low)} to {side(crossing.high)})"
