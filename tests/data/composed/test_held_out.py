"""Held-out training images: the parts are disjoint and whole, no other split is read, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.data import CamVid, Synthetic
from bench.data.base import DataError, Split
from bench.data.composed.held_out import HeldOut
from bench.parts import part


def names(split: Split) -> list[str]:
    return [split[index].name for index in range(len(split))]


def test_every_training_image_is_held_out_once_and_no_other_image_is_read() -> None:
    data = part(Synthetic, train_images=11, val_images=2, test_images=2)
    whole = names(data.build(None).split("train"))
    held_out = []
    for fold in range(3):
        divided = part(HeldOut, data=data, fold=fold, folds=3).build(None)
        tested, trained = names(divided.split("val")), names(divided.split("train"))
        assert sorted([*tested, *trained]) == sorted(whole)
        held_out += tested
    assert held_out == whole


def test_there_is_no_test_split() -> None:
    with pytest.raises(DataError, match="no test split"):
        part(HeldOut, data=part(Synthetic)).build(None).split("test")


def test_parts_have_fingerprints_of_their_own() -> None:
    data = part(Synthetic, train_images=10)
    forms = [(0, 5), (1, 5), (0, 2)]
    assert len({part(HeldOut, data=data, fold=a, folds=b).build(None).fingerprint() for a, b in forms}) == 3


def test_the_data_set_beneath_lies_in_the_folder_itself_and_is_checked(camvid_like: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(camvid_like, tmp_path / "camvid"))
    divided = part(HeldOut, data=part(CamVid), folds=2).build(folder)
    divided.check()
    next((folder / "images" / "train").iterdir()).write_bytes(b"no image")
    with pytest.raises(DataError):
        divided.check()


@pytest.mark.parametrize(("fold", "folds"), [(2, 2), (-1, 2), (0, 1)])
def test_parts_that_do_not_exist_are_refused(fold: int, folds: int) -> None:
    with pytest.raises(DataError, match="expected two parts or more"):
        part(HeldOut, data=part(Synthetic), fold=fold, folds=folds).build(None)


def test_more_parts_than_images_are_refused() -> None:
    with pytest.raises(DataError, match="3 training images cannot be divided into 5 parts"):
        part(HeldOut, data=part(Synthetic, train_images=3), folds=5).build(None).split("val")
