"""Kept weights that are tested in another way give the records that training anew would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.documents.document import Document
from bench.cli.documents.modes import ModesDocument
from bench.cli.trials import planning
from bench.cli.trials.evaluating import Asked, evaluate, evaluate_in_modes
from bench.parts import BenchError
from bench.records import results as stored
from bench.records.quality import MeasuredQuality
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.keeping.retested import trained_for
from bench.run.keeping.weights import WeightsError
from bench.run.resources import Resources, here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial, run
from bench.study.source import Source, load

MACHINE = Machine("cpu", 1)


def asked(folder: Path, protocol: str | None = None, *, pictures: bool = True) -> Asked:
    """A test of the networks of a folder, by a protocol, with what the command takes by default."""
    handling = Handling(pictures=pictures)
    return Asked(
        folder=folder, protocol=protocol, final=False, retry=(), handling=handling, cpus=None, gpus=None, shelf=None
    )


def scheduled(study: Path, results: Path, protocol: str | None = None, final: bool = False) -> Schedule:
    schedule = make_schedule(load(Source(str(study), protocol=protocol, final=final)), results, here())
    schedule.folder.mkdir(parents=True, exist_ok=True)
    write_plan(schedule, f"bench run {study}" + (f" --protocol {protocol}" if protocol else ""))
    return schedule


def trained(schedule: Schedule, variant: str = "neck=on", handling: Handling = Handling()) -> MeasuredQuality:  # noqa: B008 - frozen
    trial = next(trial for trial in schedule.trials if (trial.stage, trial.variant) == ("quality", variant))
    record = run(trial, schedule.folder, MACHINE, handling=handling)
    assert record.status == "done", record.outcome
    assert isinstance(record.measured, MeasuredQuality)
    return record.measured


@pytest.mark.parametrize(("protocol", "final"), [("test_flip=true,test_scales=0.5:1.5", False), (None, True)])
def test_a_test_by_kept_weights_counts_what_training_anew_would(
    protocol: str | None, final: bool, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = tiny_study(iterations="40", learning_rate="0.05")
    before = trained(scheduled(study, tmp_path / "a"))
    anew = scheduled(study, tmp_path / "b", protocol, final)
    expected = trained(anew)
    assert expected.confusion != before.confusion
    again = scheduled(study, tmp_path / "a", protocol, final)
    handling = Handling(trained_in=tmp_path / "a" / "tiny")
    tested = trained(again, handling=handling)
    assert {trial.key for trial in again.trials} == {trial.key for trial in anew.trials}
    assert tested.confusion == expected.confusion
    assert (tested.history, tested.boundary, tested.calibration) == (
        expected.history, expected.boundary, expected.calibration,
    )  # fmt: skip
    assert tested.train_s == before.train_s
    assert tested.trained_as in {trial.key for trial in scheduled(study, tmp_path / "a").trials}
    assert not (again.folder / "weights").exists()


def test_a_cell_that_is_trained_in_another_way_is_refused(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    schedule = scheduled(tiny_study(), tmp_path)
    trained(schedule)
    cell = schedule.study.cell("neck=on")
    assert trained_for(cell, 0, schedule.folder).record.trial.seed == 0
    longer = replace(cell, recipe=cell.recipe.having(iterations=4, test_flip=True))
    with pytest.raises(WeightsError, match="trained in another way: its iterations is another one"):
        trained_for(longer, 0, schedule.folder)
    with pytest.raises(WeightsError, match="no weights of neck=on with seed 1"):
        trained_for(cell, 1, schedule.folder)


def test_the_command_tests_what_has_weights_and_tells_the_rest(
    tiny_study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = scheduled(tiny_study(), tmp_path / "results")
    trained(schedule)
    cost = next(trial for trial in schedule.trials if trial.stage == "cost")
    run(cost, schedule.folder, MACHINE)
    assert not evaluate(asked(schedule.folder, "flip"))
    out = capsys.readouterr().out
    assert "3 trials without kept weights cannot be tested without training" in out
    assert "1 record of costs and speed copied" in out
    results = stored.load(tmp_path / "results" / "tiny-flip")
    assert sorted(record.trial.stage for record in results.records) == ["cost", "quality"]
    (tested,) = (measured for _, measured in results.done(MeasuredQuality))
    assert tested.trained_as
    assert "tested here by kept weights" in (tmp_path / "results" / "tiny-flip" / "report" / "methods.md").read_text()
    with pytest.raises(BenchError, match="has no weights to test"):
        evaluate(asked(tmp_path / "results" / "tiny-flip", "whole"))
    with pytest.raises(BenchError, match="say how to test"):
        evaluate(asked(schedule.folder))
    assert planning.source(Path("s.py"), None, protocol="flip").options == ["--protocol", "flip"]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials run in the process of the test, not on Ray, whose start takes some seconds."""

    def execute(
        trials: Sequence[Trial], folder: Path, resources: Resources, display: Any, handling: Handling, **_: object
    ) -> None:
        for trial in trials:
            display.started(trial)
            display.finished(trial, run(trial, folder, MACHINE, handling=handling))

    monkeypatch.setattr("bench.run.execute.execute", execute)


def test_networks_are_tested_in_modes_beside_eager_torch(
    in_this_process: None, tiny_study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = scheduled(tiny_study(iterations="40", learning_rate="0.05"), tmp_path / "results")
    before = trained(schedule)
    documents: list[Document] = []
    of_one = asked(schedule.folder, pictures=False)
    is_complete = evaluate_in_modes(of_one, ["eager"], ["float32", "bfloat16"], documents.append)
    assert not is_complete, "three networks are not trained yet"
    (told,) = documents
    assert isinstance(told, ModesDocument)
    (row,) = told.variants
    assert (row.variant, row.mode, row.precision, row.seeds) == ("neck=on", "eager", "bfloat16", [0])
    folder = tmp_path / "results" / "tiny-test_precision-bfloat16"
    ((record, measured),) = stored.load(folder).done(MeasuredQuality)
    assert record.choices.recipe["test_precision"] == "bfloat16"
    assert measured.difference is not None
    assert (row.miou_eager, row.miou, row.changed) == (before.miou, measured.miou, measured.difference.changed)
    assert row.delta == row.largest_delta == measured.miou - before.miou
    assert row.changes_answer == (measured.difference.changed > 1e-3)
    out = capsys.readouterr().out
    assert f"{100 * before.miou:.2f}" in out
    assert ("changes the answer" if row.changes_answer else "the same answer") in out
    assert "networks in bfloat16" in (folder / "report" / "methods.md").read_text()


def test_modes_that_cannot_be_tested_are_refused_before_any_test(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    schedule = scheduled(tiny_study(), tmp_path)
    trained(schedule)
    for modes, precisions, why in (
        (["onnxrutime"], [], r"--modes 'onnxrutime': expected one of eager, .* \(did you mean 'onnxruntime'\?\)"),
        (["eager"], ["bfloat61"], r"--precision 'bfloat61': expected .* \(did you mean 'bfloat16'\?\)"),
        (["eager"], [], "add another mode or precision"),
        (["compile", "compile"], [], "--modes compile,compile: each may be there once"),
        ([""], [], "--modes '': expected one of"),
        (["compile"], ["int8_static"], "has no precision 'int8_static'"),
        (["eager", "cuda_graph"], ["bfloat16"], "needs a CUDA device"),
    ):
        with pytest.raises(BenchError, match=why):
            evaluate_in_modes(asked(schedule.folder), modes, precisions)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["tiny"]
