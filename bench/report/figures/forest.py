"""The figure of differences: comparisons with their intervals and seeds."""

from __future__ import annotations

import math

import pandas as pd

from bench.evidence.contrasts import ASKED
from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import plural
from bench.report.figures.axes import lines_of, wrapped
from bench.report.figures.figure import BASELINE_COLOUR, Figure, Look, bars, blank, finished, looks, text

MOST_COMPARISONS = 40
"""The most comparisons that are drawn: resolved ones first, then effects on average, then the largest differences."""
MOST_DOTS = 400
"""The most dots, one a seed, in the figure; with more, only the means are drawn."""
LINE_PX, ROOM_PX, DOTS_PX = 16, 24, 9
"""The pixels of a line of a label, of the room between two rows, and from a mean down to its seeds."""


def forest(evidence: Evidence) -> Figure:
    """The figure of the difference in mIoU of every comparison that has a seed: one mark each, with its interval."""
    scale, look_of = column(JUDGED).scale, looks(evidence)
    effects = evidence.effects
    effects = effects.assign(seeds=pd.Series(evidence.differences, index=effects.index, dtype=object))
    known = effects[effects["n"] >= 1]
    shown = _most_telling(known)
    dots = int(shown["n"].sum()) <= MOST_DOTS
    heights = [ROOM_PX + LINE_PX * len(lines_of(label)) for label in shown["label"]]
    places = [sum(heights[:index]) + height / 2 for index, height in enumerate(heights)]
    figure = blank(column(JUDGED).difference_title, None, height=80 + max(40, sum(heights)))
    for row, place in zip(shown.to_dict("records"), places, strict=True):
        look = look_of.get(str(row["variant"]), AVERAGE)
        if dots:
            values = [value * scale for value in row["seeds"].values()]
            figure.add_scatter(
                x=values, y=[place + DOTS_PX] * len(values), mode="markers", name=text(row["label"]),
                marker={"color": look.colour, "size": 5, "opacity": 0.6}, hovertemplate=_HOVER,
                text=[f"seed {seed}" for seed in row["seeds"]],
            )  # fmt: skip
        # A hollow mark says at a glance that a difference was not resolved.
        hollow = row["verdict"] == "not resolved"
        open_mark = {"symbol": f"{look.symbol}-open", "line": {"width": 2}} if hollow else {}
        delta, low, high = (float(row[end]) * scale for end in ("delta", "low", "high"))
        figure.add_scatter(
            x=[delta], y=[place], mode="markers", marker=look.marker(11) | open_mark, name=text(row["label"]),
            error_x=bars([delta], [low], [high], look.colour), hovertemplate=_HOVER,
            text=[f"n = {row['n']}: {row['verdict']}"],
        )  # fmt: skip
    figure.update_xaxes(zeroline=True, zerolinewidth=2, rangemode="tozero")
    figure.update_yaxes(
        tickvals=places, ticktext=[wrapped(label) for label in shown["label"]], range=[sum(heights), 0], showgrid=False,
        ticks="", ticklabelstandoff=5,
    )  # fmt: skip
    caption = _forest_caption(dots, len(shown), len(known), len(effects))
    return finished(
        "effects", "Differences and their uncertainty", caption, figure, _drawn_effects(shown, dots=dots), "point",
        section="effects", data=_drawn_effects(known, dots=True),
    )  # fmt: skip


_HOVER = "%{fullData.name}: %{x:+.2f}<extra>%{text}</extra>"
AVERAGE = Look("", BASELINE_COLOUR, "diamond", "solid")
"""The look of a comparison that is not of a single variant."""


def _most_telling(known: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that are drawn, at most :data:`MOST_COMPARISONS`, in their order."""
    rank = pd.DataFrame(
        {
            "open": known["verdict"] == "not resolved",
            "single": ~known["kind"].isin(ASKED),
            "size": -known["delta"].abs(),
        }
    )
    chosen = rank.sort_values(["open", "single", "size"], kind="stable").index[:MOST_COMPARISONS]
    return known.loc[sorted(chosen)]


def _drawn_effects(effects: pd.DataFrame, *, dots: bool) -> pd.DataFrame:
    """A table with a row a mean and, if dots are drawn, a row a seed; in the shown unit."""
    scale, rows = column(JUDGED).scale, []
    for row in effects.to_dict("records"):
        delta, low, high = (float(row[end]) * scale for end in ("delta", "low", "high"))
        rows.append((row["label"], row["kind"], f"mean of {row['n']}", delta, low, high, row["n"], row["verdict"]))
        rows += [
            (row["label"], row["kind"], f"seed {seed}", value * scale, math.nan, math.nan, 1, "")
            for seed, value in row["seeds"].items()
            if dots
        ]
    heads = ["Effect of", "Kind", "Of", column(JUDGED).difference_title, "low", "high", "n", "Verdict"]
    return pd.DataFrame(rows, columns=heads)


def _forest_caption(dots: bool, shown: int, known: int, planned: int) -> str:
    """The caption: what is drawn, and how many comparisons are not."""
    seeds = "small dots: one seed each" if dots else "seeds are in the file alone, they are too many to draw"
    some = (
        f" {shown} of {known} comparisons: what is resolved, then averages, then the largest." if shown < known else ""
    )
    without = planned - known
    missing = f" {plural(without, 'more comparison')} of the table below: no seed in common yet." if without else ""
    return (
        f"Mean difference over paired seeds with its Student-t 95 % interval; {seeds}. Filled: resolved after Holm's "
        f"correction over all rows of the table below, hollow: not resolved. A mark without a bar rests on one seed."
        f"{some}{missing}"
    )
