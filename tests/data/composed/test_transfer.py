"""Training on one data set and evaluation on another: samples, folders, fingerprints, refusals, the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data import CamVid, ControlScenes, Synthetic, Transfer
from bench.data.base import DataError
from bench.data.decoded.dataset import DecodedSplit, decoded
from bench.data.decoded.shelf import Shelf
from bench.parts import Part, part
from bench.records.results import load

CAMVID_TO_CAMVID = part(Transfer, train=part(CamVid, train_images=2), evaluated=part(CamVid))


def test_each_split_is_that_of_its_data_set(camvid_like: Path) -> None:
    dataset = part(Transfer, train=part(CamVid), evaluated=part(CamVid)).build(camvid_like.parent)
    plain = CamVid(camvid_like)
    for name in ("train", "val", "test"):
        got, expected = dataset.split(name), plain.split(name)
        assert [got[i].name for i in range(len(got))] == [expected[i].name for i in range(len(expected))]
        assert torch.equal(got[0].image, expected[0].image)


@pytest.fixture(autouse=True)
def _folder_called_like_its_data_set(camvid_like: Path) -> None:
    if not (place := camvid_like.parent / "camvid").exists():
        place.symlink_to(camvid_like)


def test_folders_called_like_the_roles_come_first(camvid_like: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(camvid_like)
    with pytest.raises(DataError, match=r"evaluated=CamVid.*called evaluated or camvid in it.*has neither"):
        CAMVID_TO_CAMVID.build(tmp_path)
    (tmp_path / "evaluated").symlink_to(camvid_like)
    assert len(CAMVID_TO_CAMVID.build(tmp_path).split("train")) == 2


def test_the_fingerprint_tells_which_is_trained_on(camvid_like: Path) -> None:
    fewer, all_of_them = part(CamVid, train_images=2), part(CamVid)
    fingerprints = {
        part(Transfer, train=train, evaluated=evaluated).build(camvid_like.parent).fingerprint()
        for train, evaluated in [(fewer, all_of_them), (all_of_them, fewer), (fewer, fewer), (all_of_them, all_of_them)]
    }
    assert len(fingerprints) == 4
    assert len({CAMVID_TO_CAMVID.build(camvid_like.parent).fingerprint() for _ in range(2)}) == 1


@pytest.mark.parametrize(
    ("train", "evaluated", "message"),
    [
        (part(CamVid), part(Synthetic), "class 1 is 'building' in one and .* in the other; describe one of them"),
        (part(Synthetic), part(ControlScenes), "class 0 is|there are"),
    ],
)
def test_other_classes_are_refused(camvid_like: Path, train: Part[Any], evaluated: Part[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        part(Transfer, train=train, evaluated=evaluated).build(camvid_like.parent)


def test_samples_of_both_are_decoded_once(camvid_like: Path, tmp_path: Path) -> None:
    dataset = CAMVID_TO_CAMVID.build(camvid_like.parent)
    kept = decoded(dataset, Shelf(tmp_path))
    assert kept is not None
    for name in ("train", "val"):
        split = kept.split(name)
        assert isinstance(split, DecodedSplit)
        assert torch.equal(split[0].image, dataset.split(name)[0].image)
        assert len(split) == len(dataset.split(name))


STUDY = """
from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Corrupted, Synthetic, Transfer
from bench.network import FCNHead, ResNet, SegmentationLoss

CLEAN = part(Synthetic, height_px=32, width_px=32, train_images=4, val_images=2, test_images=2)
WORSE = part(Transfer, train=CLEAN, evaluated=part(Corrupted, data=CLEAN, corruption="jpeg", severity=5))
RECIPE = Recipe(data=CLEAN, crop_px=(32, 32), iterations=1, batch=2, cost_px=(32, 32))
STUDY = Study(
    name="moved",
    question="Does it still see under compression?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8), head=part(FCNHead, width=8), losses=(part(SegmentationLoss),)
    ),
    factors=(Factor("images", {"clean": change(), "compressed": change(recipe=choose(data=WORSE))}),),
    baseline={"images": "clean"},
    recipe=RECIPE,
    stages=("quality",),
    seeds=(0,),
)
"""


def test_it_is_a_row_of_the_report(bench: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    study = tmp_path / "moved.py"
    study.write_text(STUDY)
    for variant in ("images=clean", "images=compressed"):
        code, out, err = bench("trial", study, variant, "--results", tmp_path / "results")
        assert code == 0, out + err
    results = load(tmp_path / "results" / "moved")
    frame = results.frame()
    assert sorted(frame["variant"]) == ["images=clean", "images=compressed"]
    assert (frame["status"] == "done").all()
    losses = results.curves().groupby("variant")["loss"].apply(list)
    assert losses["images=clean"] == losses["images=compressed"]  # both are trained on the same images
    assert results.plan.evaluated["images=clean"] != results.plan.evaluated["images=compressed"]
