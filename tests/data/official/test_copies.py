"""Copies of official layouts as other systems leave them: harmless ones are read as ever, incomplete ones refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.data import ADE20K, VOC2012, Cityscapes, COCOStuff, COCOStuff10k, MapillaryVistas, PascalContext
from bench.data.paired import PairedFiles
from tests.data.official import (
    test_ade20k,
    test_cityscapes,
    test_coco_stuff,
    test_coco_stuff_10k,
    test_mapillary_vistas,
    test_pascal_context,
    test_voc2012,
)
from tests.data.official.drawn import assert_refused

MAKE: dict[type[PairedFiles], Callable[[Path], Path]] = {
    ADE20K: test_ade20k.make,
    Cityscapes: test_cityscapes.make,
    COCOStuff: test_coco_stuff.make,
    COCOStuff10k: test_coco_stuff_10k.make,
    MapillaryVistas: test_mapillary_vistas.make,
    PascalContext: test_pascal_context.make,
    VOC2012: test_voc2012.make,
}


@pytest.fixture(params=MAKE, ids=lambda data: data.name)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> PairedFiles:
    """A data set in a copy of its own."""
    reader: type[PairedFiles] = request.param
    return reader(MAKE[reader](tmp_path / "copy"))


def content(data: PairedFiles) -> list[tuple[str, bytes, bytes]]:
    samples = [
        sample
        for split in (data.split("train"), data.split("val"))
        for sample in map(split.__getitem__, range(len(split)))
    ]
    return [(sample.name, sample.image.numpy().tobytes(), sample.label.numpy().tobytes()) for sample in samples]


def folders(data: PairedFiles) -> list[Path]:
    return [data.folder, *(path for path in data.folder.rglob("*") if path.is_dir())]


def lists_of_windows(data: PairedFiles) -> None:
    for path in data.folder.rglob("*.txt"):
        lines = path.read_text().split("\n")
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(f" {line}\t" if line else "" for line in lines).encode())


def files_of_systems(data: PairedFiles) -> None:
    for folder in folders(data):
        for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._a.jpg", "._a.png", "a.jpg.part", "a.png~", "md5.csv"):
            (folder / name).write_bytes(b"no image")


def folders_of_systems(data: PairedFiles) -> None:
    for folder in folders(data):
        for name in ("@eaDir/a.jpg/thumb.jpg", "__MACOSX/._a.png", ".ipynb_checkpoints/a-checkpoint.png"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(b"no image")


def links(data: PairedFiles) -> None:
    for path in [path for path in data.folder.rglob("*.*") if path.is_file()]:
        elsewhere = data.folder.parent / "elsewhere" / path.relative_to(data.folder)
        elsewhere.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(path.rename(elsewhere))


def upper_case_suffixes(data: PairedFiles) -> None:
    for path in [path for path in data.folder.rglob("*") if path.suffix in (".jpg", ".png", ".mat")]:
        path.rename(path.with_suffix(path.suffix.upper()))


@pytest.mark.parametrize("change", [lists_of_windows, files_of_systems, folders_of_systems, links, upper_case_suffixes])
def test_a_harmless_change_changes_no_sample(data: PairedFiles, change: Callable[[PairedFiles], None]) -> None:
    before, digest = content(data), data.fingerprint()
    change(data)
    same = type(data)(data.folder)
    same.check(splits=("train", "val"))
    assert content(same) == before
    assert (same.fingerprint() == digest) == (change is not upper_case_suffixes)  # names count in a fingerprint


def test_an_incomplete_pair_of_any_layout_is_refused(data: PairedFiles) -> None:
    image, label = (paths[-1] for paths in data.files("val"))
    kept = {path: path.read_bytes() for path in (image, label)}
    for path, damage, message in (
        (image, Path.unlink, "has no image of that name|has no such image"),
        (label, Path.unlink, f"{image.name} has no label"),
        (image, widen, "pixels, its image .* is"),
        (label, lambda path: path.write_bytes(b""), f"{label.name} cannot be read"),
        (image, lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    ):
        damage(path)
        assert_refused(lambda: type(data)(data.folder), message)
        path.write_bytes(kept[path])
    type(data)(data.folder).check(splits=("train", "val"))


def widen(path: Path) -> None:
    """Store an image with one more column."""
    with Image.open(path) as image:
        wider = image.resize((image.width + 1, image.height))
    wider.save(path)
