"""Folders of images and labels: all files of the data set are paired, or one line names the file that is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import files as files_module
from bench.data.base import DataError
from bench.data.files import files_of, pair_up, read_pair
from bench.data.pixels import void_last


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of two images, beside a folder ``labels`` of their labels."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for name in ("a", "b"):
            Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / kind / f"{name}.png")
    return tmp_path / "images"


def names(images: Path) -> list[str]:
    pairs = pair_up(images, images.with_name("labels"), "val")
    assert [pair.image.stem for pair in pairs] == [pair.label.stem for pair in pairs]
    return [read_pair(pair, void_last(2)).name for pair in pairs]


def both(images: Path) -> tuple[Path, Path]:
    return images, images.with_name("labels")


@pytest.mark.parametrize("name", ["c d.png", "\u6f22\u5b57 \u00e9.png", "c.PNG", "c'\"$.png", "-c.png", "c.d.e.png"])
def test_a_name_may_have_spaces_and_letters_of_any_language_and_large_suffixes(name: str, images: Path) -> None:
    for folder in both(images):
        (folder / "a.png").rename(folder / name)
    assert sorted(names(images)) == sorted(["b", name[:-4]])


def test_accents_that_one_system_composes_and_another_does_not_are_the_same_name(images: Path) -> None:
    (images / "a.png").rename(images / "e\u0301.png")
    (images.with_name("labels") / "a.png").rename(images.with_name("labels") / "\u00e9.png")
    pairs = pair_up(*both(images), "val")
    assert [read_pair(pair, void_last(2)).name for pair in pairs] == ["b", "\u00e9"]


@pytest.mark.parametrize(
    "name", [".DS_Store", "._a.png", ".hidden.png", "Thumbs.db", "desktop.ini", "list.txt", "README"]
)
def test_hidden_files_and_files_that_are_no_images_are_left_alone(name: str, images: Path) -> None:
    for folder in both(images):
        (folder / name).write_text("no image")
        (folder / f".{name}.link").symlink_to("nowhere")
    assert names(images) == ["a", "b"]


def test_folders_of_other_things_are_left_alone(images: Path) -> None:
    for folder in ("empty", "notes", "@eaDir", ".thumbnails"):
        (images / folder).mkdir()
    (images / "notes" / "list.txt").touch()
    shutil.copy(images / "a.png", images / "@eaDir")
    shutil.copy(images / "a.png", images / ".thumbnails")
    assert names(images) == ["a", "b"]


def test_links_to_files_and_folders_elsewhere_are_files_and_folders_like_any_other(
    images: Path, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    for path in images.iterdir():
        shutil.move(path, tmp_path / "store")
        path.symlink_to(tmp_path / "store" / path.name)
    images.with_name("labels").rename(tmp_path / "store" / "labels")
    images.with_name("labels").symlink_to(tmp_path / "store" / "labels")
    assert names(images) == ["a", "b"]


def link_to(target: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return damage


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def move_into_folder(path: Path) -> None:
    (path.parent / "city").mkdir()
    path.rename(path.parent / "city" / path.name)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link that dangles": (link_to("/nowhere/a.png"), r"{}/a\.png is a link to a file that is missing; fetch it"),
    "a link to itself": (link_to("a.png"), r"{}/a\.png is a link to a file that is missing"),
    "a folder": (replace_by_folder, r"{}/a\.png is no file; remove or rename it"),
    "a pipe": (replace_by_pipe, r"{}/a\.png is no file; remove or rename it"),
    "a folder of its own": (move_into_folder, r"{}/city/a\.png is in a folder of its own; move it into "),
    "another suffix": (lambda path: path.rename(path.with_suffix(".TIFF")), r"{}/a\.TIFF is no .*\.png file; convert"),
    "an array": (lambda path: path.rename(path.with_suffix(".npy")), r"{}/a\.npy is no .*\.png file; convert it"),
    "a line break": (lambda path: path.rename(path.with_name("a\n.png")), r"{}/a\\n\.png' has a name that cannot be"),
    "an escape": (lambda path: path.rename(path.with_name("\x1b[J.png")), r"{}/\\x1b\[J\.png' has a name that cannot"),
    "no UTF-8": (
        lambda path: path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xff.png")),
        r"{}/\\udcff\.png' has a name that cannot be printed; rename image and label",
    ),
}  # fmt: skip
"""Kind -> what is done to a file, and the message, where ``{}`` is the name of its folder."""


@pytest.mark.parametrize("where", ["images", "labels", "both"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_file_that_would_be_left_out_is_refused_by_name(kind: str, where: str, images: Path) -> None:
    damage, message = DAMAGES[kind]
    folders = [folder for folder in both(images) if where in (folder.name, "both")]
    for folder in folders:
        damage(folder / "a.png")
    with pytest.raises(DataError, match=message.format(folders[0].name)) as caught:
        names(images)
    assert "\n" not in str(caught.value)


def test_an_image_among_the_labels_is_refused(images: Path) -> None:
    shutil.copy(images / "a.png", images.with_name("labels") / "a.jpg")
    with pytest.raises(DataError, match=r"labels/a\.jpg is no \.png file; convert it, or take it out of the folder"):
        names(images)


@pytest.mark.parametrize(("height", "width"), [(6, 7), (6, 9), (5, 8), (7, 8), (8, 6), (1, 1)])
def test_a_label_that_is_one_pixel_larger_or_smaller_than_its_image_is_refused(
    height: int, width: int, images: Path
) -> None:
    Image.fromarray(np.zeros((height, width), np.uint8)).save(images.with_name("labels") / "b.png")
    with pytest.raises(
        DataError, match=rf"labels/b\.png is {width}x{height} pixels, its image .*/b\.png is 8x6; resize"
    ):
        names(images)


def test_the_size_that_counts_is_that_of_the_upright_image(images: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(images / "b.png", exif=exif)
    with pytest.raises(DataError, match=r"labels/b\.png is 8x6 pixels, its image .*/b\.png is 6x8"):
        names(images)
    Image.fromarray(np.zeros((8, 6), np.uint8)).save(images.with_name("labels") / "b.png")
    assert names(images) == ["a", "b"]


def test_a_folder_that_may_not_be_read_is_named(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files_module.Path, "iterdir", forbidden)
    with pytest.raises(DataError, match=r"images cannot be read \(Permission denied\); allow it to be read"):
        names(images)


def test_the_files_of_a_folder_are_those_that_are_there(images: Path) -> None:
    (images / "c.png").symlink_to("/nowhere")
    assert [path.name for path in files_of(images, (".png",))] == ["a.png", "b.png"]
    assert files_of(images / "nowhere", (".png",)) == []
