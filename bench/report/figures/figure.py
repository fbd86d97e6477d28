"""The things that all figures share: the class Figure, the looks of variants, error bars and the count of marks.

One colour a variant across a whole page. Text from a study is escaped, for plotly reads labels as HTML. Figures are
drawn for light and dark pages alike: every colour has a contrast of 3 to 1 at least with both.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from bench.evidence.evidence import Evidence

BASELINE_COLOUR = "#777777"
COLOURS = ("#4466DD", "#DD7700", "#449955", "#AA3399", "#3399DD", "#CC0022", "#8811FF")
"""The colours of variants: the seven that, with the baseline's grey, lie furthest apart (24 in CIELAB) as deuteranopes
and protanopes see them (Machado et al., 2009), of those with a contrast of 3 to 1 on white and on dark paper."""
SLOT_COLOURS = ("#5588FF", "#DD7700", "#0099CC", "#CC1133", "#885577", "#889977", "#5544FF")
"""The colours of parts of a network and of levels, chosen as :data:`COLOURS` are; no figure has both kinds."""
RULE = "rgba(128,128,128,0.3)"
"""The colour of grids and guides, on light and dark paper."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")
GLYPHS = dict(zip(SYMBOLS, "●◆■▲✚✖★⬢", strict=True))
"""The symbols as characters, for a legend beside the figure: plotly's own legend would fill a small figure."""
DASHES = {"solid": "", "dash": "9", "dot": "3", "dashdot": "9 3 3 3", "longdash": "15", "longdashdot": "15 6 3 6"}
"""Plotly's name of a dash -> the same pattern in SVG, for lines of up to 3 pixels."""

Mark = Literal["point", "line", "bar", "cell"]
Section = Literal["", "speed", "effects", "cost", "classes", "training", "outcomes"]
DIGITS = 6
"""The significant digits of drawn numbers; tables and files have all digits."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and its data.

    Attributes:
        name: the name of its CSV and its place on the page.
        title: one line.
        caption: what is drawn, and how to read it.
        figure: plotly's; ``layout.meta`` holds ``mark`` (what stands for a row) and ``marks`` (how many).
        table: one row a mark, in shown units.
        key: the looks that are drawn, for a legend.
        data: the numbers for the CSV; the table itself if ``None``.
        section: the section of the page.
        group: figures of one group are small and stand side by side; those with equal keys share a legend.
    """

    name: str
    title: str
    caption: str
    figure: go.Figure
    table: pd.DataFrame
    key: tuple[Look, ...] = ()
    data: pd.DataFrame | None = None
    section: Section = ""
    group: str = ""


@dataclass(frozen=True)
class Look:
    """The look of a variant in every figure; ``label`` is plain text, ``name`` the same text escaped for plotly."""

    label: str
    colour: str
    symbol: str
    dash: str

    @property
    def name(self) -> str:
        return text(self.label)

    @property
    def glyph(self) -> str:
        return GLYPHS[self.symbol]

    @property
    def dash_pattern(self) -> str:
        return DASHES[self.dash]

    def marker(self, size: int = 9, **extra: Any) -> dict[str, Any]:
        return {"color": self.colour, "symbol": self.symbol, "size": size, **extra}

    def line(self, width: float = 1.6) -> dict[str, Any]:
        return {"color": self.colour, "width": width, "dash": self.dash}


def looks(evidence: Evidence) -> dict[str, Look]:
    """Variant -> its look: neighbours differ in colour, symbol and dash, and no two among 42 are alike in all."""
    results, names = evidence.results, evidence.labels
    others = [variant for variant in results.variants if variant != results.baseline]
    look_of = {results.baseline: Look(names.get(results.baseline, "baseline"), BASELINE_COLOUR, "circle", "solid")}
    for index, variant in enumerate(others, start=1):
        look_of[variant] = _look(names[variant], COLOURS[(index - 1) % len(COLOURS)], index)
    return look_of


def part_looks(names: Iterable[str]) -> dict[str, Look]:
    """The name of a part or a level -> its look."""
    return {name: _look(name, SLOT_COLOURS[index % len(SLOT_COLOURS)], index) for index, name in enumerate(names)}


def _look(label: str, colour: str, index: int) -> Look:
    return Look(label, colour, SYMBOLS[index % len(SYMBOLS)], list(DASHES)[index % len(DASHES)])


def drawn(look_of: Mapping[str, Look], rows: pd.DataFrame) -> list[Look]:
    """The looks of the variants that a figure has rows of, in the study's order."""
    with_rows = set(rows["variant"].unique())
    return [look for variant, look in look_of.items() if variant in with_rows]


def bars(middle: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> dict[str, Any] | None:
    """The error bars of intervals around drawn values; ``None`` if no interval is known."""
    if all(math.isnan(value) for value in low):
        return None
    up = [end - value for value, end in zip(middle, high, strict=True)]
    down = [value - end for value, end in zip(middle, low, strict=True)]
    return {
        "type": "data", "symmetric": False, "array": up, "arrayminus": down, "width": 4, "thickness": 1.6,
        "color": colour,
    }  # fmt: skip


def text(value: object) -> str:
    """Text escaped for plotly, so that tags and entities in it are shown as they are."""
    return html.escape(str(value), quote=False)


def blank(x_title: str, y_title: str | None, *, height: int) -> go.Figure:
    """An empty figure. It is transparent: the page gives it the colours of light or dark paper."""
    figure = go.Figure()
    figure.update_layout(
        template="none", height=height, margin={"l": 10, "r": 18, "t": 10, "b": 10}, hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"family": "inherit", "size": 13},
        showlegend=False,
    )  # fmt: skip
    axis = {
        "automargin": True, "zeroline": False, "showline": False, "ticks": "outside", "ticklen": 4, "gridcolor": RULE,
        "tickcolor": RULE, "zerolinecolor": RULE,
    }  # fmt: skip
    figure.update_xaxes(title={"text": x_title, "standoff": 8}, **axis)
    figure.update_yaxes(title={"text": y_title, "standoff": 8} if y_title else None, **axis)
    return figure


def finished(
    name: str,
    title: str,
    caption: str,
    figure: go.Figure,
    table: pd.DataFrame,
    mark: Mark,
    *,
    section: Section,
    key: Iterable[Look] = (),
    data: pd.DataFrame | None = None,
    group: str = "",
) -> Figure:
    for trace in figure.data:
        _round(trace)
    figure.update_layout(meta={"mark": mark, "marks": marks(figure, mark), "rows": len(table)})
    return Figure(name, title, caption, figure, table, tuple(key), data, section, group)


def marks(figure: go.Figure, mark: Mark) -> int:
    """How many points, lines, bars or cells a figure draws; guides, such as lines among points, are none of them."""
    return sum(_MARKS[mark](trace) for trace in figure.data)


_MARKS = {
    "point": lambda trace: len(trace.x) if trace.type == "scatter" and "markers" in trace.mode else 0,
    "line": lambda trace: int(trace.type == "scatter" and "lines" in trace.mode),
    "bar": lambda trace: len(trace.x) if trace.type == "bar" else 0,
    "cell": lambda trace: sum(value is not None for row in trace.z for value in row) if trace.type == "heatmap" else 0,
}


def _round(trace: Any) -> None:
    """Round the numbers of a trace to :data:`DIGITS` digits: a page holds thousands that are only drawn."""
    content = trace.to_plotly_json()  # to ask the trace itself for each of them takes three times as long
    owners: list[tuple[Any, Any, tuple[str, ...]]] = [(trace, content, ("x", "y", "z"))]
    owners += [(trace[bar], content[bar], ("array", "arrayminus")) for bar in ("error_x", "error_y") if bar in content]
    for owner, values, names in owners:
        for name in names:
            if values.get(name) is not None:
                owner[name] = [_short(value) for value in values[name]]


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return [_short(item) for item in value] if isinstance(value, list | tuple) else value
