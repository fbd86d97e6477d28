"""A process that finds another trial than the planned one says whether a file changed or the study differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.parts import part
from bench.run.processes.agreement import disagreement
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.study.source import Source, load
from tests.conftest import TINY_STUDY

CHANGED = "the study, a component or the data changed after planning; run again"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schedule, Path]:
    folder = tmp_path_factory.mktemp("agreement")
    study = folder / "agreed.py"
    study.write_text(TINY_STUDY.format(iterations="3", learning_rate="0.01"), encoding="utf-8")
    schedule = make_schedule(load(Source(str(study))), folder / "results", Resources(1, 0, 2, 0))
    write_plan(schedule, "bench run tiny.py")
    return schedule, study


def test_a_value_that_differs_by_itself_is_named(planned: tuple[Schedule, Path]) -> None:
    schedule, study = planned
    cell = schedule.study.cell("baseline")
    loss = cell.variant.losses[0].having(weight=1.25)
    other = replace(cell, variant=replace(cell.variant, losses=(loss,)))
    told = disagreement(other, cell.name, study, schedule.folder)
    assert told.startswith("the study is not the same in two processes (a set, a clock, a random number?): ")
    assert "losses.0.weight is 1.25 here, 1.0 in the plan" in told
    data = replace(cell, recipe=cell.recipe.having(iterations=9))
    assert "recipe.iterations is 9 here" in disagreement(data, cell.name, study, schedule.folder)
    head = replace(cell, variant=replace(cell.variant, head=part(cell.variant.head.cls)))
    assert "head." in disagreement(head, cell.name, study, schedule.folder)


def test_a_variant_that_is_there_in_one_process_only_is_named(planned: tuple[Schedule, Path]) -> None:
    schedule, study = planned
    assert "this process has no variant x=1" in disagreement(None, "x=1", study, schedule.folder)


def test_a_file_that_was_changed_after_planning_is_the_reason(planned: tuple[Schedule, Path]) -> None:
    schedule, study = planned
    cell = schedule.study.cell("baseline")
    other = replace(cell, recipe=cell.recipe.having(iterations=9))
    text = study.read_text(encoding="utf-8")
    study.write_text(text + "\n", encoding="utf-8")
    told = [disagreement(present, cell.name, study, schedule.folder) for present in (other, None)]
    study.write_text(text, encoding="utf-8")
    assert told == [CHANGED, CHANGED]


def test_without_a_plan_or_a_difference_both_reasons_stay_open(planned: tuple[Schedule, Path], tmp_path: Path) -> None:
    schedule, study = planned
    cell = schedule.study.cell("baseline")
    assert disagreement(cell, cell.name, study, schedule.folder) == CHANGED
    assert disagreement(cell, cell.name, study, tmp_path / "nowhere") == CHANGED
