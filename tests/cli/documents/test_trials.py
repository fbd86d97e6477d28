"""The documents of the commands that run trials, here with real trials in this process, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.cli.documents.networks import PredictDocument
from bench.cli.documents.trials import RunDocument, TrialDocument, TuneDocument
from bench.run.handling import Handling
from bench.run.resources import Resources
from bench.run.trial import Trial, record_fault, run

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every run execute its trials one after the other in this process, and write a page of one word."""

    def execute(
        trials: Sequence[Trial], folder: Path, resources: Resources, display: Any, handling: Handling, **_: object
    ) -> None:
        for trial in trials:
            display.started(trial)
            display.finished(trial, run(trial, folder, resources.machine(trial.stage), handling=handling))

    def write_report(folder: Path) -> Path:
        page = folder / "report" / "index.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text("page")
        return page

    monkeypatch.setattr("bench.run.execute.execute", execute)
    monkeypatch.setattr("bench.report.page.page.write_report", write_report)


def asked(bench: Bench, *arguments: str | Path, status: int = 0) -> str:
    """The only line that a command prints on standard output."""
    code, out, err = bench(*arguments, "--json")
    assert code == status, err
    (line,) = out.splitlines()
    return line


def test_a_trial_its_test_in_another_way_and_predictions_of_its_weights_are_documents(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study, results = tiny_study(), tmp_path / "results"
    told = TrialDocument.model_validate_json(
        asked(bench, "trial", study, "neck=on", "--results", results, "--no-pictures")
    )
    assert (told.folder, told.planned) == (str(results / "tiny"), True)
    trial = told.trial
    assert (trial.variant, trial.stage, trial.seed, trial.outcome) == ("neck=on", "quality", 0, "done")
    assert (trial.against, trial.setting, trial.reason) == (None, None, None)
    assert trial.wall_s is not None
    assert trial.wall_s > 0
    assert Path(str(trial.record)).exists()

    line = asked(bench, "evaluate", results / "tiny", "--protocol", "flip", "--no-pictures", status=1)
    tested = RunDocument.model_validate_json(line)
    assert tested.folder == str(results / "tiny-flip")
    assert (tested.ran, tested.complete) == (1, True)
    assert [(ended.variant, ended.seed, ended.outcome) for ended in tested.trials] == [("neck=on", 0, "done")]
    assert Path(str(tested.report)).exists()

    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(images / "black.png")
    (images / "broken.png").write_text("no image")
    line = asked(bench, "predict", results / "tiny", "neck=on", images, tmp_path / "out", "--device", "cpu", status=1)
    predicted = PredictDocument.model_validate_json(line)
    assert (predicted.variant, predicted.seed, predicted.folder) == ("neck=on", 0, str(tmp_path / "out"))
    assert predicted.predicted == [str(images / "black.png")]
    assert [image.path for image in predicted.unread] == [str(images / "broken.png")]
    assert predicted.unread[0].reason


def test_a_speed_comparison_tells_its_trials_and_tables(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(
        trials: Sequence[Trial], folder: Path, resources: Resources, display: Any, handling: Handling, **_: object
    ) -> None:
        for trial in trials:
            display.started(trial)
            machine = resources.machine("speed")
            display.finished(trial, record_fault(trial, folder, machine, "planted", ""))

    monkeypatch.setattr("bench.run.execute.execute", refused)  # in place of a timing of many seconds
    options = ("--against", "neck=off", "--px", "32x32", "--seconds", "0.01", "--results", tmp_path)
    told = RunDocument.model_validate_json(asked(bench, "speed", tiny_study(), *options, status=1))
    assert (told.folder, told.complete, told.ran) == (str(tmp_path / "tiny-speed"), False, 1)
    (trial,) = told.trials
    assert (trial.variant, trial.against, trial.setting) == ("neck=on", "neck=off", "32x32")
    assert (trial.stage, trial.outcome, trial.reason) == ("speed", "failed", "planted")
    assert set(told.tables) == {"speed", "crossings", "published-speed"}


def test_a_tuning_tells_the_best_settings_of_every_arm_and_the_run_at_them(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study(iterations="1")
    text = path.read_text().replace("seeds=", 'tune={"learning_rate": LogRange(1e-3, 0.1)},\n    seeds=')
    path.write_text(text.replace("STUDY = Study(", "from bench import LogRange\n\nSTUDY = Study(", 1))
    options = ("--arm", "neck=on", "--budget", "2", "--folds", "2", "--results", tmp_path)
    told = TuneDocument.model_validate_json(asked(bench, "tune", path, *options))
    assert (told.folder, told.path) == (str(tmp_path / "tiny-tuning"), str(tmp_path / "tiny-tuning" / "tuned.json"))
    assert [(arm.levels, arm.tried) for arm in told.arms] == [({"neck": "on"}, 2), ({"neck": "off"}, 0)]
    assert told.arms[0].miou is not None
    assert told.arms[0].default_miou is not None
    assert set(told.arms[0].settings) <= {"learning_rate"}
    assert (told.arms[1].miou, told.stopped_by) == (None, None)
    assert told.run is not None
    assert told.run.complete
    assert {trial.outcome for trial in told.run.trials} == {"done"}
