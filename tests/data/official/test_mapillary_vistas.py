"""Mapillary Vistas in its true layout: both versions are read pixel by pixel by the labels of their own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.cli.networks import published_colours
from bench.data.base import DataError
from bench.data.contract import check_dataset
from bench.data.official.mapillary_vistas import MapillaryVistas, Version
from bench.parts import part
from bench.study.source import Loaded, Source
from tests.data.official.drawn import Array, Drawer, assert_command_reads, assert_equal, assert_refused, saved, stored

LABELS: dict[Version, list[tuple[str, bool]]] = {
    "v1.2": [("animal--bird", True), ("void--ego-vehicle", True), ("nature--sky", True), ("void--unlabeled", False)],
    "v2.0": [
        ("animal--bird", True),
        ("marking-only--discrete--text", False),  # void in the middle: the classes after it move up
        ("nature--sky", True),
        ("object--vehicle--car", True),
        ("void--unlabeled", False),
    ],
}

COLOURS = {
    "animal--bird": (165, 42, 42),
    "nature--sky": (70, 130, 180),
    "object--vehicle--car": (0, 0, 142),
    "void--ego-vehicle": (120, 10, 10),
}
"""The colours of these labels in config_v1.2.json, as detectron2's registration of the data set repeats it."""


def make(folder: Path) -> Path:
    """A tiny copy of both versions with instances and polygons."""
    drawer = Drawer()
    for split in ("training", "validation"):
        for name in ("-0BBPD5L2a7FN7Y3_FhCYg", "_1Gn_xkw7sa_i9GU4mkxxQ"):
            drawer.image(folder / split / "images" / f"{name}.jpg")
            for version, labels in LABELS.items():
                values = range(len(labels))
                drawer.label(folder / split / version / "labels" / f"{name}.png", values, palette=True)
                (folder / split / version / "instances").mkdir(exist_ok=True)
                Image.new("I;16", (9, 7)).save(folder / split / version / "instances" / f"{name}.png")
    drawer.image(folder / "testing/images/a.jpg")
    for version, labels in LABELS.items():
        entries = [
            {"color": COLOURS.get(name, (0, 0, 0)), "readable": "x", "name": name, "evaluate": flag}
            for name, flag in labels
        ]
        (folder / f"config_{version}.json").write_text(json.dumps({"labels": entries, "version": 1.1}))
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("vistas"))


def read(folder: Path, split: str, version: Version) -> list[tuple[Path, Array]]:
    """Images with their class indices: the number of evaluated labels before the stored one."""
    evaluated = np.array([flag for _, flag in LABELS[version]])
    table = np.where(evaluated, np.cumsum(evaluated) - 1, 255)
    images = sorted((folder / split / "images").iterdir())
    return [(image, table[stored(folder / split / version / "labels" / f"{image.stem}.png")]) for image in images]


@pytest.mark.parametrize("version", ["v1.2", "v2.0"])
def test_both_versions_are_read_pixel_by_pixel(copy: Path, version: Version) -> None:
    data = MapillaryVistas(copy, version=version)
    assert data.classes == tuple(name for name, evaluated in LABELS[version] if evaluated)
    assert_equal(data.split("train"), read(copy, "training", version))
    assert_equal(data.split("val"), read(copy, "validation", version))
    check_dataset(data, ("train", "val"), evaluated=("val",))


@pytest.mark.parametrize("version", ["v1.2", "v2.0"])
def test_the_colours_of_evaluated_labels_are_those_of_the_file(damaged: Path, version: Version) -> None:
    data = MapillaryVistas(damaged, version=version)
    assert dict(zip(data.classes, data.colours, strict=True)) == {name: COLOURS[name] for name in data.classes}
    before = data.fingerprint()
    changed(lambda document: [label.pop("color") for label in document["labels"]])(damaged / f"config_{version}.json")
    without = MapillaryVistas(damaged, version=version)
    assert without.colours == ()
    assert without.fingerprint() == before


def test_predictions_take_the_colours_of_the_file_where_it_is_and_says_the_same_classes(copy: Path) -> None:
    data = part(MapillaryVistas)
    cell = SimpleNamespace(recipe=SimpleNamespace(data=data), name="baseline")

    def colours(folder: Path | None, classes: Sequence[str]) -> Sequence[tuple[int, ...]]:
        study: Any = SimpleNamespace(recipe=cell.recipe)
        loaded = Loaded(Source("study.py"), study, folder)
        trial: Any = SimpleNamespace(cell=cell, loaded=loaded, measured=SimpleNamespace(classes=classes))
        return published_colours(trial)

    classes = MapillaryVistas(copy).classes
    assert colours(copy, classes) == tuple(COLOURS[name] for name in classes)
    assert colours(None, classes) == ()
    assert colours(copy.parent / "elsewhere", classes) == ()
    assert colours(copy, classes[::-1]) == ()


def test_the_command_reads_it_and_the_test_split_is_refused(copy: Path) -> None:
    assert_command_reads(f"mapillary_vistas={copy}", "Data: mapillary_vistas, 3 classes, checked.")
    with pytest.raises(DataError, match="without labels of its test split"):
        MapillaryVistas(copy).split("test")


def test_other_classes_for_the_same_files_are_another_data_set(damaged: Path) -> None:
    before = MapillaryVistas(damaged).fingerprint()
    changed(lambda document: document["labels"][1].update(evaluate=False))(damaged / CONFIG)
    assert MapillaryVistas(damaged).fingerprint() != before


CONFIG = "config_v1.2.json"
LABEL = "validation/v1.2/labels/_1Gn_xkw7sa_i9GU4mkxxQ.png"


def changed(change: Callable[[Any], object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return write


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        (LABEL, Path.unlink, "_1Gn_xkw7sa_i9GU4mkxxQ.jpg has no label"),
        (LABEL, saved(np.full((7, 9), 4, np.uint8)), f"{LABEL} holds the value 4; allowed are 0 to 3 .*config_v1.2"),
        (LABEL, saved(np.full((7, 9), 256, np.uint16)), f"{LABEL} is an image of mode I;16"),
        ("validation/v1.2", shutil.rmtree, "validation/v1.2/labels is missing"),
        ("training", shutil.rmtree, "has no folder training"),
        (CONFIG, Path.unlink, f"{CONFIG} is missing: it says what the labels mean"),
        (CONFIG, lambda path: path.write_text("{"), f"{CONFIG} cannot be read"),
        (CONFIG, changed(lambda document: document["labels"][0].pop("evaluate")), "labels.0.evaluate: Field required"),
        (CONFIG, changed(lambda document: document["labels"][0].update(color=[1, 2, 256])), "labels.0.color.2: .*255"),
        (CONFIG, changed(lambda document: document["labels"][0].update(name="nature--sky")), "two labels called 'nat"),
        (
            CONFIG,
            changed(lambda document: [label.update(evaluate=False) for label in document["labels"]]),
            "evaluates no label",
        ),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(
    damaged: Path, place: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged / place)
    assert_refused(lambda: MapillaryVistas(damaged), message)
