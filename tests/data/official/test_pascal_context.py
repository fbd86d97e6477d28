"""PASCAL Context as PNG files and lists: read pixel by pixel with the background and without, or refused."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.pascal_context import CATEGORIES, PascalContext
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused, saved, stored

TRAIN = ("2008_000002", "2008_000004")
VAL = ("2008_000003", "2008_000007")
LISTS = "ImageSets/SegmentationContext"

IDS = (
    0, 2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33, 162, 420, 454, 295, 296,
    427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326, 72, 458, 34, 207, 80, 355, 85, 347, 220,
    349, 360, 98, 187, 104, 105, 366, 189, 368, 113, 115,
)  # fmt: skip
"""The categories of 459 that readers of the published annotations keep; sorted, their places are the bytes."""


def make(folder: Path) -> Path:
    """A tiny copy: the labels of an image that is in neither list, and those of PASCAL VOC itself, lie beside."""
    drawer = Drawer(size=(9, 11))
    for name in (*TRAIN, *VAL, "2008_000009", "2008_000010"):
        drawer.image(folder / "JPEGImages" / f"{name}.jpg")
    for name in (*TRAIN, *VAL, "2008_000009"):
        drawer.label(folder / "SegmentationClassContext" / f"{name}.png", range(60))
        drawer.label(folder / "SegmentationClass" / f"{name}.png", range(21))
    (folder / LISTS).mkdir(parents=True)
    (folder / LISTS / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (folder / LISTS / "val.txt").write_text("\n".join(VAL))
    (folder / "trainval_merged.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("context") / "VOC2010")


def read(folder: Path, names: tuple[str, ...], background: bool) -> list[tuple[Path, Array]]:
    """Images with their class indices: the stored bytes or, without background, these less one and 0 as void."""
    pairs = []
    for name in names:
        label = stored(folder / "SegmentationClassContext" / f"{name}.png").astype(int)
        indices = label if background else np.where(label == 0, 255, label - 1)
        pairs.append((folder / "JPEGImages" / f"{name}.jpg", indices))
    return pairs


@pytest.mark.parametrize("background", [False, True])
def test_both_numbers_of_classes_are_read_pixel_by_pixel(copy: Path, background: bool) -> None:
    data = PascalContext(copy, background=background)
    assert len(data.classes) == (60 if background else 59)
    assert_equal(data.split("train"), read(copy, TRAIN, background))
    assert_equal(data.split("val"), read(copy, VAL, background))
    check_dataset(data, ("train", "val"), evaluated=("val",))


@pytest.fixture
def published(damaged: Path) -> Path:
    """A copy as it is published: numbers of 459 categories in MATLAB files, and the lists of VOC2010 itself."""
    drawn = np.random.default_rng(1)
    (damaged / "trainval").mkdir()
    for name in (*TRAIN, *VAL, "2008_000009"):
        numbers = drawn.choice([*IDS, 1, 3, 430, 459], (9, 11)).astype(np.uint16)
        savemat(damaged / "trainval" / f"{name}.mat", {"LabelMap": numbers}, do_compression=True)
    shutil.rmtree(damaged / "SegmentationClassContext")
    (damaged / LISTS).rename(damaged / "ImageSets/Main")
    (damaged / "ImageSets/Main/aeroplane_train.txt").write_text(f"{TRAIN[0]} -1\n")
    return damaged


def read_published(folder: Path, names: tuple[str, ...], background: bool) -> list[tuple[Path, Array]]:
    """Images with their class indices: the places of kept categories; all others are the background."""
    pairs = []
    for name in names:
        numbers = loadmat(folder / "trainval" / f"{name}.mat")["LabelMap"]
        places = np.array([[sorted(IDS).index(number) if number in IDS else 0 for number in row] for row in numbers])
        pairs.append(
            (folder / "JPEGImages" / f"{name}.jpg", places if background else np.where(places, places - 1, 255))
        )
    return pairs


@pytest.mark.parametrize("background", [False, True])
def test_the_published_matlab_files_are_read_pixel_by_pixel(published: Path, background: bool) -> None:
    data = PascalContext(published, background=background)
    assert_equal(data.split("train"), read_published(published, TRAIN, background))
    assert_equal(data.split("val"), read_published(published, VAL, background))
    check_dataset(data, ("train", "val"), evaluated=("val",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"LabelMap": np.full((9, 11), 460, np.uint16)}, "holds the value 460; allowed are 0 to 459"),
        ({"LabelMap": np.full((9, 11), 2.5)}, "has no matrix LabelMap of whole numbers"),
        ({"other": np.full((9, 11), 2, np.uint16)}, "has no matrix LabelMap of whole numbers"),
        ({"LabelMap": np.full((9, 10), 2, np.uint16)}, "is 10x9 pixels, its image .* is 11x9"),
    ],
)
def test_a_wrong_matlab_file_is_refused_by_its_name(published: Path, content: dict[str, Array], message: str) -> None:
    savemat(published / "trainval" / f"{VAL[0]}.mat", content)
    with pytest.raises(DataError, match=f"trainval/{VAL[0]}.mat {message}"):
        PascalContext(published).check(splits=("train", "val"))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_matlab_file_may_hold_its_numbers_in_any_form(published: Path, kind: type, compressed: bool) -> None:
    path = published / "trainval" / f"{VAL[0]}.mat"
    numbers = np.random.default_rng(4).choice([0, 2, 9, 18, 68], (9, 11)).astype(kind)
    savemat(path, {"a": "text", "LabelMap": numbers, "z": [{"b": 1}]}, do_compression=compressed)
    data = PascalContext(published, background=True)
    expected = np.array([[sorted(IDS).index(int(number)) for number in row] for row in numbers])
    assert np.array_equal(data.split("val")[0].label.numpy(), expected)
    savemat(path, {"LabelMap": numbers[:, :1]}, do_compression=compressed)
    with pytest.raises(DataError, match="is 1x9 pixels"):
        data.read(data.pairs("val")[0])


def test_every_damage_to_a_matlab_file_is_refused_or_changes_values_alone(published: Path) -> None:
    data = PascalContext(published)
    pair = data.pairs("val")[0]
    whole = pair.label.read_bytes()
    for seed in range(300):
        chance = random.Random(seed)
        content = bytearray(whole[: chance.randrange(len(whole))] if seed % 3 == 0 else whole)
        for _ in range(seed % 4):
            place = chance.randrange(len(content) + 1)
            content[place : place + 1] = bytes([chance.randrange(256)])
        pair.label.write_bytes(content)
        with contextlib.suppress(DataError):
            assert data.read(pair).label.shape == (9, 11)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"MATLAB 7.3 MAT-file" + bytes(200)])
def test_a_file_that_is_no_matlab_file_is_refused_by_its_name(published: Path, content: bytes) -> None:
    path = published / "trainval" / f"{VAL[0]}.mat"
    for damaged_content in (content, path.read_bytes()[:150]):
        path.write_bytes(damaged_content)
        with pytest.raises(DataError, match=f"trainval/{VAL[0]}.mat cannot be read as a MATLAB file") as error:
            PascalContext(published).check(splits=("val",))
        assert "\n" not in str(error.value)


def test_a_background_that_counts_is_another_data_set(copy: Path) -> None:
    fingerprints = {PascalContext(copy, background=background).fingerprint() for background in (False, True)}
    assert len(fingerprints) == 2
    assert PascalContext(copy.parent).fingerprint() in fingerprints


def test_the_classes_stand_in_the_order_of_their_categories() -> None:
    assert list(CATEGORIES.values()) == sorted(IDS)[1:]
    assert [*CATEGORIES] == sorted(CATEGORIES)  # the categories are numbered by the alphabet


def test_the_command_reads_it_and_the_test_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"pascal_context={copy}", "Data: pascal_context, 59 classes, checked.")
    with pytest.raises(DataError, match="without labels of its test split"):
        PascalContext(copy).split("test")


LABEL = f"SegmentationClassContext/{VAL[0]}.png"


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, f"JPEGImages/{VAL[0]}.jpg has no label"),
        (LABEL, saved(np.full((9, 11), 60, np.uint8)), f"{LABEL} holds the value 60; allowed are 0 to 59"),
        (LABEL, saved(np.full((9, 11), 415, np.uint16)), f"{LABEL} is an image of mode I;16"),
        (f"JPEGImages/{VAL[1]}.jpg", Path.unlink, f"val.txt names '{VAL[1]}'"),
        ("SegmentationClassContext", shutil.rmtree, "holds neither trainval with ImageSets/Main nor Segmentation"),
        (f"{LISTS}/train.txt", Path.unlink, "train.txt is missing"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: PascalContext(damaged), message)
