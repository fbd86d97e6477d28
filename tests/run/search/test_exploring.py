"""Explorations with planted scores: far too many combinations, several objectives, rules, interruption, keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

import bench.run.schedule.schedule
from bench.protocol.columns import ColumnError
from bench.records.record import read_all, write
from bench.run.schedule.making import make_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.search import exploring
from bench.run.search.exploring import EXPLORED, Exploration, TriedCell, check_objectives, explore
from bench.run.search.storage import JOURNAL, opened
from bench.run.trial import Trial, make_record
from bench.study.cells import Cell, ExcludedCell
from bench.study.explored import ChosenCells, read_chosen
from bench.study.factors import StudyError
from bench.study.source import Source, load
from tests.run.schedule.test_schedule import MEASURED, RESOURCES

OBJECTIVES = ("miou", "latency_s", "peak_bytes")
TEXT = """
from bench import Exclude, Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone


def levels(count, changed):
    return {f"v{index}": changed(index) for index in range(count)}


STUDY = Study(
    name="large",
    question="Which of very many?",
    base=Variant(part(ShallowBackbone), part(FCNHead, width=8), losses=(part(SegmentationLoss),)),
    factors=(
        Factor("width", levels(WIDTHS, lambda index: change(head=choose(width=4 * index + 4)))),
        Factor("dropout", levels(DROPOUTS, lambda index: change(head=choose(dropout=0.01 * index)))),
        Factor("backbone", levels(OTHERS, lambda index: change(backbone=choose(width=4 * index + 4)))),
        Factor(
            "loss",
            levels(OTHERS, lambda index: change(losses=(part(SegmentationLoss, weight=1.0 + index),))),
            within={"dropout": "v0"},
        ),
        Factor("draw", levels(2, lambda index: change(backbone=choose(draw=1 + index)))),
    ),
    baseline={"width": "v0", "dropout": "v0", "backbone": "v0", "loss": "v0", "draw": "v0"},
    recipe=Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=10, batch=4),
    exclude=(Exclude({"width": "v1", "draw": "v1"}, "planted"),),
    design="DESIGN",
)
"""


@pytest.fixture
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are made of names alone: to read the code of each trial takes a tenth of a second."""

    def key_of(cell: Cell, stage: str, seed: int | None, *other: object, **more: object) -> SimpleNamespace:
        told = repr((cell.variant.describe(), cell.recipe.describe(), stage, seed, more.get("processes", 1)))
        return SimpleNamespace(text=f"v2{hashlib.sha256(told.encode()).hexdigest()[:16]}")

    monkeypatch.setattr(bench.run.schedule.schedule, "key_of", key_of)
    monkeypatch.setattr(exploring, "key_of", key_of)


def a_source(folder: Path, widths: int = 10, dropouts: int = 80, others: int = 9, design: str = "explored") -> Source:
    folder.mkdir(exist_ok=True)
    path = folder / "large.py"
    path.write_text(
        TEXT.replace("WIDTHS", str(widths))
        .replace("DROPOUTS", str(dropouts))
        .replace("OTHERS", str(others))
        .replace("DESIGN", design)
    )
    return Source(str(path), seeds=(0,), explored=ChosenCells("", ()))


def planted(trial: Trial) -> dict[str, object]:
    """Measurements in which a wide head is good and slow, and every other factor has one best level."""
    levels = [int(term.partition("=v")[2]) for term in trial.variant.split(",")]
    width, dropout, backbone, loss, draw = levels
    if trial.stage == "cost":
        return {**MEASURED["cost"], "latency_s": [0.01 + 0.001 * width] * 3, "peak_bytes": 1000 + 10 * width}
    lost = 100 * abs(backbone - 6) + 100 * loss + 4 * abs(dropout - 40) + 50 * draw - 60 * width
    return {**MEASURED["quality"], "classes": ["road", "sky"], "confusion": [[5000 - lost, lost + 1000], [0, 6000]]}


def ended(schedule: Schedule, trials: Sequence[Trial], status: str = "done") -> None:
    for trial in trials:
        cell = schedule.study.cell(trial.variant)
        choices = {"variant": cell.variant.describe(), "recipe": cell.recipe.describe(), "levels": dict(cell.levels)}
        outcome = {"status": status, "reason": "planted", "traceback": None, "started_at": None, "wall_s": 1.0}
        measured = planted(trial) if status == "done" else {}
        machine = schedule.resources.machine(trial.stage)
        write(make_record(trial, machine, outcome, choices=choices, measured=measured), schedule.folder / "records")


def explored(
    source: Source, results: Path, budget: int, *, seed: int = 0,
    run: Callable[[Schedule, Sequence[Trial]], None] = ended,
) -> list[TriedCell]:  # fmt: skip
    folder = results / "large-explored"
    folder.mkdir(parents=True, exist_ok=True)
    exploration = Exploration(source, OBJECTIVES, budget, seed, folder, RESOURCES)
    return explore(exploration, opened(folder), run, lambda line: None)


@pytest.mark.usefixtures("quick_keys")
def test_of_far_too_many_combinations_good_ones_are_found_none_twice_and_none_that_is_excluded(tmp_path: Path) -> None:
    source = a_source(tmp_path)
    cells = explored(source, tmp_path / "results", 24)
    study = load(source).study
    assert 10 * 80 * 9 * 9 * 2 > 10**5
    assert len({cell.name for cell in cells}) == len(cells) == 24
    assert cells[0].name == study.baseline_name
    assert all(isinstance(study.at(cell.levels), Cell) for cell in cells)
    assert isinstance(study.at({"width": "v1", "draw": "v1"}), ExcludedCell)
    values = {cell.name: list((cell.values or {}).values()) for cell in cells}
    first, later = (max(values[cell.name][0] for cell in part) for part in (cells[:8], cells[8:]))
    assert later > first, "what was learnt is used"
    front = [cell.name for cell in cells if cell.on_front]
    for name in values:
        miou, latency_s, _ = values[name]
        beaten = any(other[0] >= miou and other[1] <= latency_s and other != values[name] for other in values.values())
        assert (name in front) == (not beaten)
    assert list(read_chosen(tmp_path / "results" / "large-explored" / EXPLORED).names) == list(values)
    in_storage = optuna.load_study(study_name=None, storage=opened(tmp_path / "results" / "large-explored"))
    assert [dict(trial.params) for trial in in_storage.get_trials()] == [dict(cell.levels) for cell in cells]
    assert [direction.name for direction in in_storage.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]


@pytest.mark.usefixtures("quick_keys")
def test_an_exploration_that_was_stopped_goes_on_as_an_undisturbed_one_and_another_seed_is_another_search(
    tmp_path: Path,
) -> None:
    source = a_source(tmp_path)
    whole = explored(source, tmp_path / "whole", 10)
    ran = list[str]()

    def stopped(schedule: Schedule, trials: Sequence[Trial]) -> None:
        ended(schedule, trials[:5])
        ran.extend(trial.key for trial in trials[:5])
        raise KeyboardInterrupt

    def rest(schedule: Schedule, trials: Sequence[Trial]) -> None:
        ended(schedule, trials)
        ran.extend(trial.key for trial in trials)

    with pytest.raises(KeyboardInterrupt):
        explored(source, tmp_path / "results", 10, run=stopped)
    assert explored(source, tmp_path / "results", 10, run=rest) == whole
    assert len(ran) == len(set(ran))
    assert explored(source, tmp_path / "results", 10, run=rest) == whole
    others = explored(source, tmp_path / "results", 10, seed=1)
    assert {cell.name for cell in others} != {cell.name for cell in whole}
    names = optuna.study.get_all_study_names(opened(tmp_path / "results" / "large-explored"))
    assert len(names) == 2, "each search has a name of its own"


@pytest.mark.usefixtures("quick_keys")
def test_a_small_study_is_searched_in_full_and_its_cells_are_the_trials_of_the_study(tmp_path: Path) -> None:
    source = a_source(tmp_path, widths=2, dropouts=2, others=2, design="factorial")
    cells = explored(source, tmp_path / "results", 50)
    study = load(Source(source.path, seeds=(0,)))
    assert {cell.name for cell in cells} == {cell.name for cell in study.study.cells()}
    recorded = {record.planned_key for record in read_all(tmp_path / "results" / "large-explored" / "records")}
    assert recorded == {trial.key for trial in make_schedule(study, tmp_path / "other", RESOURCES).trials}


@pytest.mark.usefixtures("quick_keys")
def test_networks_that_two_processes_train_are_another_search(tmp_path: Path) -> None:
    source = a_source(tmp_path, widths=2, dropouts=2, others=2, design="factorial")
    alone = Exploration(source, OBJECTIVES, 8, 0, tmp_path / "results" / "large-explored", RESOURCES)
    together = replace(alone, resources=replace(RESOURCES, cpus=2, processes=2))
    name = load(source).study.baseline_name
    assert {trial.stage: trial.processes for trial in together.schedule([name]).trials} == {"cost": 1, "quality": 2}
    names = {exploring._name_of_search(exploration, load(source)) for exploration in (alone, together)}
    assert len(names) == 2


@pytest.mark.usefixtures("quick_keys")
def test_a_cell_that_fails_has_no_score_and_a_round_of_failures_is_none(tmp_path: Path) -> None:
    source = a_source(tmp_path)

    def failing(schedule: Schedule, trials: Sequence[Trial]) -> None:
        ended(schedule, trials, "failed")

    def some(schedule: Schedule, trials: Sequence[Trial]) -> None:
        ended(schedule, trials)
        ended(schedule, [trial for trial in trials if trial.stage == "quality"][1:2], "failed")

    with pytest.raises(StudyError, match="every trial of this round has failed, one of them so: planted"):
        explored(source, tmp_path / "results", 8, run=failing)
    cells = explored(source, tmp_path / "results", 8, run=some)
    assert [cell.values is None for cell in cells] == [False, True, *[False] * 6]
    assert not cells[1].on_front
    with pytest.raises(StudyError, match="was interrupted; give the same command again"):
        explored(source, tmp_path / "stopped", 8, run=lambda schedule, trials: ended(schedule, trials, "interrupted"))
    assert (tmp_path / "results" / "large-explored" / JOURNAL).exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["miou", "miou"], "each once"),
        (["mio"], "mio"),
        (["final_loss", "latency_iqr_s"], "no value of .* is better"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises((StudyError, ColumnError), match=said):
        check_objectives(names, load(a_source(tmp_path)).study)


def test_factors_that_cost_nothing_are_refused_since_no_plan_can_hold_a_trial_twice(tmp_path: Path) -> None:
    source = a_source(tmp_path)
    text = Path(source.path).read_text()
    Path(source.path).write_text(
        text.replace("change(backbone=choose(draw=1 + index))", "change(recipe=choose(flip=0.5 * index))")
    )
    with pytest.raises(StudyError, match="draw=v1 differ in nothing that the stage cost measures"):
        explored(source, tmp_path / "results", 8)
