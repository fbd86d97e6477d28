"""Folders of one's own: read as they were meant or refused in one line, with a description and without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data.base import IGNORE, DataError
from bench.data.own.description import DESCRIPTION
from bench.data.own.first import first_description
from bench.data.own.folder import Folder

COLOURS = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]], dtype=np.uint8)
LABEL = np.array([[0, 1, 2, 0, 1, 2]] * 4, dtype=np.uint8)

Saved = Callable[[np.ndarray, int], Image.Image]


def as_bytes(label: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(label)


def in_colour(label: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(COLOURS[label])


def with_a_palette_of_its_own(label: np.ndarray, index: int) -> Image.Image:
    """The bytes differ from file to file, the colours do not."""
    order = np.roll(np.arange(3), index)
    image = Image.fromarray(np.argsort(order)[label].astype(np.uint8))
    image.putpalette(COLOURS[order].ravel().tolist())
    return image


def make(folder: Path, saved: Saved, images: str = "images", labels: str = "labels", ending: str = "") -> Path:
    """Ten pairs; each label is :data:`LABEL`, shifted, so that a mistaken pair shows."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / labels).mkdir(parents=True, exist_ok=True)
    for index in range(10):
        label = np.roll(LABEL, index, axis=1)
        Image.fromarray(np.stack([label * 40 + index] * 3, axis=-1)).save(folder / images / f"Bild {index} é.png")
        saved(label, index).save(folder / labels / f"Bild {index} é{ending}.png")
    return folder


def assert_right(folder: Path, numbers: set[int]) -> None:
    """Every sample of both splits has the label that was drawn for it, and all images are there once."""
    data = Folder(folder)
    seen = []
    for name in ("train", "val"):
        split = data.split(name)
        for index in range(len(split)):
            image, label, title = split[index]
            number = int(title.split()[1])
            seen.append(number)
            assert int(image[0, 0, 0]) == 40 * int(np.roll(LABEL, number, axis=1)[0, 0]) + number
            classes = {name: place for place, name in enumerate(data.classes)}
            expected = np.roll(LABEL, number, axis=1)
            if "colour #000000" in classes:  # sorted by colour
                expected = np.array([0, 2, 1])[expected]
            assert torch.equal(label, torch.from_numpy(expected.astype(np.uint8)))
    assert sorted(seen) == sorted(numbers)


@pytest.mark.parametrize("saved", [as_bytes, in_colour, with_a_palette_of_its_own])
@pytest.mark.parametrize(("images", "labels", "ending"), [("images", "masks", "_mask"), ("imgs", "annotations", "")])
def test_a_folder_without_splits_is_described_and_read(
    tmp_path: Path, saved: Saved, images: str, labels: str, ending: str
) -> None:
    folder = make(tmp_path / "mine", saved, images, labels, ending)
    first = first_description(folder)
    assert any("shared out" in guess for guess in first.guesses)
    first.write(folder)
    assert len(Folder(folder).split("val")) == 2
    assert Folder(folder).name == "mine"
    assert_right(folder, set(range(10)))


def split_folders(folder: Path, saved: Saved = as_bytes) -> Path:
    for name in ("train", "val"):
        make(folder, saved, f"images/{name}", f"labels/{name}")
        for index in range(10):
            if (index < 7) != (name == "train"):
                for kind in ("images", "labels"):
                    (folder / kind / name / f"Bild {index} é.png").unlink()
    return folder


def test_split_folders_with_classes_0_1_2_need_no_description(tmp_path: Path) -> None:
    folder = split_folders(tmp_path)
    assert Folder(folder).classes == ("class 0", "class 1", "class 2")
    assert_right(folder, set(range(10)))


def test_splits_may_have_their_images_and_labels_inside(tmp_path: Path) -> None:
    flat = split_folders(tmp_path / "a")
    folder = tmp_path / "b"
    for name, other in (("train", "training"), ("val", "validation")):
        for kind in ("images", "labels"):
            (folder / other).mkdir(parents=True, exist_ok=True)
            (flat / kind / name).rename(folder / other / kind)
    assert_right(folder, set(range(10)))


def test_palettes_that_agree_are_read_by_their_bytes_and_void_is_ignored(tmp_path: Path) -> None:
    def saved(label: np.ndarray, index: int) -> Image.Image:
        with_void = label.copy()
        with_void[0, 0] = IGNORE
        image = Image.fromarray(with_void)
        image.putpalette([value * 3 % 256 for value in range(768)])
        return image

    data = Folder(split_folders(tmp_path, saved))
    assert data.classes == ("class 0", "class 1", "class 2")
    assert int(data.split("train")[0].label[0, 0]) == IGNORE


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (in_colour, "in colour"),
        (with_a_palette_of_its_own, "different palettes"),
        (lambda label, index: Image.fromarray(((label > 0) * 255).astype(np.uint8)), "0 and 255 alone"),
        (lambda label, index: Image.fromarray((label * 7).astype(np.uint8)), "0, 7, 14"),
        (lambda label, index: Image.fromarray(np.full_like(label, 255)), "void alone"),
    ],
)
def test_labels_that_do_not_say_what_their_classes_are_need_a_description(
    tmp_path: Path, saved: Saved, message: str
) -> None:
    folder = split_folders(tmp_path, saved)
    with pytest.raises(DataError, match=message) as error:
        Folder(folder)
    assert "\n" not in str(error.value)
    assert "bench data init" in str(error.value) or "void" in message


def test_ids_are_merged_and_ignored_as_the_description_says(tmp_path: Path) -> None:
    folder = split_folders(tmp_path, lambda label, index: Image.fromarray((label * 7 + 1).astype(np.uint8)))
    (folder / DESCRIPTION).write_text(
        '[ignored]\nvalues = [1]\n[[classes]]\nname = "Straße"\nvalues = [8, 15]\n'
        '[[classes]]\nname = "sky"\nvalues = [9]\n'
    )
    data = Folder(folder)
    assert data.classes == ("Straße", "sky")
    label = data.split("train")[0].label
    assert label.tolist()[0] == [IGNORE, 0, 0, IGNORE, 0, 0]


def test_a_value_that_the_description_does_not_know_is_refused_with_the_file(tmp_path: Path) -> None:
    folder = split_folders(tmp_path)
    (folder / DESCRIPTION).write_text('[[classes]]\nname = "a"\nvalues = [0, 1]\n')
    with pytest.raises(DataError, match=r"Bild 0 é\.png holds the value 2"):
        Folder(folder).check(splits=("train",))


def test_a_smoothed_colour_is_refused_with_the_file(tmp_path: Path) -> None:
    folder = split_folders(tmp_path, in_colour)
    first_description(folder).write(folder)
    path = folder / "labels" / "train" / "Bild 3 é.png"
    with Image.open(path) as image:
        image.resize((12, 8), Image.Resampling.BILINEAR).resize((6, 4), Image.Resampling.BILINEAR).save(path)
    with pytest.raises(DataError, match=r"Bild 3 é\.png holds the colour #"):
        Folder(folder).check(splits=("train",))


def test_smoothed_grey_labels_are_not_described(tmp_path: Path) -> None:
    folder = make(tmp_path, lambda label, index: Image.fromarray(np.arange(256, dtype=np.uint8).reshape(4, 64)))
    with pytest.raises(DataError, match="holds 256 values: its labels were smoothed"):
        first_description(folder)


DESCRIPTIONS = {
    "no toml [": "cannot be read",
    "": "classes",
    "classes = []": "at least 1",
    '[[classes]]\nname = ""\nvalues=[0]': "name",
    '[[classes]]\nname = "a"\nvalues=[256]': "values.0",
    '[[classes]]\nname = "a"\nvalues=[0]\ncolor="#ff0000"': "color",
    '[[classes]]\nname = "a"\nvalues=[0]\n[[classes]]\nname = "a"\nvalues=[1]': "two classes are called 'a'",
    '[[classes]]\nname = "a"\nvalues=[0]\n[[classes]]\nname = "b"\nvalues=[0]': "0 belongs to 'a' and to 'b'",
    '[[classes]]\nname = "a"\nvalues=[255]': "255 belongs to",
    '[[classes]]\nname = "a"\nvalues=[0]\n[[classes]]\nname = "b"\ncolours=["#000000"]': "no colours",
    '[[classes]]\nname = "a"\ncolours=["red"]': "colours.0",
    'images = "../images"\n[[classes]]\nname = "a"\nvalues=[0]': "outside the folder",
    'images = "/images"\n[[classes]]\nname = "a"\nvalues=[0]': "outside the folder",
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_that_cannot_be_meant_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    folder = split_folders(tmp_path)
    (folder / DESCRIPTION).write_text(text)
    with pytest.raises(DataError, match=re.escape(DESCRIPTIONS[text])) as error:
        Folder(folder)
    assert str(folder / DESCRIPTION) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Bild 0 é\nBild 99\n", "names 'Bild 99'"),
        ("Bild 0 é\nBild 0 é.png\n", "twice"),
        ("\n", "names no image"),
    ],
)
def test_a_list_of_a_split_is_held_against_the_images(tmp_path: Path, text: str, message: str) -> None:
    folder = make(tmp_path, as_bytes)
    first_description(folder).write(folder)
    (folder / "val.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        Folder(folder).split("val")


def test_an_image_that_goes_to_another_split_makes_other_data(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    first_description(folder).write(folder)
    before = Folder(folder).fingerprint()
    (one, *train), (two, *val) = ((folder / f"{name}.txt").read_text().splitlines() for name in ("train", "val"))
    (folder / "train.txt").write_text("\n".join([two, *train]))
    (folder / "val.txt").write_text("\n".join([one, *val]))
    Folder(folder).check(splits=("train", "val"))
    assert Folder(folder).fingerprint() != before


def test_an_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    first_description(folder).write(folder)
    with (folder / "train.txt").open("a") as file:
        file.write((folder / "val.txt").read_text())
    with pytest.raises(DataError, match=r"Bild \d é.png is in the train and in the val split"):
        Folder(folder).check(splits=("train", "val"))


def test_names_with_dots_are_listed_and_read(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    for path in [*(folder / "images").iterdir(), *(folder / "labels").iterdir()]:
        path.rename(path.with_name(f"frame.{path.stem.split()[1].zfill(4)}.png"))
    first_description(folder).write(folder)
    assert [len(Folder(folder).split(name)) for name in ("train", "val")] == [8, 2]


def test_a_missing_list_of_a_split_that_nothing_reads_is_no_error(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    first_description(folder).write(folder)
    text = (folder / DESCRIPTION).read_text()
    (folder / DESCRIPTION).write_text(text.replace("[splits]", '[splits]\ntest = "test.txt"'))
    Folder(folder).check(splits=("train", "val"))
    assert Folder(folder).fingerprint()
    with pytest.raises(DataError, match=r"test\.txt is missing"):
        Folder(folder).split("test")


def test_a_split_that_is_not_described_is_missing_and_not_everything(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    first_description(folder).write(folder)
    with pytest.raises(DataError, match="no test split"):
        Folder(folder).split("test")


def test_a_copy_has_the_same_fingerprint_and_another_meaning_another(tmp_path: Path) -> None:
    one, copy = (split_folders(tmp_path / name) for name in ("one", "copy"))
    before = Folder(one).fingerprint()
    assert Folder(copy).fingerprint() == before
    (copy / DESCRIPTION).write_text(
        "".join(f'[[classes]]\nname = "{name}"\nvalues = [{value}]\n' for name, value in (("a", 1), ("b", 0), ("c", 2)))
    )
    assert Folder(copy).fingerprint() != before


def test_a_description_is_never_written_over(tmp_path: Path) -> None:
    folder = make(tmp_path, as_bytes)
    first = first_description(folder)
    (folder / "val.txt").write_text("mine")
    with pytest.raises(DataError, match="val.txt is there already"):
        first.write(folder)
    assert not (folder / DESCRIPTION).exists()


def test_the_commands_describe_a_folder_and_print_the_share_of_each_class(tmp_path: Path) -> None:
    folder = make(tmp_path / "mine", as_bytes, labels="masks", ending="_mask")
    runner = CliRunner()
    described = runner.invoke(app, ["data", "init", str(folder)])
    assert described.exit_code == 0, described.output
    assert "shared out by the digests of their names: 8 for train, 2 for val" in described.output
    checked = runner.invoke(app, ["data", "check", f"folder={folder}"])
    assert checked.exit_code == 0, checked.output
    assert "train: 8 images of 6×4 pixels" in checked.output
    assert re.search(r"class 0 +33\.333 +33\.333\n", checked.output)
    assert "test" not in checked.output
