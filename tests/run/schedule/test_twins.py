"""Cells that differ in nothing that a stage reads: their cost is measured once, their training is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.files import RecordError, with_digest
from bench.records.results import load
from bench.run.schedule.plan import plan_of, write_plan
from bench.study.factors import StudyError
from tests.run.schedule.test_schedule import ended, planned

RATE = 'Factor("rate", {{"low": change(), "high": change(recipe=choose({field}))}}),'


@pytest.fixture
def with_rates(tiny_study: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the tiny study with another factor, whose level ``high`` changes some fields of the recipe."""

    def make(field: str = "learning_rate=0.1") -> Path:
        path = tiny_study()
        text = path.read_text().replace("factors=(", f"factors=(\n        {RATE.format(field=field)}")
        path.write_text(text.replace("baseline={", 'baseline={"rate": "low", '))
        return path

    return make


def test_variants_of_the_same_network_share_one_cost_trial_and_its_record(
    with_rates: Callable[..., Path], tmp_path: Path
) -> None:
    schedule = planned(with_rates(), tmp_path)
    costs = [trial for trial in schedule.trials if trial.stage == "cost"]
    assert [schedule.variants_of(trial) for trial in costs] == [
        ("rate=low,neck=off", "rate=high,neck=off"), ("rate=low,neck=on", "rate=high,neck=on")
    ]  # fmt: skip
    assert len({trial.key for trial in schedule.trials}) == len(schedule.trials) == 2 + 4 * 2
    for trial in costs:
        ended(schedule, trial, "done")
    write_plan(schedule, "bench run tiny.py")
    results = load(schedule.folder)
    frame = results.frame().query("stage == 'cost'")
    assert list(frame["variant"]) == [cell.name for cell in schedule.study.cells()], "in the order of the study"
    assert set(frame["status"]) == {"done"}
    assert set(frame["latency_s"]) == {0.1}
    assert (len(results.records), len(results.files)) == (4, 2)
    shared = {record.trial.variant: record for record in results.records}["rate=high,neck=on"]
    assert shared.trial.levels == {"neck": "on", "rate": "high"}
    assert not shared.choices.recipe, "the recipe that the record has is that of another variant"
    assert [trial.stage for trial in schedule.pending()] == ["quality"] * 8
    assert schedule.stale() == 0


def test_a_record_of_a_variant_that_does_not_share_it_is_refused_as_before(
    with_rates: Callable[..., Path], tmp_path: Path
) -> None:
    schedule = planned(with_rates(), tmp_path)
    ended(schedule, schedule.trials[0], "done")
    write_plan(schedule, "bench run tiny.py")
    (file,) = (schedule.folder / "records").iterdir()
    record = json.loads(file.read_text())
    file.write_text(with_digest(record | {"trial": record["trial"] | {"variant": "rate=low,neck=on"}}))
    with pytest.raises(RecordError, match="has the key of a planned trial with variant 'rate=low,neck=off'"):
        load(schedule.folder)


def test_a_level_that_is_gone_keeps_its_share_of_a_cost(with_rates: Callable[..., Path], tmp_path: Path) -> None:
    path = with_rates()
    schedule = planned(path, tmp_path)
    for trial in schedule.trials:
        ended(schedule, trial, "done")
    write_plan(schedule, "bench run tiny.py")
    text = path.read_text().replace('"rate": "low"', '"rate": "lower"')
    path.write_text(text.replace('"low": change()', '"lower": change(recipe=choose(learning_rate=0.001))'))
    fewer = planned(path.rename(path.with_name("fewer.py")), tmp_path)
    assert [trial.variant for trial in fewer.trials if trial.stage == "cost"] == [
        "rate=lower,neck=off", "rate=lower,neck=on"
    ]  # fmt: skip
    plan = plan_of(fewer, "bench run fewer.py")
    kept = {(row.variant, row.stage) for row in plan.trials if row.kept}
    assert {variant for variant, stage in kept if stage == "cost"} == {"rate=low,neck=off", "rate=low,neck=on"}


def test_a_training_that_would_be_run_twice_is_refused_with_the_factor_and_a_remedy(
    with_rates: Callable[..., Path], tmp_path: Path
) -> None:
    path = with_rates("latency_samples=6")
    told = (
        "study 'tiny': rate=low,neck=off and rate=high,neck=off are one quality trial, as what rate changes there is "
        "not read by it; leave 'quality' out of stages=…, or such levels out of the study"
    )
    with pytest.raises(StudyError) as raised:
        planned(path, tmp_path)
    assert str(raised.value) == told
    path.write_text(path.read_text().replace("seeds=(0, 1),", 'stages=("cost",),'))
    assert len(planned(path.rename(path.with_name("cost.py")), tmp_path).trials) == 4
