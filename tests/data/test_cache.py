"""What is kept: samples up to a bound, label digests for as long as the file is the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.data.base import Sample
from bench.data.cache import Remembered
from bench.data.camvid import CamVid


@pytest.fixture
def copy(camvid_like: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(camvid_like, tmp_path / "copy"))


@pytest.fixture
def read_labels(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Grows by each label file whose bytes are read."""
    read: list[Path] = []
    read_bytes: Callable[[Path], bytes] = Path.read_bytes

    def noting(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noting)
    return read


def test_samples_are_read_once_until_the_bound_and_anew_beyond_it() -> None:
    read: list[int] = []

    def load(index: int) -> Sample:
        read.append(index)
        return Sample(torch.full((3, 4, 5), index), torch.zeros(4, 5, dtype=torch.uint8), str(index))

    one = load(0)
    split = Remembered(4, load, keep_bytes=2 * (one.image.nbytes + one.label.nbytes))
    read.clear()
    for _ in range(3):
        assert [int(split[index].image[0, 0, 0]) for index in range(4)] == [0, 1, 2, 3]
    assert read == [0, 1, 2, 3, 2, 3, 2, 3]


@pytest.mark.parametrize("index", [-1, 24])
def test_an_index_outside_the_split_is_an_error(camvid_like: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"sample {index} of a split of 24; allowed are 0 to 23"):
        CamVid(camvid_like).split("train")[index]


def test_a_copy_elsewhere_has_the_same_fingerprint(camvid_like: Path, copy: Path, tmp_path: Path) -> None:
    here = CamVid(camvid_like).fingerprint()
    assert CamVid(copy).fingerprint() == here
    assert CamVid(copy).fingerprint(tmp_path / "digests.json") == here


def _same_size_other_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda f: _same_size_other_bytes(f / "labels/val/val_0003.png"),
        lambda f: (f / "images/val/val_0003.jpg").write_bytes(b"of another size"),
        lambda f: [(f / p).unlink() for p in ("images/test/test_0007.jpg", "labels/test/test_0007.png")],
        lambda f: [
            (f / p.format(3)).rename(f / p.format(9)) for p in ("images/val/val_000{}.jpg", "labels/val/val_000{}.png")
        ],
    ],
    ids=["label bytes", "image size", "a pair less", "other names"],
)
def test_the_fingerprint_notices(change: Callable[[Path], object], cached: bool, copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "digests.json" if cached else None
    before = CamVid(copy).fingerprint(cache)
    change(copy)
    # A file system's clock may be coarse: make sure that the change shows in the time, as it does between two commands.
    os.utime(copy / "labels/val/val_0004.png", ns=(1, 1))
    label = copy / "labels/val/val_0003.png"
    if label.exists():
        os.utime(label, ns=(2, 2))
    assert CamVid(copy).fingerprint(cache) != before


def test_a_second_call_reads_no_label_again(copy: Path, tmp_path: Path, read_labels: list[Path]) -> None:
    cache = tmp_path / "results" / "digests.json"
    first = CamVid(copy).fingerprint(cache)
    assert len(read_labels) == 40
    assert CamVid(copy).fingerprint(cache) == first
    assert len(read_labels) == 40


def test_without_a_cache_file_the_process_remembers(copy: Path, read_labels: list[Path]) -> None:
    first = CamVid(copy).fingerprint()
    assert len(read_labels) == 40
    assert CamVid(copy).fingerprint() == first
    assert len(read_labels) == 40


def test_only_a_changed_label_is_read_again(copy: Path, tmp_path: Path, read_labels: list[Path]) -> None:
    cache, label = tmp_path / "digests.json", copy / "labels/val/val_0003.png"
    CamVid(copy).fingerprint(cache)
    read_labels.clear()
    os.utime(label, ns=(3, 3))
    CamVid(copy).fingerprint(cache)
    assert read_labels == [label]


def test_one_cache_serves_two_folders_and_names_neither(
    copy: Path, camvid_like_segnet: Path, tmp_path: Path, read_labels: list[Path]
) -> None:
    cache = tmp_path / "digests.json"
    expected = [CamVid(folder).fingerprint(cache) for folder in (copy, camvid_like_segnet)]
    read_labels.clear()
    assert [CamVid(folder).fingerprint(cache) for folder in (copy, camvid_like_segnet)] == expected
    assert not read_labels
    assert str(tmp_path) not in cache.read_text()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', "\x00"])
def test_a_damaged_cache_is_made_anew(content: str, copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "digests.json"
    cache.write_text(content)
    assert CamVid(copy).fingerprint(cache) == CamVid(copy).fingerprint()
    assert isinstance(json.loads(cache.read_text()), dict)


def test_nothing_is_left_beside_the_data_or_the_cache(copy: Path, tmp_path: Path) -> None:
    before = sorted(copy.rglob("*"))
    CamVid(copy).fingerprint(tmp_path / "cache" / "digests.json")
    CamVid(copy).fingerprint()
    assert sorted(copy.rglob("*")) == before
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["digests.json"]
