"""Scratch folders: a run removes its own and those of runs that were killed, and never another's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.run.processes import scratch
from bench.run.processes.scratch import MARKER, scratch_folder, sweep

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
