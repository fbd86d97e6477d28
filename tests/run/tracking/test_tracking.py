"""Trackers as a run uses them: what they are told, and that none can harm a trial."""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event as Written

from bench.records.record import Record, read_all
from bench.run.outcomes.progress import Event
from bench.run.tracking import tracking as tracking_module
from bench.run.tracking.chosen import trackers
from bench.run.tracking.mlflow import MLflow
from bench.run.tracking.tensorboard import TensorBoard
from bench.run.tracking.tracker import Run, RunFacts, TrackerError
from bench.run.tracking.tracking import Tracking
from bench.run.tracking.values import curves_of, metrics_of, parameters_of
from bench.run.trial import Trial
from bench.study.source import Source, load


class Heard:
    """A tracker that keeps what it is told, and raises when it is told a given word."""

    name = "Heard"

    def __init__(self, fails_at: str = "") -> None:
        self.told: list[tuple[Any, ...]] = []
        self.fails_at = fails_at

    def tell(self, *what: Any) -> None:
        self.told.append(what)
        if what[0] == self.fails_at:
            raise ConnectionError("<planted> no such host\nand more")

    def start(self, described: RunFacts) -> Run:
        self.tell("start", described.key)
        return _Run(self, described.key)


class _Run:
    def __init__(self, tracker: Heard, key: str) -> None:
        self.tracker, self.key = tracker, key

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.tracker.tell("log", self.key, step, dict(metrics))

    def attach(self, report: Path) -> None:
        self.tracker.tell("attach", self.key, report)

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        self.tracker.tell("end", self.key, status, dict(metrics))


TRIAL = Trial(Source("s.py"), "neck=on", 0, "quality", "k0")


def described(trial: Trial) -> RunFacts:
    return RunFacts(
        trial.key, f"quality {trial.variant} seed {trial.seed}", trial.stage, {"level.neck": "on", "seed": 0}
    )


def failed() -> Record:
    outcome = {"status": "failed", "reason": "planted", "wall_s": 2.0}
    parts = {"trial": {"stage": "quality", "variant": "neck=on", "seed": 0}, "choices": {}, "environment": {}}
    return Record.model_validate({"key": "k0", **parts, "outcome": outcome, "measured": {}})


def test_a_tracker_is_told_of_the_start_the_losses_the_end_and_the_report() -> None:
    heard, warned = Heard(), list[str]()
    with Tracking([heard], described, warned.append) as tracking:
        tracking.started(TRIAL)
        tracking.progress(TRIAL, Event("train", 3, 10, 0.5))
        tracking.progress(TRIAL, Event("evaluate", 1, 4))
        tracking.finished(TRIAL, failed())
        tracking.reported(RunFacts("report", "tiny", "report", {}), Path("tiny/report"), "failed")
    assert heard.told == [
        ("start", "k0"),
        ("log", "k0", 3, {"live_loss": 0.5}),
        ("end", "k0", "failed", {"wall_s": 2.0}),
        ("start", "report"),
        ("attach", "report", Path("tiny/report")),
        ("end", "report", "failed", {}),
    ]
    assert warned == []


@pytest.mark.parametrize("moment", ["start", "log", "end"])
def test_a_tracker_that_fails_is_told_once_and_left_out_and_the_others_go_on(moment: str) -> None:
    broken, sound, warned = Heard(moment), Heard(), list[str]()
    with Tracking([broken, sound], described, warned.append) as tracking:
        for key in ("k0", "k1"):
            trial = Trial(Source("s.py"), "neck=on", 0, "quality", key)
            tracking.started(trial)
            tracking.progress(trial, Event("train", 3, 10, 0.5))
            tracking.finished(trial, failed())
    (line,) = warned
    assert (
        line == "Heard failed and is told of nothing more; the trials go on (ConnectionError: <planted> no such host)"
    )
    assert broken.told[-1][:2] == (moment, "k0")
    assert [what[:2] for what in sound.told if what[0] == "end"] == [("end", "k0"), ("end", "k1")]


def test_a_tracker_that_hangs_holds_up_no_trial_and_is_left_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_module, "CLOSING_S", 0.05)
    monkeypatch.setattr(tracking_module, "MOST_WAITING", 2)
    release, warned = threading.Event(), list[str]()

    class Hanging(Heard):
        def start(self, described: RunFacts) -> Run:
            release.wait()
            return super().start(described)

    hanging = Hanging()
    with Tracking([hanging], described, warned.append) as tracking:
        tracking.started(TRIAL)
        for done in range(100):
            tracking.progress(TRIAL, Event("train", done, 100, 0.5))
    assert warned == ["Heard has not taken everything within 0.05 s, the rest is lost"]
    release.set()
    assert len(hanging.told) <= 5, "progress that nobody takes is not kept"


def test_the_parameters_of_a_run_are_levels_seed_stage_key_and_recipe(tiny_study: Callable[..., Path]) -> None:
    source = Source(str(tiny_study()))
    cell = load(source).study.cell("neck=on")
    parameters = parameters_of(Trial(source, "neck=on", 1, "quality", "k"), cell)
    wanted = {"level.neck": "on", "variant": "neck=on", "seed": 1, "stage": "quality", "key": "k", "recipe.batch": 4}
    assert wanted.items() <= parameters.items()
    assert parameters["recipe.crop_px"] == "[32, 32]"
    assert all(isinstance(value, str | int | float | bool) for value in parameters.values())


def test_the_metrics_of_a_run_are_the_columns_of_its_record(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path / "planted")
    records = {record.key: record for record in read_all(folder / "records")}
    quality = metrics_of(records["q0s0"])
    assert quality["miou"] == pytest.approx(0.600, abs=1e-3)
    assert quality["final_loss"] == pytest.approx(curves_of(records["q0s0"])[max(curves_of(records["q0s0"]))]["loss"])
    cost = metrics_of(next(record for key, record in records.items() if key.startswith("c0")))
    assert {"macs", "parameters", "latency_s"} <= set(cost)


def events(folder: Path) -> list[Written]:
    """The events of every file below a folder: each is 8 bytes of its length, 4 of a sum, the event, and 4 of a sum."""
    found = []
    for file in sorted(folder.rglob("events.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            found.append(Written.FromString(content[place + 12 : place + 12 + length]))
            place += 12 + length + 4
    return found


def test_event_files_for_tensorboard_hold_what_was_logged(tmp_path: Path) -> None:
    run = TensorBoard(tmp_path).start(RunFacts("k0123456789", "quality a/b=on seed 0", "quality", {"level.a/b": "on"}))
    run.log(3, {"live_loss": 0.5})
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "methods.md").write_text("# How", encoding="utf-8")
    run.attach(tmp_path / "report")
    run.end("done", {"miou": 0.25})
    (folder,) = [path for path in tmp_path.iterdir() if path.name != "report"]
    assert folder.name == "quality a_b=on seed 0 k0123456"
    values = [(value.tag, event.step, value) for event in events(folder) for value in event.summary.value]
    scalars = {tag: (step, value.simple_value) for tag, step, value in values if value.HasField("simple_value")}
    assert scalars == {"live_loss": (3, 0.5), "miou": (0, 0.25)}
    assert {"methods/text_summary", "_hparams_/session_start_info"} <= {tag for tag, _, _ in values}


class FakeMLflow(ModuleType):
    """MLflow's client as far as it is used, with its runs in memory."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.experiments: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.MlflowClient = lambda: self

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        self.experiments.append(name)
        return name

    def search_runs(self, experiments: list[str], query: str, max_results: int) -> list[SimpleNamespace]:
        found = [run["id"] for run in self.runs if query == f"tags.`segbench.key` = '{run['tags']['segbench.key']}'"]
        return [SimpleNamespace(info=SimpleNamespace(run_id=each)) for each in found][:max_results]

    def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> SimpleNamespace:
        run = {"id": len(self.runs), "tags": tags, "name": run_name, "params": {}, "metrics": []}
        self.runs.append(run)
        return SimpleNamespace(info=SimpleNamespace(run_id=run["id"]))

    def update_run(self, run_id: int, status: str) -> None:
        self.runs[run_id]["status"] = status

    def set_terminated(self, run_id: int, status: str) -> None:
        self.runs[run_id]["status"] = status

    def set_tag(self, run_id: int, name: str, value: str) -> None:
        self.runs[run_id]["tags"][name] = value

    def log_batch(self, run_id: int, params: list[Any] = [], metrics: list[Any] = []) -> None:  # noqa: B006 - as MLflow
        assert len(params) <= 100
        assert len(metrics) <= 1000
        self.runs[run_id]["params"] |= dict(params)
        self.runs[run_id]["metrics"] += [(name, value, step) for name, value, _, step in metrics]


def test_a_trial_that_is_run_again_goes_on_in_its_run_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, entities = FakeMLflow(), ModuleType("mlflow.entities")
    vars(entities).update(Param=lambda *parts: parts, Metric=lambda *parts: parts)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    many = {f"recipe.{number} (é)": number for number in range(150)}
    for status in ("interrupted", "done"):
        run = MLflow("tiny").start(RunFacts("k0", "quality neck=on seed 0", "quality", many))
        run.log(3, {"live_loss": 0.5})
        run.end(status, {"miou": 0.25})
    (logged,) = fake.runs
    assert logged["name"] == "quality neck=on seed 0"
    assert logged["status"] == "FINISHED"
    assert logged["tags"]["status"] == "done"
    assert logged["params"] == {f"recipe.{number} ___": str(number) for number in range(150)}
    assert logged["metrics"] == [("live_loss", 0.5, 3), ("miou", 0.25, 0)] * 2


def test_weights_and_biases_asks_nobody_for_a_key_in_the_middle_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, started = ModuleType("wandb"), list[str]()
    settings = SimpleNamespace(mode="online")
    service = SimpleNamespace(settings=settings, ensure_service=lambda: started.append("service"))
    vars(fake).update(Settings=dict, setup=lambda wanted: service, api=SimpleNamespace(api_key=None))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with pytest.raises(TrackerError, match="--wandb: nobody is logged in; call wandb login, or set WANDB_MODE=offline"):
        trackers(tmp_path, wandb=True)
    settings.mode = "offline"
    assert [tracker.name for tracker in trackers(tmp_path, wandb=True)] == ["W&B"]
    assert started == ["service"]


@pytest.mark.parametrize("package", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_a_tracker_whose_package_is_missing_is_refused_in_one_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = {"tensorboard": "tensorboardX"}.get(package, package)
    monkeypatch.setitem(sys.modules, imported, None)
    with pytest.raises(TrackerError) as refusal:
        trackers(tmp_path, **{package: True})
    assert str(refusal.value) == (
        f"--{package} needs {imported}, which is not installed: pip install 'segbench[{package}]'"
    )


def test_no_trial_starts_without_the_package_of_a_tracker(
    bench: Callable[..., tuple[int, str, str]],
    tiny_study: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    code, out, err = bench("run", tiny_study(), "--mlflow", "--results", tmp_path / "results")
    assert (code, out) == (2, "")
    assert err == "bench: --mlflow needs mlflow, which is not installed: pip install 'segbench[mlflow]'\n"
    assert not (tmp_path / "results").exists()
