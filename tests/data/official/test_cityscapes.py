"""Cityscapes in its true layout: read pixel by pixel as its description says, or refused by the name of the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data.base import DataError, SplitName
from bench.data.contract import check_dataset
from bench.data.official.cityscapes import Cityscapes, Training
from tests.data.official.drawn import Array, Drawer, assert_equal, assert_refused, saved, stored

TRAIN_IDS = """
    unlabeled 0 255, ego vehicle 1 255, rectification border 2 255, out of roi 3 255, static 4 255, dynamic 5 255,
    ground 6 255, road 7 0, sidewalk 8 1, parking 9 255, rail track 10 255, building 11 2, wall 12 3, fence 13 4,
    guard rail 14 255, bridge 15 255, tunnel 16 255, pole 17 5, polegroup 18 255, traffic light 19 6, traffic sign 20 7,
    vegetation 21 8, terrain 22 9, sky 23 10, person 24 11, rider 25 12, car 26 13, truck 27 14, bus 28 15,
    caravan 29 255, trailer 30 255, train 31 16, motorcycle 32 17, bicycle 33 18
"""
"""Every class that has an id, with its id and its train id, as the official labels.py lists them."""

ROWS = [entry.strip().rsplit(" ", 2) for entry in TRAIN_IDS.split(",")]

CITIES = {
    "leftImg8bit/train": ("aachen", "zurich"),
    "leftImg8bit/val": ("frankfurt", "aachen"),  # a city in train and in val
    "leftImg8bit/train_extra": ("augsburg",),
}


def make(folder: Path) -> Path:
    """A tiny copy with all that lies in an official one: instances, colours, polygons, both kinds of annotation."""
    drawer = Drawer()
    for split, kinds in (("train", ("gtFine", "gtCoarse")), ("val", ("gtFine",)), ("train_extra", ("gtCoarse",))):
        for city in CITIES[f"leftImg8bit/{split}"]:
            for frame in (19, 22):
                name = f"{city}_000001_{frame:06d}"
                drawer.image(folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png")
                for kind in kinds:
                    place = folder / kind / split / city
                    drawer.label(place / f"{name}_{kind}_labelIds.png", range(34))
                    drawer.label(place / f"{name}_{kind}_labelTrainIds.png", [*range(19), 255])
                    drawer.image(place / f"{name}_{kind}_color.png")
                    Image.new("I;16", (9, 7)).save(place / f"{name}_{kind}_instanceIds.png")
                    (place / f"{name}_{kind}_polygons.json").write_text("{}")
    drawer.image(folder / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png")
    drawer.label(folder / "gtFine/test/berlin/berlin_000000_000019_gtFine_labelIds.png", [1, 2, 3])
    for name in ("README", "license.txt"):
        (folder / name).write_text("text")
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("cityscapes"))


def read(folder: Path, kind: str, split: str, ending: str = "labelIds") -> list[tuple[Path, Array]]:
    """The images of a split with their class indices, read by the official description alone."""
    table = np.full(256, 255, np.uint8)
    for _, byte, index in ROWS:
        table[int(byte)] = int(index)
    pairs = []
    for image in sorted((folder / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
        name = image.name.removesuffix("_leftImg8bit.png")
        label = stored(folder / kind / split / image.parent.name / f"{name}_{kind}_{ending}.png")
        pairs.append((image, table[label] if ending == "labelIds" else label))
    return pairs


def test_the_classes_are_those_that_have_a_train_id_in_its_order() -> None:
    evaluated = {int(index): name for name, _, index in ROWS if index != "255"}
    assert Cityscapes.classes == tuple(evaluated[index] for index in range(19))


@pytest.mark.parametrize(
    ("training", "places"),
    [
        ("fine", [("gtFine", "train")]),
        ("coarse", [("gtCoarse", "train"), ("gtCoarse", "train_extra")]),
        ("fine and coarse", [("gtFine", "train"), ("gtCoarse", "train_extra")]),
    ],
)
def test_each_choice_of_labels_is_read_pixel_by_pixel(
    copy: Path, training: Training, places: list[tuple[str, str]]
) -> None:
    data = Cityscapes(copy, training=training)
    assert_equal(data.split("train"), [pair for kind, split in places for pair in read(copy, kind, split)])
    assert_equal(data.split("val"), read(copy, "gtFine", "val"))


def test_train_ids_are_read_where_they_are_chosen(copy: Path) -> None:
    data = Cityscapes(copy, label_files="labelTrainIds")
    for split in ("train", "val"):
        assert_equal(data.split(split), read(copy, "gtFine", split, "labelTrainIds"))


def test_the_contract_holds_and_the_test_split_is_refused_in_one_line(copy: Path) -> None:
    data = Cityscapes(copy)
    check_dataset(data, ("train", "val"), evaluated=("val",))
    with pytest.raises(DataError, match="without labels of its test split.*use the val split"):
        data.split("test")


def test_the_command_reads_train_and_val_and_prints_every_class(copy: Path) -> None:
    result = CliRunner().invoke(app, ["data", "check", f"cityscapes={copy}"])
    assert result.exit_code == 0, result.output
    assert "train: 4 images of 9×7 pixels" in result.output
    assert "val: 4 images of 9×7 pixels" in result.output
    assert all(name in result.output for name in (*Cityscapes.classes, "void"))


def test_fewer_training_images_are_part_of_all_and_choices_change_the_fingerprint(copy: Path) -> None:
    everything, fewer = Cityscapes(copy), Cityscapes(copy, train_images=3)
    names = {everything.split("train")[index].name for index in range(4)}
    assert {fewer.split("train")[index].name for index in range(3)} < names
    assert len(fewer.split("val")) == 4
    choices = [everything, fewer, Cityscapes(copy, training="coarse"), Cityscapes(copy, label_files="labelTrainIds")]
    assert len({data.fingerprint() for data in choices}) == 4


def test_the_fingerprint_is_that_of_the_files_that_are_read(damaged: Path) -> None:
    before = Cityscapes(damaged).fingerprint()
    for other in ("gtFine/train/aachen/aachen_000001_000019_gtFine_color.png", "gtCoarse", "leftImg8bit/train_extra"):
        path = damaged / other
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert Cityscapes(damaged).fingerprint() == before
    Drawer(9).label(damaged / "gtFine/val/aachen/aachen_000001_000019_gtFine_labelIds.png", range(34))
    assert Cityscapes(damaged).fingerprint() != before


def a_linked_city(folder: Path) -> None:
    for kind in ("leftImg8bit", "gtFine"):
        elsewhere = folder.parent / f"elsewhere {kind}"
        (folder / kind / "val/aachen").rename(elsewhere)
        (folder / kind / "val/aachen").symlink_to(elsewhere)


def test_a_linked_city_changes_nothing(copy: Path, damaged: Path) -> None:
    a_linked_city(damaged)
    here, there = Cityscapes(copy), Cityscapes(damaged)
    names: tuple[SplitName, ...] = ("train", "val")
    for name in names:
        expected = [(Path(f"{sample.name}.png"), sample) for sample in map(here.split(name).__getitem__, range(4))]
        for index, (path, sample) in enumerate(expected):
            found = there.split(name)[index]
            assert found.name == path.stem
            assert np.array_equal(found.image, sample.image)
            assert np.array_equal(found.label, sample.label)
    assert len(there.files("val")[0]) == len(there.files("val")[1]) == 4


IMAGE = "leftImg8bit/val/aachen/aachen_000001_000019_leftImg8bit.png"
LABEL = "gtFine/val/aachen/aachen_000001_000019_gtFine_labelIds.png"


def linked_nowhere(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, f"{IMAGE} has no label: .*{LABEL} is missing"),
        (IMAGE, Path.unlink, f"{LABEL} has no image of that name"),
        (LABEL, saved(np.full((7, 9), 34, np.uint8)), f"{LABEL} holds the value 34; allowed are 0 to 33"),
        (LABEL, saved(np.full((7, 9), 255, np.uint8)), f"{LABEL} holds the value 255"),
        (LABEL, saved(np.full((7, 9), 7, np.uint16)), f"{LABEL} is an image of mode I;16"),
        (LABEL, saved(np.zeros((7, 9, 3), np.uint8)), f"{LABEL} is an image of mode RGB"),
        (LABEL, saved(np.full((7, 8), 7, np.uint8)), f"{LABEL} is 8x7 pixels, its image .* is 9x7"),
        (LABEL, linked_nowhere, f"{LABEL} is a link to a file that is missing"),
        (IMAGE, saved(np.zeros((7, 9), np.uint16)), f"{IMAGE} is an image of mode I;16"),
        (IMAGE, lambda path: path.write_bytes(path.read_bytes()[:90]), f"{IMAGE} cannot be read as an image"),
        (IMAGE, lambda path: path.rename(path.with_suffix(".jpg")), "leftImg8bit.jpg is no .png file"),
        ("leftImg8bit/val/aachen", linked_nowhere, "leftImg8bit/val/aachen is a link to something that is missing"),
        ("gtFine/val/aachen", shutil.rmtree, "gtFine/val/aachen is missing: the val split needs it"),
        ("gtFine/val", shutil.rmtree, "gtFine/val is missing: the val split needs it"),
        (
            IMAGE,
            lambda path: path.rename(path.parents[1] / path.name),
            "lies in none of the folders of .*leftImg8bit/val",
        ),
        (
            "gtFine/val/aachen",
            lambda path: shutil.copytree(path, path.with_name("ulm")),
            "leftImg8bit/val/ulm is missing",
        ),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: Cityscapes(damaged), message)


def test_an_image_of_the_same_name_in_two_cities_is_refused(damaged: Path) -> None:
    for kind in ("leftImg8bit", "gtFine"):
        shutil.copytree(damaged / kind / "val/aachen", damaged / kind / "val/ulm")
    with pytest.raises(DataError, match="val/aachen/.* and .*val/ulm/.* have the same name"):
        Cityscapes(damaged).split("val")


def test_another_folder_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    message = re.escape(f"{tmp_path} has no folder leftImg8bit; give the folder that holds leftImg8bit")
    with pytest.raises(DataError, match=message):
        Cityscapes(tmp_path)
    with pytest.raises(DataError, match="Cityscapes needs a folder: --data cityscapes=/path/to/Cityscapes"):
        Cityscapes(None)
