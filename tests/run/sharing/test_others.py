"""The end of a trial that another run has: told once it is recorded, and run here if that run gave it up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.record import Record, read, record_files, write
from bench.run import execute as execution
from bench.run.handling import Handling
from bench.run.resources import Resources
from bench.run.sharing.claims import Claim, take
from bench.run.sharing.others import ended_since, of_trial, seen
from bench.run.trial import Trial
from bench.study.source import Source

RESOURCES = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)


class Told:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: object) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None:
        self.ended.append(trial.key)


def record_of(folder: Path, key: str) -> Path:
    return next(path for path in record_files(folder / "records") if read(path).key == key)


def test_a_trial_has_ended_once_another_run_has_a_new_record_that_is_no_interruption(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    folder = planted_results(tmp_path)
    before = of_trial(seen(folder), "q0s0")
    path = record_of(folder, "q0s0")
    assert list(before) == [path.name]
    assert ended_since(folder, "q0s0", before) is None
    record = read(path)
    stopped = record.having(outcome={"status": "interrupted"}, measured={})
    other = stopped.having(environment={**record.environment.as_json(), "host": "bbbb2222"})
    write(other, folder / "records")
    assert ended_since(folder, "q0s0", before) is None
    failed = other.having(outcome={"status": "failed", "reason": "it raised"})
    write(failed, folder / "records")
    assert ended_since(folder, "q0s0", before) == failed
    (folder / "records" / "q0s0.cccc3333.json").write_text("half a")
    assert ended_since(folder, "q0s0", of_trial(seen(folder), "q0s0")) is None
    assert of_trial(seen(folder), "q0") == {}, "a key is no beginning of another one"


def test_timings_count_for_their_class_of_hardware(tmp_path: Path, planted_results: Callable[..., Path]) -> None:
    folder = planted_results(tmp_path)
    record = read(record_of(folder, "c0"))
    for end in ("-1111", "-2222"):
        write(record.having(key=f"c0{end}"), folder / "records")
    host = record.environment.host
    assert set(of_trial(seen(folder), "c0-1111")) == {f"c0-1111.{host}.json"}
    assert set(of_trial(seen(folder), "c0")) == {f"c0.{host}.json", f"c0-1111.{host}.json", f"c0-2222.{host}.json"}


def test_trials_of_another_run_are_awaited_and_those_that_it_gives_up_are_free(
    tmp_path: Path, planted_results: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted_results(tmp_path)
    record, before = read(record_of(folder, "q0s0")), seen(folder)
    trials = [Trial(Source("s.py"), "v", seed, "quality", f"q0s{seed}") for seed in range(2)]
    claims = [claim for trial in trials if isinstance(claim := take(folder, trial.key, "other"), Claim)]
    assert len(claims) == 2
    told, looks = Told(), 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:  # the other run ends one of them
            changed = record.having(outcome={**record.outcome.as_json(), "wall_s": 2.5})
            write(changed, folder / "records")
            claims[0].release()
        else:  # and gives up the other one
            claims[1].release()

    monkeypatch.setattr(execution.time, "sleep", wait)
    batches = execution._Batches(folder, RESOURCES, told, tmp_path, Handling(), "me")
    assert batches.given_up(trials, before) == ([trials[1]], [])
    assert told.ended == ["q0s0"]
    assert looks == 2
