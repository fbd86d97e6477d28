"""Runs on a simulated cluster of three nodes, which see the results folder or do not: nothing is lost or done twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.records.quality import MeasuredQuality
from bench.records.record import Record, read_all
from bench.records.results import load
from tests.run.runner import Runner

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.cluster]

SCRIPT = Path(__file__).with_name("nodes.py")
ROOT = Path(__file__).parents[3]


SEEN = """

class Seen(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta":
            import os

            open("{folder}/" + str(os.getpid()), "w").close()
        return super().forward(features, boundary, with_aux=with_aux)


STUDY = STUDY.having(
    factors=(Factor("head", {{"a": change(head=part(Seen, width=8)), "b": change(head=part(Seen, width=12))}}),),
    baseline={{"head": "a"}},
    stages=("quality",),
)
"""
"""A factor whose networks leave a file with the name of their process in a folder while they are trained."""


class Nodes:
    """A cluster of three nodes with one CPU each, of which the two that are not its head may not see the results.

    Attributes:
        runner: starts ``bench``, with the results folder that the cluster sees or not.
    """

    def __init__(self, folder: Path, *, sees: bool = True, token: str | None = None) -> None:
        mode = "disabled" if token is None else "token"
        self.runner = Runner(folder, **({"RAY_AUTH_MODE": mode} if token is None else {}))
        self.runner.results.mkdir()
        if token is not None:
            (self.runner.home / ".ray").mkdir()
            (self.runner.home / ".ray" / "auth_token").write_text(token)
        self._scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
        own = {"RAY_AUTH_MODE": mode, "RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        own |= {"HOME": str(self.runner.home), "PYTHONPATH": str(ROOT)}
        hidden = [] if sees else [str(self.runner.results)]
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(self._scratch), *hidden],
            env=inherited | own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.address = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while line and not (line.strip() == "lost" or line.strip().rpartition(":")[2].isdecimal()):
            line = self._process.stdout.readline()  # Ray writes lines of its own there
        assert line, "the cluster could not be started"
        return line.strip()

    def lose_one(self) -> None:
        """End one node as a power cut would."""
        assert self._process.stdin is not None
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        assert self._answer() == "lost"

    def start(self, study: Path, *options: str) -> subprocess.Popen[str]:
        options = ("--address", self.address, "--cpus", "1", "--gpus", "0", "--no-pictures", *options)
        return self.runner.start("run", study, *options)

    def end(self) -> None:
        self.runner.end()
        self._process.communicate(timeout=60)
        shutil.rmtree(self._scratch, ignore_errors=True)


@pytest.fixture(params=[True, False], ids=["shared", "apart"])
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    sees: bool = request.param
    if not sees and os.geteuid() != 0:
        pytest.skip("only root may hide a folder from processes")
    simulated = Nodes(tmp_path, sees=sees)
    yield simulated
    simulated.end()


def wait_for_starts(process: subprocess.Popen[str], count: int) -> None:
    """Until a run's output says that so many trainings were started."""
    assert process.stdout is not None
    while count:
        line = process.stdout.readline()
        assert line, f"the run ended before that: {process.communicate()}"
        count -= line.startswith("start ") and "quality" in line


def trained(folder: Path) -> list[Record]:
    return [record for record in read_all(folder / "records") if record.trial.stage == "quality"]


def resumed(records: list[Record]) -> list[bool]:
    measured = [record.measured for record in records]
    return [isinstance(quality, MeasuredQuality) and bool(quality.resumed_after) for quality in measured]


def done_in_logs(folder: Path) -> list[int]:
    """How often each trial's log says that the trial was done."""
    return [path.read_text().count("done after") for path in sorted((folder / "logs").iterdir())]


def test_a_node_is_lost_in_the_middle_of_a_run_that_still_ends_with_everything_done(
    nodes: Nodes, tiny_study: Callable[..., Path]
) -> None:
    run = nodes.start(tiny_study(iterations="600"), "--checkpoint-minutes", "0.02")
    wait_for_starts(run, 3)  # one on each node
    time.sleep(4)  # the trainings are under way; a node that is lost before is no less lost
    nodes.lose_one()
    code, out, err = nodes.runner.finish(run)
    assert (code, err) == (0, ""), out
    folder = nodes.runner.results / "tiny"
    assert list(load(folder).frame()["status"]) == ["done"] * 6
    lost = [attempt.lost for record in read_all(folder / "records") for attempt in record.outcome.attempts]
    assert lost, "the trial of the lost node has its first attempt in its record"
    assert set(lost) <= {"node", "worker"}
    assert done_in_logs(folder) == [1] * 6
    assert not (folder / ".claims").exists()
    assert list((folder / "checkpoints").iterdir()) == []


def test_after_kill_9_of_the_driver_the_next_run_on_the_same_cluster_finishes(
    nodes: Nodes, tiny_study: Callable[..., Path]
) -> None:
    study = tiny_study(iterations="600")
    first = nodes.start(study, "--checkpoint-minutes", "0.02")
    wait_for_starts(first, 3)
    folder = nodes.runner.results / "tiny"
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/*.state")):
        assert time.monotonic() < deadline, "no state of a training was kept"
        time.sleep(0.1)  # polls other processes; nothing to wait on
    os.kill(first.pid, signal.SIGKILL)
    nodes.runner.finish(first)
    before = nodes.runner.records("tiny")
    code, out, err = nodes.runner.finish(nodes.start(study))
    assert (code, err) == (0, ""), out
    after = nodes.runner.records("tiny")
    assert list(load(folder).frame()["status"]) == ["done"] * 6
    assert {name: after[name] for name in before} == before, "no trial that was done is done again"
    assert any(resumed(trained(folder))), "a training goes on from its kept state"
    assert not (folder / ".claims").exists()


def test_ctrl_c_keeps_the_state_of_trainings_on_every_node_and_they_go_on(
    nodes: Nodes, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study, seen = tiny_study(iterations="1500"), tmp_path / "seen"
    seen.mkdir()
    study.write_text(study.read_text() + SEEN.format(folder=str(seen)))
    first = nodes.start(study)  # with the usual five minutes between two states
    deadline = time.monotonic() + 120
    while len(list(seen.iterdir())) < 3:
        assert time.monotonic() < deadline, "three trainings are not under way"
        time.sleep(0.1)  # polls other processes; nothing to wait on
    os.killpg(first.pid, signal.SIGINT)
    code, _, err = nodes.runner.finish(first)
    assert (code, err) == (130, "")
    folder = nodes.runner.results / "tiny"
    assert len(list(folder.glob("checkpoints/*.state"))) == 3
    code, out, err = nodes.runner.finish(nodes.start(study))
    assert (code, err) == (0, ""), out
    assert sum(resumed(trained(folder))) == 3
    assert list(load(folder).frame()["status"]) == ["done"] * 4
    assert list((folder / "checkpoints").iterdir()) == [], "states of trainings that are done are removed"


def test_two_runs_at_once_on_a_cluster_do_no_trial_twice(nodes: Nodes, tiny_study: Callable[..., Path]) -> None:
    study = tiny_study(iterations="100")
    runs = [nodes.start(study) for _ in range(2)]
    ended = [nodes.runner.finish(run) for run in runs]
    assert [(code, err) for code, _, err in ended] == [(0, ""), (0, "")], ended
    folder = nodes.runner.results / "tiny"
    assert list(load(folder).frame()["status"]) == ["done"] * 6
    assert done_in_logs(folder) == [1] * 6, "each trial was done once"
    assert not (folder / ".claims").exists()


def test_a_cluster_with_a_token_lets_in_who_has_it_and_tells_the_others_what_to_copy(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study, (inside, outside) = tiny_study(), (tmp_path / "inside", tmp_path / "outside")
    inside.mkdir()
    outside.mkdir()
    nodes, stranger = Nodes(inside, token="5" * 64), Runner(outside)
    try:
        code, out, err = nodes.runner.finish(nodes.start(study))
        assert (code, err) == (0, ""), out
        assert list(load(nodes.runner.results / "tiny").frame()["status"]) == ["done"] * 6
        code, _, err = stranger.run("run", study, "--address", nodes.address, "--cpus", "1", "--gpus", "0")
        assert code == 2
        assert "it asks for another token: copy ~/.ray/auth_token of its head to this machine" in err
        assert err.count("\n") == 1, err
    finally:
        stranger.end()
        nodes.end()
