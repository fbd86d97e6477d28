"""Samples are kept up to a bound, and digests of files for as long as the file is the same."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.data import cache as cache_module
from bench.data.base import DataError, Sample
from bench.data.cache import Remembered
from bench.data.camvid import CamVid

CLOCK_S = 0.02
"""The least time between two changes of a file that its times show."""


@pytest.fixture
def copy(camvid_like: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(camvid_like, tmp_path / "copy"))


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Grows by each image or label file whose bytes are read."""
    read: list[Path] = []
    digest: Callable[[Path], str] = cache_module._digest

    def noting(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(cache_module, "_digest", noting)
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
        lambda f: _same_size_other_bytes(f / "images/val/val_0003.jpg"),
        lambda f: (f / "images/val/val_0003.jpg").write_bytes(b"of another size"),
        lambda f: [(f / p).unlink() for p in ("images/test/test_0007.jpg", "labels/test/test_0007.png")],
        lambda f: [
            (f / p.format(3)).rename(f / p.format(9)) for p in ("images/val/val_000{}.jpg", "labels/val/val_000{}.png")
        ],
    ],
    ids=["label bytes", "image bytes", "image size", "a pair less", "other names"],
)
def test_the_fingerprint_notices(change: Callable[[Path], object], cached: bool, copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "digests.json" if cached else None
    before = CamVid(copy).fingerprint(cache)
    time.sleep(CLOCK_S)
    change(copy)
    assert CamVid(copy).fingerprint(cache) != before


def test_a_second_call_reads_no_file_again(copy: Path, tmp_path: Path, read_files: list[Path]) -> None:
    cache = tmp_path / "results" / "digests.json"
    first = CamVid(copy).fingerprint(cache)
    assert len(read_files) == 80
    assert CamVid(copy).fingerprint(cache) == first
    assert len(read_files) == 80


def test_without_a_cache_file_the_process_remembers(copy: Path, read_files: list[Path]) -> None:
    first = CamVid(copy).fingerprint()
    assert len(read_files) == 80
    assert CamVid(copy).fingerprint() == first
    assert len(read_files) == 80


def test_only_a_changed_file_is_read_again(copy: Path, tmp_path: Path, read_files: list[Path]) -> None:
    cache, label = tmp_path / "digests.json", copy / "labels/val/val_0003.png"
    CamVid(copy).fingerprint(cache)
    read_files.clear()
    os.utime(label, ns=(3, 3))
    CamVid(copy).fingerprint(cache)
    assert read_files == [label]


def test_one_cache_serves_two_folders_and_names_neither(
    copy: Path, camvid_like_segnet: Path, tmp_path: Path, read_files: list[Path]
) -> None:
    cache = tmp_path / "digests.json"
    expected = [CamVid(folder).fingerprint(cache) for folder in (copy, camvid_like_segnet)]
    read_files.clear()
    assert [CamVid(folder).fingerprint(cache) for folder in (copy, camvid_like_segnet)] == expected
    assert not read_files
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


@pytest.mark.parametrize("cached", [True, False])
def test_an_edit_that_keeps_the_size_and_sets_the_time_back_is_noticed(
    cached: bool, copy: Path, tmp_path: Path
) -> None:
    cache, image = tmp_path / "digests.json" if cached else None, copy / "images/train/train_0001.jpg"
    before, status = CamVid(copy).fingerprint(cache), image.stat()
    time.sleep(CLOCK_S)
    _same_size_other_bytes(image)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert CamVid(copy).fingerprint(cache) != before


def test_a_folder_that_cannot_be_written_to_has_no_cache(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert CamVid(copy).fingerprint(tmp_path / "file" / "digests.json") == CamVid(copy).fingerprint()


def test_a_file_that_is_gone_is_named(copy: Path) -> None:
    image = copy / "images/train/train_0001.jpg"
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read \(No such file or directory\); get the file again"):
        cache_module.fingerprint(copy, [image, copy / "gone.jpg"], [])


def test_accents_may_be_composed_or_not_and_spaces_and_strange_bytes_may_be_in_names(tmp_path: Path) -> None:
    digests = []
    for name in ("K\u00f6ln am Rhein.png", "Ko\u0308ln am Rhein.png"):
        (tmp_path / name).write_bytes(b"1")
        digests.append(cache_module.fingerprint(tmp_path, [tmp_path / name], []))
    assert digests[0] == digests[1]
    other = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    other.write_bytes(b"1")
    assert cache_module.fingerprint(tmp_path, [other], []) not in digests
