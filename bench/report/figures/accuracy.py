"""The figures of accuracy against cost, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.evidence.stats import mean_interval
from bench.evidence.variants import MAYBE_OFF, MAYBE_ON, MOST_JUDGED, ON
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import first_few, in_sentence
from bench.report.figures.axes import focus
from bench.report.figures.figure import (
    BASELINE_COLOUR,
    Figure,
    Look,
    bars,
    blank,
    finished,
    looks,
)

COSTS = ("latency_s", "macs", "parameters", "peak_bytes")
MOST_DOTS = 400
"""The most dots, one a seed, in one figure; with more, only the means are drawn."""
MOST_NAMED = 6


def accuracy_against(evidence: Evidence, cost: str) -> Figure:
    """The figure of mIoU against a cost: a dot a seed, a larger mark at each variant's mean, the front of the means."""
    x, y = column(cost), column(JUDGED)
    front = evidence.front(cost)
    scores, costs, place = front.scores, front.costs, front.places
    quartiles = evidence.latency_quartiles if cost == "latency_s" else {}
    dots = sum(map(len, scores.values())) <= MOST_DOTS
    figure, means = blank(x.title, y.title, height=400), {}
    rows: list[tuple[str, str, float, float, float, float, str]] = []
    look_of = {variant: look for variant, look in looks(evidence).items() if variant in scores}
    for variant, look in look_of.items():
        at, by_seed = costs[variant] * x.scale, scores[variant]
        seeds, values = list(by_seed), [value * y.scale for value in by_seed.values()]
        rows += [
            (look.label, str(seed), at, value, math.nan, math.nan, "")
            for seed, value in zip(seeds, values, strict=True)
        ]
        if dots:
            figure.add_scatter(
                x=[at] * len(values), y=values, mode="markers", marker=look.marker(6, opacity=0.45), name=look.name,
                text=[f"{look.name}, seed {seed}" for seed in seeds], hovertemplate=_HOVER,
            )  # fmt: skip
        mean, low, high = mean_interval(values)
        what = f"mean of {len(values)}"
        ends = [quartile * x.scale for quartile in quartiles.get(variant, ())]
        figure.add_scatter(
            x=[at], y=[mean], mode="markers", marker=look.marker(11), name=look.name,
            error_y=bars([mean], [low], [high], look.colour),
            error_x=bars([at], ends[:1], ends[1:], look.colour) if ends else None,
            text=[f"{look.name}, {what}"], hovertemplate=_HOVER,
        )  # fmt: skip
        means[variant] = (at, mean)
        rows.append((look.label, what, at, mean, low, high, place[variant]))
    _add_front(figure, [means[variant] for variant in means if place[variant] in (ON, MAYBE_ON)])
    data = pd.DataFrame(rows, columns=["Variant", "Seed", x.title, y.title, "low", "high", "Pareto front"])
    table = data if dots else data[data["Pareto front"] != ""].reset_index(drop=True)
    limits, cut = focus(*(table[name].tolist() for name in (y.title, "low", "high")))
    figure.update_yaxes(range=limits)
    unsure = _unsure(evidence, place) if cost == "latency_s" else ""
    return finished(
        f"miou-against-{cost.replace('_', '-')}", f"mIoU against {in_sentence(x.label)}",
        _caption(evidence.labels, cost, place, dots) + unsure + cut,
        figure, table, "point", section="cost", key=_key(evidence),
        data=data, group="miou-against",
    )  # fmt: skip


_HOVER = "%{text}<br>%{x:.4g}, %{y:.2f}<extra></extra>"


def _add_front(figure: Any, points: Sequence[tuple[float, float]]) -> None:
    """Draw the front: the best mean that each cost buys, as a line of steps."""
    ordered = sorted(points)
    if len(ordered) > 1:
        figure.add_scatter(
            x=[x for x, _ in ordered], y=[y for _, y in ordered], mode="lines", hoverinfo="skip", name="Pareto front",
            line={"color": BASELINE_COLOUR, "width": 1.4, "dash": "dot", "shape": "hv"},
        )  # fmt: skip


def _caption(names: Mapping[str, str], cost: str, place: Mapping[str, str], dots: bool) -> str:
    unsure = [names[variant] for variant, variant_place in place.items() if variant_place in (MAYBE_ON, MAYBE_OFF)]
    seeds = "small dots: one seed each." if dots else "seeds are in the file alone, they are too many to draw."
    across = " Across: the quartiles of its samples." if cost == "latency_s" else ""
    exact = "medians count" if cost == "latency_s" else "costs count"
    asked = f" (paired 95 % intervals, each pair for itself; {exact} as exact)"
    if len(place) > MOST_JUDGED:
        certainty = "How certain a place on it is was not asked of so many variants."
    elif unsure:
        certainty = f"Not settled by the seeds{asked}: {first_few(unsure, MOST_NAMED)}."
    else:
        certainty = f"The seeds settle every place on it{asked}."
    return (
        f"Marks: means over seeds, with a Student-t 95 % interval; {seeds}{across} Dotted: the Pareto front of the "
        f"means. {certainty} {column(cost).definition}"
    )


def _unsure(evidence: Evidence, drawn: Collection[str]) -> str:
    """A sentence that names the drawn variants of whose timing it is not known whether it was alone; empty if none."""
    names = [
        evidence.labels[str(row["variant"])]
        for row in evidence.variants.to_dict("records")
        if row["maybe_not_alone"] and row["variant"] in drawn
    ]
    return f" Not known whether the timing was alone: {first_few(names, MOST_NAMED)}." if names else ""


def _key(evidence: Evidence) -> list[Look]:
    """The looks of all variants that any of these figures may draw: the same for all, so that they share a legend."""
    frame = evidence.results.frame()
    costed = set(frame.loc[frame["stage"].eq("cost") & frame["status"].eq("done"), "variant"])
    scored = evidence.results.scores(JUDGED)
    return [look for variant, look in looks(evidence).items() if variant in costed and variant in scored]
