"""Axes and their labels: ranges that show what is drawn, ticks, long names, marks that would hide each other."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from bench.report.figures.figure import text

CUT = " An interval that reaches the edge goes on beyond it."


def focus(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> tuple[list[float] | None, str]:
    """The range of an axis that shows what is drawn, and what a caption says of it.

    All values and their intervals, but no more on either side than the values span: two seeds can have an interval that
    is a hundred times as wide as all differences, and would flatten them.
    """
    if len(values) == 0:
        return None, ""
    least, most = min(values), max(values)
    room = max(most - least, 1e-3 * abs(most))
    low = min(end for end in (*values, *lows) if not math.isnan(end))
    high = max(end for end in (*values, *highs) if not math.isnan(end))
    cut = low < least - room or high > most + room
    low, high = max(low, least - room), min(high, most + room)
    edge = 0.05 * (high - low)
    return [low - edge, high + edge], CUT if cut else ""


NARROW = 50
"""Largest over smallest value below which a logarithmic axis has ticks between the powers of ten."""


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """Settings of a logarithmic axis: plotly's own labels between powers of ten are single digits. Values above 0."""
    least, most = min(values := list(values)), max(values)
    steps = (1, 2, 5) if most < NARROW * least else (1,)
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def apart(index: int, count: int, room: float) -> float:
    """How far one of ``count`` marks moves aside, all within ``room`` about their place: no interval hides another."""
    return room * (index - (count - 1) / 2) / count


LONGEST_LINE = 26
"""Characters of a line of a label beside a plot."""


def lines_of(name: object) -> list[str]:
    """A label from outside on lines short enough to leave a plot its width on a phone; signs go with what follows."""
    bound = str(name)
    for sign in (" +", " ×", ", on"):
        bound = bound.replace(f"{sign} ", f"{sign}\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(bound, LONGEST_LINE) or [""]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def wrapped(name: object) -> str:
    """:func:`lines_of` as plotly shows them."""
    return "<br>".join(map(text, lines_of(name)))


def most_lines(names: Iterable[str]) -> int:
    """Lines of the longest :func:`wrapped` label."""
    return max((len(lines_of(name)) for name in names), default=1)


LONGEST_TICK = 24
"""Characters of a label along the x axis."""


def tick(name: object) -> str:
    """Text from outside as a label along the x axis: a longer one would leave no height to the plot."""
    label = str(name)
    return text(label if len(label) <= LONGEST_TICK else f"{label[: LONGEST_TICK - 1]}…")
