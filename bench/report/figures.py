"""Figures: functions of results that return a :class:`Figure`, a plotly figure with the table of what it draws.

One colour a variant across a whole page. Text from a study is escaped, for plotly reads labels as HTML.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from bench.columns import column
from bench.records import Results
from bench.report import compare
from bench.report.words import difference_title, labels

BASELINE_COLOUR = "#7f7f7f"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
"""Okabe and Ito's palette for the colour-blind, its black left to text and its yellow darkened for a white page."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")
GLYPHS = dict(zip(SYMBOLS, "●◆■▲✚✖★⬢", strict=True))
"""The symbols in text, for a legend beside the figure: plotly's own would take a small figure's place."""
DASHES = {"solid": "", "dash": "9", "dot": "3", "dashdot": "9 3 3 3", "longdash": "15", "longdashdot": "15 3 3 3"}
"""Of lines: plotly's name -> SVG's pattern."""

Mark = Literal["point", "line"]


@dataclass(frozen=True)
class Figure:
    """What a page shows: the drawing and its data.

    Attributes:
        name: of its CSV and its place on the page.
        title: one line.
        caption: what is drawn, and how to read it.
        figure: plotly's; ``layout.meta`` holds ``mark`` (what stands for a row) and ``marks`` (how many).
        table: one row a mark, in shown units.
        key: the looks that are drawn, for a legend.
        data: the numbers for the CSV; the table itself if ``None``.
        section: of the page.
        group: figures of one group are small and stand side by side; those with equal keys share a legend.
    """

    name: str
    title: str
    caption: str
    figure: go.Figure
    table: pd.DataFrame
    key: tuple[Look, ...] = ()
    data: pd.DataFrame | None = None
    section: str = ""
    group: str = ""


@dataclass(frozen=True)
class Look:
    """How a variant looks in every figure; ``label`` as it is, ``name`` as plotly is to be given it."""

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


def looks(results: Results) -> dict[str, Look]:
    """Variant -> its look; past seven variants the symbol and the dash tell colours that repeat apart."""
    others = [variant for variant in results.variants if variant != results.baseline]
    names = labels(results)
    found = {results.baseline: Look(names.get(results.baseline, "baseline"), BASELINE_COLOUR, "circle", "solid")}
    for index, variant in enumerate(others):
        round_, colour = divmod(index, len(COLOURS))
        symbol, dash = SYMBOLS[round_ % len(SYMBOLS)], list(DASHES)[round_ % len(DASHES)]
        found[variant] = Look(names[variant], COLOURS[colour], symbol, dash)
    return found


def text(value: object) -> str:
    """Text from outside as plotly shows it, tags and entities included."""
    return html.escape(str(value), quote=False)


def forest(results: Results) -> Figure:
    """Δ mIoU of every comparison with its interval; one mark a comparison that has a seed."""
    scale, unit = column("miou").scale, difference_title("miou")
    effects = compare.effects(results, "miou")
    known = effects[effects["n"] >= 1]
    seen = looks(results)
    lines = max((_wrapped(label).count("<br>") + 1 for label in known["label"]), default=1)
    figure = blank(unit, None, height=100 + (20 + 16 * lines) * max(1, len(known)))
    rows = []
    for row in known.to_dict("records"):
        name, look = text(row["label"]), seen.get(str(row["variant"]))
        resolved = row["verdict"] != "not resolved"
        colour = look.colour if look else BASELINE_COLOUR
        marker = {"color": colour, "size": 11, "symbol": (look.symbol if look else "diamond")}
        # A hollow mark says at a glance that a difference was not resolved.
        marker |= {} if resolved else {"symbol": f"{marker['symbol']}-open", "line": {"width": 2}}
        delta, low, high = (float(value) * scale for value in (row["delta"], row["low"], row["high"]))
        bars = {"type": "data", "symmetric": False, "array": [high - delta], "arrayminus": [delta - low], "width": 5}
        figure.add_scatter(
            x=[delta], y=[_wrapped(name)], mode="markers", marker=marker, name=name,
            error_x={**bars, "color": colour, "thickness": 2} if low == low else None,
            hovertemplate="%{y}: %{x:+.2f}<extra>%{text}</extra>", text=[f"n = {row['n']}: {row['verdict']}"],
        )  # fmt: skip
        rows.append((row["label"], row["kind"], delta, low, high, row["n"], row["verdict"]))
    figure.update_xaxes(zeroline=True, zerolinewidth=2, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    table = pd.DataFrame(rows, columns=["Effect of", "Kind", unit, "low", "high", "n", "Verdict"])
    caption = (
        "Mean difference over paired seeds with its Student-t 95 % interval; filled: resolved after Holm's correction "
        "over all rows, hollow: not resolved. A mark without a bar rests on one seed."
    )
    return finished("effects", "Differences and their uncertainty", caption, figure, table, "point")


def accuracy_against(results: Results, cost: str) -> Figure:
    """mIoU against a cost; one dot a seed and one bar at a variant's mean."""
    x, y = column(cost), column("miou")
    frame, seen = results.frame(), looks(results)
    comparable = frame[
        (frame["stage"] == "cost") & frame[cost].notna() & ~frame["variant"].isin(_crowded(results, cost))
    ]
    costs = dict(zip(comparable["variant"], comparable[cost] * x.scale, strict=True))
    scores = frame[(frame["stage"] == "quality") & frame["miou"].notna() & frame["variant"].isin(list(costs))]
    figure, rows = blank(x.title, y.title, height=400), []
    for variant in (each for each in results.variants if each in set(scores["variant"])):
        own, look, at = scores[scores["variant"] == variant], seen[variant], costs[variant]
        values = [float(value) * y.scale for value in own["miou"]]
        mean = sum(values) / len(values)
        seeds = [str(int(seed)) for seed in own["seed"]]
        hover = {"hovertemplate": "%{text}<br>%{x:.4g}, %{y:.2f}<extra></extra>", "name": look.name}
        figure.add_scatter(
            x=[at] * len(values), y=values, mode="markers", marker=look.marker(9, opacity=0.75),
            legendgroup=look.name, text=[f"{look.name}, seed {seed}" for seed in seeds], **hover,
        )  # fmt: skip
        what = f"mean of {len(values)}"
        bar = {"symbol": "line-ew-open", "size": 24, "color": look.colour, "line": {"width": 3}}
        figure.add_scatter(
            x=[at], y=[mean], mode="markers", marker=bar, legendgroup=look.name,
            text=[f"{look.name}, {what}"], **hover,
        )  # fmt: skip
        rows += [(look.label, seed, at, value) for seed, value in zip((*seeds, what), (*values, mean), strict=True)]
    table = pd.DataFrame(rows, columns=["Variant", "Seed", x.title, y.title])
    caption = f"Dots: one seed each. Bars: their mean. {x.definition}"
    title = f"mIoU against {_in_sentence(x.label)}"
    return finished(
        f"miou-against-{cost.replace('_', '-')}", title, caption, figure, table, "point", _drawn(seen, scores)
    )


def class_iou(results: Results) -> Figure:
    """Mean IoU of every class and variant, one mark each."""
    seen, scale = looks(results), column("miou").scale
    known = results.class_iou().dropna(subset=["iou"])
    classes = [str(name) for name in results.plan["data"]["classes"]]
    head = "IoU (%) ↑"
    figure, rows = blank(head, None, height=150 + 26 * len(classes)), []
    for variant in (each for each in results.variants if each in set(known["variant"])):
        own, look = known[known["variant"] == variant], seen[variant]
        groups = own.groupby("class", dropna=False)["iou"]
        means, counts = groups.mean() * scale, groups.count()
        there = [name for name in classes if name in means.index]
        figure.add_scatter(
            x=[float(means[name]) for name in there], y=[text(name) for name in there], mode="markers",
            marker=look.marker(10, opacity=0.85), name=look.name, text=[f"n = {counts[name]}" for name in there],
            hovertemplate="%{y}: %{x:.2f} (%{text})<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += [(name, look.label, float(means[name]), int(counts[name])) for name in there]
    figure.update_yaxes(
        categoryorder="array", categoryarray=[text(name) for name in classes], autorange="reversed", dtick=1
    )
    table = pd.DataFrame(rows, columns=["Class", "Variant", head, "n"])
    caption = "Mean over seeds of each class's intersection over union. Classes that never occur are left out."
    return finished("class-iou", "IoU by class", caption, figure, table, "point", _drawn(seen, known))


def learning_curves(results: Results) -> Figure:
    """Training loss over iterations, one line a trial."""
    curves, seen = results.curves(), looks(results)
    figure, rows = blank("Iteration", "Training loss", height=400), []
    for _, own in curves.groupby(["variant", "seed"], sort=False, dropna=False):
        variant, seed = str(own["variant"].iloc[0]), int(own["seed"].iloc[0])
        look = seen[variant]
        figure.add_scatter(
            x=own["iteration"].tolist(), y=own["loss"].tolist(), mode="lines", name=look.name, legendgroup=look.name,
            line={"color": look.colour, "width": 1.4, "dash": look.dash}, opacity=0.8,
            hovertemplate="%{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        last = own["loss"].tail(max(1, len(own) // 10)).mean()
        rows.append((look.label, str(seed), int(own["iteration"].max()), float(own["loss"].iloc[0]), float(last)))
    heads = ["Variant", "Seed", "Iterations", "First loss", column("final_loss").title]
    table = pd.DataFrame(rows, columns=heads)
    caption = "One thin line a seed. The loss that a variant is trained with may have other terms than the baseline's."
    return finished("learning-curves", "Learning curves", caption, figure, table, "line", _drawn(seen, curves), curves)


def all_figures(results: Results) -> list[Figure]:
    """Every figure that the planned stages allow, in the order of the page; one without data has no marks."""
    stages = results.plan["stages"]
    if "quality" not in stages:
        return []
    costs = ("latency_s", "macs", "parameters", "peak_bytes") if "cost" in stages else ()
    against = [accuracy_against(results, cost) for cost in costs]
    return [
        replace(forest(results), section="effects"),
        *(replace(figure, section="cost", group="miou-against") for figure in against),
        replace(class_iou(results), section="classes"),
        replace(learning_curves(results), section="training"),
    ]


def _drawn(seen: Mapping[str, Look], rows: pd.DataFrame) -> list[Look]:
    """The looks of the variants that a figure has rows of, in the study's order."""
    return [look for variant, look in seen.items() if variant in set(rows["variant"])]


def _crowded(results: Results, cost: str) -> list[str]:
    """Variants whose timing or memory is not comparable, for other work may have shared the machine."""
    if cost not in ("latency_s", "peak_bytes"):
        return []
    cost_records = (record for record in results.records if record.trial["stage"] == "cost")
    return [record.trial["variant"] for record in cost_records if record.measured.get("isolated") is False]


def blank(x_title: str, y_title: str | None, *, height: int) -> go.Figure:
    """An empty figure; colours of paper, text and grid are the page's, which knows light from dark."""
    figure = go.Figure()
    figure.update_layout(
        template="none", height=height, margin={"l": 10, "r": 10, "t": 10, "b": 10}, hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"family": "inherit", "size": 13},
        showlegend=False,
    )  # fmt: skip
    axis = {"automargin": True, "zeroline": False, "showline": False, "ticks": "outside", "ticklen": 4}
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
    key: Iterable[Look] = (),
    data: pd.DataFrame | None = None,
) -> Figure:
    figure.update_layout(meta={"mark": mark, "marks": marks(figure, mark), "rows": len(table)})
    return Figure(name, title, caption, figure, table, tuple(key), data)


def marks(figure: go.Figure, mark: Mark) -> int:
    """How many points or lines a figure draws."""
    return len(figure.data) if mark == "line" else sum(len(trace.x) for trace in figure.data)


def _in_sentence(label: str) -> str:
    """``latency``, but ``MACs``."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _wrapped(name: str) -> str:
    """A long label on several lines, so that the plot keeps its width on a phone."""
    return name.replace(" + ", "<br>+ ").replace(" × ", "<br>× ").replace(", on average", "<br>on average")
