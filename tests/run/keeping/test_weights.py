"""Weights that were kept: the network is the one that was evaluated, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

import bench.network
from bench.cli.app import app
from bench.records.files import read_json, with_digest, write_json, write_text
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.keeping.cleaning import removable
from bench.run.keeping.predict import PredictionError, images_in
from bench.run.keeping.weights import WeightsError, kept, packed
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import run
from bench.study.source import Source, load
from bench.training.inference import predict

MACHINE = Machine("cpu", 1)


@pytest.fixture
def schedule(tiny_study: Callable[..., Path], tmp_path: Path) -> Schedule:
    source = Source(str(tiny_study()))
    made = make_schedule(load(source), tmp_path / "results", here())
    made.folder.mkdir(parents=True)
    write_plan(made, "bench run tiny.py")
    return made


def trained(schedule: Schedule, handling: Handling = Handling()) -> Record:  # noqa: B008 - frozen
    trial = next(trial for trial in schedule.trials if (trial.stage, trial.variant) == ("quality", "neck=on"))
    record = run(trial, schedule.folder, MACHINE, handling=handling)
    assert record.status == "done", record.outcome
    return record


def test_the_network_of_kept_weights_predicts_what_was_counted(schedule: Schedule) -> None:
    record = trained(schedule)
    assert isinstance(record.measured, MeasuredQuality)
    model = bench.network.load(schedule.folder, "neck=on")
    split = schedule.loaded.dataset_of(schedule.study.cell("neck=on")).split("val")
    counts = np.zeros((9, 9), dtype=int)
    for index in range(len(split)):
        sample = split[index]
        classes = predict(model, sample.image[None]).classes[0]
        known = sample.label != 255
        np.add.at(counts, (sample.label[known].numpy(), classes[known].numpy()), 1)
    assert counts.tolist() == record.measured.confusion


def test_a_file_has_the_same_bytes_whenever_it_is_written() -> None:
    weights = {"b": torch.ones(3), "a": torch.arange(5), "c": torch.zeros(2, 2, dtype=torch.bfloat16)}
    header = {name: f"é {name}" for name in "zyxwvut"}
    content = packed(weights, header)
    assert all(packed(weights, header) == content for _ in range(20))
    loaded = safetensors.torch.load(content)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_the_file_says_whose_weights_it_has(schedule: Schedule) -> None:
    record = trained(schedule)
    assert isinstance(record.measured, MeasuredQuality)
    with safe_open(schedule.folder / record.measured.weights, "pt") as file:
        header = {name: json.loads(text) for name, text in file.metadata().items() if name != "format"}
    assert header["trial"] == {"key": record.key, "variant": "neck=on", "seed": 0}
    assert header["classes"] == record.measured.classes
    assert header["variant"] == record.choices.variant
    assert header["normalisation"]["mean"] == [0.485, 0.456, 0.406]


def test_weights_that_were_not_kept_or_are_others_are_refused(schedule: Schedule) -> None:
    trained(schedule, Handling(weights=False))
    assert not (schedule.folder / "weights").exists()
    with pytest.raises(WeightsError, match="has no weights of neck=on"):
        kept(schedule.folder, "neck=on")
    record = trained(schedule)
    with pytest.raises(WeightsError, match="no weights of neck=off; there are those of neck=on with seed 0"):
        kept(schedule.folder, "baseline")
    with pytest.raises(WeightsError, match="neck=on with seed 7"):
        kept(schedule.folder, "neck=on", 7)
    assert isinstance(record.measured, MeasuredQuality)
    path = schedule.folder / record.measured.weights
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match="its digest is another"):
        bench.network.load(schedule.folder, "neck=on")
    path.unlink()
    with pytest.raises(WeightsError, match=r"cannot be read: .*safetensors"):
        bench.network.load(schedule.folder, "neck=on")


def test_weights_of_a_study_that_changed_are_refused(schedule: Schedule) -> None:
    trained(schedule)
    file = Path(schedule.loaded.source.path)
    changed = file.with_name("changed.py")
    changed.write_text(file.read_text().replace("learning_rate=0.01", "learning_rate=0.02"))
    plan = read_json(schedule.folder / "study.json")
    write_json({**plan, "command": f"bench run {changed}"}, schedule.folder / "study.json")
    with pytest.raises(WeightsError, match="is another one now"):
        kept(schedule.folder, "neck=on")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, height in (("a.PNG", 40), ("ü b.jpg", 33), ("more/c.bmp", 32)):
        Image.fromarray(rng.integers(0, 255, (height, 48, 3), dtype=np.uint8)).save(folder / name)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_own_images_get_masks_and_overlays(schedule: Schedule, pictures: Path, tmp_path: Path) -> None:
    trained(schedule)
    (pictures / "broken.png").write_bytes(b"\x89PNG")
    arguments = ["predict", str(schedule.folder), "neck=on", str(pictures), str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1, done.output
    assert "broken.png" in done.output
    assert "3 images predicted" in done.output
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == [
        "classes.json", "masks/a.png", "masks/more/c.png", "masks/ü b.png",
        "overlays/a.jpg", "overlays/more/c.jpg", "overlays/ü b.jpg",
    ]  # fmt: skip
    model = bench.network.load(schedule.folder, "neck=on")
    image = torch.from_numpy(np.asarray(Image.open(pictures / "a.PNG")).copy()).permute(2, 0, 1)
    expected = predict(model, image[None]).classes[0].numpy()
    assert (np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png")) == expected).all()
    assert [entry["index"] for entry in json.loads((tmp_path / "out" / "classes.json").read_text())] == list(range(9))
    again = CliRunner().invoke(app, arguments)
    assert "is not an empty folder" in str(again.exception)


def test_images_that_are_not_there_or_collide_are_told(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="neither an image nor a folder"):
        images_in(tmp_path / "nowhere")
    with pytest.raises(PredictionError, match="has no images"):
        images_in(_empty(tmp_path))
    Image.new("RGB", (32, 32)).save(pictures / "a.jpg")
    with pytest.raises(PredictionError, match="would have the same mask"):
        images_in(pictures)


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_cleaning_says_what_it_removes_and_leaves_what_reports_read(schedule: Schedule) -> None:
    record = trained(schedule)
    folder = schedule.folder
    assert removable(folder) == []
    stale = read_json(folder / "records" / record.file_name)
    other = record.key.replace("v2", "v2ff", 1)[: len(record.key)]
    stale = json.loads(json.dumps(stale).replace(record.key, other))
    content = {name: value for name, value in stale.items() if name != "digest"}
    write_text(with_digest(content), folder / "records" / f"{other}.{record.environment.host}.json")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / f"{other}.state").write_bytes(b"x" * 1000)
    (folder / "weights" / "orphan.safetensors").write_bytes(b"y" * 10)
    before = {path for path in folder.rglob("*") if path.is_file()}
    told = CliRunner().invoke(app, ["clean", str(folder)], input="n\n")
    assert told.exit_code == 1
    assert before <= {path for path in folder.rglob("*") if path.is_file()}, "nothing is removed without a yes"
    for words in (
        "States of trainings under way: 1 file",
        "Records of no planned trial: 1",
        "Files of no record",
    ):
        assert words in told.output
    done = CliRunner().invoke(app, ["clean", str(folder), "--yes"])
    assert done.exit_code == 0, done.output
    left = {path for path in folder.rglob("*") if path.is_file()}
    assert before - left == {
        folder / "records" / f"{other}.{record.environment.host}.json",
        folder / "checkpoints" / f"{other}.state",
        folder / "weights" / "orphan.safetensors",
    }
    assert not (folder / "checkpoints").exists()
    assert removable(folder) == []
