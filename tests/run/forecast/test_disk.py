"""The disk of trials: weights exactly, and what finished trials have taken where there are some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.run.environment import Machine
from bench.run.forecast.disk import disk_of
from bench.run.handling import Handling
from bench.run.trial import run
from tests.run.schedule.test_schedule import planned


def test_what_trials_take_is_foretold_before_and_after_the_first_of_them(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    trials = [trial for trial in plan.trials if (trial.variant, trial.stage) == ("neck=off", "quality")]
    before = disk_of(plan, trials)
    parameters = next(sum(n.parameters.values()) for n in plan.checked if n.cell.name == "neck=off")
    assert before.weights == 4 * parameters * len(trials)
    assert before.states >= 4 * parameters * 2
    assert run(trials[0], plan.folder, Machine("cpu", 1), handling=Handling(pictures=True)).status == "done"
    after = disk_of(plan, trials[1:])
    (record,) = (plan.folder / "records").glob("*.json")
    (counts,) = (plan.folder / "artifacts").glob("*.npz")
    (predictions,) = (plan.folder / "artifacts").glob("*.zip")
    assert after.records == record.stat().st_size
    assert after.counts == counts.stat().st_size
    assert after.pictures == predictions.stat().st_size
    assert counts.stat().st_size <= before.counts, "what is not compressed is the most that it takes"


def test_trials_of_cost_take_a_record_and_nothing_else(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    disk = disk_of(plan, [trial for trial in plan.trials if trial.stage == "cost"])
    assert disk.records > 0
    assert (disk.counts, disk.weights, disk.pictures, disk.states) == (0, 0, 0, 0)
