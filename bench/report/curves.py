"""Figures over training and over tolerance: learning curves, and boundary F."""

from __future__ import annotations

import re

import pandas as pd

from bench.columns import FAMILIES, column
from bench.records import Results
from bench.report.figures import Figure, bars, blank, drawn, finished, looks, mean_interval, seed_values

MOST_LINES = 60
"""Trials that are drawn one by one; of more, a mean a variant."""
MOST_POINTS = 200
"""Of a line."""


def learning_curves(results: Results) -> Figure:
    """Training loss over iterations: a line a trial, a variant's mean where there are more than :data:`MOST_LINES`."""
    data = results.curves()
    trials = data.groupby(["variant", "seed"], sort=False, dropna=False).ngroups
    each_seed = trials <= MOST_LINES
    curves = data if each_seed else _means(data)
    seen = looks(results)
    figure, rows = blank("Iteration", "Training loss", height=400), []
    for _, own in curves.groupby(["variant", "seed"], sort=False, dropna=False):
        variant, seed = str(own["variant"].iloc[0]), str(own["seed"].iloc[0])
        look, shown = seen[variant], _thinned(own)
        figure.add_scatter(
            x=shown["iteration"].tolist(), y=shown["loss"].tolist(), mode="lines", name=look.name,
            line=look.line(1.4 if each_seed else 2), opacity=0.8, text=[f"seed {seed}"] * len(shown),
            hovertemplate="%{text}, %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        last = own["loss"].tail(max(1, len(own) // 10)).mean()
        rows.append((look.label, seed, int(own["iteration"].max()), float(own["loss"].iloc[0]), float(last)))
    heads = ["Variant", "Seed", "Iterations", "First loss", column("final_loss").title]
    table = pd.DataFrame(rows, columns=heads)
    caption = (
        ("One thin line a seed." if each_seed else f"The mean of each variant's seeds: {trials} trials are too many.")
        + (f" At most {MOST_POINTS} points of it are drawn, the file has all." if _long(curves) else "")
        + " The loss that a variant is trained with may have other terms than the baseline's."
    )
    return finished(
        "learning-curves", "Learning curves", caption, figure, table, "line", section="training",
        key=drawn(seen, curves), data=data,
    )  # fmt: skip


def boundary_by_tolerance(results: Results) -> list[Figure]:
    """Boundary F over the tolerance, a line a variant; one mark a variant and tolerance. One figure a convention."""
    return [_boundary(results, family) for family in ("boundary_f", "boundary_f_present")]


def _boundary(results: Results, family: str) -> Figure:
    measured = set(results.frame().dropna(axis="columns", how="all").columns)
    pixels = sorted(int(name[len(family) + 1 : -2]) for name in measured if re.fullmatch(rf"{family}_[1-9]\d*px", name))
    values = {tolerance: seed_values(results, f"{family}_{tolerance}px") for tolerance in pixels}
    head = FAMILIES[family].title.replace(", {} px", "")
    figure, rows, seen = blank("Tolerance (px)", head, height=380), [], looks(results)
    for variant, look in seen.items():
        own = []
        for tolerance, by_variant in values.items():
            if variant in by_variant:
                scale = column(f"{family}_{tolerance}px").scale
                ends = mean_interval(value * scale for value in by_variant[variant].values())
                own.append((look.label, tolerance, *ends, len(by_variant[variant])))
        if own:
            _, x, means, lows, highs, counts = map(list, zip(*own, strict=True))
            figure.add_scatter(
                x=x, y=means, mode="lines+markers", name=look.name, marker=look.marker(8), line=look.line(),
                error_y=bars(means, lows, highs, look.colour), text=[f"n = {n}" for n in counts],
                hovertemplate="%{x} px: %{y:.2f} (%{text})<extra>%{fullData.name}</extra>",
            )  # fmt: skip
            rows += own
    figure.update_xaxes(tickvals=pixels, rangemode="tozero" if len(pixels) > 1 else "normal")
    table = pd.DataFrame(rows, columns=["Variant", "Tolerance (px)", head, "low", "high", "n"])
    definition = FAMILIES[family].definition.replace("{} px", "the tolerance")
    caption = f"Mean over seeds with its Student-t 95 % interval. {definition}"
    convention = "images with the class" if family.endswith("present") else "all images"
    return finished(
        family.replace("_", "-"), f"Boundary F by tolerance, {convention}", caption, figure, table, "point",
        section="classes", key=drawn(seen, pd.DataFrame({"variant": _drawn_variants(values)})), group="boundary",
    )  # fmt: skip


def _drawn_variants(values: dict[int, dict[str, dict[int, float]]]) -> list[str]:
    return [variant for by_variant in values.values() for variant in by_variant]


def _means(curves: pd.DataFrame) -> pd.DataFrame:
    """Each variant's mean loss at every recorded iteration; ``seed`` says of how many."""
    seeds = curves.groupby("variant", sort=False)["seed"].nunique()
    means = curves.groupby(["variant", "iteration"], sort=False)["loss"].mean().reset_index()
    return means.assign(seed=means["variant"].map(lambda variant: f"mean of {seeds[variant]}"))


def _thinned(own: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`MOST_POINTS` rows at equal distances, the last one among them."""
    stride = -(-len(own) // MOST_POINTS)
    return own.iloc[(len(own) - 1) % stride :: stride]


def _long(curves: pd.DataFrame) -> bool:
    return bool((curves.groupby(["variant", "seed"], sort=False).size() > MOST_POINTS).any())
