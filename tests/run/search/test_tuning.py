"""The tuning of a study with real trials, in this process: equal budgets, records, interruption, who looks at what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.records.plan import Best
from bench.records.quality import MeasuredQuality
from bench.records.record import read_all
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.search.storage import opened
from bench.run.search.tuning import Tuning, seed_of, tune
from bench.run.trial import Trial, run
from bench.study.factors import StudyError
from bench.study.source import Source, load
from bench.study.tuning.arms import arms_of

TUNE = 'tune={"learning_rate": LogRange(1e-3, 0.1)},\n    seeds='


@pytest.fixture
def tunable(tiny_study: Callable[..., Path]) -> Source:
    path = tiny_study(iterations="1")
    text = path.read_text().replace("seeds=", TUNE)
    path.write_text(text.replace("STUDY = Study(", "from bench import LogRange\n\nSTUDY = Study(", 1))
    return Source(str(path))


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
