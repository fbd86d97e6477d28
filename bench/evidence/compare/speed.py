"""Speed-ups of two sets of results side by side. Each was measured in turns, so a slower session cancels in each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.evidence.compare.sides import Side
from bench.evidence.ranks import Ratio, ratio_interval, ratio_of_samples
from bench.evidence.stats import ALPHA, NAN, holm
from bench.protocol.words import REPEAT, maybe_not_alone
from bench.records.record import Record
from bench.records.speed import MeasuredSpeed

SPEED = (
    "variant", "against", "setting", "hardware", "a", "a_low", "a_high", "b", "b_low", "b_high", "ratio", "low", "high",
    "p", "p_holm", "verdict", "reason",
)  # fmt: skip
"""Columns of :func:`speed`: times as fast on each side with 95 % intervals, and B's over A's."""


def speed(a: Side, b: Side) -> pd.DataFrame:
    """One row a comparison that both sides have on one hardware class, columns :data:`SPEED`.

    B is better where its speed-up is larger, after Holm over all rows. Each side is one session: what differed between
    the sessions, and not only within one, is in no interval.
    """
    ones, others = (dict(_timed(side)) for side in (a, b))
    rows = [_compared(key, ones[key], others[key]) for key in ones if key in others]
    for row, p_holm in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": p_holm, "verdict": _verdict(row["ratio"], p_holm)}
    return pd.DataFrame(rows, columns=list(SPEED))


def _timed(side: Side) -> Iterator[tuple[tuple[str, str, str, str], MeasuredSpeed]]:
    for variant in side.variants:
        for record, measured in sorted(side.done(MeasuredSpeed, variant), key=lambda pair: _size(pair[0])):
            setting = record.trial.setting.name if record.trial.setting else ""
            yield (variant, str(record.trial.against), setting, str(record.environment.hardware)), measured


def _size(record: Record) -> tuple[str, int]:
    """The order of timings: by the other side, then by the pixels of the input."""
    setting = record.trial.setting
    return str(record.trial.against), setting.height * setting.width if setting else 0


def _compared(key: tuple[str, str, str, str], one: MeasuredSpeed, other: MeasuredSpeed) -> dict[str, Any]:
    x, y = one.log_ratios, other.log_ratios
    alone = one.isolated is not False and other.isolated is not False
    unsure = maybe_not_alone(one.maybe_not_alone, other.maybe_not_alone)
    first, second = (ratio_interval(logs) if alone else Ratio(NAN, NAN, NAN, 0) for logs in (x, y))
    both = ratio_of_samples(np.exp(x).tolist(), np.exp(y).tolist()) if alone else first
    return {
        **dict(zip(("variant", "against", "setting", "hardware"), key, strict=True)),
        "a": first.ratio, "a_low": first.low, "a_high": first.high,
        "b": second.ratio, "b_low": second.low, "b_high": second.high,
        "ratio": both.ratio, "low": both.low, "high": both.high, "p": both.p,
        "reason": unsure if alone else f"not compared: a timing was not alone; {REPEAT}",
    }  # fmt: skip


def _verdict(ratio: float, p_holm: float) -> str:
    if math.isnan(ratio):
        return ""
    return "not resolved" if not p_holm < ALPHA else "better" if ratio > 1 else "worse"
