"""What the plan says of records that belong to no trial any more: which of settings, data and source changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records.files import read_json, write_json
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import run
from bench.study.source import Source, load

RESOURCES = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)
STUDY = """
from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.study.factors import Factor, change, choose
from bench.study.study import Study


class Own(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=True):
        return super().forward(features, boundary, with_aux=with_aux)


STUDY = Study(
    name="changed",
    question="How wide?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(Own, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("dropout", {"on": change(), "off": change(head=choose(dropout=0.0))}),),
    baseline={"dropout": "on"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=4, val_images=2),
        crop_px=(32, 32), iterations=2, batch=2, latency_samples=2, latency_least_s=0.0,
    ),
    seeds=(0,),
    stages=("quality",),
)
"""
SOURCE = ("forward(features, boundary, with_aux=with_aux)", "forward(features, with_aux=with_aux)")
BATCH = ("batch=2", "batch=3")
WIDTH = ("head=part(Own, width=8)", "head=part(Own, width=12)")
DATA = ("val_images=2", "val_images=3")


def schedule_of(tmp_path: Path, *edits: tuple[str, str]) -> Schedule:
    text = STUDY
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    path = folder / "changed.py"
    path.write_text(text)
    return make_schedule(load(Source(str(path))), tmp_path / "results", RESOURCES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder with the record of one trial and the plan that it was made by."""
    schedule = schedule_of(tmp_path)
    schedule.folder.mkdir(parents=True)
    write_plan(schedule, "bench run changed.py")
    assert (
        run(schedule.trials[0], schedule.folder, Machine("cpu", 1), handling=Handling(pictures=False)).status == "done"
    )
    return schedule.folder


def test_each_change_is_told_as_what_it_is(folder: Path, tmp_path: Path) -> None:
    assert schedule_of(tmp_path).stale_reasons() == []
    assert schedule_of(tmp_path, BATCH).stale_reasons() == ["1 record: settings changed: recipe.batch 2 → 3"]
    assert schedule_of(tmp_path, WIDTH).stale_reasons() == ["1 record: settings changed: head.width 8 → 12"]
    (source,) = schedule_of(tmp_path, SOURCE).stale_reasons()
    assert source.startswith("1 record: source changed: ")
    assert "changed.py:Own" in source
    assert "settings" not in source
    (both,) = schedule_of(tmp_path, SOURCE, BATCH).stale_reasons()
    assert both.startswith("1 record: settings changed: recipe.batch 2 → 3; source changed: ")
    (data,) = schedule_of(tmp_path, DATA).stale_reasons()
    assert data == "1 record: settings changed: recipe.data.val_images 2 → 3; the data changed"


def test_a_record_that_no_plan_explains_is_told_from_its_own_settings_and_data(folder: Path, tmp_path: Path) -> None:
    plan = read_json(folder / "study.json")
    write_json({**plan, "identity": {}}, folder / "study.json")
    assert schedule_of(tmp_path, BATCH).stale_reasons() == ["1 record: settings changed: recipe.batch 2 → 3"]
    assert schedule_of(tmp_path, SOURCE).stale_reasons() == ["1 record: source or versions changed"]
    (data,) = schedule_of(tmp_path, DATA, SOURCE).stale_reasons()
    assert data == (
        "1 record: settings changed: recipe.data.val_images 2 → 3; the data changed; source or versions changed"
    )


def test_a_component_of_another_class_is_a_changed_setting(folder: Path, tmp_path: Path) -> None:
    (reason,) = schedule_of(tmp_path, ("head=part(Own, width=8)", "head=part(FCNHead, width=8)")).stale_reasons()
    assert "settings changed: head.class studies.changed.Own → bench.network.heads.fcn.FCNHead" in reason
