"""Scratch folders: a run removes its own and those of runs that were killed, and never another's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.run.processes import scratch
from bench.run.processes.scratch import MARKER, REMAINS_S, scratch_folder, sweep

KILLED = """
import os, sys
from pathlib import Path
from bench.run.processes.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "session").mkdir()
    os.kill(os.getpid(), 9)
"""


def test_a_run_removes_its_folder(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "log").write_text("x")
        (folder / "session").mkdir()
        for name in ("a_session", "session_latest", "the_session"):  # before or after it, whatever the order of files
            (folder / name).symlink_to(folder / "session")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_run_goes_with_the_next_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / MARKER).exists()
    with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_a_dying_process_still_writes_into_goes_with_the_run_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()

    def removed_too_early(path: Path, **options: bool) -> None:
        (left / "session" / "worker.log").write_text("last words")

    with monkeypatch.context() as patched:
        patched.setattr(scratch.shutil, "rmtree", removed_too_early)
        sweep(tmp_path)
    assert (left / "session" / "worker.log").exists()
    sweep(tmp_path)
    assert not left.exists()


def test_what_a_dying_worker_made_again_of_a_removed_folder_is_removed_once_it_is_old(tmp_path: Path) -> None:
    session = tmp_path / "bench-123-abcdefgh" / "session_2026-11-30_02-58-03_568404_123"
    (session / "logs" / "old").mkdir(parents=True)
    (session.parent / "session_latest").symlink_to(session)
    sweep(tmp_path)
    assert session.exists(), "it may still be made"
    long_ago = time.time() - 2 * REMAINS_S
    for path in (*session.parent.rglob("*"), session.parent):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["bench-123-abcdefgh/data", "bench-unstored-abcdefgh/session_1", "bench-123-abc/", "bench-2024-06/session_1"],
)
def test_an_old_folder_with_anything_else_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    long_ago = time.time() - 2 * REMAINS_S
    for path in tmp_path.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    sweep(tmp_path)
    assert (tmp_path / name).is_dir()


def test_the_folder_of_a_living_run_stays_whatever_its_process_id_says(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as first:
        renamed = first.rename(tmp_path / "bench-999999999-other")  # a process id of another container's
        with scratch_folder(tmp_path):
            assert (renamed / MARKER).exists()
        renamed.rename(first)


@pytest.mark.parametrize("name", ["bench-1234-results", "bench-999999999-mine", "bench-2024-06"])
def test_a_folder_without_our_marker_is_nobody_elses_to_remove(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("years of work")
    with scratch_folder(tmp_path):
        pass
    assert (tmp_path / name / "thesis.txt").read_text() == "years of work"
