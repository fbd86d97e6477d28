"""The figures of how two factors act together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

from bench.evidence.effects import mean_by_seed
from bench.evidence.evidence import Evidence
from bench.evidence.stats import mean_interval
from bench.protocol.columns import JUDGED, column, level_key
from bench.protocol.words import plural
from bench.records.results import Results
from bench.report.figures.axes import focus, tick
from bench.report.figures.figure import Figure, bars, blank, finished, part_looks, text


def interactions(evidence: Evidence, name: str = JUDGED) -> list[Figure]:
    """One figure a pair of factors: the mean score over the levels of one, with a line a level of the other.

    Drawn where every pair of levels is planned in one setting of the other factors at least; the mean is over all such
    settings, seed by seed, and its interval over seeds.
    """
    results, figures = evidence.results, []
    scores = results.scores(name)
    for number, (first, second) in enumerate(combinations(results.factors, 2), start=1):
        squares = evidence.squares(first, second)
        if squares:
            figures.append(_interaction(results, name, (first, second), squares, scores, number))
    return figures


def _interaction(
    results: Results,
    name: str,
    factors: tuple[str, str],
    squares: Mapping[tuple[str, str], Sequence[str]],
    scores: Mapping[str, Mapping[int, float]],
    number: int,
) -> Figure:
    first, second = factors
    measured = column(name)
    levels = [str(level) for level in results.factors[second]]
    look_of = part_looks(f"{second}={level}" for level in levels)
    figure, rows = blank(text(first), measured.title, height=340), []
    for index, (level, look) in enumerate(zip(levels, look_of.values(), strict=True)):
        points = []
        for at, other in enumerate(map(str, results.factors[first])):
            values = mean_by_seed(squares[other, level], scores)
            if values:
                mean, low, high = (value * measured.scale for value in mean_interval(values))
                # Apart from each other, so that one interval does not hide the next.
                points.append((at + 0.06 * (index - (len(levels) - 1) / 2), other, mean, low, high, len(values)))
        x, levels_drawn, means, lows, highs, counts = map(list, zip(*points, strict=True)) if points else [[]] * 6
        figure.add_scatter(
            x=x, y=means, mode="lines+markers", name=text(look.label), marker=look.marker(9), line=look.line(2),
            error_y=bars(means, lows, highs, look.colour),
            text=[f"{text(level)}, n = {n}" for level, n in zip(levels_drawn, counts, strict=True)],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += [(point[1], level, *point[2:]) for point in points]
    ticks = [tick(level) for level in results.factors[first]]
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.4, len(ticks) - 0.6], showgrid=False,
        ticklabeloverflow="allow",  # with every label hidden, plotly cannot place the title
    )  # fmt: skip
    numbers = [measured.title, "low", "high", "n"]
    table = pd.DataFrame(rows, columns=[*(level_key(factor, numbers) for factor in (first, second)), *numbers])
    limits, cut = focus(*(table.iloc[:, at].tolist() for at in (2, 3, 4)))
    figure.update_yaxes(range=limits)
    caption = (
        f"Mean over seeds and over {plural(len(next(iter(squares.values()))), 'setting')} of the other factors, with "
        "its Student-t 95 % interval over seeds. Parallel lines: the two act independently. An interval here is of a "
        "mean; a difference, paired over seeds, is known better." + cut
    )
    title = f"{first} × {second}"
    return finished(
        f"interaction-{number}", title, caption, figure, table, "point", section="effects", key=look_of.values(),
        group="interactions",
    )  # fmt: skip
