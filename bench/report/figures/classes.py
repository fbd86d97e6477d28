"""The figures of classes: their IoU, its difference to the baseline's, and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import plural
from bench.records.quality import MeasuredQuality
from bench.records.results import Results
from bench.report.figures.axes import apart, focus, tick, wrapped
from bench.report.figures.figure import Figure, bars, blank, drawn, finished, looks, text
from bench.report.tables.variants import not_compared

MOST_VARIANTS = 8
"""The most variants that are drawn side by side."""
ROOM = 0.85
"""The share of a class's row in which its marks stand."""
MOST_DIFFERENCES = 6
"""The most variants with differences in one figure."""
MOST_MATRICES = 4
"""The most variants with a confusion matrix."""
MOST_CLASSES_WITH_TEXT = 12
"""The most classes of a matrix with numbers in its fields; in a larger one they have no room."""
MOST_CHARACTERS = 30
"""The most characters of all labels below a matrix together; with more, the labels stand upright."""
Confusion = npt.NDArray[np.int64]
BLUES = [[0.0, "rgba(68,102,221,0.05)"], [1.0, "rgba(68,102,221,0.75)"]]
"""The colour scale: from the page's paper, light or dark, to a blue on which its ink has a contrast of 5 to 1."""


def class_iou(evidence: Evidence) -> Figure:
    """The figure of each class's mean IoU: one mark a variant, for :data:`MOST_VARIANTS` variants at most."""
    results = evidence.results
    look_of, scale, names = looks(evidence), column(JUDGED).scale, results.plan.classes
    scores = evidence.classes.dropna(subset=["mean"])
    chosen = set(evidence.most_telling[:MOST_VARIANTS])
    known = scores[scores["variant"].isin(chosen)]
    variants = [variant for variant in look_of if variant in set(known["variant"])]
    classes = [name for name in names if name in set(known["class"])]
    head = "IoU (%) ↑"
    figure, rows = blank(head, None, height=110 + (8 * len(variants) + 14) * max(1, len(classes))), []
    by_class = scores.set_index(["variant", "class"])
    means: dict[Any, float] = (by_class["mean"] * scale).to_dict()
    counts: dict[Any, int] = by_class["n"].to_dict()
    for index, variant in enumerate(variants):
        look, occurring = look_of[variant], [name for name in classes if (variant, name) in means]
        points = [(name, look.label, means[variant, name], counts[variant, name]) for name in occurring]
        figure.add_scatter(
            x=[row[2] for row in points],
            y=[classes.index(name) + apart(index, len(variants), ROOM) for name in occurring], mode="markers",
            marker=look.marker(9), name=look.name, text=[f"{text(row[0])}, n = {row[3]}" for row in points],
            hovertemplate="%{text}: %{x:.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += points
    _class_axis(figure, classes)
    heads = ["Class", "Variant", head, "n"]
    data = [(name, look_of[variant].label, mean, counts[variant, name]) for (variant, name), mean in means.items()]
    caption = (
        "Mean over seeds of each class's intersection over union. Classes that never occur are left out."
        f"{others(scores['variant'].nunique() - len(variants))}{not_compared(evidence)}"
    )
    return finished(
        "class-iou", "IoU by class", caption, figure, pd.DataFrame(rows, columns=heads), "point", section="classes",
        key=drawn(look_of, known), data=pd.DataFrame(data, columns=heads),
    )  # fmt: skip


def differences(evidence: Evidence) -> Figure:
    """The figure of each class's difference in IoU to the baseline, with its interval: one mark a variant."""
    compared, look_of, scale = evidence.class_effects, looks(evidence), column(JUDGED).scale
    data = compared[compared["n"] > 0]
    variants = [variant for variant in evidence.most_telling[: MOST_DIFFERENCES + 1] if variant in set(data["variant"])]
    known = data[data["variant"].isin(variants)]
    classes = [name for name in evidence.results.plan.classes if name in set(known["class"])]
    head = f"Δ IoU ({column(JUDGED).difference_unit})"
    figure, rows = blank(head, None, height=110 + (14 * len(variants) + 14) * max(1, len(classes))), []
    for index, variant in enumerate(variants):
        of_variant, look = known[known["variant"] == variant], look_of[variant]
        ends = {end: [float(value) * scale for value in of_variant[end]] for end in ("delta", "low", "high")}
        figure.add_scatter(
            x=ends["delta"],
            y=[classes.index(name) + apart(index, len(variants), ROOM) for name in of_variant["class"]],
            mode="markers", marker=look.marker(8), name=look.name,
            error_x=bars(ends["delta"], ends["low"], ends["high"], look.colour),
            text=[f"{text(name)}, n = {n}" for name, n in zip(of_variant["class"], of_variant["n"], strict=True)],
            hovertemplate="%{text}: %{x:+.2f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        rows += [
            (name, look.label, *values)
            for name, *values in zip(
                of_variant["class"], ends["delta"], ends["low"], ends["high"], of_variant["n"], strict=True
            )
        ]
    limits, cut = focus([0.0, *known["delta"] * scale], *([*known[end] * scale] for end in ("low", "high")))
    figure.update_xaxes(zeroline=True, zerolinewidth=2, range=limits if len(known) else None)
    _class_axis(figure, classes)
    left_out = others(data["variant"].nunique() - len(variants))
    caption = (
        "Mean over seeds of a class's IoU minus the baseline's in the same seed, with its Student-t 95 % interval, "
        f"each for itself: with many classes, some leave 0 out by chance.{cut}{left_out}"
    )
    table = pd.DataFrame(rows, columns=["Class", "Variant", head, "low", "high", "n"])
    return finished(
        "class-differences", "Difference by class", caption, figure, table, "point", section="classes",
        key=drawn(look_of, known), data=data,
    )  # fmt: skip


def others(count: int) -> str:
    """The sentence of a caption on variants that are not drawn; empty if there are none."""
    return f" Not drawn, for room: {plural(count, 'other variant')}; the file below has all." if count > 0 else ""


def _class_axis(figure: Any, classes: Sequence[str]) -> None:
    """Give the y axis one row a class, the first on top, with lines between the rows."""
    figure.update_yaxes(
        tickvals=list(range(len(classes))), ticktext=[wrapped(name) for name in classes], showgrid=False,
        range=[len(classes) - 0.5, -0.5], ticks="", ticklabelstandoff=5,
    )  # fmt: skip
    for edge in range(1, len(classes)):
        figure.add_hline(y=edge - 0.5, line_width=1, line_color="rgba(128,128,128,0.25)")


def confusion(evidence: Evidence) -> list[Figure]:
    """The confusion matrices of at most :data:`MOST_MATRICES` variants, in per cent of each label's pixels.

    The figures have one mark a field of the matrix. A class without a labelled pixel has none.
    """
    results, names, matrices = evidence.results, evidence.labels, []
    for number, variant in enumerate(evidence.most_telling[:MOST_MATRICES], start=1):
        matrices.append(
            _matrix(variant, names[variant], number, _classes_of(results, variant), _confusions(results, variant))
        )
    return matrices


def _matrix(variant: str, label: str, number: int, classes: Sequence[str], confusions: Sequence[Confusion]) -> Figure:
    counts = np.sum(confusions, axis=0)
    total = counts.sum(1, keepdims=True)
    share = 100 * counts / np.where(total == 0, 1, total)
    known = [index for index in range(len(classes)) if total[index, 0] > 0]
    ticks, with_text = [text(name) for name in classes], len(classes) <= MOST_CLASSES_WITH_TEXT
    upright = len(classes) * max(map(len, classes)) > MOST_CHARACTERS
    figure = blank(
        "Prediction", "Label", height=180 + max(18 if not with_text else 30, 320 // len(classes)) * len(classes)
    )
    figure.add_heatmap(
        z=[share[index].tolist() if index in known else [None] * len(classes) for index in range(len(classes))],
        x=ticks, y=ticks, colorscale=BLUES, zmin=0, zmax=100, showscale=False, xgap=1, ygap=1, hoverongaps=False,
        hovertemplate="%{y} taken for %{x}: %{z:.2f} %<extra></extra>",
    )  # fmt: skip
    if with_text:
        # In a trace of its own the numbers have the page's ink; a heat map's own text takes no notice of transparency.
        figure.add_scatter(
            x=[ticks[col] for _ in known for col in range(len(classes))],
            y=[ticks[row] for row in known for _ in classes], mode="text", hoverinfo="skip", textfont={"size": 11},
            text=[f"{share[row, col]:.0f}" for row in known for col in range(len(classes))],
        )  # fmt: skip
    axis = {"type": "category", "showgrid": False, "ticks": "", "ticklabelstandoff": 4, "categoryarray": ticks}
    figure.update_yaxes(
        range=[len(classes) - 0.5, -0.5], tickvals=ticks, ticktext=[tick(name) for name in classes], **axis
    )
    figure.update_xaxes(
        range=[-0.5, len(classes) - 0.5], tickangle=-90 if upright else 0, tickvals=ticks,
        ticktext=[tick(name) for name in classes], **axis,
    )  # fmt: skip
    rows = [
        (variant, classes[row], classes[col], int(counts[row, col]), float(share[row, col]))
        for row in known for col in range(len(classes))
    ]  # fmt: skip
    data = pd.DataFrame(rows, columns=["variant", "label", "prediction", "pixels", "share of the label (%)"])
    table = data.drop(columns="variant").set_axis(["Label", "Prediction", "Pixels", "Share of the label (%)"], axis=1)
    caption = (
        "Share in per cent of the pixels of each label (row) that were taken for each class (column), of the pixels "
        f"of {plural(len(confusions), 'seed')} together; void pixels left out. The diagonal is what was right."
    )
    return finished(
        f"confusion-{number}", f"Confusion: {label}", caption, figure, table, "cell", section="classes", data=data,
        group="confusion",
    )  # fmt: skip


def _confusions(results: Results, variant: str) -> list[Confusion]:
    return [
        np.asarray(measured.confusion, dtype=np.int64)
        for record, measured in results.done(MeasuredQuality)
        if record.trial.variant == variant
    ]


def _classes_of(results: Results, variant: str) -> list[str]:
    return results.plan.data_of(variant).classes
