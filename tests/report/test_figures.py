"""Figures: as many marks as their tables have rows, one colour a variant, nothing of a study read as HTML."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records import Results, load
from bench.report import figures

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


def named(results: Results) -> dict[str, figures.Figure]:
    return {figure.name: figure for figure in figures.all_figures(results)}


def test_every_figure_draws_a_mark_for_each_row_of_its_table(tmp_path: Path, planted_results: Plant) -> None:
    found = named(load(planted_results(tmp_path)))
    rows = {name: len(figure.table) for name, figure in found.items()}
    assert rows == {
        "effects": 3 + 2 + 1,
        "miou-against-latency-s": 4 * (3 + 1),
        "miou-against-macs": 4 * (3 + 1),
        "miou-against-parameters": 4 * (3 + 1),
        "miou-against-peak-bytes": 4 * (3 + 1),
        "class-iou": 4 * 3,
        "learning-curves": 4 * 3,
    }
    assert {
        name: figures.marks(figure.figure, figure.figure.layout.meta["mark"]) for name, figure in found.items()
    } == rows


def test_holes_are_in_neither_the_figure_nor_its_table(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, 0.61, None], B: ["failed", None, None], C: [0.65, None, None], D: [0.7, 0.7, None]}
    found = named(load(planted_results(tmp_path, scores=scores, costs={C: "out_of_memory", D: {"isolated": False}})))
    counts = {name: (figure.figure.layout.meta["marks"], len(figure.table)) for name, figure in found.items()}
    assert counts["effects"] == (2, 2), "what needs the variant without a seed is left out"
    assert counts["miou-against-latency-s"] == (3, 3), "the baseline alone is timed and comparable"
    assert counts["miou-against-macs"] == (6, 6)
    assert counts["class-iou"] == (9, 9)
    assert counts["learning-curves"] == (5, 5)


def test_figures_without_data_have_no_marks(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None] for name in (A, B, C, D)}
    for figure in figures.all_figures(load(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys(nothing)))):
        assert figure.figure.layout.meta["marks"] == len(figure.table) == 0


def test_a_study_of_costs_alone_has_no_accuracy_to_draw(tmp_path: Path, planted_results: Plant) -> None:
    assert figures.all_figures(load(planted_results(tmp_path, stages=["cost"]))) == []


def test_a_point_lies_where_the_records_say(tmp_path: Path, planted_results: Plant) -> None:
    table = named(load(planted_results(tmp_path)))["miou-against-latency-s"].table
    mean = table[(table["Variant"] == "attention=on") & (table["Seed"] == "mean of 3")].iloc[0]
    assert mean["Latency (ms) ↓"] == 30
    assert mean["mIoU (%) ↑"] == pytest.approx(66.0, abs=1e-3)


def test_the_forest_says_what_is_resolved_by_its_marks(tmp_path: Path, planted_results: Plant) -> None:
    drawn = named(load(planted_results(tmp_path)))["effects"].figure
    hollow = {trace.name: str(trace.marker.symbol).endswith("-open") for trace in drawn.data}
    assert hollow["attention=on"] is False
    assert hollow["upsampling=jpu"] is True
    bar = {trace.name: trace.error_x for trace in drawn.data}["attention=on"]
    assert bar.array[0] == pytest.approx(0.2485, abs=1e-3)


def test_a_single_seed_is_drawn_without_an_interval(tmp_path: Path, planted_results: Plant) -> None:
    scores = {name: [0.6 + 0.01 * index] for index, name in enumerate((A, B, C, D))}
    drawn = named(load(planted_results(tmp_path, scores=scores)))["effects"].figure
    assert all(trace.error_x.array is None for trace in drawn.data)


def test_a_variant_looks_the_same_in_every_figure(tmp_path: Path, planted_results: Plant) -> None:
    found = named(load(planted_results(tmp_path)))
    colours: dict[str, set[str]] = {}
    for figure in found.values():
        for trace in figure.figure.data:
            colours.setdefault(trace.name, set()).add(trace.marker.color or trace.line.color)
    assert {name: len(each) for name, each in colours.items()} == dict.fromkeys(colours, 1)


def test_more_variants_than_colours_differ_by_symbol_and_dash(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"a": list("01234"), "b": list("0123")}
    names = [f"a={a}, b={b}" for a, b in itertools.product(*factors.values())]
    looks = figures.looks(load(planted_results(tmp_path, factors=factors, scores={name: [0.5] for name in names})))
    assert len({(look.colour, look.symbol) for look in looks.values()}) == 20
    assert len({(look.colour, look.dash) for look in looks.values()}) == 20


def test_labels_of_a_study_are_text_to_plotly(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"neck": ["off", "<b>bold</b>"]}
    scores = {"neck=off": [0.6], "neck=<b>bold</b>": [0.7]}
    classes = ["<a href='x'>road</a>", "a & b"]
    found = named(load(planted_results(tmp_path, factors=factors, scores=scores, classes=classes)))
    for figure in found.values():
        drawn = str(figure.figure.to_dict())
        assert "&lt;b&gt;bold" in drawn
        assert "<b>" not in drawn
        assert "<a " not in drawn
    assert set(found["class-iou"].table["Class"]) == set(classes), "its table is escaped by the page, not twice"
    assert "neck=<b>bold</b>" in set(found["class-iou"].table["Variant"])
