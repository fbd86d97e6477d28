"""The lock of a results folder, and what is refused while a run is at work in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.cli.trials import lock
from bench.cli.trials.lock import alone, at_work, claimed, locked
from bench.cli.trials.planning import command_line
from bench.run.sharing.claims import FOLDER
from bench.study.factors import StudyError


def test_records_are_not_removed_while_a_run_is_at_work(tmp_path: Path) -> None:
    with (
        at_work(tmp_path),
        pytest.raises(StudyError, match=rf"another run is at work in .* \(process {os.getpid()} on "),
        alone(tmp_path),
    ):
        pytest.fail("a run is at work")
    with alone(tmp_path):
        assert (tmp_path / FOLDER).exists()
    assert not (tmp_path / FOLDER).exists()


def test_the_run_that_leaves_last_is_told_so(tmp_path: Path) -> None:
    with at_work(tmp_path) as first, at_work(tmp_path) as second, locked(tmp_path, first.run):
        assert len(first.leave()) == 1
        assert second.leave() == []
    assert not (tmp_path / FOLDER).exists()


def test_a_lock_that_another_run_holds_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 0.0)
    monkeypatch.setattr(lock, "LOOK_EVERY_S", 0.001)
    with locked(tmp_path), pytest.raises(StudyError, match="another run holds the lock"), locked(tmp_path):
        pytest.fail("the lock is held")
    with locked(tmp_path):
        pass


def test_a_trial_that_a_run_has_is_refused(tmp_path: Path) -> None:
    with (
        claimed(tmp_path, "trial", "one"),
        pytest.raises(StudyError, match="another run is at work on this trial"),
        claimed(tmp_path, "trial", "two"),
    ):
        pytest.fail("another run has the trial")


def test_the_command_in_a_plan_names_no_share() -> None:
    whole = "bench run study.py --seeds 0,1"
    assert command_line(["/bin/bench", "run", "--shard", "3/16", "study.py", "--seeds", "0,1"]) == whole
    assert command_line(["/bin/bench", "run", "study.py", "--shard=3/16", "--seeds", "0,1"]) == whole
