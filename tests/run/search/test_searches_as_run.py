"""Searches as a user runs them: tuning improves both arms, and optuna-dashboard shows tunings and explorations.

``nox -s tuning`` runs these tests, with optuna-dashboard.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import Evidence, evidence_of
from bench.records.record import read_all
from bench.report.tables import catalogue
from bench.run.search.arm import ArmSearch
from bench.run.search.storage import JOURNAL, opened
from bench.run.search.tuning import iterations_of
from bench.study.tuning.best import read_best
from bench.study.tuning.ranges import LogRange
from tests.run.runner import Runner
from tests.run.search.test_exploring import a_source, explored

pytestmark = [pytest.mark.tuning, pytest.mark.filterwarnings("default")]

STUDY = Path(__file__).with_name("tuned_study.py")
BUDGET = 10
LIMIT_S = 120.0


@contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """The address of an optuna-dashboard of a journal, on this machine alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    process = subprocess.Popen(
        [program, str(journal), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def answer(address: str) -> Any:
    """What an address answers, once the server is up."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return json.loads(response.read())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)  # the server says nothing when it is ready


def test_optuna_dashboard_shows_the_searches_of_a_tuning_and_of_an_exploration(tmp_path: Path) -> None:
    tuning = tmp_path / "heads-tuning"
    tuning.mkdir()
    for arm in ("head=narrow", "head=wide"):
        search = ArmSearch(f"heads-tuning {arm}", {"rate": LogRange(1e-4, 1.0)}, {"rate": 0.1}, 8, 0, opened(tuning))
        while asked := search.ask():
            for settings in asked:
                search.tell(settings, float(settings["rate"]))
    cells = explored(a_source(tmp_path / "study"), tmp_path / "results", 8)
    with dashboard(tuning / JOURNAL) as address:
        studies = {study["study_name"]: study for study in answer(f"{address}/api/studies")["study_summaries"]}
        assert set(studies) == {"heads-tuning head=narrow", "heads-tuning head=wide"}
        assert [study["directions"] for study in studies.values()] == [["maximize"]] * 2
    with dashboard(tmp_path / "results" / "large-explored" / JOURNAL) as address:
        (study,) = answer(f"{address}/api/studies")["study_summaries"]
        assert study["study_name"].startswith("large-explored ")
        assert study["directions"] == ["maximize", "minimize", "minimize"]
        trials = answer(f"{address}/api/studies/{study['study_id']}")["trials"]
        assert len(trials) == len(cells) == 8
        assert all(trial["state"] == "Complete" for trial in trials)


def test_equal_budget_tuning_improves_both_arms_on_images_that_it_never_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], as_a_user: Callable[..., str]
) -> None:
    as_a_user("tune", STUDY, "--budget", str(BUDGET), "--cpus", "1")
    results = tmp_path / "results"
    searched = read_all(results / "tuned-heads-tuning" / "records")
    assert len(searched) == len({record.key for record in searched}) == 2 * BUDGET, "no settings are tried twice"
    evidence = evidence_of(results / "tuned-heads-tuned")
    show(evidence, capsys)
    rows = evidence.at_both_settings
    assert rows["variant"].tolist() == ["head=narrow", "head=wide"]
    assert rows["trials"].tolist() == [BUDGET, BUDGET]
    assert (rows["low"] > 0).all(), "the intervals of both differences are above 0"
    assert (rows["held_out_tuned"] > rows["held_out_default"]).all()
    assert evidence.confounded == []
    again = as_a_user("tune", STUDY, "--budget", str(BUDGET), "--cpus", "1")
    assert "start " not in again, "nothing runs again"


def test_a_pruning_tuning_that_is_stopped_goes_on_and_gives_each_arm_as_many_settings_at_fewer_iterations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner, folder = Runner(tmp_path), tmp_path / "results" / "tuned-heads-tuning"
    command = ("tune", STUDY, "--budget", str(BUDGET + 2), "--prune", "--cpus", "1")
    try:
        process = runner.start(*command)
        deadline = time.monotonic() + 5 * LIMIT_S
        while not any(record.status == "pruned" for record in read_all(folder / "records")):
            assert process.poll() is None, runner.finish(process)
            assert time.monotonic() < deadline
            time.sleep(0.2)  # looks for the records of another process
        process.send_signal(signal.SIGTERM)
        runner.finish(process)
        pruned = {record.file_name for record in read_all(folder / "records") if record.status == "pruned"}
        before = {name: at for name, at in runner.records(folder.name).items() if name in pruned}
        code, out, err = runner.run(*command)
        assert code == 0, (out, err)
        again = runner.run(*command)
    finally:
        runner.end()
    records = read_all(folder / "records")
    assert {record.status for record in records} == {"done", "pruned"}
    assert len(records) == 2 * (BUDGET + 2)
    assert before.items() <= runner.records(folder.name).items(), "no pruned setting ran again"
    arms = read_best(folder / "tuned.json").arms
    for arm in arms:
        of_arm = [record for record in records if record.trial.variant == f"head={arm.levels['head']}"]
        assert (arm.trials, arm.iterations) == (len(of_arm), sum(map(iterations_of, of_arm)))
        assert arm.pruned == sum(record.status == "pruned" for record in of_arm)
    spent = sum(arm.iterations or 0 for arm in arms)
    assert sum(arm.pruned for arm in arms) > 0
    assert spent < 40 * len(records)
    evidence = evidence_of(tmp_path / "results" / "tuned-heads-tuned")
    show(evidence, capsys)
    rows = evidence.at_both_settings
    assert rows["iterations"].tolist() == [arm.iterations for arm in arms]
    assert (rows["low"] > 0).all(), "the intervals of both differences are above 0"
    assert again[0] == 0
    assert "start " not in again[1] + again[2], "nothing runs again"


def show(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the table of a tuning, for whoever runs the session."""
    with capsys.disabled():
        sys.stdout.write(f"\n{catalogue.written(catalogue.table(evidence, 'tuning'))}\n")


@pytest.fixture
def as_a_user(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Runs a command of ``bench`` in a process of its own, and returns what it printed."""
    runner = Runner(tmp_path)

    def run(command: str, *arguments: str | Path) -> str:
        process = runner.start(command, *arguments)
        out, err = process.communicate(timeout=3000)
        assert process.returncode == 0, err
        return out + err

    yield run
    runner.end()
