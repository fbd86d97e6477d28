"""COCO-Stuff 10k in its true layout: MATLAB files are read pixel by pixel, or refused by their name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.coco_stuff import COCOStuff
from bench.data.official.coco_stuff_10k import COCOStuff10k
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused

REMOVED_LABELS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""The numbers of the labels that the official list marks as removed from COCO."""

LABELS = [number for number in range(1, 183) if number not in REMOVED_LABELS]
TRAIN = ("COCO_train2014_000000000077", "COCO_train2014_000000000092")
VAL = ("COCO_train2014_000000000081",)


def make(folder: Path) -> Path:
    """A tiny copy with all that lies in an official one."""
    drawer, random = Drawer(size=(13, 16)), np.random.default_rng(2)
    (folder / "annotations").mkdir(parents=True)
    (folder / "imageLists").mkdir()
    for name in (*TRAIN, *VAL):
        drawer.image(folder / "images" / f"{name}.jpg")
        drawn = random.choice([0, *LABELS], (13, 16)).astype(np.uint8)
        savemat(
            folder / "annotations" / f"{name}.mat",
            {"S": drawn, "captions": "a", "regionMapStuff": drawn.astype(float)},
        )
    for split, names in (("train", TRAIN), ("test", VAL), ("all", (*TRAIN, *VAL))):
        (folder / "imageLists" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return make(tmp_path)


def read(folder: Path, names: tuple[str, ...]) -> list[tuple[Path, Array]]:
    """Images with their class indices: the place of the label among those that occur; 0 is void."""
    pairs = []
    for name in names:
        label = loadmat(folder / "annotations" / f"{name}.mat")["S"]
        pairs.append((folder / "images" / f"{name}.jpg", np.where(label == 0, 255, np.searchsorted(LABELS, label))))
    return pairs


def test_both_splits_are_read_pixel_by_pixel(copy: Path) -> None:
    data = COCOStuff10k(copy)
    assert data.classes == COCOStuff.classes
    assert_equal(data.split("train"), read(copy, TRAIN))
    assert_equal(data.split("val"), read(copy, VAL))
    check_dataset(data, ("train", "val"), evaluated=("val",))


def test_the_command_reads_it_and_a_third_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"coco_stuff_10k={copy}", "Data: coco_stuff_10k, 171 classes, checked.")
    with pytest.raises(DataError, match="has no third split; the images of its test list are the val split"):
        COCOStuff10k(copy).split("test")


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (f"annotations/{VAL[0]}.mat", Path.unlink, f"{VAL[0]}.jpg has no label"),
        (f"images/{VAL[0]}.jpg", Path.unlink, f"test.txt names '{VAL[0]}'"),
        (
            f"annotations/{VAL[0]}.mat",
            lambda path: savemat(path, {"S": np.full((13, 16), 12, np.uint8)}),
            f"{VAL[0]}.mat holds the value 12; allowed are 0 to 182 but for eleven removed things",
        ),
        ("imageLists/test.txt", Path.unlink, "test.txt is missing"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    copy: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy / place)
    assert_refused(lambda: COCOStuff10k(copy), message)
