"""Runs on Ray Tune, as a user starts them: a process of its own, killed, stopped, crowded and fed bad studies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records.record import read_all
from bench.records.results import load
from tests.run.runner import Runner

pytestmark = pytest.mark.xdist_group("ray")  # one cluster at a time: each takes every core


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    bench_runner = Runner(tmp_path)
    yield bench_runner
    bench_runner.end()


def test_a_run_ends_with_every_trial_done_and_a_page_and_leaves_nothing_else(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="4")
    study.write_text(study.read_text() + "\nSTUDY = STUDY.having(seeds=(0,))\n")
    run = runner.start("run", study)
    code, out, err = runner.finish(run)
    assert code == 0, out + err
    assert err == ""
    for noise in ("ray", "Ray", "tune", "Trial", "WARNING", "dashboard"):
        assert noise not in out.replace(str(runner.results), ""), out
    folder = runner.results / "tiny"
    assert list(load(folder).frame()["status"]) == ["done"] * 4
    assert (folder / "report" / "index.html").stat().st_size > 10**6
    assert len(list((folder / "artifacts").glob("*.predictions.zip"))) == 2
    assert {path.stem for path in (folder / "logs").iterdir()} == {Path(name).stem for name in runner.records("tiny")}
    assert list(runner.home.iterdir()) == []
    assert list(Path("/tmp").glob(f"bench-{run.pid}-*")) == []


def test_ctrl_c_stops_quietly_and_names_what_is_left_to_run(runner: Runner, tiny_study: Callable[..., Path]) -> None:
    study = tiny_study(iterations="20000")  # longer than this test
    study.write_text(study.read_text() + '\nSTUDY = STUDY.having(stages=("quality",), seeds=(0,))\n')
    first = runner.start("run", study)
    runner.wait_for_log("tiny", "train")
    os.killpg(first.pid, signal.SIGINT)
    code, out, err = runner.finish(first)
    assert code == 130, out + err
    assert err == ""
    assert "Run the same command again to go on" in out
    assert "Traceback" not in out + err
    statuses = [record.status for record in read_all(runner.results / "tiny" / "records")]
    assert "interrupted" in statuses
    code, out, err = runner.run("plan", study)
    assert code == 0, out + err
    assert "0 of 2 trials done, 2 to run" in out


def test_sigterm_stops_a_run_as_ctrl_c_does_with_a_status_of_its_own(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="20000")  # longer than this test
    study.write_text(study.read_text() + '\nSTUDY = STUDY.having(stages=("quality",), seeds=(0,))\n')
    run = runner.start("run", study)
    runner.wait_for_log("tiny", "train")
    run.terminate()
    time.sleep(0.3)  # the second signal comes while Ray ends, as from a sender that signals a process and its group
    run.terminate()
    code, out, err = runner.finish(run)
    assert code == 143, out + err
    assert err == ""
    assert "Stopped by SIGTERM. Run the same command again to go on." in out
    assert "Report: " in out
    outcomes = [record.outcome for record in read_all(runner.results / "tiny" / "records")]
    assert {outcome.status for outcome in outcomes} == {"interrupted"}
    assert "Stopped: SIGTERM" in [outcome.reason for outcome in outcomes], "a training was let end its iteration"
    assert len(list((runner.results / "tiny" / "checkpoints").glob("*.state"))) >= 1, "and has kept its state"
    assert list(Path("/tmp").glob(f"bench-{run.pid}-*")) == []
    deadline = time.monotonic() + 30
    while children := [path for path in Path("/proc").glob("[0-9]*/environ") if str(runner.home) in _text_of(path)]:
        assert time.monotonic() < deadline, f"{children} still run half a minute after the run was stopped"
        time.sleep(0.2)  # polls other processes; nothing to wait on


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it ended just now
        return ""


def test_a_run_before_its_first_trial_stops_with_one_line(runner: Runner, tiny_study: Callable[..., Path]) -> None:
    study = tiny_study()
    study.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n" + study.read_text())
    code, out, err = runner.run("plan", study)
    assert (code, out, err) == (143, "", "bench: stopped by SIGTERM\n")


def test_timings_run_on_every_gpu_at_once(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.run.side_by_side", str(tmp_path)]
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(root)}
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, timeout=300)
    ran = [json.loads(line) for line in (tmp_path / "ran.jsonl").read_text().splitlines()]

    def beside(run: dict[str, Any]) -> list[dict[str, Any]]:
        others = [other for other in ran if other is not run]
        return [other for other in others if other["began"] < run["ended"] and run["began"] < other["ended"]]

    keys = ["cost0", "cost1", "speed0"]
    assert sorted(run["key"] for run in ran) == keys
    assert any(beside(run) for run in ran), "two timings run at once"
    assert all(other["slot"] != run["slot"] for run in ran for other in beside(run)), "never two on a GPU"
    assert {(run["share"], run["threads"], run["own_cpus"]) for run in ran} == {(1.0, 2, True)}
    assert sorted(record.key for record in read_all(tmp_path / "records")) == keys
    assert sorted(json.loads((tmp_path / "told.json").read_text())) == [[key, "failed"] for key in keys]
