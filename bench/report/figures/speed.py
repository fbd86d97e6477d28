"""The figures of speed-ups: the ratio of times over the size of the input, and where it crosses 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence import speedups
from bench.evidence.evidence import Evidence
from bench.evidence.ranks import Ratio
from bench.protocol.setting import CONDITIONS
from bench.protocol.words import plural
from bench.report.figures.axes import apart
from bench.report.figures.figure import BASELINE_COLOUR, Figure, Look, bars, blank, drawn, finished, looks, text
from bench.report.tables.speed import kind_of

ROOM = 0.06
"""The share of a figure's width in which the marks of one size stand."""


KIND = ("batch", *CONDITIONS)
"""The parts of a setting that the lines of one figure have in common."""


def figures(evidence: Evidence) -> list[Figure]:
    """One figure a kind of setting: the ratio over the pixels of the input, and where it crosses 1."""
    known = evidence.speedups.dropna(subset=["low", "high"])
    known = known.assign(pixels=(known["height"] * known["width"]).astype(int))
    kinds = [comparisons for _, comparisons in known.groupby(list(KIND), sort=False)]
    if len(kinds) <= 1:
        return [_figure(evidence, known, "speed-ups", "Speed-up by input size")]
    return [
        _figure(
            evidence,
            comparisons,
            f"speed-ups-{number}",
            f"Speed-up by input size: {kind_of(comparisons.iloc[0].to_dict())}",
            group="speed-ups",
        )
        for number, comparisons in enumerate(kinds, start=1)
    ]


def _figure(evidence: Evidence, known: pd.DataFrame, name: str, title: str, group: str = "") -> Figure:
    drawing, rows, look_of = blank("Input (pixels)", "Times as fast", height=420), [], looks(evidence)
    lines = list(known.sort_values("pixels").groupby("variant", sort=False))
    room = ROOM * math.log(known["pixels"].max() / known["pixels"].min()) if len(known) else 0.0
    for index, (variant, comparisons) in enumerate(lines):
        look, aside = look_of[str(variant)], math.exp(apart(index, len(lines), room))
        names = [speedups.setting_of(row).name for row in comparisons.to_dict("records")]
        ratios, lows, highs = (comparisons[column].tolist() for column in ("ratio", "low", "high"))
        drawing.add_scatter(
            x=[pixels * aside for pixels in comparisons["pixels"]], y=ratios, mode="lines+markers", name=look.name,
            marker=look.marker(9), line=look.line(), text=[text(name) for name in names],
            error_y=bars(ratios, lows, highs, look.colour),
            hovertemplate="%{text}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        points = [(int(row["pixels"]), _ratio(row)) for row in comparisons.to_dict("records")]
        for crossing in speedups.crossings(points):
            _mark_crossing(drawing, crossing, look, edges=(points[0][0], points[-1][0]))
        rows += [(look.label, *values) for values in zip(names, ratios, lows, highs, strict=True)]
    sizes = known.sort_values("pixels").drop_duplicates("pixels")
    drawing.update_xaxes(
        type="log",
        ticklabeloverflow="allow",
        tickvals=sizes["pixels"].tolist(),
        ticktext=[f"{row.height}×{row.width}" for row in sizes.itertuples()],
    )
    drawing.add_hline(y=1, line_width=1, line_color=BASELINE_COLOUR)
    table = pd.DataFrame(rows, columns=["Variant", "Setting", "Times as fast", "low", "high"])
    caption = (
        "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks "
        "(signed ranks), each for itself. Above 1 the variant is the faster. Dotted upright: where a ratio crosses 1, "
        "by straight lines between the sizes measured; along the line at 1 the interval of that place, dotted where it "
        "goes on beyond these sizes. Marks of one size stand side by side."
    )
    unsure = int(known["maybe_not_alone"].astype(bool).sum())
    if unsure:
        caption += f" Of {plural(unsure, 'timing')} it is not known whether the machine was alone: see the table."
    key = drawn(look_of, known)
    return finished(name, title, caption, drawing, table, "point", section="speed", key=key, group=group)


def _ratio(row: Mapping[Any, Any]) -> Ratio:
    return Ratio(row["ratio"], row["low"], row["high"], int(row["blocks"]))


def _mark_crossing(drawing: Any, crossing: speedups.Crossing, look: Look, edges: tuple[int, int]) -> None:
    """Mark a crossing: a dotted upright line with the size beside it, and a bar along 1 over its interval."""
    for end, edge in zip((crossing.low, crossing.high), edges, strict=True):
        beyond = math.isnan(end)
        drawing.add_scatter(
            x=[crossing.pixels, edge if beyond else end], y=[1, 1], mode="lines", opacity=0.5, hoverinfo="skip",
            name=look.name, line={"color": look.colour, "width": 5, "dash": "dot" if beyond else "solid"},
        )  # fmt: skip
    drawing.add_vline(x=crossing.pixels, line={"color": look.colour, "width": 1.4, "dash": "dot"})
    drawing.add_annotation(
        x=math.log10(crossing.pixels), xref="x", y=0, yref="paper", yanchor="bottom", xanchor="left", showarrow=False,
        text=f"{math.sqrt(crossing.pixels):.0f}²",
    )  # fmt: skip
