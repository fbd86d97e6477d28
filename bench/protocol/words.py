"""How values, levels and variants are written in tables, figures and sentences. Digits and units come from COLUMNS."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTHING = "—"
"""What a cell without a value shows."""


LEAST_P = 0.001
"""Smaller p-values are only said to be below it."""


OFF = frozenset({"off", "none", "no", "false", "absent"})
"""Levels that mean "without it"."""


def ratio(value: float) -> str:
    """A ratio to the baseline: ``×1.20``; a dash for NaN."""
    return NOTHING if math.isnan(value) else f"×{value:.2f}"


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
