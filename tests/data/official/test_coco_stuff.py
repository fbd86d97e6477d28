"""COCO-Stuff 164k in its true layout: read pixel by pixel, or refused by the name of the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.coco_stuff import COCOStuff
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused, saved, stored

REMOVED_LABELS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""The numbers of the labels that the official list marks as removed from COCO."""

BYTES = [byte for byte in range(182) if byte + 1 not in REMOVED_LABELS]


def make(folder: Path) -> Path:
    """A tiny copy; beside some labels lie those that a converter made of them."""
    drawer = Drawer(size=(15, 17))
    for split, first in (("train2017", 9), ("val2017", 139)):
        for number in (first, first + 100):
            drawer.image(folder / "images" / split / f"{number:012d}.jpg")
            drawer.label(folder / "annotations" / split / f"{number:012d}.png", [*BYTES, 255])
            drawer.label(folder / "annotations" / split / f"{number:012d}_labelTrainIds.png", range(171))
    drawer.image(folder / "images/test2017/000000000001.jpg")
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("coco") / "dataset")


def read(folder: Path, split: str) -> list[tuple[Path, Array]]:
    """Images with their class indices: the place of the byte among those that occur; 255 is void."""
    pairs = []
    for image in sorted((folder / "images" / split).iterdir()):
        label = stored(folder / "annotations" / split / f"{image.stem}.png")
        pairs.append((image, np.where(label == 255, 255, np.searchsorted(BYTES, label))))
    return pairs


def test_both_splits_are_read_pixel_by_pixel_from_either_folder(copy: Path) -> None:
    for folder in (copy, copy.parent):
        data = COCOStuff(folder)
        assert_equal(data.split("train"), read(copy, "train2017"))
        assert_equal(data.split("val"), read(copy, "val2017"))
        check_dataset(data, ("train", "val"), evaluated=("val",))


def test_the_classes_stand_where_the_official_list_has_them() -> None:
    assert len(COCOStuff.classes) == len(set(COCOStuff.classes)) == len(BYTES) == 171
    numbers = {1: "person", 13: "stop sign", 27: "backpack", 67: "dining table", 90: "toothbrush", 92: "banner"}
    numbers |= {110: "desk-stuff", 112: "door-stuff", 133: "mirror-stuff", 165: "table", 182: "wood"}
    assert {number: COCOStuff.classes[BYTES.index(number - 1)] for number in numbers} == numbers


def test_converted_labels_beside_the_published_ones_change_nothing(damaged: Path) -> None:
    before = COCOStuff(damaged).fingerprint()
    for path in damaged.rglob("*_labelTrainIds.png"):
        path.unlink()
    assert COCOStuff(damaged).fingerprint() == before
    assert_equal(COCOStuff(damaged).split("val"), read(damaged, "val2017"))


def test_the_command_reads_it_and_the_test_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"coco_stuff={copy}", "Data: coco_stuff, 171 classes, checked.")
    with pytest.raises(DataError, match="without labels of its test split"):
        COCOStuff(copy).split("test")


LABEL = "annotations/val2017/000000000139.png"
IMAGE = "images/val2017/000000000139.jpg"


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, f"{IMAGE} has no label"),
        (IMAGE, Path.unlink, f"{LABEL} has no image"),
        (LABEL, saved(np.full((15, 17), 182, np.uint8)), f"{LABEL} holds the value 182"),
        (LABEL, saved(np.full((15, 17), 11, np.uint8)), f"{LABEL} holds the value 11; allowed are .* eleven removed"),
        (LABEL, saved(np.full((15, 17), 11, np.uint16)), f"{LABEL} is an image of mode I;16"),
        ("annotations/train2017", shutil.rmtree, "annotations/train2017 is missing"),
        ("images", shutil.rmtree, "has no folder images; give the folder that holds images and annotations"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: COCOStuff(damaged), message)
