"""``bench.results``: results folders as one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.evidence import speedups
from bench.protocol.setting import Setting
from bench.records.files import RecordError
from bench.records.results import frame, load
from tests.planted_speed import measured_ratios, plant_speed

Plant = Callable[..., Path]
FACTORS = {"attention": ["off", "on"]}
SCORES = {"attention=off": [0.600, 0.620, 0.610], "attention=on": [0.650, "failed", None]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, planted_results: Plant) -> Path:
    return planted_results(tmp_path_factory.mktemp("own") / "x", factors=FACTORS, scores=SCORES)


def timed(folder: Path) -> Path:
    """Adds a comparison of speed, 2 times as fast, to a planted folder, or plants a folder that has nothing else."""
    comparison = {Setting(height=64, width=64): measured_ratios([2.0] * 6)}
    return plant_speed(folder, comparison, variant="attention=on", against="attention=off")


def test_results_are_one_line_in_a_notebook(folder: Path) -> None:
    table = bench.results(folder)
    assert table.equals(frame(folder))
    assert table[table["stage"] == "quality"]["miou"].count() == 4


def test_several_folders_are_one_table(folder: Path, tmp_path: Path, planted_results: Plant) -> None:
    other = planted_results(tmp_path / "other")
    table = bench.results(folder, str(other))
    assert list(table.columns[:2]) == ["folder", "key"]
    assert table["folder"].value_counts().to_dict() == {str(folder): 8, str(other): 16}
    assert table[table["folder"] == str(folder)]["upsampling"].isna().all()
    assert table["miou"].dtype == float
    assert table.groupby("folder")["miou"].mean()[str(other)] == pytest.approx(frame(other)["miou"].mean())
    with pytest.raises(RecordError, match="no results folder was named"):
        bench.results()
    with pytest.raises(RecordError, match="was named more than once"):
        bench.results(folder, str(folder))


def test_a_study_of_speed_alone_gives_its_comparisons(tmp_path: Path) -> None:
    own = timed(tmp_path / "a")
    table = bench.results(own)
    assert list(table.columns) == list(speedups.frame(load(own)).columns)
    assert table[["variant", "against"]].to_numpy().tolist() == [["attention=on", "attention=off"]]
    assert table["ratio"].tolist() == pytest.approx([2.0])
    assert table.equals(bench.results(own, stage="speed"))


def test_a_stage_gives_its_rows_alone(tmp_path: Path, planted_results: Plant) -> None:
    own = timed(planted_results(tmp_path / "a", factors=FACTORS, scores=SCORES))
    counts = {stage: len(bench.results(own, stage=stage)) for stage in ("quality", "cost", "speed")}
    assert counts == {"quality": 6, "cost": 2, "speed": 1}
    assert set(bench.results(own, stage="cost")["stage"]) == {"cost"}
    assert bench.results(own).equals(frame(own)), "without a stage: quality and cost"
    assert len(bench.results(own)) == 8


def test_two_studies_of_speed_are_one_table(tmp_path: Path) -> None:
    names = [str(timed(tmp_path / name)) for name in "ab"]
    table = bench.results(*names)
    assert table["folder"].tolist() == names
    assert table["ratio"].tolist() == pytest.approx([2.0, 2.0])


def test_a_stage_that_is_none_or_not_planned_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match=r"no stage 'sped' \(did you mean 'speed'\?\); there are quality, cost, speed"
    ):
        bench.results(folder, stage="sped")
    with pytest.raises(RecordError, match="plans no trials of speed; it has quality, cost"):
        bench.results(folder, stage="speed")
    own = timed(tmp_path / "a")
    with pytest.raises(RecordError, match="a has comparisons of speed alone, which have other columns"):
        bench.results(folder, own)
