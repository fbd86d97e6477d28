"""Decoded samples are those that decoding gives, whatever happens to the files, the folder and the processes."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from bench.data import CamVid, Synthetic
from bench.data.base import DataError, Sample
from bench.data.decoded import build as build_module
from bench.data.decoded import shelf as shelf_module
from bench.data.decoded.build import CacheError, fill, needed
from bench.data.decoded.dataset import DecodedSplit, decoded
from bench.data.decoded.place import cache_folder
from bench.data.decoded.shelf import Shelf
from bench.data.paired import PairedFiles
from bench.study.source import Source, load


@pytest.fixture
def copy(camvid_like: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(camvid_like, tmp_path / "copy"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of each sample that is decoded."""
    names: list[str] = []
    read = PairedFiles.read

    def noting(self: PairedFiles, pair: Any) -> Sample:
        sample = read(self, pair)
        names.append(sample.name)
        return sample

    monkeypatch.setattr(PairedFiles, "read", noting)
    return names


def split_of(folder: Path, shelf: Shelf, name: Any = "train") -> DecodedSplit:
    dataset = decoded(CamVid(folder), shelf)
    assert dataset is not None
    split = dataset.decoded_split(name)
    assert split is not None
    return split


def same(one: Sample, other: Sample) -> bool:
    return one.name == other.name and torch.equal(one.image, other.image) and torch.equal(one.label, other.label)


def files_in(shelf: Shelf) -> list[Path]:
    return sorted(path for path in shelf.folder.rglob("*") if path.is_file())


def test_samples_are_those_of_the_files_and_are_decoded_once(copy: Path, shelf: Shelf, decodes: list[str]) -> None:
    plain = [CamVid(copy).split("train")[index] for index in range(24)]
    decodes.clear()
    first, second = split_of(copy, shelf), split_of(copy, Shelf(shelf.folder))
    fill([first], shelf, 2)
    assert len(decodes) == 24
    for split in (first, second, first):
        assert len(split) == 24
        assert all(same(split[index], plain[index]) for index in range(24))
    assert len(decodes) == 24


def test_a_sample_that_is_not_there_is_decoded_when_it_is_read(copy: Path, shelf: Shelf, decodes: list[str]) -> None:
    split = split_of(copy, shelf)
    assert same(split[3], CamVid(copy).split("train")[3])
    decodes.clear()
    assert same(split[3], split_of(copy, Shelf(shelf.folder))[3])
    assert decodes == []


@pytest.mark.parametrize("index", [-1, 24])
def test_an_index_outside_the_split_is_an_error(copy: Path, shelf: Shelf, index: int) -> None:
    with pytest.raises(IndexError, match=f"sample {index} of a split of 24; allowed are 0 to 23"):
        split_of(copy, shelf)[index]


def test_the_need_is_told_before_and_after(copy: Path, shelf: Shelf) -> None:
    splits = [split_of(copy, shelf), split_of(copy, shelf, "val")]
    before = needed(splits, shelf)
    assert (before.samples, before.missing, before.bytes) == (32, 32, before.missing_bytes)
    assert not shelf.folder.exists()
    fill(splits[:1], shelf, 1)
    between = needed(splits, shelf)
    assert (between.missing, between.missing_bytes) == (8, before.bytes // 4)
    fill(splits, shelf, 1)
    after = needed(splits, shelf)
    assert (after.samples, after.missing, after.missing_bytes) == (32, 0, 0)
    assert after.bytes == shelf.stock().bytes == sum(path.stat().st_size for path in files_in(shelf))
    assert abs(after.bytes - before.bytes) <= 32 * 64


def test_a_file_that_changes_is_decoded_anew(copy: Path, shelf: Shelf) -> None:
    fill([split_of(copy, shelf)], shelf, 1)
    path = copy / "images/train/train_0003.jpg"
    Image.fromarray(np.full((72, 96, 3), 7, dtype=np.uint8)).save(path)
    split = split_of(copy, shelf)
    assert needed([split], shelf).missing == 1
    assert split[3].image.unique().tolist() == [7]
    assert same(split[2], CamVid(copy).split("train")[2])


def test_a_file_that_changes_under_a_split_is_not_kept(copy: Path, shelf: Shelf) -> None:
    split = split_of(copy, shelf)
    Image.fromarray(np.full((72, 96), 1, dtype=np.uint8)).save(copy / "labels/train/train_0003.png")
    assert split[3].label.unique().tolist() == [1]
    assert shelf.stock().samples == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda copy: (copy / "labels/train/train_0005.png").write_bytes(b"no image"),
        lambda copy: (copy / "labels/train/train_0005.png").unlink(),
    ],
    ids=["damaged", "gone"],
)
def test_a_file_that_cannot_be_used_is_named(change: Callable[[Path], Any], copy: Path, shelf: Shelf) -> None:
    change(copy)
    with pytest.raises(DataError, match=r"train_0005\.png"):
        fill([split_of(copy, shelf)], shelf, 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        lambda content: content[:33] + bytes([content[33] ^ 1]) + content[34:],
        lambda content: bytes(len(content)),
    ],
    ids=["shorter", "head only", "empty", "longer", "a bit of a label", "a bit of the name", "zeros"],
)
def test_a_damaged_file_is_decoded_anew(damage: Callable[[bytes], bytes], copy: Path, shelf: Shelf) -> None:
    fill([split_of(copy, shelf)], shelf, 1)
    split = split_of(copy, Shelf(shelf.folder))
    path = next(path for path in files_in(shelf) if path.name == split.keys[4])
    path.write_bytes(damage(path.read_bytes()))
    assert same(split[4], CamVid(copy).split("train")[4])
    assert same(split_of(copy, Shelf(shelf.folder))[4], split[4])
    assert Shelf(shelf.folder).get(split.keys[4]) is not None


def test_writing_into_a_sample_changes_it_for_nobody_else(copy: Path, shelf: Shelf) -> None:
    fill([split_of(copy, shelf)], shelf, 1)
    split_of(copy, Shelf(shelf.folder))[0].image.zero_()
    assert same(split_of(copy, Shelf(shelf.folder))[0], CamVid(copy).split("train")[0])


FILLER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from bench.data import CamVid
from bench.data.decoded.build import fill
from bench.data.decoded.dataset import decoded
from bench.data.decoded.shelf import Shelf
from bench.data.paired import PairedFiles
from bench.study.source import Source, load

def told(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

read, delay_s = PairedFiles.read, float(sys.argv[3])
PairedFiles.read = lambda self, pair: (told("decoding"), time.sleep(delay_s), read(self, pair))[-1]
shelf = Shelf(Path(sys.argv[2]))
told("ready")
sys.stdin.readline()
fill([decoded(CamVid(Path(sys.argv[1])), shelf).decoded_split("train")], shelf, 2)
"""


def filler(copy: Path, shelf: Shelf, delay_s: float) -> subprocess.Popen[str]:
    """A process that is ready to fill a shelf once it gets a line; it prints one for each sample that it decodes."""
    command = [sys.executable, "-c", FILLER, str(copy), str(shelf.folder), str(delay_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_that_fill_one_shelf_share_the_work_and_a_kill_leaves_nothing_damaged(
    copy: Path, shelf: Shelf
) -> None:
    fillers = [filler(copy, shelf, 0.02) for _ in range(3)]
    for process in fillers:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    victim, *others = fillers
    assert victim.stdout is not None
    assert victim.stdout.readline() == "decoding\n"
    victim.send_signal(signal.SIGKILL)
    decodings = [process.communicate(timeout=120)[0].count("decoding") for process in others]
    victim.communicate()
    assert [process.returncode for process in fillers] == [-signal.SIGKILL, 0, 0]
    assert sum(decodings) < 2 * 24
    split = split_of(copy, shelf)
    assert all(shelf.get(key) is not None for key in split.keys)
    assert all(same(split[index], CamVid(copy).split("train")[index]) for index in range(24))


def test_unfinished_files_are_no_samples_and_are_swept_away_when_they_are_old(copy: Path, shelf: Shelf) -> None:
    split = split_of(copy, shelf)
    fill([split], shelf, 1)
    folder = files_in(shelf)[0].parent
    young, old = folder / f"{'a' * 64}.1.b{shelf_module.UNFINISHED}", folder / f"c.1.d{shelf_module.UNFINISHED}"
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * shelf_module.ABANDONED_S))
    assert shelf.stock().samples == 24
    fill([split], shelf, 1)
    assert (young.exists(), old.exists()) == (True, False)


def test_a_disk_without_the_room_is_told_before_anything_is_decoded(
    copy: Path, shelf: Shelf, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(CacheError, match=r"cache has 0\.0 GB free, and 0\.0 GB are needed"):
        fill([split_of(copy, shelf)], shelf, 1)
    assert decodes == []


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when a decoded sample has been written."""

    def refuse(*paths: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shelf_module.os, "replace", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_up_is_told_and_samples_are_decoded_all_the_same(
    copy: Path, shelf: Shelf, decodes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    split = split_of(copy, shelf)
    with pytest.raises(CacheError, match="No space left on device"):
        fill([split], shelf, 2)
    plain = CamVid(copy).split("train")
    assert all(same(split[index], plain[index]) for _ in range(2) for index in range(24))
    assert caplog.text.count("no decoded samples are kept") == 1
    decodes.clear()
    assert all(same(split[index], plain[index]) for index in range(24))
    assert decodes == []  # they are kept in memory, as without a cache
    assert files_in(shelf) == []


def test_a_folder_that_cannot_be_written_to_is_told_and_samples_are_decoded_all_the_same(
    copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    shelf = Shelf(tmp_path / "file" / "cache")
    split = split_of(copy, shelf)
    with pytest.raises(CacheError, match="cannot be written to"):
        fill([split], shelf, 1)
    assert same(split[0], CamVid(copy).split("train")[0])


def test_a_full_shelf_that_cannot_be_written_to_is_read(copy: Path, shelf: Shelf, decodes: list[str]) -> None:
    fill([split_of(copy, shelf)], shelf, 1)
    folders = [shelf.folder, *(path for path in shelf.folder.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    decodes.clear()
    split = split_of(copy, Shelf(shelf.folder))
    fill([split], shelf, 1)
    assert len([split[index] for index in range(24)]) == 24
    assert decodes == []
    for folder in folders:
        folder.chmod(0o755)


def test_eviction_takes_all_or_the_samples_of_one_data_set(copy: Path, shelf: Shelf) -> None:
    train, val = split_of(copy, shelf), split_of(copy, shelf, "val")
    fill([train, val], shelf, 1)
    in_use = train[0]
    assert shelf.evict(val.keys).samples == 8
    assert shelf.stock().samples == 24
    assert shelf.evict().samples == 24
    assert files_in(shelf) == []
    assert same(in_use, CamVid(copy).split("train")[0])


def test_data_sets_without_files_and_classes_of_ones_own_are_left_alone(copy: Path, shelf: Shelf) -> None:
    class Mine(CamVid):
        pass

    assert decoded(Synthetic(None), shelf) is None
    assert decoded(Mine(copy), shelf) is None


def test_the_folder_is_the_options_then_the_environments_then_the_users(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert cache_folder(Path("here"), {"BENCH_CACHE": "/there"}) == Path("here").absolute()
    assert cache_folder(None, {"BENCH_CACHE": "/there", **home}) == Path("/there")
    assert cache_folder(None, {"BENCH_CACHE": "off", **home}) is None
    assert cache_folder(None, {"XDG_CACHE_HOME": "/caches", **home}) == Path("/caches/bench")
    assert cache_folder(None, {"XDG_CACHE_HOME": "not/absolute", **home}) == tmp_path / ".cache/bench"
    assert cache_folder(None, home) == tmp_path / ".cache/bench"


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "/nonexistent"}])
def test_a_user_without_a_home_has_a_folder_among_the_temporary_files(
    home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder(None, home)
    assert folder == tmp_path / f"bench-cache-{os.getuid()}"
    folder.mkdir()
    assert cache_folder(None, home) == folder
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (tmp_path / "bench-cache-12345").symlink_to(folder)
    assert cache_folder(None, home) is None


def check(folder: Path, shelf: Shelf, tmp_path: Path) -> None:
    """The check before a run of a study on CamVid."""
    study = tmp_path / "study.py"
    study.write_text(
        "from bench import Factor, Recipe, Study, Variant, change, part\n"
        "from bench.data import CamVid\n"
        "from bench.network import FCNHead, ResNet, SegmentationLoss\n"
        "STUDY = Study('s', '?', Variant(part(ResNet), part(FCNHead), losses=(part(SegmentationLoss),)),\n"
        "    (Factor('head', {'fcn': change(), 'wide': change(head=part(FCNHead, width=8))}),), {'head': 'fcn'},\n"
        "    Recipe(data=part(CamVid), crop_px=(32, 32), iterations=1, batch=2), seeds=(0,))\n"
    )
    load(Source(str(study), data=f"camvid={folder}")).check_data(shelf, tmp_path / "digests.json")


def test_the_check_before_a_run_decodes_no_file_whose_sample_is_there(
    copy: Path, shelf: Shelf, tmp_path: Path, decodes: list[str]
) -> None:
    check(copy, shelf, tmp_path)
    assert len(set(decodes)) == 32
    assert files_in(shelf) == [], "a check puts nothing there"
    for name in ("train", "val"):
        fill([split_of(copy, shelf, name)], shelf, 2)
    names = {split: [sample.name for sample in CamVid(copy).split(split)] for split in ("train", "val")}
    looked_at = {names["train"][0], names["train"][-1], names["val"][0], names["val"][-1]}
    decodes.clear()
    check(copy, shelf, tmp_path)
    assert set(decodes) == looked_at


@pytest.mark.parametrize("kind", ["images", "labels"])
@pytest.mark.parametrize("restored", [False, True])
def test_the_check_decodes_a_file_that_changed_since(
    copy: Path, shelf: Shelf, tmp_path: Path, kind: str, restored: bool
) -> None:
    for name in ("train", "val"):
        fill([split_of(copy, shelf, name)], shelf, 2)
    check(copy, shelf, tmp_path)
    path = sorted((copy / kind / "train").iterdir())[5]
    before, content = path.stat(), bytearray(path.read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(content)
    if restored:  # of the same size, and with its former time
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=re.escape(str(path))):
        check(copy, shelf, tmp_path)


def test_the_check_sees_files_that_are_no_part_of_any_sample(copy: Path, shelf: Shelf, tmp_path: Path) -> None:
    for name in ("train", "val"):
        fill([split_of(copy, shelf, name)], shelf, 2)
    (copy / "images" / "train" / "left_out.tif").touch()
    with pytest.raises(DataError, match=r"left_out\.tif"):
        check(copy, shelf, tmp_path)


def test_what_one_study_lets_pillow_accept_is_no_sample_of_another(
    copy: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sorted((copy / "images" / "train").iterdir())[0]
    path.write_bytes(path.read_bytes()[:-200])
    with monkeypatch.context() as lenient:
        lenient.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        assert split_of(copy, shelf)[0]
    with pytest.raises(DataError, match=re.escape(str(path))):
        _ = split_of(copy, shelf)[0]
