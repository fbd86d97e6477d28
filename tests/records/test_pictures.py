"""What is kept of images, labels and predictions, and reading it back."""

from __future__ import annotations

import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import IGNORE
from bench.records.files import RecordError
from bench.records.pictures import VOID, Album, read_names, read_pictures, read_predictions, stride, thinned


def album(folder: Path, trial: str = "one", names: tuple[str, ...] = ("a", "b")) -> Album:
    """Images of 6x8: all of image ``i`` is class ``i`` and grey ``100 i``; predictions are class 7."""
    made = Album(folder / "artifacts" / f"{trial}.npz", folder / "pictures" / "images.npz")
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
    predictions, images = tmp_path / "artifacts" / "one.npz", tmp_path / "pictures" / "images.npz"
    assert read_names(predictions) == read_names(images) == ["a", "b"]
    assert read_predictions(predictions, [1])[1].tolist() == [[7] * 8] * 6
    picture = read_pictures(images, [1])[1]
    assert picture.label.tolist() == [[1] * 8] * 6
    assert picture.stride == 1
    with Image.open(io.BytesIO(picture.jpeg)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (8, 6))
        assert np.abs(np.asarray(opened).astype(int) - 100).max() <= 2


def test_an_image_that_is_thinned_has_the_size_of_its_maps(tmp_path: Path) -> None:
    made = Album(tmp_path / "p.npz", tmp_path / "i.npz")
    values = np.zeros((1025, 601), dtype=np.uint8)
    made.add("large", np.zeros((3, 1025, 601), dtype=np.uint8), values, values)
    made.write()
    picture = read_pictures(tmp_path / "i.npz", [0])[0]
    with Image.open(io.BytesIO(picture.jpeg)) as opened:
        assert opened.size == (200, 341)
    assert picture.label.shape == read_predictions(tmp_path / "p.npz", [0])[0].shape == (341, 200)
    assert picture.stride == 3


def test_images_are_left_to_the_trial_that_comes_first(tmp_path: Path) -> None:
    album(tmp_path).write()
    images = tmp_path / "pictures" / "images.npz"
    before = images.stat()
    album(tmp_path, "two").write()
    assert (images.stat().st_ino, images.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert read_names(tmp_path / "artifacts" / "two.npz") == ["a", "b"]


def test_trials_that_start_at_once_write_the_same_images_and_no_reader_sees_half_a_file(tmp_path: Path) -> None:
    names = tuple(f"image {index}" for index in range(40))
    started = [album(tmp_path, f"trial {index}", names) for index in range(8)]
    images = tmp_path / "pictures" / "images.npz"
    started[0].write()
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(each.write) for each in started[1:]]
        while not all(each.done() for each in writing):
            assert read_pictures(images, [39])[39].label.tolist() == [[39] * 8] * 6
    assert all(each.result() is None for each in writing)
    assert [path.name for path in images.parent.iterdir()] == [images.name], "no part of a file is left"
    assert len(list((tmp_path / "artifacts").iterdir())) == 8


def test_a_damaged_archive_is_refused_by_name(tmp_path: Path) -> None:
    album(tmp_path).write()
    path = tmp_path / "artifacts" / "one.npz"
    with pytest.raises(RecordError, match=r"one\.npz cannot be read .*prediction_2.*delete it"):
        read_predictions(path, [2])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordError, match=r"one\.npz cannot be read .*delete it"):
        read_names(path)
    np.savez(path, names=np.array(["a"]), prediction_0=np.zeros(20, dtype=np.uint8))
    with pytest.raises(RecordError, match=r"one\.npz holds a map that cannot be read .*delete it"):
        read_predictions(path, [0])


@pytest.mark.parametrize(
    "change",
    [
        {"image_0": np.zeros(9, dtype=np.uint8)},
        {"stride_0": np.array(0)},
        {"stride_0": np.array([1, 2])},
        {"stride_0": np.array(0.5)},
        {"label_0": np.frombuffer(np.array([2, 3], "<u4").tobytes() + zlib.compress(bytes(6)), dtype=np.uint8)},
    ],
)
def test_a_picture_that_is_no_jpeg_of_its_labels_size_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    album(tmp_path).write()
    path = tmp_path / "pictures" / "images.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **{**content, **change})
    with pytest.raises(RecordError, match=r"images\.npz holds a picture that is no JPEG of its label's size"):
        read_pictures(path, [0])


def test_names_that_are_no_list_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", names=np.array("a"))
    with pytest.raises(RecordError, match=r"x\.npz has no list of names"):
        read_names(tmp_path / "x.npz")


def test_void_is_what_data_sets_call_ignore() -> None:
    assert VOID == IGNORE
