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


def test_after_kill_9_of_the_driver_a_second_run_repeats_and_loses_nothing_and_leaves_all_in_order(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="60")
    first = runner.start("run", study)
    runner.wait_for_records("tiny", 3)  # both cost trials and a quality trial, others under way
    os.kill(first.pid, signal.SIGKILL)
    runner.finish(first)
    time.sleep(5)  # its workers outlive it by a few seconds, and may still finish a trial
    before = runner.records("tiny")
    assert 3 <= len(before) < 6
    assert {record.status for record in read_all(runner.results / "tiny" / "records")} == {"done"}

    code, out, err = runner.run("run", study)
    assert code == 0, out + err
    assert err == ""
    for noise in ("ray", "Ray", "tune", "Trial", "WARNING", "dashboard"):
        assert noise not in out.replace(str(runner.results), ""), out
    after = runner.records("tiny")
    assert {name: after[name] for name in before} == before
    assert f"{len(before)} of 6 trials done, {6 - len(before)} to run" in out
    assert list(load(runner.results / "tiny").frame()["status"]) == ["done"] * 6
    assert (runner.results / "tiny" / "report" / "index.html").stat().st_size > 10**6
    assert len(list((runner.results / "tiny" / "artifacts").glob("*.predictions.zip"))) == 4
    assert len(list((runner.results / "tiny" / "pictures").glob("*.zip"))) == 1
    assert {path.stem for path in (runner.results / "tiny" / "logs").iterdir()} == {Path(name).stem for name in after}
    assert list(runner.home.iterdir()) == []
    assert list(Path("/tmp").glob(f"bench-{first.pid}-*")) == []

    code, out, _ = runner.run("run", study)
    assert code == 0
    assert "6 of 6 trials done, 0 to run" in out
    assert runner.records("tiny") == after


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


BAD_HEADS = """

class Crash(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":  # a check from shapes alone does not see it
            raise RuntimeError("<planted> crash")
        return super().forward(features, boundary, with_aux=with_aux)


class Die(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os.kill(os.getpid(), 9)
        return super().forward(features, boundary, with_aux=with_aux)


class Orphan(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os.kill(os.getppid(), 9)  # the worker
        return super().forward(features, boundary, with_aux=with_aux)


class Exit(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            os._exit(7)
        return super().forward(features, boundary, with_aux=with_aux)


class Crash2(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import ctypes

            ctypes.string_at(0)
        return super().forward(features, boundary, with_aux=with_aux)


class Hang(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import ctypes

            ctypes.PyDLL(None).sleep(1000)  # in C, with the interpreter's lock held: no Python thread runs any more
        return super().forward(features, boundary, with_aux=with_aux)


STUDY = STUDY.having(
    factors=(
        Factor(
            "head",
            {
                "good": change(),
                "crash": change(head=part(Crash, width=8)),
                "die": change(head=part(Die, width=8)),
                "orphan": change(head=part(Orphan, width=8)),
                "exit": change(head=part(Exit, width=8)),
                "segfault": change(head=part(Crash2, width=8)),
                "hang": change(head=part(Hang, width=8)),
            },
        ),
    ),
    baseline={"head": "good"},
    seeds=(0,),
    stages=("quality",),
)
"""


def test_a_cell_that_fails_or_whose_process_dies_is_named_and_the_others_run(
    runner: Runner, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study()
    study.write_text(study.read_text() + BAD_HEADS)
    code, out, err = runner.run("run", study, "--no-pictures", "--timeout", "30")
    assert code == 1
    assert err == ""
    assert "Traceback" not in out
    assert "raylet" not in out
    assert not (runner.results / "tiny" / "pictures").exists()
    frame = load(runner.results / "tiny").frame().set_index("variant")
    assert dict(frame["status"]) == {
        "head=good": "done", "head=crash": "failed", "head=die": "failed", "head=exit": "failed",
        "head=orphan": "failed", "head=segfault": "failed", "head=hang": "timed_out",
    }  # fmt: skip
    assert "<planted> crash" in frame.loc["head=crash", "reason"]
    assert frame.loc["head=die", "reason"].startswith("the trial's process was killed by SIGKILL, ")
    assert frame.loc["head=orphan", "reason"] == (
        "the worker of the trial was lost before its first step "
        "(The actor is dead because its worker process has died); run again"
    )
    assert (
        frame.loc["head=exit", "reason"] == "the trial's process ended itself with exit code 7, before its first step"
    )
    assert "was killed by SIGSEGV" in frame.loc["head=segfault", "reason"]
    assert "ended from outside 5 s after its time limit of 30 s" in frame.loc["head=hang", "reason"]
    records = read_all(runner.results / "tiny" / "records")
    tried = {record.trial.variant: [attempt.lost for attempt in record.outcome.attempts] for record in records}
    assert {variant: lost for variant, lost in tried.items() if lost} == {
        "head=die": ["SIGKILL"], "head=orphan": ["worker"], "head=segfault": ["SIGSEGV"],
    }, "what something from outside ended was tried once more, and nothing else"  # fmt: skip
    crashed = next(r for r in records if "SIGSEGV" in (r.outcome.reason or ""))
    assert "in forward" in (crashed.outcome.traceback or ""), "the interpreter's last words name the line"
    assert "failed: quality head=crash seed 0" in out
    page = (runner.results / "tiny" / "report" / "index.html").read_text()
    assert "<planted>" not in page
    assert "&lt;planted&gt; crash" in page


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
