"""How values, levels and variants are written in tables, figures and sentences. Digits and units come from COLUMNS."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.protocol.columns import column

NOTHING = "—"
"""What a cell without a value shows."""


LEAST_P = 0.001
"""Smaller p-values are only said to be below it."""


SMALL_DIGITS = 2
"""Significant ones of a cost below 1."""


OFF = frozenset({"off", "none", "no", "false", "absent"})
"""Levels that mean "without it"."""


def shown(value: float, name: str) -> str:
    """A stored value of a measured column in its shown unit and digits; a dash for NaN.

    Costs below 1 have two significant digits at least, so that those of small networks can be told apart.
    """
    return NOTHING if math.isnan(value) else _number(value * column(name).scale, decimals(value, name))


def decimals(value: float, name: str) -> int:
    """How many a stored value of a measured column is shown with."""
    scaled, digits = abs(value * column(name).scale), column(name).digits
    small = column(name).stage == "cost" and 0 < scaled < 1
    return max(digits, SMALL_DIGITS - 1 - math.floor(math.log10(scaled))) if small else digits


def signed(value: float, name: str) -> str:
    """A stored difference of a measured column, always with its sign: ``+1.20``."""
    return NOTHING if math.isnan(value) else _number(value * column(name).scale, column(name).digits, sign="+")


def interval(low: float, high: float, name: str) -> str:
    """Both ends of an interval of a difference: ``[+0.30, +2.10]``; empty if there is none."""
    return "" if math.isnan(low) else f"[{signed(low, name)}, {signed(high, name)}]"


def spread(mean: float, sd: float, name: str) -> str:
    """Mean and standard deviation: ``71.23 ± 0.45``, the mean alone where there is no spread to state."""
    return shown(mean, name) if math.isnan(sd) else f"{shown(mean, name)} ± {shown(sd, name)}"


def ratio(value: float) -> str:
    """A ratio to the baseline: ``×1.20``; a dash for NaN."""
    return NOTHING if math.isnan(value) else f"×{value:.2f}"


def resolvable(value: float, name: str) -> str:
    """The smallest difference that could have been resolved: ``≥ 1.20``; ``none`` where it exceeds every difference."""
    if math.isnan(value):
        return NOTHING
    return "none" if column(name).unit == "fraction" and value > 1 else f"≥ {shown(value, name)}"


def difference_unit(name: str) -> str:
    """The unit of a difference: of percentages it is points."""
    unit = column(name).shown_unit
    return "points" if unit == "%" else unit


def difference_title(name: str) -> str:
    """Head of a column of differences: ``Δ mIoU (points)``."""
    unit = difference_unit(name)
    return f"Δ {column(name).label} ({unit})" if unit else f"Δ {column(name).label}"


def status(name: str) -> str:
    """An outcome in words: ``out of memory``."""
    return name.replace("_", " ")


def tally(statuses: Iterable[str]) -> str:
    """Outcomes counted: ``2 done, 1 out of memory``."""
    return ", ".join(f"{count} {status(name)}" for name, count in Counter(statuses).items())


def level(value: str, levels: Sequence[str]) -> str:
    """A level in a table: ✓ or ✗ for a factor of two levels of which one is off-like, its name otherwise."""
    off = [each for each in levels if str(each).lower() in OFF]
    if len(levels) == 2 and len(off) == 1 and value in levels:
        return "✗" if value == off[0] else "✓"
    return value


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def verdict(row: Mapping[str, Any]) -> str:
    """A row of effects' verdict with its reason."""
    return f"{row['verdict']} ({row['reason']})" if row["reason"] else str(row["verdict"])


def p_value(value: float) -> str:
    """``0.012``, ``< 0.001``; a dash for NaN."""
    if math.isnan(value):
        return NOTHING
    return f"< {LEAST_P}" if value < LEAST_P else f"{value:.3f}"


def _number(value: float, digits: int, sign: str = "") -> str:
    text = f"{value:{sign}.{digits}f}"
    if float(text) == 0:  # neither −0.00 nor +0.00 says anything
        text = text.lstrip("+-")
    return text.replace("-", "−")
