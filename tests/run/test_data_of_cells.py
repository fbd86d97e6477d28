"""Levels that choose the data: each cell is trained and evaluated on its own data, and the plan says on which."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.base import DataError
from bench.parts import ChoiceError
from bench.run.environment import Machine
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import plan_of
from bench.run.schedule.schedule import Schedule
from bench.run.trial import run
from bench.study.factors import StudyError
from bench.study.source import Source, load

RESOURCES = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)
MACHINE = Machine("cpu", 1)
STUDY = """
from bench.data.camvid import CamVid
from bench.data.control import ControlScenes
from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.study.factors import Factor, change, choose
from bench.study.study import Study

STUDY = Study(
    name="cells",
    question="How much data does it take?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("data", {levels}),),
    baseline={{"data": "all"}},
    recipe=Recipe(
        data=part({data}), crop_px=(32, 32), iterations=2, batch=2, latency_samples=2, latency_least_s=0.0
    ),
    seeds=(0,),
    stages=("quality",),
)
"""
SMALL = "Synthetic, height_px=32, width_px=32, train_images=8, val_images=3"


def planned(
    tmp_path: Path, levels: str, study_data: str = SMALL, name: str = "cells", data: str | None = None
) -> Schedule:
    path = tmp_path / f"{name}.py"
    path.write_text(STUDY.format(levels=levels, data=study_data))
    return make_schedule(load(Source(str(path), data=data)), tmp_path / "results", RESOURCES)


FEW = '{"all": change(), "few": change(recipe=choose(data=choose(train_images=4)))}'
OTHERS = '{"all": change(), "control": change(recipe=choose(data=part(ControlScenes, train_images=4, val_images=2)))}'


def test_a_level_that_changes_a_choice_of_the_data_is_evaluated_on_the_same_images(tmp_path: Path) -> None:
    plan = plan_of(planned(tmp_path, FEW), "bench run cells.py")
    assert plan.data.images == {"train": 8, "val": 3}
    assert plan.other_data["data=few"].images == {"train": 4, "val": 3}
    assert plan.other_data["data=few"].choices["train_images"] == 4
    assert plan.data.fingerprint != plan.other_data["data=few"].fingerprint
    assert plan.evaluated["data=all"] == plan.evaluated["data=few"]


def test_every_cell_is_trained_and_evaluated_on_its_own_data(tmp_path: Path) -> None:
    schedule = planned(tmp_path, OTHERS)
    records = {trial.variant: run(trial, schedule.folder, MACHINE) for trial in schedule.trials}
    measured = {variant: record.measured.as_json() for variant, record in records.items()}
    assert measured["data=all"]["images"] == 3
    assert measured["data=control"]["images"] == 2
    assert "fence" in measured["data=control"]["classes"]
    assert "rows" in measured["data=all"]["classes"]
    assert records["data=control"].choices.recipe["data"]["class"].endswith("ControlScenes")
    assert measured["data=all"]["pictures"]["images"] != measured["data=control"]["pictures"]["images"]
    plan = plan_of(schedule, "bench run cells.py")
    assert plan.other_data["data=control"].name == "control scenes"
    assert plan.evaluated["data=all"] != plan.evaluated["data=control"]


def test_a_level_that_chooses_another_split_is_evaluated_on_other_images(tmp_path: Path) -> None:
    plan = plan_of(planned(tmp_path, '{"all": change(), "test": change(recipe=choose(split="test"))}'), "bench run")
    assert plan.evaluated["data=all"] != plan.evaluated["data=test"]
    assert not plan.other_data


def test_a_plan_of_one_data_set_holds_no_digests_of_images(tmp_path: Path) -> None:
    plan = plan_of(planned(tmp_path, '{"all": change(), "slow": change(recipe=choose(learning_rate=0.001))}'), "bench")
    assert plan.as_json().keys().isdisjoint({"other_data", "evaluated"})
    assert plan.data.as_json().keys() == {"name", "classes", "fingerprint"}


def test_keys_follow_the_choices_of_the_data(tmp_path: Path) -> None:
    keys = {trial.variant: trial.key for trial in planned(tmp_path, FEW).trials}
    other = {trial.variant: trial.key for trial in planned(tmp_path, FEW.replace("=4", "=5"), name="other").trials}
    assert keys["data=all"] == other["data=all"]
    assert keys["data=few"] != other["data=few"]


def test_camvid_with_fewer_training_frames_shares_the_folder_and_the_evaluated_frames(
    tmp_path: Path, camvid_like: Path
) -> None:
    plan = plan_of(planned(tmp_path, FEW, "CamVid", data=f"camvid={camvid_like}"), "bench run")
    assert plan.other_data["data=few"].images == {"train": 4, "val": 8}
    assert plan.evaluated["data=all"] == plan.evaluated["data=few"]


def test_the_folder_of_another_data_set_comes_from_its_own_variable(
    tmp_path: Path, camvid_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = '{"all": change(), "camvid": change(recipe=choose(data=part(CamVid)))}'
    monkeypatch.delenv("BENCH_CAMVID", raising=False)
    with pytest.raises(DataError, match=r"cell data=camvid: .*BENCH_CAMVID"):
        planned(tmp_path, levels)
    monkeypatch.setenv("BENCH_CAMVID", str(camvid_like))
    assert plan_of(planned(tmp_path, levels), "bench run").other_data["data=camvid"].name == "camvid"


def test_another_data_set_in_place_of_the_studys_is_refused_where_levels_choose_one(tmp_path: Path) -> None:
    levels = '{"all": change(), "other": change(recipe=choose(data=part(ControlScenes)))}'
    with pytest.raises(StudyError, match=r"--data 'synthetic' .* the cell data=other chooses control scenes"):
        planned(tmp_path, levels, "CamVid", data="synthetic")


def test_a_choice_that_the_data_set_lacks_is_refused_with_the_cell(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"cell data=few: .*no choice 'training_images'.*train_images"):
        planned(tmp_path, FEW.replace("choose(train_images=4)", "choose(training_images=4)"))
    with pytest.raises((StudyError, ChoiceError), match=r"batch=choose\(…\) is for the recipe's data set"):
        planned(tmp_path, FEW.replace("data=choose(train_images=4)", "batch=choose(train_images=4)"))


@pytest.mark.parametrize("error", ['KeyError("train")', 'OSError("x")', 'RuntimeError("a\\nb")'])
def test_whatever_the_code_of_a_data_set_raises_is_one_line_that_names_it(tmp_path: Path, error: str) -> None:
    path = tmp_path / "raises.py"
    own_data_set = f"class Own(Synthetic):\n    def split(self, name):\n        raise {error}\n\n\nSTUDY = Study("
    text = STUDY.format(levels='{"all": change(), "slow": change(recipe=choose(learning_rate=0.001))}', data="Own")
    path.write_text(text.replace("STUDY = Study(", own_data_set))
    with pytest.raises(DataError, match=r"data set Own: .*raises\.py:\d+: ") as raised:
        load(Source(str(path))).check_data()
    assert "\n" not in str(raised.value)
