"""A trial that others crowded out, or that was killed or lost, runs once more when the others are over.

Tune is pretended.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.records.record import Record, read_all
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.outcomes.memory import BESIDE_OTHERS
from bench.run.outcomes.outcome import outcome_of as ending_of
from bench.run.outcomes.progress import Event
from bench.run.processes.process import trial_of
from bench.run.resources import Resources
from bench.run.trial import Trial, make_record
from bench.study.source import Source

RESOURCES = Resources(cpus=1, gpus=0.5, node_cpus=4, node_gpus=2)
NODE = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}}
SOURCE = Source(__file__)
TRIALS = (
    Trial(SOURCE, "fits", 0, "quality", "fits0"),
    Trial(SOURCE, "large", 0, "quality", "large0"),
    Trial(SOURCE, "large", None, "cost", "cost0"),
)


def outcome_of(trial: Trial, share: float) -> dict[str, Any]:
    """The outcome of a trial with this share of a GPU: the large network lacks memory, where it is alone too."""
    if trial.variant == "fits":
        return {"status": "diverged", "reason": "it fits", "traceback": None}
    shared = {"shared": f"it had {share:g} of the GPU"} if share < 1 else {}
    return {"status": "out_of_memory", "reason": f"at {share:g}", "traceback": None, **shared}


class PretendedTuner:
    """Stands for Tune: it ends each trial at once, and reports its record as a worker would.

    Attributes:
        ran: of each trial that ran, in order: its key, what it asked for, its share of a GPU, and ``True`` if it kept
            to CPUs of its own.
        at_once: the number of trials that may run at once in each batch; ``None`` for no limit.
    """

    def __init__(self, ran: list[tuple[str, dict[str, float], float, bool]]) -> None:
        self.ran = ran
        self.at_once: list[int | None] = []

    def __call__(
        self, request: dict[str, float], *, param_space: dict[str, Any], run_config: Any, tune_config: Any
    ) -> PretendedTuner:
        self.at_once.append(tune_config.max_concurrent_trials)
        self.request, self.config, (self.watch,) = request, param_space, run_config.callbacks
        self.search, self.count = tune_config.search_alg, tune_config.num_samples
        return self

    def fit(self) -> None:
        for _ in range(self.count):
            values = self.search.suggest("")["trial"]
            tuned = SimpleNamespace(config={**self.config, "trial": values})
            trial = trial_of({name: value for name, value in values.items() if name not in ("claim", "before")})
            share = self.config["handling"]["gpu_share"]
            self.ran.append((trial.key, self.request, share, self.config["own_cpus"]))
            record = make_record(trial, Machine("cpu", 1), outcome_of(trial, share))
            self.watch.on_trial_start(0, [], tuned)
            self.watch.on_trial_result(0, [], tuned, {"record": record.as_json()})


class Display:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: Event) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None:
        self.ended.append((trial.key, record.status))


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretendedTuner:
    from bench.run import execute as execution

    @contextmanager
    def no_cluster(resources: Resources) -> Iterator[Path]:
        yield tmp_path

    tuner = PretendedTuner([])
    monkeypatch.setattr(execution, "cluster", no_cluster)
    monkeypatch.setattr(execution.ray, "nodes", lambda: [NODE])
    monkeypatch.setattr(execution.tune, "with_resources", lambda work, request: request)
    monkeypatch.setattr(execution.tune, "Tuner", tuner)
    (tmp_path / "records").mkdir()
    return tuner


def test_what_a_shared_gpu_lacked_memory_for_runs_again_alone_and_nothing_else_does(
    tmp_path: Path, pretended: PretendedTuner
) -> None:
    from bench.run import execute as execution

    display = Display()
    execution.execute(TRIALS, tmp_path, RESOURCES, display, Handling())
    assert pretended.ran == [
        ("cost0", {"cpu": 2.0, "gpu": 1.0}, 1.0, True),
        ("fits0", {"cpu": 1.0, "gpu": 0.5}, 0.5, False),
        ("large0", {"cpu": 1.0, "gpu": 0.5}, 0.5, False),
        ("large0", {"cpu": 1.0, "gpu": 1.0}, 1.0, False),
    ]
    assert display.ended == [
        ("cost0", "out_of_memory"), ("fits0", "diverged"), ("large0", "out_of_memory"), ("large0", "out_of_memory"),
    ]  # fmt: skip
    (record,) = (record for record in read_all(tmp_path / "records") if record.key == "large0")
    assert [(ending.status, ending.reason) for ending in (*record.outcome.attempts, record.outcome)] == [
        ("out_of_memory", "at 0.5"), ("out_of_memory", "at 1"),
    ]  # fmt: skip
    assert record.is_final


def test_a_trial_that_was_killed_runs_once_more_by_itself_and_one_whose_node_was_lost_beside_others(
    tmp_path: Path, pretended: PretendedTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run import execute as execution

    def lost_once(trial: Trial, share: float) -> dict[str, Any]:
        attempts = sum(ran[0] == trial.key for ran in pretended.ran)
        ends = {"fits": {"status": "failed", "lost": "node"}, "large": {"status": "out_of_memory", "lost": "SIGKILL"}}
        ending = ends[trial.variant] if attempts == 1 else {"status": "diverged"}
        return {**ending, "reason": f"attempt {attempts}", "traceback": None}

    monkeypatch.setattr(sys.modules[__name__], "outcome_of", lost_once)
    execution.execute(TRIALS[:2], tmp_path, RESOURCES, Display(), Handling())
    assert [(key, share) for key, _, share, _ in pretended.ran] == [
        ("fits0", 0.5), ("large0", 0.5), ("fits0", 0.5), ("large0", 1.0),
    ]  # fmt: skip
    assert pretended.at_once == [None, None, 1]
    for record in read_all(tmp_path / "records"):
        assert (record.outcome.reason, [attempt.reason for attempt in record.outcome.attempts]) == (
            "attempt 2", ["attempt 1"],
        )  # fmt: skip


def test_a_trial_that_its_machine_lacked_memory_for_beside_others_runs_once_more_by_itself(
    tmp_path: Path, pretended: PretendedTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run import execute as execution

    def lacks_memory(trial: Trial, share: float) -> dict[str, Any]:
        if trial.variant == "fits":
            return {"status": "diverged", "reason": "it fits", "traceback": None}
        return ending_of(MemoryError(), {}, None, torch.device("cpu"), Handling.of(pretended.config["handling"]))

    monkeypatch.setattr(sys.modules[__name__], "outcome_of", lacks_memory)
    on_cpus = Resources(cpus=1, gpus=0, node_cpus=4, node_gpus=0)
    execution.execute(TRIALS, tmp_path, on_cpus, Display(), Handling())
    assert [key for key, *_ in pretended.ran] == ["cost0", "fits0", "large0", "large0"], "a timing is alone at once"
    assert pretended.at_once == [None, None, 1]
    (record,) = (record for record in read_all(tmp_path / "records") if record.key == "large0")
    assert [ending.shared for ending in (*record.outcome.attempts, record.outcome)] == [BESIDE_OTHERS, None]
    assert record.is_final


def test_a_trial_that_the_kernel_killed_for_memory_is_final_once_it_was_tried_again() -> None:
    first = make_record(
        TRIALS[1], Machine("cpu", 1), {"status": "out_of_memory", "reason": "", "traceback": None, "lost": "SIGKILL"}
    )
    assert not first.is_final
    ending = first.outcome.as_json()
    assert first.having(outcome={**ending, "attempts": [ending]}).is_final


def test_if_asked_what_is_too_large_alone_is_tried_in_more_and_more_parts(
    tmp_path: Path, pretended: PretendedTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run import execute as execution

    def in_more_parts(trial: Trial) -> Trial | None:
        return replace(trial, parts=2 * trial.parts) if trial.parts < 8 else None

    def fits_in_quarters(trial: Trial, share: float) -> dict[str, Any]:
        status = "out_of_memory" if trial.variant == "large" and trial.parts < 4 else "diverged"
        return {"status": status, "reason": f"{trial.parts} parts", "traceback": None}

    monkeypatch.setattr(execution, "in_more_parts", in_more_parts)
    monkeypatch.setattr(sys.modules[__name__], "outcome_of", fits_in_quarters)
    execution.execute(TRIALS[:2], tmp_path, RESOURCES, Display(), Handling(), accumulate=True)
    assert [(key, share) for key, _, share, _ in pretended.ran] == [
        ("fits0", 0.5), ("large0", 0.5), ("large0", 1.0), ("large0", 1.0),
    ]  # fmt: skip
    (record,) = (record for record in read_all(tmp_path / "records") if record.key == "large0")
    assert [(ending.parts, ending.reason) for ending in (*record.outcome.attempts, record.outcome)] == [
        (None, "1 parts"), (2, "2 parts"), (4, "4 parts"),
    ]  # fmt: skip
