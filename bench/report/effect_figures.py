"""Figures of differences: every comparison with its interval, and how factors act together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, product

import pandas as pd

from bench.columns import column
from bench.records import Results
from bench.report import compare
from bench.report.axes import focus, lines_of, tick, wrapped
from bench.report.figures import (
    BASELINE_COLOUR,
    Figure,
    Look,
    bars,
    blank,
    finished,
    looks,
    mean_interval,
    part_looks,
    seed_values,
    text,
)
from bench.report.words import difference_title, levels_of, plural

MOST_DOTS = 400
"""Of seeds in the forest; with more, means alone are drawn."""
LINE_PX, ROOM_PX, DOTS_PX = 16, 24, 9
"""Of a label's line, of the room between two rows of the forest, and from a mean down to its seeds."""


def forest(results: Results) -> Figure:
    """Δ mIoU of every comparison that has a seed, with its interval and a dot a seed; one mark each."""
    scale, unit = column("miou").scale, difference_title("miou")
    effects = compare.effects(results, "miou").assign(seeds=compare.by_seed(results, "miou"))
    known = effects[effects["n"] >= 1]
    seen, dots = looks(results), int(known["n"].sum()) <= MOST_DOTS
    heights = [ROOM_PX + LINE_PX * len(lines_of(label)) for label in known["label"]]
    places = [sum(heights[:index]) + height / 2 for index, height in enumerate(heights)]
    figure, rows = blank(unit, None, height=80 + max(40, sum(heights))), []
    for row, place in zip(known.to_dict("records"), places, strict=True):
        look = seen.get(str(row["variant"]), AVERAGE)
        delta, low, high = (float(value) * scale for value in (row["delta"], row["low"], row["high"]))
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
        figure.add_scatter(
            x=[delta], y=[place], mode="markers", marker=look.marker(11) | open_mark, name=text(row["label"]),
            error_x=bars([delta], [low], [high], look.colour), hovertemplate=_HOVER,
            text=[f"n = {row['n']}: {row['verdict']}"],
        )  # fmt: skip
        mean = (f"mean of {row['n']}", delta, low, high, row["n"], row["verdict"])
        rows += [(row["label"], row["kind"], *mean)]
        each_seed = [(f"seed {seed}", value * scale, math.nan, math.nan, 1, "") for seed, value in row["seeds"].items()]
        rows += [(row["label"], row["kind"], *own) for own in each_seed if dots]
    figure.update_xaxes(zeroline=True, zerolinewidth=2, rangemode="tozero")
    figure.update_yaxes(
        tickvals=places, ticktext=[wrapped(label) for label in known["label"]], range=[sum(heights), 0], showgrid=False,
        ticks="", ticklabelstandoff=5,
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=["Effect of", "Kind", "Of", unit, "low", "high", "n", "Verdict"])
    return finished(
        "effects", "Differences and their uncertainty", _forest_caption(dots, len(effects) - len(known)), figure, table,
        "point", section="effects",
    )  # fmt: skip


_HOVER = "%{fullData.name}: %{x:+.2f}<extra>%{text}</extra>"
AVERAGE = Look("", BASELINE_COLOUR, "diamond", "solid")
"""What is no single variant's difference."""


def _forest_caption(dots: bool, without: int) -> str:
    """What is drawn, and how many comparisons have no seed and so no mark."""
    seeds = "small dots: one seed each" if dots else "seeds are too many to draw"
    missing = f" {plural(without, 'more comparison')} of the table below: no seed in common yet." if without else ""
    return (
        f"Mean difference over paired seeds with its Student-t 95 % interval; {seeds}. Filled: resolved after Holm's "
        f"correction over all rows, hollow: not resolved. A mark without a bar rests on one seed.{missing}"
    )


def interactions(results: Results, name: str = "miou") -> list[Figure]:
    """For each pair of factors, the mean at every level of one, a line a level of the other; one mark a pair of levels.

    Drawn where every pair of levels is planned in one setting of the other factors at least; the mean is over all such
    settings, seed by seed, and its interval over seeds.
    """
    scores, found = seed_values(results, name), []
    for number, (first, second) in enumerate(combinations(results.factors, 2), start=1):
        squares = _squares(results, first, second)
        if squares:
            found.append(_interaction(results, name, (first, second), squares, scores, number))
    return found


Pair = tuple[str, str]


def _interaction(
    results: Results,
    name: str,
    factors: Pair,
    squares: Mapping[Pair, list[str]],
    scores: Mapping[str, Mapping[int, float]],
    number: int,
) -> Figure:
    first, second = factors
    measured = column(name)
    levels = [str(level) for level in results.factors[second]]
    seen = part_looks(f"{second}={level}" for level in levels)
    figure, rows = blank(text(first), measured.title, height=340), []
    for index, (level, look) in enumerate(zip(levels, seen.values(), strict=True)):
        own = []
        for at, other in enumerate(map(str, results.factors[first])):
            values = _per_seed(squares[other, level], scores)
            if values:
                mean, low, high = (each * measured.scale for each in mean_interval(values))
                # Apart from each other, so that one interval does not hide the next.
                own.append((at + 0.06 * (index - (len(levels) - 1) / 2), other, mean, low, high, len(values)))
        x, there, means, lows, highs, counts = map(list, zip(*own, strict=True)) if own else [[]] * 6
        figure.add_scatter(
            x=x, y=means, mode="lines+markers", name=text(look.label), marker=look.marker(9), line=look.line(2),
            error_y=bars(means, lows, highs, look.colour),
            text=[f"{text(each)}, n = {n}" for each, n in zip(there, counts, strict=True)],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += [(each[1], level, *each[2:]) for each in own]
    ticks = [tick(level) for level in results.factors[first]]
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.4, len(ticks) - 0.6], showgrid=False,
        ticklabeloverflow="allow",  # with every label hidden, plotly cannot place the title
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=[first, second, measured.title, "low", "high", "n"])
    limits, cut = focus(*(table.iloc[:, at].tolist() for at in (2, 3, 4)))
    figure.update_yaxes(range=limits)
    caption = (
        f"Mean over seeds and over {plural(len(next(iter(squares.values()))), 'setting')} of the other factors, with "
        "its Student-t 95 % interval over seeds. Parallel lines: the two act independently. An interval here is of a "
        "mean; a difference, paired over seeds, is known better." + cut
    )
    title = f"{first} × {second}"
    return finished(
        f"interaction-{number}", title, caption, figure, table, "point", section="effects", key=seen.values(),
        group="interactions",
    )  # fmt: skip


def _squares(results: Results, first: str, second: str) -> dict[Pair, list[str]]:
    """Pair of levels -> its variants, one a setting of the other factors for which all pairs are planned."""
    levels, planned = levels_of(results), results.planned("quality")
    settings: dict[tuple[str, ...], dict[Pair, str]] = {}
    for variant in planned:
        own = levels[variant]
        others = tuple(own[factor] for factor in results.factors if factor not in (first, second))
        settings.setdefault(others, {})[own[first], own[second]] = variant
    pairs = list(product(map(str, results.factors[first]), map(str, results.factors[second])))
    complete = [variants for variants in settings.values() if set(variants) == set(pairs)]
    return {pair: [variants[pair] for variants in complete] for pair in pairs} if complete else {}


def _per_seed(variants: list[str], scores: Mapping[str, Mapping[int, float]]) -> list[float]:
    """The mean over variants in every seed that all of them have."""
    sides = [scores.get(variant, {}) for variant in variants]
    return [sum(side[seed] for side in sides) / len(sides) for seed in sorted(set.intersection(*map(set, sides)))]
