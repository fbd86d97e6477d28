"""Figures of many variants and of long names: labels that fit, marks that do not hide each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import evidence_of
from bench.protocol.setting import Setting
from bench.report.figures import axes
from bench.report.figures.all import all_figures
from bench.report.figures.speed import figures
from tests.planted_speed import measured, plant_speed, planted

Plant = Callable[..., Path]


def test_a_long_label_breaks_where_a_sign_begins_and_keeps_its_text_as_text() -> None:
    assert axes.wrapped("attention=on + gate=on") == "attention=on + gate=on"
    assert axes.wrapped("upsampling=jpu + head=encnet, on average") == "upsampling=jpu<br>+ head=encnet, on average"
    assert axes.wrapped("joint-pyramid-upsampling-with-<b>") == "joint-pyramid-upsampling-<br>with-&lt;b&gt;"
    assert max(map(len, axes.lines_of("x" * 100))) == 26


def test_a_logarithmic_axis_is_labelled_with_whole_numbers() -> None:
    axis = axes.log_axis([0.2, 1.8])
    assert axis["ticktext"][3:9] == ["0.1", "0.2", "0.5", "1", "2", "5"]
    assert axes.log_axis([1.0, 2000.0])["ticktext"] == ["0.1", "1", "10", "100", "1,000", "10,000", "100,000"]


def test_marks_of_one_place_stand_side_by_side_about_it() -> None:
    assert [axes.apart(index, 3, 0.6) for index in range(3)] == pytest.approx([-0.2, 0, 0.2])
    assert axes.apart(0, 1, 0.6) == 0


def test_many_variants_leave_a_figure_of_classes_readable_and_are_all_in_its_file(
    tmp_path: Path, planted_results: Plant
) -> None:
    levels = [f"n{index}" for index in range(11)]
    scores = {f"neck={level}": [0.5 + 0.02 * index, 0.51 + 0.02 * index] for index, level in enumerate(levels)}
    figure_by_name = {
        figure.name: figure
        for figure in all_figures(
            evidence_of(planted_results(tmp_path, factors={"neck": levels}, scores=scores, boundary_px=(3, 9)))
        )
    }
    for name, values in (("class-iou", 3), ("boundary-f", 2)):
        figure = figure_by_name[name]
        assert len(figure.key) == 8
        assert figure.key[0].label == "baseline"
        assert len(figure.table) == 8 * values
        assert figure.data is not None
        assert len(figure.data) == 11 * values
        assert figure.caption.endswith("Not drawn, for room: 3 other variants; the file below has all.")
    rows = [trace.y[0] for trace in figure_by_name["class-iou"].figure.data]
    assert rows == sorted(rows), "one below the other, in the study's order"
    assert -0.5 < rows[0] < rows[-1] < 0.5, "within the row of the first class"
    places = [trace.x[0] for trace in figure_by_name["boundary-f"].figure.data]
    assert len(set(places)) == 8
    assert all(abs(place - 3) < 0.36 for place in places)


def test_intervals_of_one_input_size_stand_side_by_side(tmp_path: Path) -> None:
    twice = measured([1.0] * 20, [2.0] * 20)
    planted(tmp_path, {64: twice, 256: twice})
    (alone,) = _marked(tmp_path)
    assert alone.x == (64**2, 256**2), "one line is not moved"
    plan = json.loads((tmp_path / "study.json").read_text())
    plan["factors"]["neck"].append("fpn")
    (tmp_path / "study.json").write_text(json.dumps(plan))
    comparisons = {Setting(height=side, width=side, batch=2): twice for side in (64, 256)}
    plant_speed(tmp_path, comparisons, variant="neck=fpn")
    left, right = _marked(tmp_path)
    assert [a / b for a, b in zip(right.x, left.x, strict=True)] == pytest.approx([16 ** (0.06 / 2)] * 2, rel=1e-4)
    assert left.x[0] * right.x[0] == pytest.approx(64**4, rel=1e-4), "about their size"


def _marked(folder: Path) -> list[Any]:
    return [trace for trace in figures(evidence_of(folder))[0].figure.data if "markers" in trace.mode]


def test_a_forest_of_many_comparisons_draws_the_most_telling_ones(tmp_path: Path, planted_results: Plant) -> None:
    levels = [f"n{index}" for index in range(44)]
    steady, unsteady = [0.0, 0.0001, -0.0001], [0.02, -0.03, 0.01]
    scores = {"neck=n0": [0.5, 0.5, 0.5], "neck=n1": [0.51 + deviation for deviation in steady]}
    scores |= {f"neck=n{index}": [0.5 + 0.01 * index + deviation for deviation in unsteady] for index in range(2, 44)}
    figure = next(
        figure
        for figure in all_figures(evidence_of(planted_results(tmp_path, factors={"neck": levels}, scores=scores)))
        if figure.name == "effects"
    )
    means = figure.table[figure.table["Of"] == "mean of 3"]
    left_out = {f"neck=n{index}" for index in range(1, 44)} - set(means["Effect of"])
    verdicts = dict(zip(means["Effect of"], means["Verdict"], strict=True))
    assert verdicts["neck=n1"] == "better", "small, but resolved"
    assert left_out == {"neck=n2", "neck=n3", "neck=n4"}, "the smallest of the others"
    assert len(means) == 40
    assert figure.data is not None
    assert len(figure.data) == 43 * (1 + 3)
    assert "40 of 43 comparisons" in figure.caption
