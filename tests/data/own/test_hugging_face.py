"""Data sets of Hugging Face as folders, with a stand-in for their package: bytes, splits, columns, refusals."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from bench.data.base import DataError
from bench.data.own.folder import Folder
from bench.data.own.hugging_face import unpack

Bench = Callable[..., tuple[int, str, str]]
Array = np.ndarray


class Image:
    """Like the feature of a column of images."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class DatasetsError(Exception):
    pass


class Rows:
    """Like a split: rows whose images come as bytes only where the column was cast so."""

    def __init__(self, columns: dict[str, list[Any]], raw: frozenset[str] = frozenset()) -> None:
        self.columns, self.raw = columns, raw
        self.features = {name: Image() if name != "id" else object() for name in columns}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def cast_column(self, name: str, feature: Image) -> Rows:
        assert not feature.decode
        return Rows(self.columns, self.raw | {name})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for index in range(len(self)):
            yield {name: values[index] if name in self.raw else None for name, values in self.columns.items()}


def encoded(values: Array, form: str) -> bytes:
    file = io.BytesIO()
    Picture.fromarray(values).save(file, form)
    return file.getvalue()


def rows(seed: int, count: int, mask: str = "label", image: str = "pixel_values") -> Rows:
    drawn = np.random.default_rng(seed)
    images = [encoded(drawn.integers(0, 256, (8, 9, 3), dtype=np.uint8), "JPEG") for _ in range(count)]
    masks = [encoded(drawn.permutation(np.arange(72, dtype=np.uint8) % 3).reshape(8, 9), "PNG") for _ in range(count)]
    return Rows(
        {
            "id": list(range(count)),
            image: [{"bytes": content, "path": None} for content in images],
            mask: [{"bytes": content, "path": None} for content in masks],
        }
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The data sets that the stand-in can load by name, or that lie on disk by their folder."""
    known: dict[str, Any] = {"me/yard": {"train": rows(1, 3), "validation": rows(2, 2), "extra": rows(3, 1)}}

    def load_dataset(name: str) -> Any:
        if name not in known:
            raise DatasetsError(f"Dataset '{name}' doesn't exist\non the Hub")
        return known[name]

    stand_in = SimpleNamespace(
        load_dataset=load_dataset,
        load_from_disk=lambda folder: known[f"disk {folder}"],
        Image=Image,
        exceptions=SimpleNamespace(DatasetsError=DatasetsError),
    )
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    return known


def test_one_command_makes_a_folder_that_is_read_with_the_same_bytes(
    hub: dict[str, Any], bench: Bench, tmp_path: Path
) -> None:
    code, out, err = bench("data", "unpack", "me/yard", tmp_path / "yard")
    assert code == 0, err
    assert "3 images for train, 2 images for val" in out
    data = Folder(tmp_path / "yard")
    assert len(data.classes) == 3
    for split, there in (("train", "train"), ("val", "validation")):
        columns = hub["me/yard"][there].columns
        for kind, column, suffix in (("images", "pixel_values", "jpg"), ("labels", "label", "png")):
            files = sorted((tmp_path / "yard" / kind / split).iterdir())
            assert [path.suffix for path in files] == [f".{suffix}"] * len(files)
            assert [path.read_bytes() for path in files] == [value["bytes"] for value in columns[column]]
    mask = hub["me/yard"]["validation"].columns["label"][1]["bytes"]
    with Picture.open(io.BytesIO(mask)) as picture:
        assert data.split("val")[1].label.tolist() == np.asarray(picture).tolist()
    again = bench("data", "unpack", "me/yard", tmp_path / "yard")
    assert again[0] == 0, again[2]


def test_a_folder_that_was_saved_to_disk_is_one_split_or_several(hub: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    hub[f"disk {tmp_path}"] = rows(4, 2)
    assert unpack(str(tmp_path), tmp_path / "out") == {"train": 2}


def test_images_that_are_files_are_read_from_their_paths(hub: dict[str, Any], tmp_path: Path) -> None:
    split = rows(5, 1)
    (tmp_path / "a.png").write_bytes(split.columns["label"][0]["bytes"])
    split.columns["label"] = [{"bytes": None, "path": str(tmp_path / "a.png")}]
    hub["me/files"] = {"train": split}
    unpack("me/files", tmp_path / "out")
    assert (tmp_path / "out/labels/train/000000.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def empty() -> Rows:
    return Rows({"image": [{"bytes": None, "path": None}], "mask": [{"bytes": b"no image", "path": None}]})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("me/gone", {}, r"me/gone cannot be loaded by datasets: Dataset 'me/gone' doesn't exist on the Hub"),
        ("me/yard", {"mask": "depth"}, "--mask depth is no column of images; these are pixel_values, label"),
        ("me/test", {}, "has no train split; it has test"),
        ("me/two", {}, "has the columns of images right, left; say which is which: --image NAME --mask NAME"),
        ("me/empty", {}, "row 0 of train, image is empty; take the row out"),
        ("me/broken", {}, "row 0 of train, mask cannot be read"),
    ],
)
def test_what_is_no_such_data_set_is_refused(
    hub: dict[str, Any], tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    broken = rows(6, 1, "mask", "image")
    broken.columns["mask"] = [{"bytes": b"no image", "path": None}]
    hub |= {
        "me/test": {"test": rows(1, 1)},
        "me/two": {"train": rows(1, 1, "left", "right")},
        "me/empty": {"train": empty()},
        "me/broken": {"train": broken},
    }
    with pytest.raises(DataError, match=message):
        unpack(name, tmp_path / "out", **options)


def test_a_folder_with_other_images_is_refused(hub: dict[str, Any], tmp_path: Path) -> None:
    unpack("me/yard", tmp_path)
    hub["me/other"] = {"train": rows(9, 1)}
    with pytest.raises(DataError, match=r"000000\.jpg is another image than row 0 of train.*folder that is empty"):
        unpack("me/other", tmp_path)


def test_without_the_package_its_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'segbench\[huggingface\]'"):
        unpack("me/yard", tmp_path)
