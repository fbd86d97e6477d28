"""ADE20K in the layout of the Scene Parsing Challenge: read pixel by pixel, or refused by the name of the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.ade20k import ADE20K
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused, saved, stored


def make(folder: Path) -> Path:
    """A tiny copy with all that lies in an official one."""
    drawer = Drawer(size=(12, 15))
    for split, short in (("training", "train"), ("validation", "val")):
        for number in (1, 2, 3):
            drawer.image(folder / "images" / split / f"ADE_{short}_{number:08d}.jpg")
            drawer.label(folder / "annotations" / split / f"ADE_{short}_{number:08d}.png", range(151))
    for name in ("objectInfo150.txt", "sceneCategories.txt"):
        (folder / name).write_text("text")
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ade") / "ADEChallengeData2016")


def read(folder: Path, split: str) -> list[tuple[Path, Array]]:
    """The images of a split with their class indices: the byte less one, 0 is void."""
    images = sorted((folder / "images" / split).iterdir())
    labels = [stored(folder / "annotations" / split / f"{image.stem}.png") for image in images]
    return [
        (image, np.where(label == 0, 255, label.astype(int) - 1)) for image, label in zip(images, labels, strict=True)
    ]


def test_both_splits_are_read_pixel_by_pixel_from_either_folder(copy: Path) -> None:
    for folder in (copy, copy.parent):
        data = ADE20K(folder)
        assert_equal(data.split("train"), read(copy, "training"))
        assert_equal(data.split("val"), read(copy, "validation"))
        check_dataset(data, ("train", "val"), evaluated=("val",))
    assert ADE20K(copy).fingerprint() == ADE20K(copy.parent).fingerprint()


def test_the_classes_stand_where_the_official_list_has_them() -> None:
    numbers = {1: "wall", 13: "person", 45: "chest of drawers", 74: "kitchen island", 90: "television"}
    numbers |= {
        59: "screen door",
        106: "conveyer belt",
        124: "trade name",
        131: "screen",
        142: "crt screen",
        150: "flag",
    }
    assert len(set(ADE20K.classes)) == 150
    assert {number: ADE20K.classes[number - 1] for number in numbers} == numbers


def test_the_command_reads_it_and_the_test_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"ade20k={copy.parent}", "Data: ade20k, 150 classes, checked.")
    with pytest.raises(DataError, match="ADE20K is published without labels of its test split"):
        ADE20K(copy).split("test")


IMAGE = "images/validation/ADE_val_00000002.jpg"
LABEL = "annotations/validation/ADE_val_00000002.png"


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, f"{IMAGE} has no label"),
        (IMAGE, Path.unlink, f"{LABEL} has no image"),
        (LABEL, saved(np.full((12, 15), 151, np.uint8)), f"{LABEL} holds the value 151; allowed are 0 to 150"),
        (LABEL, saved(np.full((12, 15), 3, np.uint16)), f"{LABEL} is an image of mode I;16"),
        (LABEL, saved(np.zeros((12, 15, 3), np.uint8)), f"{LABEL} is an image of mode RGB"),
        (IMAGE, lambda path: path.rename(path.with_suffix(".png")), "00000002.png is no .jpg or .jpeg file"),
        ("annotations/validation", shutil.rmtree, "annotations/validation is missing"),
        ("annotations", shutil.rmtree, "has no folder annotations; give the folder that holds images and annotations"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: ADE20K(damaged), message)
