"""Figures: as many marks as their tables have rows, one colour a variant, nothing of a study read as HTML."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.evidence.evidence import Evidence, evidence_of
from bench.report.figures import axes
from bench.report.figures import figure as figures
from bench.report.figures.all import all_figures

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


def named(evidence: Evidence) -> dict[str, figures.Figure]:
    return {figure.name: figure for figure in all_figures(evidence)}


def test_every_figure_draws_a_mark_for_each_row_of_its_table(tmp_path: Path, planted_results: Plant) -> None:
    figure_by_name = named(evidence_of(planted_results(tmp_path, boundary_px=(3, 9))))
    rows = {name: len(figure.table) for name, figure in figure_by_name.items()}
    assert rows == {
        "effects": (3 + 2 + 1) * (3 + 1),
        "interaction-1": 2 * 2,
        "miou-against-latency-s": 4 * (3 + 1),
        "miou-against-macs": 4 * (3 + 1),
        "miou-against-parameters": 4 * (3 + 1),
        "miou-against-peak-bytes": 4 * (3 + 1),
        "parameters-by-part": 4 * 2,
        "macs-by-part": 4 * 2 - 1,
        "class-iou": 4 * 3,
        "class-differences": 3 * 3,
        "boundary-f": 4 * 2,
        "boundary-f-present": 4 * 2,
        **{f"confusion-{number}": 3 * 3 for number in range(1, 5)},
        "learning-curves": 4 * 3,
        "outcome-grid": 4 * (3 + 1),
    }
    assert {
        name: figures.marks(figure.figure, figure.figure.layout.meta["mark"]) for name, figure in figure_by_name.items()
    } == rows


def test_holes_are_in_neither_the_figure_nor_its_table(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, 0.61, None], B: ["failed", None, None], C: [0.65, None, None], D: [0.7, 0.7, None]}
    figure_by_name = named(
        evidence_of(planted_results(tmp_path, scores=scores, costs={C: "out_of_memory", D: {"isolated": False}}))
    )
    counts = {name: (figure.figure.layout.meta["marks"], len(figure.table)) for name, figure in figure_by_name.items()}
    assert counts["effects"] == (2 + 3, 2 + 3), "what needs the variant without a seed is left out"
    assert counts["miou-against-latency-s"] == (3, 3), "the baseline alone is timed and comparable"
    assert counts["miou-against-macs"] == (6, 6)
    assert counts["class-iou"] == (9, 9)
    assert counts["class-differences"] == (6, 6), "one variant was not trained"
    assert counts["parameters-by-part"] == (6, 6)
    assert counts["interaction-1"] == (3, 3), "a pair of levels without a seed has no mark"
    assert counts["outcome-grid"] == (16, 16), "what is missing or failed has a cell that says so"
    assert counts["learning-curves"] == (5, 5)


def test_figures_without_data_have_no_marks(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None] for name in (A, B, C, D)}
    for figure in all_figures(evidence_of(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys(nothing)))):
        assert figure.figure.layout.meta["marks"] == len(figure.table) == 0


def test_a_study_of_costs_alone_has_no_accuracy_to_draw(tmp_path: Path, planted_results: Plant) -> None:
    names = list(named(evidence_of(planted_results(tmp_path, stages=["cost"]))))
    assert names == ["parameters-by-part", "macs-by-part", "outcome-grid"]


def test_a_point_lies_where_the_records_say(tmp_path: Path, planted_results: Plant) -> None:
    table = named(evidence_of(planted_results(tmp_path)))["miou-against-latency-s"].table
    mean = table[(table["Variant"] == "attention=on") & (table["Seed"] == "mean of 3")].iloc[0]
    assert mean["Latency (ms) ↓"] == 30
    assert mean["mIoU (%) ↑"] == pytest.approx(66.0, abs=1e-3)


def test_the_forest_says_what_is_resolved_by_its_marks(tmp_path: Path, planted_results: Plant) -> None:
    drawn = named(evidence_of(planted_results(tmp_path)))["effects"].figure
    hollow = {trace.name: str(trace.marker.symbol).endswith("-open") for trace in drawn.data}
    assert hollow["attention=on"] is False
    assert hollow["upsampling=jpu"] is True
    bar = {trace.name: trace.error_x for trace in drawn.data}["attention=on"]
    assert bar.array[0] == pytest.approx(0.2485, abs=1e-3)


def test_the_forest_has_every_seed_below_its_mean(tmp_path: Path, planted_results: Plant) -> None:
    figure = named(evidence_of(planted_results(tmp_path)))["effects"]
    seeds, mean = [trace for trace in figure.figure.data if trace.name == "attention=on"]
    assert seeds.x == pytest.approx((5.0, 5.1, 4.9), abs=1e-3)
    assert list(seeds.text) == ["seed 0", "seed 1", "seed 2"]
    assert mean.x == pytest.approx((5.0,), abs=1e-3)
    assert set(seeds.y) == {mean.y[0] + 9}
    rows = figure.table[figure.table["Effect of"] == "attention=on"]
    assert rows["Of"].tolist() == ["mean of 3", "seed 0", "seed 1", "seed 2"]
    assert "no seed in common" not in figure.caption


def test_the_forest_says_how_many_comparisons_have_no_seed(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, 0.61], B: ["failed", None], C: [0.65, 0.66], D: [0.7, 0.7]}
    figure = named(evidence_of(planted_results(tmp_path, scores=scores)))["effects"]
    assert figure.caption.endswith("4 more comparisons of the table below: no seed in common yet.")


def test_a_single_seed_is_drawn_without_an_interval(tmp_path: Path, planted_results: Plant) -> None:
    scores = {name: [0.6 + 0.01 * index] for index, name in enumerate((A, B, C, D))}
    drawn = named(evidence_of(planted_results(tmp_path, scores=scores)))["effects"].figure
    assert all(trace.error_x.array is None for trace in drawn.data)


def test_a_variant_looks_the_same_in_every_figure(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, boundary_px=(3, 9)))
    looks = {look.name: look.colour for look in figures.looks(evidence).values()}
    of_parts = ("interaction", "by-part", "confusion", "outcome")
    drawn = [figure for figure in all_figures(evidence) if not any(part in figure.name for part in of_parts)]
    colours = {
        (trace.name, trace.marker.color or trace.line.color)
        for figure in drawn for trace in figure.figure.data if trace.name in looks
    }  # fmt: skip
    assert len(drawn) == 10
    assert colours == set(looks.items())


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [figures.BASELINE_COLOUR, *figures.COLOURS, *figures.SLOT_COLOURS])
def test_a_colour_is_seen_on_light_and_dark_paper(colour: str) -> None:
    light, dark = 1.05 / (luminance(colour) + 0.05), (luminance(colour) + 0.05) / (luminance("#14171a") + 0.05)
    assert min(light, dark) >= 3, f"WCAG 2.2, 1.4.11: {light:.2f} and {dark:.2f} to 1"


def test_more_variants_than_colours_differ_by_symbol_and_dash(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"a": list("0123456"), "b": list("012345")}
    names = [f"a={a}, b={b}" for a, b in itertools.product(*factors.values())]
    looks = figures.looks(
        evidence_of(planted_results(tmp_path, factors=factors, scores={name: [0.5] for name in names}))
    )
    assert len({(look.colour, look.symbol) for look in looks.values()}) == 42
    assert len({(look.colour, look.dash) for look in looks.values()}) == 42


def test_labels_of_a_study_are_text_to_plotly(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"neck": ["off", "<b>bold</b>"]}
    scores = {"neck=off": [0.6], "neck=<b>bold</b>": [0.7]}
    classes = ["<a href='x'>road</a>", "a & b"]
    figure_by_name = named(evidence_of(planted_results(tmp_path, factors=factors, scores=scores, classes=classes)))
    for figure in figure_by_name.values():
        drawn = str(figure.figure.to_dict())
        assert "<b>" not in drawn
        assert "<a " not in drawn
    drawn = {name: figure for name, figure in figure_by_name.items() if len(figure.table)}
    shown = {name for name, figure in drawn.items() if "&lt;b&gt;bold" in str(figure.figure.to_dict())}
    matrices = {"confusion-1", "confusion-2"}
    assert shown == set(drawn) - matrices, "a matrix has its variant in the title, which the page escapes"
    assert set(figure_by_name["class-iou"].table["Class"]) == set(classes), (
        "its table is escaped by the page, not twice"
    )
    assert "neck=<b>bold</b>" in set(figure_by_name["class-iou"].table["Variant"])


def test_a_range_shows_every_value_and_cuts_only_what_would_flatten_them() -> None:
    assert axes.focus([1.0, 3.0], [0.0, 2.0], [2.0, 4.0]) == ([-0.2, 4.2], "")
    limits, sentence = axes.focus([1.0, 3.0], [-50.0, 2.0], [60.0, float("nan")])
    assert limits == pytest.approx([-1.3, 5.3])
    assert sentence == axes.CUT
    assert axes.focus([], [], []) == (None, "")


def test_numbers_are_drawn_with_six_digits_and_kept_with_all(tmp_path: Path, planted_results: Plant) -> None:
    figure = named(evidence_of(planted_results(tmp_path)))["class-iou"]
    value = figure.table["IoU (%) ↑"].iloc[0]
    assert figure.figure.data[0].x[0] == float(f"{value:.6g}") != value


def test_a_long_label_along_the_axis_is_cut_before_it_is_escaped() -> None:
    assert axes.tick("dilated") == "dilated"
    assert axes.tick("<" * 30) == "&lt;" * 23 + "…"
