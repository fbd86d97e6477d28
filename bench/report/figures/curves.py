"""The figures of training loss over iterations, and of boundary F over the tolerance."""

from __future__ import annotations

import re

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.evidence.stats import mean_interval
from bench.protocol.columns import FAMILIES, JUDGED, column
from bench.report.figures.axes import apart, focus, log_axis
from bench.report.figures.classes import MOST_VARIANTS, others
from bench.report.figures.figure import Figure, bars, blank, drawn, finished, looks
from bench.report.tables.variants import not_compared

MOST_LINES = 60
"""The most trials with a line each; with more trials, each variant has one line, its mean."""
MOST_POINTS = 200
"""The most points of a line."""
TOO_MANY = "The mean of each variant's seeds: {} trials are too many; every seed's curve is in its record."
ROOM = 0.08
"""The room for the marks at one tolerance, as a share of the largest tolerance."""


def learning_curves(evidence: Evidence) -> Figure:
    """The figure of training loss: a line a trial, or a variant if there are more than :data:`MOST_LINES` trials."""
    data = evidence.results.curves()
    trials = data.groupby(["variant", "seed"], sort=False, dropna=False).ngroups
    each_seed = trials <= MOST_LINES
    curves = data if each_seed else _means(data)
    look_of = looks(evidence)
    figure, rows = blank("Iteration", "Training loss", height=400), []
    for _, curve in curves.groupby(["variant", "seed"], sort=False, dropna=False):
        variant, seed = str(curve["variant"].iloc[0]), str(curve["seed"].iloc[0])
        look, shown = look_of[variant], _thinned(curve)
        figure.add_scatter(
            x=shown["iteration"].tolist(), y=shown["loss"].tolist(), mode="lines", name=look.name,
            line=look.line(1.4 if each_seed else 2), opacity=0.8, text=[f"seed {seed}"] * len(shown),
            hovertemplate="%{text}, %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        last = curve["loss"].tail(max(1, len(curve) // 10)).mean()
        rows.append((look.label, seed, int(curve["iteration"].max()), float(curve["loss"].iloc[0]), float(last)))
    losses = [loss for trace in figure.data for loss in trace.y]
    if losses and min(losses) > 0:
        figure.update_yaxes(**log_axis(losses))
    heads = ["Variant", "Seed", "Iterations", "First loss", column("final_loss").title]
    table = pd.DataFrame(rows, columns=heads)
    caption = (
        ("One thin line a seed." if each_seed else TOO_MANY.format(trials))
        + (f" At most {MOST_POINTS} points of it are drawn, the file has all." if _long(curves) else "")
        + " The loss that a variant is trained with may have other terms than the baseline's."
        + not_compared(evidence)
    )
    return finished(
        "learning-curves", "Learning curves", caption, figure, table, "line", section="training",
        key=drawn(look_of, curves), data=curves[["variant", "seed", "iteration", "loss"]],
    )  # fmt: skip


def score_curves(evidence: Evidence) -> list[Figure]:
    """The figure of the mIoU on the validation split during training: one line a variant. Empty without looks."""
    data = evidence.results.score_curves()
    if data.empty:
        return []
    judged, look_of = column(JUDGED), looks(evidence)
    figure, rows = blank("Iteration", judged.title, height=400), []
    for variant, curve in data.groupby("variant", sort=False):
        look = look_of[str(variant)]
        at: dict[int, tuple[float, float, float, int]] = {}
        for done in sorted(curve["iteration"].unique()):
            values = curve.loc[curve["iteration"] == done, "miou"] * judged.scale
            at[int(done)] = (*mean_interval(values.tolist()), len(values))
        means, lows, highs, counts = (list(part) for part in zip(*at.values(), strict=True))
        figure.add_scatter(
            x=list(at), y=means, mode="lines+markers", name=look.name, marker=look.marker(7), line=look.line(),
            error_y=bars(means, lows, highs, look.colour),
            text=[f"iteration {done:,} (n = {n})" for done, n in zip(at, counts, strict=True)],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += [(look.label, done, *values) for done, values in at.items()]
    axis, cut = focus(*([float(row[place]) for row in rows] for place in (2, 3, 4)))
    figure.update_yaxes(range=axis)
    heads = ["Variant", "Iteration", judged.title, "low", "high", "n"]
    caption = (
        "Mean over seeds with its Student-t 95 % interval, on whole images of the validation split. The last point is "
        f"what is reported; nothing was chosen by the others.{cut}{not_compared(evidence)}"
    )
    return [
        finished(
            "score-curves", "Validation during training", caption, figure, pd.DataFrame(rows, columns=heads), "point",
            section="training", key=drawn(look_of, data), data=data,
        )
    ]  # fmt: skip


def boundary_by_tolerance(evidence: Evidence) -> list[Figure]:
    """The figures of boundary F over the tolerance, one a convention; one mark a variant and tolerance."""
    return [_boundary(evidence, family) for family in ("boundary_f", "boundary_f_present")]


def _boundary(evidence: Evidence, family: str) -> Figure:
    head = FAMILIES[family].title.replace(", {} px", "")
    marks_of, chosen = _by_tolerance(evidence, family), set(evidence.most_telling[:MOST_VARIANTS])
    look_of = {variant: look for variant, look in looks(evidence).items() if variant in marks_of and variant in chosen}
    pixels = sorted({row[1] for marks in marks_of.values() for row in marks})
    room = ROOM * max(pixels) if len(pixels) > 1 else 2 * ROOM
    figure = blank("Tolerance (px)", head, height=380)
    for index, (variant, look) in enumerate(look_of.items()):
        _, x, means, lows, highs, counts = map(list, zip(*marks_of[variant], strict=True))
        aside = apart(index, len(look_of), room)
        figure.add_scatter(
            x=[place + aside for place in x], y=means, mode="lines+markers", name=look.name, marker=look.marker(8),
            line=look.line(), error_y=bars(means, lows, highs, look.colour),
            text=[f"{px} px (n = {n})" for px, n in zip(x, counts, strict=True)],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    alone = [pixels[0] - 1, pixels[0] + 1] if len(pixels) == 1 else None
    figure.update_xaxes(tickvals=pixels, rangemode="tozero", range=alone)
    ends = [row[2:5] for variant in look_of for row in marks_of[variant]]
    axis, cut = focus(*([end[place] for end in ends] for place in range(3)))
    figure.update_yaxes(range=axis)
    heads = ["Variant", "Tolerance (px)", head, "low", "high", "n"]
    drawn_rows, every_row = ([row for v in names for row in marks_of[v]] for names in (look_of, marks_of))
    definition = FAMILIES[family].definition.replace("{} px", "the tolerance")
    caption = (
        "Mean over seeds with its Student-t 95 % interval, variants side by side at every tolerance. "
        f"{definition}{cut}{others(len(marks_of) - len(look_of))}{not_compared(evidence)}"
    )
    convention = "images with the class" if family.endswith("present") else "all images"
    return finished(
        family.replace("_", "-"), f"Boundary F by tolerance, {convention}", caption, figure,
        pd.DataFrame(drawn_rows, columns=heads), "point", section="classes", key=look_of.values(),
        data=pd.DataFrame(every_row, columns=heads), group="boundary",
    )  # fmt: skip


ToleranceMark = tuple[str, int, float, float, float, int]
"""Label, tolerance in pixels, mean over seeds, low and high end of its interval, and number of seeds."""


def _by_tolerance(evidence: Evidence, family: str) -> dict[str, list[ToleranceMark]]:
    """Variant -> its marks, one a tolerance."""
    results, names = evidence.results, evidence.labels
    measured = set(results.frame().dropna(axis="columns", how="all").columns)
    pixels = sorted(int(name[len(family) + 1 : -2]) for name in measured if re.fullmatch(rf"{family}_[1-9]\d*px", name))
    marks_of = {variant: list[ToleranceMark]() for variant in results.variants}
    for tolerance in pixels:
        name = f"{family}_{tolerance}px"
        scale = column(name).scale
        for variant, by_seed in results.scores(name).items():
            mean, low, high = mean_interval([value * scale for value in by_seed.values()])
            marks_of[variant].append((names[variant], tolerance, mean, low, high, len(by_seed)))
    return {variant: rows for variant, rows in marks_of.items() if rows}


def _means(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean loss of each variant at every recorded iteration; the column ``seed`` says over how many seeds."""
    seeds = curves.groupby("variant", sort=False)["seed"].nunique()
    means = curves.groupby(["variant", "iteration"], sort=False)["loss"].mean().reset_index()
    return means.assign(seed=means["variant"].map(lambda variant: f"mean of {seeds[variant]}"))


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`MOST_POINTS` rows at equal distances, with the last row among them."""
    stride = -(-len(curve) // MOST_POINTS)
    return curve.iloc[(len(curve) - 1) % stride :: stride]


def _long(curves: pd.DataFrame) -> bool:
    return bool((curves.groupby(["variant", "seed"], sort=False).size() > MOST_POINTS).any())
