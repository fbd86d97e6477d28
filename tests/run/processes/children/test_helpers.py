"""Trials that two processes train in real runs: their outcomes, what is left of them, and how they go on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.search.pruning import FEWEST_RIVALS, LOOKS
from bench.run.search.tuning import Tuning
from bench.run.trial import run
from bench.study.source import Source, load
from bench.study.tuning.arms import arms_of
from tests.run.runner import Runner

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.parallel]

HERE = Path(__file__).parent
TWO = ("--gpus", "0", "--processes", "2")
OUTCOMES = {
    "none": ("done", "", 0),
    "raises": ("failed", "StudyOwnError: one and other", 0),
    "out_of_memory": ("out_of_memory", "host memory, at batch 4, in train at 2/6; take a smaller batch", 0),
    "is_killed": ("failed", "process 2 of the trial's 2 was killed by SIGKILL", 1),
    "exits": ("failed", "process 2 of the trial's 2 ended itself with exit code 3", 0),
    "crashes": ("failed", "process 2 of the trial's 2 was killed by SIGSEGV", 1),
    "diverges": ("diverged", "the loss is nan at iteration 3", 0),
    "hangs": ("timed_out", "after its time limit of 40 s, in train at 2/6", 0),
}
"""What happens in the second process -> status, words of the reason, and earlier attempts."""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    one = Runner(tmp_path)
    yield one
    one.end()


def records(runner: Runner, name: str) -> dict[str, dict[str, Any]]:
    """Level -> the record of its trial."""
    files = (runner.results / name / "records").glob("*.json")
    found = [json.loads(file.read_text()) for file in files]
    return {record["trial"]["variant"].partition("=")[2]: record for record in found}


def helpers_left(runner: Runner) -> list[str]:
    """The processes that help with a training of the runner's, after a moment in which they may end."""
    deadline = time.monotonic() + 10
    while True:
        listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        left = [line for line in listed.splitlines() if "children.helper " in line]
        ours = [line for line in left if str(runner.home) in environment(line.split()[0])]
        if not ours or time.monotonic() > deadline:
            return ours
        time.sleep(0.1)  # polls processes that are no children of this one


def environment(process: str) -> str:
    try:
        return Path(f"/proc/{process}/environ").read_text()
    except OSError:  # it has ended meanwhile
        return ""


def test_whatever_happens_in_another_process_ends_the_trial_with_its_outcome(runner: Runner) -> None:
    code, out, err = runner.run("run", HERE / "faulty_study.py", *TWO, "--timeout", "40")
    assert code == 1, (out, err)
    found = records(runner, "faulty")
    outcomes = {
        level: (record["outcome"]["status"], len(record["outcome"].get("attempts", [])))
        for level, record in found.items()
    }
    assert outcomes == {level: (status, attempts) for level, (status, _, attempts) in OUTCOMES.items()}
    for level, (_, words, _) in OUTCOMES.items():
        assert words in (found[level]["outcome"]["reason"] or "")
        assert found[level]["outcome"]["wall_s"] is None or found[level]["outcome"]["wall_s"] < 40
    assert "StudyOwnError" in found["raises"]["outcome"]["traceback"]
    assert "_happen" in found["raises"]["outcome"]["traceback"], "the traceback is that of the other process"
    assert helpers_left(runner) == []


def test_two_processes_train_as_one_does_and_their_trials_are_others(tmp_path: Path) -> None:
    ends: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = []
    for name, options in (("one", ("--gpus", "0", "--cpus", "1")), ("two", TWO)):
        (tmp_path / name).mkdir()
        runner = Runner(tmp_path / name)
        code, out, err = runner.run("trial", HERE / "long_study.py", "baseline", *options)
        assert code == 0, (out, err)
        (record,) = records(runner, "long").values()
        weights = safetensors.numpy.load_file(runner.results / "long" / record["measured"]["weights"])
        ends.append((record, weights))
    (one, weights_of_one), (two, weights_of_two) = ends
    assert one["key"] != two["key"]
    assert two["measured"]["processes"] == 2
    assert "processes" not in one["measured"]
    np.testing.assert_allclose(two["measured"]["history"]["loss"], one["measured"]["history"]["loss"], rtol=1e-3)
    assert two["measured"]["curve"]["miou"] == pytest.approx(one["measured"]["curve"]["miou"], abs=0.01)
    for name, weight in weights_of_one.items():
        np.testing.assert_allclose(weights_of_two[name], weight, rtol=1e-2, atol=1e-3, err_msg=name)


def test_a_stopped_training_goes_on_from_its_state_to_the_same_end(tmp_path: Path) -> None:
    ends: list[dict[str, dict[str, Any]]] = []
    for name in ("undisturbed", "stopped"):
        (tmp_path / name).mkdir()
        runner = Runner(tmp_path / name)
        command = ("run", HERE / "long_study.py", *TWO, "--checkpoint-minutes", "60")
        if name == "stopped":
            process = runner.start(*command)
            runner.wait_for_log("long", "train 1/200")
            process.send_signal(signal.SIGTERM)
            code, out, err = runner.finish(process)
            assert code == 128 + signal.SIGTERM, (out, err)
            assert helpers_left(runner) == []
            assert len(list((runner.results / "long" / "checkpoints").glob("*.state"))) == 1
        code, out, err = runner.run(*command)
        assert code == 0, (out, err)
        assert helpers_left(runner) == []
        ends.append(records(runner, "long"))
    undisturbed, stopped = ends
    assert any(record["measured"]["resumed_after"] for record in stopped.values())
    for level, record in undisturbed.items():
        for part in ("confusion", "history", "curve"):
            assert stopped[level]["measured"][part] == record["measured"][part], (level, part)


def test_a_tuning_trains_with_as_many_processes_as_the_study_and_a_pruned_training_leaves_none(
    runner: Runner, tmp_path: Path
) -> None:
    study = HERE.parents[1] / "search" / "tuned_study.py"
    code, out, err = runner.run("tune", study, "--budget", "1", "--arm", "head=narrow", "--seeds", "0", *TWO)
    assert code == 0, (out, err)
    for name in ("tuned-heads-tuning", "tuned-heads-tuned"):
        assert {record["measured"]["processes"] for record in records(runner, name).values()} == {2}
    source = Source(str(study), seeds=(1,))
    arm = arms_of(load(source).study)[0]
    tuning = Tuning(source, (arm,), 1, 5, 1, 1, tmp_path / "pruned", LOOKS, processes=2)
    rivals = [dict.fromkeys((1, 2, 3), 1.0)] * FEWEST_RIVALS
    (trial,) = tuning.planned(arm, {"learning_rate": 0.01}, rivals).trials
    record = run(trial, tuning.folder, Machine("cpu", 2), handling=Handling(pictures=False, weights=False))
    assert (record.status, record.outcome.phase) == ("pruned", "train at 10/40")
    assert helpers_left(runner) == []


def test_the_other_process_ends_with_a_run_that_is_killed(runner: Runner) -> None:
    process = runner.start("trial", HERE / "long_study.py", "baseline", *TWO)
    runner.wait_for_log("long", "train 1/200")
    process.kill()
    process.wait()
    assert helpers_left(runner) == []
