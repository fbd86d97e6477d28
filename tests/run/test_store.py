"""A results folder that cannot be written to: one line, nothing that was measured is lost, and no traceback."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records.record import Record, read, read_all, write
from bench.run import trial as trial_module
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.processes.worker import TrialProcess
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.store import StoreError, remove_unfinished
from bench.run.trial import Trial, make_record, run
from bench.study.source import Source, load

MACHINE = Machine("cpu", 1)


@pytest.fixture
def plan(tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Schedule:
    """A plan whose temporary files are made in the folder ``temporary``."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))  # for processes that a test starts
    schedule = make_schedule(load(Source(str(tiny_study()))), tmp_path / "results", here())
    schedule.folder.mkdir(parents=True, exist_ok=True)
    return schedule


def quality(plan: Schedule) -> Trial:
    return next(trial for trial in plan.trials if trial.stage == "quality")


@pytest.mark.parametrize("broken", ["records", "artifacts", "pictures"])
def test_a_trial_that_is_done_and_cannot_be_stored_is_kept_in_a_temporary_folder(
    broken: str, plan: Schedule, tmp_path: Path
) -> None:
    (plan.folder / broken).touch()
    message = r"the results folder .*tiny cannot be written to \(.*\); make room .* was done just now is in .*unstored-"
    with pytest.raises(StoreError, match=message) as caught:
        run(quality(plan), plan.folder, MACHINE)
    assert "\n" not in str(caught.value)
    (folder,) = (tmp_path / "temporary").glob("bench-unstored-*")
    (path,) = (folder / "records").iterdir()
    record = read(path)
    assert (record.status, record.key) == ("done", quality(plan).key)
    measured = record.measured.as_json()
    assert measured.get("pictures") is None
    with np.load(folder / measured["artifact"]) as arrays:
        assert arrays["confusion"].sum(0).tolist() == measured["confusion"]


def test_where_no_file_can_be_written_at_all_the_reason_is_said(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan.folder / "records").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(plan.folder / "records"))
    with pytest.raises(StoreError, match="run the same command again: trials that are done are kept$"):
        run(quality(plan), plan.folder, MACHINE)


def test_a_log_that_cannot_be_made_stops_before_anything_is_measured(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan.folder / "logs").touch()
    monkeypatch.setattr(trial_module, "_measure", None)
    with pytest.raises(StoreError, match="cannot be written to"):
        run(quality(plan), plan.folder, MACHINE)


def test_a_log_that_cannot_be_written_on_loses_lines_and_not_the_trial(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logging.FileHandler, "flush", full)
    assert run(quality(plan), plan.folder, MACHINE).status == "done"
    assert capfd.readouterr().err == ""


def test_an_interrupted_trial_that_cannot_be_recorded_is_still_interrupted(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    (plan.folder / "records").touch()
    monkeypatch.setattr(trial_module, "_measure", stop)
    with pytest.raises(KeyboardInterrupt):
        run(quality(plan), plan.folder, MACHINE)


def test_a_worker_tells_the_driver_why_nothing_could_be_stored(plan: Schedule) -> None:
    (plan.folder / "records").touch()
    order = {
        "trial": asdict(quality(plan)),
        "folder": str(plan.folder),
        "machine": asdict(MACHINE),
        "handling": Handling(pictures=False).as_values(),
    }
    *_, last = TrialProcess(tuple(sys.path), str(plan.folder)).run(order)
    assert list(last) == ["unstored"]
    assert "cannot be written to" in last["unstored"]


class Display:
    """A display that notes how trials end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: object) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None:
        self.ended.append(record.status)


class Tuned:
    """The part of one of Tune's trials that is read."""

    pickled_error_file = None

    def __init__(self, trial: Trial) -> None:
        self.config = {"trial": asdict(trial)}


def record_of(trial: Trial, status: str) -> Record:
    return make_record(trial, MACHINE, {"status": status, "reason": "x", "traceback": None})


def test_the_driver_stops_the_run_and_ends_what_is_started_where_it_can(plan: Schedule) -> None:
    from bench.run.execute import _raised_as_itself
    from bench.run.processes.watch import StoreFailed, TrialWatch

    display, trial = Display(), quality(plan)
    watch = TrialWatch([trial], plan.folder, MACHINE, display)
    watch.on_trial_start(0, [], Tuned(trial))
    with pytest.raises(StoreError, match="full"), _raised_as_itself():
        watch.on_trial_result(0, [], Tuned(trial), {"unstored": "full"})
    (plan.folder / "records").touch()
    record = record_of(trial, "failed")
    with pytest.raises(StoreFailed) as caught:
        watch.on_trial_result(0, [], Tuned(trial), {"record": record.as_json()})
    assert "cannot be written to" in str(caught.value.error)
    assert display.ended == []


@pytest.mark.parametrize(
    ("earlier", "of_worker", "of_driver", "kept"),
    [
        (None, None, "interrupted", "interrupted"),
        (None, "diverged", "interrupted", "diverged"),
        ("failed", "diverged", "interrupted", "diverged"),
        ("failed", None, "out_of_memory", "out_of_memory"),
        ("out_of_memory", None, "interrupted", "out_of_memory"),
    ],
)
def test_the_record_of_a_trial_is_the_last_word_about_it(
    tmp_path: Path, earlier: str | None, of_worker: str | None, of_driver: str, kept: str
) -> None:
    from bench.run.processes.watch import TrialWatch

    display, trial, folder = (
        Display(),
        Trial(Source(__file__), "baseline", 0, "quality", "0" * 16),
        tmp_path / "records",
    )
    folder.mkdir()
    if earlier is not None:
        os.utime(write(record_of(trial, earlier), folder), (1, 1))
    watch = TrialWatch([trial], tmp_path, MACHINE, display)
    watch.on_trial_start(0, [], Tuned(trial))
    if of_worker is not None:
        write(record_of(trial, of_worker), folder)
    watch.end_all(of_driver, "the run was stopped")
    (path,) = folder.iterdir()
    assert read(path).status == kept
    assert display.ended == [of_worker or of_driver]


@pytest.mark.parametrize("told", ["NVIDIA H200", None])
def test_a_driver_without_a_gpu_records_a_lost_worker_by_the_hardware_that_it_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    from bench.run.processes.watch import TrialWatch

    def no_gpu() -> str:
        raise RuntimeError("Found no NVIDIA driver on your system.")

    monkeypatch.setattr("torch.cuda.get_device_name", no_gpu)
    (tmp_path / "records").mkdir()
    trial = Trial(Source(__file__), "baseline", None, "cost", "0" * 16)
    watch = TrialWatch([trial], tmp_path, Machine("cuda", 26, elsewhere=True), Display())
    watch.on_trial_start(0, [], Tuned(trial))
    watch.on_trial_result(0, [], Tuned(trial), {"device": told})
    watch.on_trial_result(0, [], Tuned(trial), {"event": {"phase": "time", "done": 3, "total": 50, "loss": None}})
    watch.on_trial_error(0, [], Tuned(trial))
    (record,) = read_all(tmp_path / "records")
    assert (record.status, record.outcome.phase) == ("failed", "time at 3/50")
    assert "the worker of the trial was lost in time at 3/50" in str(record.outcome.reason)
    assert record.environment.hardware == (told and f"{told}, 26 threads")
    assert record.key.endswith("-unknown") is (told is None)


def test_what_killed_processes_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    whole = [tmp_path / name for name in ("study.json", "records/k.h.json", "weights/part.part", "logs/k.h.log")]
    half = [tmp_path / name for name in (".study.json.x1.part", "records/.k.h.json.ab12.part", "report/.a.csv.z.part")]
    for path in (*whole, *half):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    remove_unfinished(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(whole)
