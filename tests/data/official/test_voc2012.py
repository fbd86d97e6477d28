"""PASCAL VOC 2012 in its true layout, with SBD or without: read pixel by pixel, or refused by the name of the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.voc2012 import VOC2012
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused, saved, stored

TRAIN = ("2007_000032", "2007_000039")
VAL = ("2007_000033", "2007_000042")
ONLY_SBD = ("2008_000002", "2008_000003")
WITHOUT_LABEL = ("2009_000001",)
VALUES = [*range(21), 255]
LISTS = "ImageSets/Segmentation"


def make(folder: Path) -> Path:
    """A tiny copy: labels with a palette, those of SBD without one, an image that no list names, lists with CRLF."""
    drawer = Drawer()
    for name in (*TRAIN, *VAL, *ONLY_SBD, *WITHOUT_LABEL):
        drawer.image(folder / "JPEGImages" / f"{name}.jpg")
    for name in (*TRAIN, *VAL):
        drawer.label(folder / "SegmentationClass" / f"{name}.png", VALUES, palette=True)
        drawer.label(folder / "SegmentationObject" / f"{name}.png", VALUES, palette=True)
    for name in (TRAIN[0], *ONLY_SBD):  # the second training image is not in SBD
        drawer.label(folder / "SegmentationClassAug" / f"{name}.png", range(21))
    (folder / LISTS).mkdir(parents=True)
    (folder / LISTS / "train.txt").write_text("\n".join(reversed(TRAIN)) + "\n")
    (folder / LISTS / "val.txt").write_bytes("\r\n".join(VAL).encode() + b"\r\n\r\n")
    (folder / LISTS / "trainaug.txt").write_text("\n".join([*TRAIN, *ONLY_SBD]) + "\n")
    (folder / "ImageSets/Main").mkdir()
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("voc") / "VOCdevkit" / "VOC2012")


def read(folder: Path, names: tuple[str, ...], labels: str = "SegmentationClass") -> list[tuple[Path, Array]]:
    """Images with their class indices, which are the stored bytes; 255 is void."""
    return [(folder / "JPEGImages" / f"{name}.jpg", stored(folder / labels / f"{name}.png")) for name in sorted(names)]


def enlarged(folder: Path) -> list[tuple[Path, Array]]:
    parts = [read(folder, (TRAIN[0], *ONLY_SBD), "SegmentationClassAug"), read(folder, (TRAIN[1],))]
    return sorted((pair for part in parts for pair in part), key=lambda pair: pair[0])


def test_both_splits_are_read_pixel_by_pixel_from_any_of_the_folders(copy: Path) -> None:
    for folder in (copy, copy.parent, copy.parents[1]):
        data = VOC2012(folder)
        assert_equal(data.split("train"), read(copy, TRAIN))
        assert_equal(data.split("val"), read(copy, VAL))
        check_dataset(data, ("train", "val"), evaluated=("val",))
        assert data.fingerprint() == VOC2012(copy).fingerprint()


def test_the_enlarged_training_split_takes_labels_of_sbd_and_else_those_of_voc(copy: Path) -> None:
    data = VOC2012(copy, training="trainaug")
    assert_equal(data.split("train"), enlarged(copy))
    assert_equal(data.split("val"), read(copy, VAL))
    assert data.fingerprint() != VOC2012(copy).fingerprint()


@pytest.mark.parametrize("place", [f"{LISTS}/train_aug.txt", "ImageSets/SegmentationAug/train_aug.txt"])
def test_the_list_may_hold_the_paths_of_image_and_label(damaged: Path, place: str) -> None:
    (damaged / LISTS / "trainaug.txt").unlink()
    (damaged / place).parent.mkdir(exist_ok=True)
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png" for name in (*TRAIN, *ONLY_SBD)]
    (damaged / place).write_text("\n".join(lines))
    assert_equal(VOC2012(damaged, training="trainaug").split("train"), enlarged(damaged))


def test_images_that_no_list_names_count_neither_in_splits_nor_in_the_fingerprint(damaged: Path) -> None:
    before = VOC2012(damaged).fingerprint()
    (damaged / f"JPEGImages/{WITHOUT_LABEL[0]}.jpg").unlink()
    (damaged / "JPEGImages/other.gif").write_text("no image")
    (damaged / f"SegmentationClass/._{TRAIN[0]}.png").write_text("no image")
    assert VOC2012(damaged).fingerprint() == before
    assert len(VOC2012(damaged).split("train")) == 2
    (damaged / f"SegmentationClass/{VAL[0]}.png").rename(damaged / f"SegmentationClass/{VAL[0]}.PNG")
    assert len(VOC2012(damaged).split("val")) == 2


def test_an_image_that_goes_to_another_split_makes_other_data(damaged: Path) -> None:
    before = VOC2012(damaged).fingerprint()
    (damaged / LISTS / "train.txt").write_text(f"{TRAIN[0]}\n{VAL[0]}\n")
    (damaged / LISTS / "val.txt").write_text(f"{TRAIN[1]}\n{VAL[1]}\n")
    assert VOC2012(damaged).fingerprint() != before


def test_the_command_reads_it_and_the_test_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"voc2012={copy.parents[1]}", "Data: voc2012, 21 classes, checked.")
    with pytest.raises(DataError, match="without labels of its test split"):
        VOC2012(copy).split("test")


LABEL = f"SegmentationClass/{VAL[0]}.png"
IMAGE = f"JPEGImages/{VAL[0]}.jpg"


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, f"{IMAGE} has no label"),
        (IMAGE, Path.unlink, f"val.txt names '{VAL[0]}', and .*JPEGImages has no such image"),
        (LABEL, saved(np.full((7, 9), 21, np.uint8)), f"{LABEL} holds the value 21; allowed are 0 to 20 and 255"),
        (LABEL, saved(np.zeros((7, 9, 3), np.uint8)), f"{LABEL} is an image of mode RGB"),
        (LABEL, saved(np.full((7, 9), 3, np.uint16)), f"{LABEL} is an image of mode I;16"),
        (f"{LISTS}/val.txt", Path.unlink, "val.txt is missing: it lists the images of the val split"),
        (f"{LISTS}/val.txt", text(" \n"), "the val split is empty: .*val.txt names no image"),
        (f"{LISTS}/val.txt", text(f"{VAL[0]}\n{VAL[0]}\n"), f"val.txt names '{VAL[0]}' twice"),
        (f"{LISTS}/trainaug.txt", Path.unlink, "trainaug.txt is missing"),
        (
            f"{LISTS}/trainaug.txt",
            text(f"{TRAIN[0]}\n{VAL[1]}\n"),
            f"names '{VAL[1]}', which is an image of the val split",
        ),
        ("SegmentationClassAug", shutil.rmtree, f"{ONLY_SBD[0]}.jpg has no label"),
        ("ImageSets", shutil.rmtree, "has no folder ImageSets; give the folder that holds JPEGImages and ImageSets"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: VOC2012(damaged, training="trainaug"), message)
