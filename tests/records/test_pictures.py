"""What is kept of images, labels and predictions, and reading it back."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import IGNORE
from bench.records.files import RecordError, write_zip
from bench.records.pictures import VOID, Album, read_names, read_pictures, read_predictions, stride, thinned


def album(folder: Path, trial: str = "one", names: tuple[str, ...] = ("a", "b")) -> Album:
    """Images of 6x8: all of image ``i`` is class ``i`` and grey ``100 i``; predictions are class 7."""
    made = Album(folder / "artifacts" / f"{trial}.zip", folder / "pictures" / "images.zip")
    for index, name in enumerate(names):
        label = np.full((6, 8), index, dtype=np.uint8)
        made.add(name, np.full((3, 6, 8), 100 * index % 256, dtype=np.uint8), label, np.full_like(label, 7))
    return made


@pytest.mark.parametrize(
    ("size", "step", "left"),
    [((64, 96), 1, (64, 96)), ((360, 480), 1, (360, 480)), ((512, 512), 1, (512, 512)), ((513, 20), 2, (256, 10)),
     ((1024, 2048), 4, (256, 512)), ((1025, 2051), 5, (205, 410))],
)  # fmt: skip
def test_no_side_is_longer_than_512_and_every_block_gives_its_middle_pixel(
    size: tuple[int, int], step: int, left: tuple[int, int]
) -> None:
    assert stride(*size) == step
    y, x = np.mgrid[: size[0], : size[1]]
    rows, columns = thinned((y // step % 251).astype(np.uint8)), thinned((x // step % 251).astype(np.uint8))
    assert rows.shape == columns.shape == left
    assert rows[:, 0].tolist() == [index % 251 for index in range(left[0])]
    assert columns[0].tolist() == [index % 251 for index in range(left[1])]


def test_what_was_kept_is_read_back_by_place_in_the_split(tmp_path: Path) -> None:
    album(tmp_path).write()
    predictions, images = tmp_path / "artifacts" / "one.zip", tmp_path / "pictures" / "images.zip"
    assert read_names(predictions) == read_names(images) == ["a", "b"]
    assert read_predictions(predictions, [1])[1].tolist() == [[7] * 8] * 6
    picture = read_pictures(images, [1])[1]
    assert picture.label.tolist() == [[1] * 8] * 6
    assert picture.stride == 1
    with Image.open(io.BytesIO(picture.jpeg)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (8, 6))
        assert np.abs(np.asarray(opened).astype(int) - 100).max() <= 2


def test_an_image_that_is_thinned_has_the_size_of_its_maps(tmp_path: Path) -> None:
    made = Album(tmp_path / "p.zip", tmp_path / "i.zip")
    values = np.zeros((1025, 601), dtype=np.uint8)
    made.add("large", np.zeros((3, 1025, 601), dtype=np.uint8), values, values)
    made.write()
    picture = read_pictures(tmp_path / "i.zip", [0])[0]
    with Image.open(io.BytesIO(picture.jpeg)) as opened:
        assert opened.size == (200, 341)
    assert picture.label.shape == read_predictions(tmp_path / "p.zip", [0])[0].shape == (341, 200)
    assert picture.stride == 3


def test_images_are_left_to_the_trial_that_comes_first(tmp_path: Path) -> None:
    album(tmp_path).write()
    images = tmp_path / "pictures" / "images.zip"
    before = images.stat()
    album(tmp_path, "two").write()
    assert (images.stat().st_ino, images.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert read_names(tmp_path / "artifacts" / "two.zip") == ["a", "b"]


def test_trials_that_start_at_once_write_the_same_images_and_no_reader_sees_half_a_file(tmp_path: Path) -> None:
    names = tuple(f"image {index}" for index in range(40))
    started = [album(tmp_path, f"trial {index}", names) for index in range(8)]
    images = tmp_path / "pictures" / "images.zip"
    started[0].write()
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(each.write) for each in started[1:]]
        while not all(each.done() for each in writing):
            assert read_pictures(images, [39])[39].label.tolist() == [[39] * 8] * 6
    assert all(each.result() is None for each in writing)
    assert [path.name for path in images.parent.iterdir()] == [images.name], "no part of a file is left"
    assert len(list((tmp_path / "artifacts").iterdir())) == 8


def test_an_archive_is_a_zip_file_of_ordinary_images(tmp_path: Path) -> None:
    album(tmp_path).write()
    with zipfile.ZipFile(tmp_path / "pictures" / "images.zip") as archive:
        assert archive.namelist() == ["names.json", "image_0.jpg", "label_0.png", "image_1.jpg", "label_1.png"]
        assert json.loads(archive.read("names.json")) == {"names": ["a", "b"], "strides": [1, 1]}
        with Image.open(io.BytesIO(archive.read("label_1.png"))) as opened:
            assert (opened.format, opened.mode, np.asarray(opened).tolist()) == ("PNG", "L", [[1] * 8] * 6)


def test_a_damaged_archive_is_refused_by_name(tmp_path: Path) -> None:
    album(tmp_path).write()
    path = tmp_path / "artifacts" / "one.zip"
    with pytest.raises(RecordError, match=r"one\.zip cannot be read .*prediction_2.*delete it"):
        read_predictions(path, [2])
    whole = path.read_bytes()
    for damaged in (b"", b"PK", whole[:200], whole.replace(b"IDAT", b"IDXT"), whole.replace(b"\x89PNG", b"\x89PMG")):
        path.write_bytes(damaged)
        with pytest.raises(RecordError, match=r"one\.zip cannot be read .*delete it"):
            read_predictions(path, [0])


def huge_png() -> bytes:
    """A PNG file that claims to have 60,000 x 60,000 pixels."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((6, 8), dtype=np.uint8)).save(file, "PNG")
    content = file.getvalue()
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names.json": b'{"names": ["a"], "strides": []}'}, "1 names and 0 strides"),
        ({"names.json": b'{"names": ["a"], "strides": [0]}'}, "cannot be read"),
        ({"names.json": b"["}, "cannot be read"),
        ({"image_0.jpg": b"no image"}, "cannot be read \\(one of its pictures is no JPEG file"),
        ({"label_0.png": b"no image"}, "cannot be read \\(one of its pictures is no PNG file"),
        ({"label_0.png": huge_png()}, "cannot be read \\(Image size .* exceeds limit"),
    ],
)
def test_a_picture_that_is_none_is_refused(tmp_path: Path, change: dict[str, bytes], said: str) -> None:
    album(tmp_path, names=("a",)).write()
    path = tmp_path / "pictures" / "images.zip"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    write_zip({**content, **change}, path)
    with pytest.raises(RecordError, match=rf"images\.zip .*{said}") as caught:
        read_pictures(path, [0])
    assert "\n" not in str(caught.value)


def earlier_archive(path: Path, **change: Any) -> None:
    """An archive as an earlier bench wrote it: of one image of class 3, and the same prediction."""
    file = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), 100, dtype=np.uint8)).save(file, "JPEG")
    packed = np.array([6, 8], "<u4").tobytes() + zlib.compress(bytes([3] * 48))
    arrays = {
        "names": np.array(["a"]), "image_0": np.frombuffer(file.getvalue(), dtype=np.uint8), "stride_0": np.array(2),
        "label_0": np.frombuffer(packed, dtype=np.uint8), "prediction_0": np.frombuffer(packed, dtype=np.uint8),
    }  # fmt: skip
    np.savez(path, **{**arrays, **change})


def test_archives_of_an_earlier_bench_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    earlier_archive(path)
    assert read_names(path) == ["a"]
    assert read_predictions(path, [0])[0].tolist() == [[3] * 8] * 6
    picture = read_pictures(path, [0])[0]
    assert (picture.label.tolist(), picture.stride) == ([[3] * 8] * 6, 2)
    earlier_archive(path, prediction_0=np.zeros(20, dtype=np.uint8))
    with pytest.raises(RecordError, match=r"old\.npz cannot be read \(.*delete it"):
        read_predictions(path, [0])
    huge = np.frombuffer(np.array([2**32 - 1] * 2, "<u4").tobytes() + zlib.compress(bytes(6)), dtype=np.uint8)
    earlier_archive(path, prediction_0=huge)
    with pytest.raises(RecordError, match=r"old\.npz cannot be read \(a map of 4294967295 x 4294967295 pixels"):
        read_predictions(path, [0])


SMALLER = np.frombuffer(np.array([2, 3], "<u4").tobytes() + zlib.compress(bytes(6)), dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_0": np.zeros(9, dtype=np.uint8)}, "one of its pictures is no JPEG file"),
        ({"stride_0": np.array(0)}, "one of its pictures has no stride"),
        ({"stride_0": np.array([1, 2])}, "one of its pictures has no stride"),
        ({"stride_0": np.array(0.5)}, "one of its pictures has no stride"),
        ({"label_0": SMALLER}, "one of its pictures has another size than its label"),
    ],
)
def test_a_picture_that_is_no_jpeg_of_its_labels_size_is_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    earlier_archive(tmp_path / "old.npz", **change)
    with pytest.raises(RecordError, match=rf"old\.npz cannot be read \({reason}\); delete it"):
        read_pictures(tmp_path / "old.npz", [0])


def test_names_that_are_no_list_are_refused(tmp_path: Path) -> None:
    earlier_archive(tmp_path / "x.npz", names=np.array("a"))
    with pytest.raises(RecordError, match=r"x\.npz cannot be read \(it has no list of names\)"):
        read_names(tmp_path / "x.npz")


def test_void_is_what_data_sets_call_ignore() -> None:
    assert VOID == IGNORE
