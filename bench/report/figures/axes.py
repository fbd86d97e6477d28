"""The axes of figures: ranges, ticks, labels on several lines, and marks that would hide each other."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from bench.report.figures.figure import text

CUT = " An interval that reaches the edge goes on beyond it."


def focus(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> tuple[list[float] | None, str]:
    """The range of an axis that shows all values, and the sentence that a caption adds if intervals go on beyond it.

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
"""If the largest value is less than so many times the smallest, a logarithmic axis has ticks between powers of ten."""


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """The settings of a logarithmic axis. Plotly itself labels ticks between powers of ten by a single digit."""
    least, most = min(values := list(values)), max(values)
    steps = (1, 2, 5) if most < NARROW * least else (1,)
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def apart(index: int, count: int, room: float) -> float:
    """How far one of ``count`` marks moves aside, so that no interval hides another; all stay within ``room``."""
    return room * (index - (count - 1) / 2) / count


LONGEST_LINE = 26
"""The most characters in a line of a label beside a plot."""


def lines_of(name: object) -> list[str]:
    """A label as lines that are short enough for a phone; a sign such as ``+`` stays with the word that follows it."""
    bound = str(name)
    for sign in (" +", " ×", ", on"):
        bound = bound.replace(f"{sign} ", f"{sign}\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(bound, LONGEST_LINE) or [""]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def wrapped(name: object) -> str:
    """The lines of a label (:func:`lines_of`) as plotly's text."""
    return "<br>".join(map(text, lines_of(name)))


def most_lines(names: Iterable[str]) -> int:
    """The number of lines of the longest label, as :func:`wrapped` breaks it."""
    return max((len(lines_of(name)) for name in names), default=1)


LONGEST_TICK = 24
"""The most characters of a label along the x axis."""


def tick(name: object) -> str:
    """A label along the x axis, cut if it is so long that it would leave the plot no height."""
    label = str(name)
    return text(label if len(label) <= LONGEST_TICK else f"{label[: LONGEST_TICK - 1]}…")
