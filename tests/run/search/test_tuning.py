"""The tuning of a study with real trials, in this process: equal budgets, records, interruption, who looks at what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.plan.tuned import Best
from bench.records.quality import MeasuredQuality
from bench.records.record import read_all, write
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.search.storage import opened
from bench.run.search.tuning import Tuning, seed_of, tried_before, tune
from bench.run.trial import Trial, make_record, run
from bench.study.factors import StudyError
from bench.study.source import Source, load
from bench.study.tuning.arms import arms_of
from tests.run.schedule.test_schedule import MEASURED


def tuned(source: Source, folder: Path, run_trials: Callable[[Sequence[Trial]], None], budget: int = 2) -> list[Best]:
    study = load(source).study
    folder.mkdir(exist_ok=True)
    tuning = Tuning(source, arms_of(study), budget, 4, 1, seed_of(study), folder)
    return tune(tuning, study, opened(folder), run_trials, lambda line: None)


def running(folder: Path, ran: list[str]) -> Callable[[Sequence[Trial]], None]:
    def run_trials(trials: Sequence[Trial]) -> None:
        for trial in trials:
            ran.append(trial.key)
            run(trial, folder, Machine("cpu", 1), handling=Handling(pictures=False, weights=False))

    return run_trials


def test_every_arm_gets_as_many_trials_on_held_out_training_images_and_none_is_repeated(
    tunable: Source, tmp_path: Path
) -> None:
    folder, ran = tmp_path / "tuning", list[str]()

    def interrupted(trials: Sequence[Trial]) -> None:
        running(folder, ran)(trials[:3])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(tunable, folder, interrupted)
    with pytest.raises(StudyError, match="was interrupted; give the same command again"):
        tuned(tunable, folder, lambda trials: None)  # the last trial ended without a final record
    best = tuned(tunable, folder, running(folder, ran))
    assert tuned(tunable, folder, running(folder, ran)) == best
    assert [(arm.levels, arm.trials) for arm in best] == [({"neck": "off"}, 2), ({"neck": "on"}, 2)]
    records = read_all(folder / "records")
    assert len(records) == len(set(ran)) == len(ran) == 4
    assert {record.trial.seed for record in records} == {seed_of(load(tunable).study)}
    assert not {seed_of(load(tunable).study)} & set(load(tunable).study.seeds)
    scores: dict[str, list[float]] = {}
    for record in records:
        assert record.choices.recipe["data"]["class"].endswith("HeldOut")
        assert isinstance(record.measured, MeasuredQuality)
        assert record.measured.images == 2  # one of four parts of eight training images
        scores.setdefault(record.trial.variant, []).append(record.measured.miou)
    assert [arm.miou for arm in best] == [max(scores["neck=off"]), max(scores["neck=on"])]


def test_settings_that_fail_count_and_a_round_in_which_all_fail_does_not(tunable: Source, tmp_path: Path) -> None:
    folder, study = tmp_path / "tuning", load(tunable).study

    def ending(fails: Callable[[Trial], bool]) -> Callable[[Sequence[Trial]], None]:
        def run_trials(trials: Sequence[Trial]) -> None:
            for trial in trials:
                failed = fails(trial)
                outcome = {"status": "failed" if failed else "done", "reason": "planted", "traceback": None}
                choices = {"variant": {}, "recipe": {}, "levels": dict(study.cell(trial.variant).levels)}
                measured = {} if failed else MEASURED["quality"]
                record = make_record(trial, Machine("cpu", 1), outcome, choices=choices, measured=measured)
                write(record, folder / "records")

        return run_trials

    with pytest.raises(StudyError, match="every trial of this round has failed, one of them so: planted; mend that"):
        tuned(tunable, folder, ending(lambda trial: True))

    def is_not_default(trial: Trial) -> bool:
        assert trial.source.tried is not None
        return dict(trial.source.tried.settings) != {"learning_rate": study.recipe.learning_rate}

    best = tuned(tunable, folder, ending(is_not_default))
    assert [(arm.trials, arm.settings["learning_rate"]) for arm in best] == [(2, study.recipe.learning_rate)] * 2
    tuning = Tuning(tunable, arms_of(study)[:1], 3, 4, 1, seed_of(study), folder)
    alone = tune(tuning, study, opened(folder), ending(lambda trial: False), lambda line: None)
    assert [(arm.levels, arm.trials) for arm in alone] == [({"neck": "off"}, 3)]
    others = tried_before(tuning, study, opened(folder), arms_of(study)[1:])
    assert others == best[1:], "an arm keeps what was found for it when another is tuned alone"
    never = tmp_path / "never"
    never.mkdir()
    [untried] = tried_before(replace(tuning, folder=never), study, opened(never), arms_of(study)[1:])
    assert (untried.trials, untried.settings) == (0, {})
