"""The trackers' own packages: a run of a study, read back from what each of them keeps."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records.results import load

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("default")]

TRIALS = (
    "cost neck=off",
    "cost neck=on",
    *(f"quality neck={neck} seed {seed}" for neck in ("off", "on") for seed in (0, 1)),
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny_study_text: Callable[..., str]) -> Path:
    """A folder in which a study was run with every tracker, each of which keeps its files there too."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "tiny.py").write_text(tiny_study_text(iterations="40"), encoding="utf-8")
    (folder / "home").mkdir()
    own = {"HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[3])}
    own |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "TRACKIO_DIR": str(folder / "trackio")}
    own |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    flags = ("--tensorboard", "--mlflow", "--wandb", "--trackio")
    command = [sys.executable, "-m", "bench.cli.app", "run", "tiny.py", *flags]
    done = subprocess.run(
        command, check=False, cwd=folder, env=os.environ | own, capture_output=True, text=True, timeout=500
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert not any(word in done.stdout for word in ("wandb", "mlflow", "rackio")), "no tracker prints anything"
    return folder


@pytest.fixture(scope="module")
def miou(kept: Path) -> dict[str, float]:
    """Name of each quality trial -> the mIoU of its record."""
    frame = load(kept / "results" / "tiny").frame()
    rows = frame[frame["stage"] == "quality"]
    return {
        f"quality {variant} seed {seed:g}": value
        for variant, seed, value in zip(rows["variant"], rows["seed"], rows["miou"], strict=True)
    }


def test_tensorboard_reads_the_scalars_and_the_tables(kept: Path, miou: dict[str, float]) -> None:
    events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    runs = {}
    for folder in (kept / "results" / "tiny" / "tensorboard").iterdir():
        run = events.EventAccumulator(str(folder))
        run.Reload()
        runs[folder.name.rpartition(" ")[0]] = run
    assert set(runs) == {*TRIALS, "tiny"}
    for name, value in miou.items():
        assert [event.value for event in runs[name].Scalars("miou")] == [pytest.approx(value)]
        assert [event.step for event in runs[name].Scalars("loss")][-1] == 40
        assert "_hparams_/session_start_info" in runs[name].summary_metadata
    assert "tables/main/text_summary" in runs["tiny"].summary_metadata


def test_mlflow_reads_parameters_curves_metrics_and_the_report(kept: Path, miou: dict[str, float]) -> None:
    client = importlib.import_module("mlflow").MlflowClient(f"sqlite:///{kept}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {*TRIALS, "tiny"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name, value in miou.items():
        assert runs[name].data.metrics["miou"] == value
        assert runs[name].data.params["level.neck"] == name.split("=")[1].split(" ")[0]
        assert runs[name].data.params["seed"] == name[-1]
        assert max(point.step for point in client.get_metric_history(runs[name].info.run_id, "loss")) == 40
    attached = {file.path for file in client.list_artifacts(runs["tiny"].info.run_id, "report")}
    assert {"report/index.html", "report/tables"} <= attached


def entries(content: bytes) -> Iterator[bytes]:
    """The entries of a file of W&B: blocks of 32 KiB, after 7 bytes, with pieces of a sum, a length and a kind each."""
    place, entry = 7, b""
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        entry += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield entry
            entry = b""


def test_wandb_keeps_runs_and_the_report_in_its_offline_folder(kept: Path, miou: dict[str, float]) -> None:
    proto = importlib.import_module("wandb.proto.wandb_internal_pb2")
    summaries: dict[str, dict[str, str]] = {}
    artifacts = []
    for file in kept.glob("wandb/offline-run-*/*.wandb"):
        name, summary = "", dict[str, str]()
        for content in entries(file.read_bytes()):
            record = proto.Record.FromString(content)
            name = record.run.display_name or name
            summary |= {item.key or item.nested_key[0]: item.value_json for item in record.summary.update}
            artifacts += [record.artifact.name] if record.artifact.name else []
        summaries[name] = summary
    assert set(summaries) == {*TRIALS, "tiny"}
    for name, value in miou.items():
        assert float(summaries[name]["miou"]) == pytest.approx(value)
        assert summaries[name]["status"] == '"done"'
    assert artifacts == ["tiny-report"]


def test_trackio_keeps_runs_with_their_parameters(
    kept: Path, miou: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(kept / "trackio"))
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    runs: dict[str, Any] = {}
    for run in importlib.import_module("trackio").Api().runs("tiny"):
        runs[run.name.rpartition(" ")[0]] = run
    assert set(runs) == {*TRIALS, "tiny"}
    for name, value in miou.items():
        assert runs[name].config["level.neck"] == name.split("=")[1].split(" ")[0]
        rows = storage.get_metric_values("tiny", runs[name].name, "miou")
        assert [row["value"] for row in rows] == [pytest.approx(value)]
    assert any(path.is_file() for path in (kept / "trackio" / "artifacts" / "tiny" / "blobs").rglob("*"))
