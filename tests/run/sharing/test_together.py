"""Runs of two real processes in one results folder, one of them killed: no trial is done twice, and none is lost."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.records.plan.plan import read_plan
from bench.records.record import read_all
from bench.records.results import load
from tests.run.runner import Runner

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.together]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    bench_runner = Runner(tmp_path)
    yield bench_runner
    bench_runner.end()


def ended_by(out: str) -> Counter[str]:
    """Trial -> the number of times that a run's output says that it did it itself."""
    lines = [line for line in out.splitlines() if line.startswith("start ")]
    waits = [line for line in out.splitlines() if line.startswith("waits ")]
    return Counter(line.removeprefix("start  ") for line in lines) - Counter(
        line.removeprefix("waits  ").partition(": another")[0] for line in waits
    )


def test_two_runs_in_one_folder_do_every_trial_once_and_the_last_one_reports(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="60")
    runs = [runner.start("run", study) for _ in range(2)]
    ended = [runner.finish(run) for run in runs]
    assert [code for code, _, _ in ended] == [0, 0], ended
    folder = runner.results / "tiny"
    assert list(load(folder).frame()["status"]) == ["done"] * 6
    logs = [path.read_text() for path in (folder / "logs").iterdir()]
    assert len(logs) == 6
    assert [text.count("done after") for text in logs] == [1] * 6, "each trial was done once"
    reports = [out.count("Report: ") for _, out, _ in ended]
    assert sum(reports) >= 1, ended
    assert not (folder / ".claims").exists()


def test_two_runs_of_other_seeds_plan_all_of_them_at_any_time(runner: Runner, tiny_study: Callable[..., Path]) -> None:
    study = tiny_study(iterations="300")
    folder = runner.results / "tiny"
    first = runner.start("run", study, "--seeds", "0,1")
    runner.wait_for_log("tiny", "quality on")
    second = runner.start("run", study, "--seeds", "2")
    seeds: set[int] = set()
    deadline = time.monotonic() + 300
    while not {0, 1, 2} <= seeds:
        assert first.poll() is None, "the first run is at work while the second one plans"
        assert time.monotonic() < deadline
        time.sleep(0.05)  # polls another process; nothing to wait on
        seeds = {trial.seed for trial in read_plan(folder).trials if trial.seed is not None}
        assert {0, 1} <= seeds, "the plan of the first run stays"
    ended = [runner.finish(run) for run in (first, second)]
    assert [code for code, _, _ in ended] == [0, 0], ended
    results = load(folder)
    assert sorted(results.plan.seeds) == [0, 1, 2]
    assert list(results.frame()["status"]) == ["done"] * 8
    assert not results.stale
    assert "--seeds 0,1,2" in results.plan.command


def test_a_run_takes_over_the_trials_of_one_that_was_killed_beside_it(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="400")
    first = runner.start("run", study)
    runner.wait_for_log("tiny", "train")
    second = runner.start("run", study)
    runner.wait_for_records("tiny", 3)
    os.kill(first.pid, signal.SIGKILL)
    runner.finish(first)
    code, out, err = runner.finish(second)
    assert code == 0, out + err
    folder = runner.results / "tiny"
    assert [record.status for record in read_all(folder / "records")] == ["done"] * 6
    assert "Report: " in out
    assert not (folder / ".claims").exists()
    done = {path.name: path.read_text().count("done after") for path in (folder / "logs").iterdir()}
    assert set(done.values()) == {1}, done


def test_shares_run_at_once_and_one_that_sigterm_stops_asks_for_a_requeue_and_goes_on(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="3000")
    study.write_text(study.read_text() + '\nSTUDY = STUDY.having(stages=("quality",))\n')
    first = runner.start("run", study, "--shard", "1/2")
    runner.wait_for_log("tiny", "train")  # so that there is a state to keep
    second = runner.start("run", study, "--shard", "2/2")
    first.terminate()
    code, out, err = runner.finish(first)
    assert code == 75, out + err
    assert err == ""
    assert "0 of 2 trials of share 1/2 done, 2 to run." in out
    assert "Report: " not in out
    folder = runner.results / "tiny"
    code, out, err = runner.finish(second)
    assert code == 0, out + err
    by_status = Counter(record.status for record in read_all(folder / "records"))
    assert by_status["done"] == 2
    assert by_status["interrupted"] >= 1
    assert len(list((folder / "checkpoints").iterdir())) >= 1, "the training that was stopped has kept its state"
    code, out, err = runner.run("run", study, "--shard", "1/2")
    assert code == 0, out + err
    results = load(folder)
    assert list(results.frame()["status"]) == ["done"] * 4
    assert any(record.measured.as_json()["resumed_after"] for record in results.records)
    assert "--shard" not in results.plan.command
    assert "Report: " in out
