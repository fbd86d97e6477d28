"""The tuning of a study: the same number of settings is tried for every arm, on training images that are held out.

Each setting is trained in an ordinary trial, or in one for each part of the training images, so that an interrupted
tuning goes on from its records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from optuna.storages import BaseStorage

from bench.protocol.words import settings_in_words
from bench.records.plan.tuned import Best
from bench.records.quality import MeasuredQuality
from bench.records.record import Record, read_all
from bench.run.search.arm import ArmSearch
from bench.run.search.rounds import check_round
from bench.run.stages import key_of
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Source, Tried, load
from bench.study.study import Study
from bench.study.tuning.arms import Arm
from bench.study.tuning.ranges import Settings


@dataclass(frozen=True)
class Tuning:
    """The settings and trials of a tuning, and where they are kept.

    Attributes:
        source: the study, in the form that is tuned.
        arms: the arms.
        budget: the number of settings for each arm.
        folds: the number of parts that the training images are divided into.
        tested: the number of these parts that each setting is tested on in turn: 1, or ``folds`` for cross-validation.
        seed: the seed of weights, batches and suggestions. No seed of the study is looked at.
        folder: the folder of the records and of Optuna's storage.
    """

    source: Source
    arms: Sequence[Arm]
    budget: int
    folds: int
    tested: int
    seed: int
    folder: Path

    def trials(self, arm: Arm, settings: Settings) -> list[Trial]:
        """The trials that measure settings, one for each part that they are tested on."""
        trials = []
        for fold in range(self.tested):
            source = replace(self.source, tried=Tried(tuple(settings.items()), fold, self.folds), seeds=(self.seed,))
            loaded = load(source)
            cell = loaded.study.cell(arm.cell.name)
            fingerprint = loaded.dataset_of(cell).fingerprint(self.folder / FILE_DIGESTS)
            key = key_of(cell, "quality", self.seed, fingerprint, modules=loaded.modules)
            trials.append(Trial(source, cell.name, self.seed, "quality", key.text))
        return trials


def seed_of(study: Study) -> int:
    """The seed of a study's tuning: the first one above those of the study."""
    return max(study.seeds) + 1


def tune(
    tuning: Tuning,
    study: Study,
    storage: BaseStorage,
    run: Callable[[Sequence[Trial]], None],
    told: Callable[[str], None],
) -> list[Best]:
    """Search the best settings of every arm, all arms side by side.

    Args:
        tuning: what is tried.
        study: the study at its default settings.
        storage: Optuna's storage.
        run: a function that runs trials and leaves their records in the folder.
        told: a function that is called with a line about each round.

    Returns:
        The best settings of every arm.

    Raises:
        StudyError: if a trial was interrupted, or if all trials of an arm failed.
    """
    default = default_settings(study)
    searches = {arm.name: _search(tuning, arm, study, default, storage) for arm in tuning.arms}
    while asked := [(arm, settings) for arm in tuning.arms for settings in searches[arm.name].ask()]:
        planned = [(arm, settings, tuning.trials(arm, settings)) for arm, settings in asked]
        recorded = _records(tuning.folder)
        pending = {trial.key: trial for *_, trials in planned for trial in trials if not _is_final(trial, recorded)}
        if pending:
            run(list(pending.values()))
            recorded = _records(tuning.folder)
        names = [f"{arm.name} at {settings_in_words(settings)}" for arm, settings in asked]
        of_points = [[recorded.get(trial.key) for trial in trials] for *_, trials in planned]
        ended = check_round(dict(zip(names, of_points, strict=True)))
        for name, (arm, settings, _) in zip(names, planned, strict=True):
            searches[arm.name].tell(settings, score_of(ended[name]))
        for arm in tuning.arms:
            told(_line(arm, searches[arm.name]))
    return [_best(arm, searches[arm.name], default) for arm in tuning.arms]


def default_settings(study: Study) -> Settings:
    """The settings of the study's own recipe, of the fields that it tunes."""
    return {field: getattr(study.recipe, field) for field in study.tune}


def score_of(records: Sequence[Record]) -> float | None:
    """The mean IoU over the parts that settings were tested on; ``None`` if a trial did not end as done."""
    scores = [record.measured.miou for record in records if isinstance(record.measured, MeasuredQuality)]
    done = all(record.status == "done" for record in records) and len(scores) == len(records)
    return fmean(scores) if done else None


def _search(tuning: Tuning, arm: Arm, study: Study, default: Settings, storage: BaseStorage) -> ArmSearch:
    """The search of an arm, in a study of Optuna's whose name changes with all that changes a score."""
    keys = [trial.key for trial in tuning.trials(arm, default)]
    identity = hashlib.sha256(repr((keys, sorted(study.tune.items()))).encode()).hexdigest()[:12]
    name = f"{tuning.folder.name} {arm.name} {identity}"
    return ArmSearch(name, study.tune, default, tuning.budget, tuning.seed, storage)


def _records(folder: Path) -> Mapping[str, Record]:
    """Key -> the record of a trial."""
    return {record.key: record for record in read_all(folder / "records")}


def _is_final(trial: Trial, recorded: Mapping[str, Record]) -> bool:
    return trial.key in recorded and recorded[trial.key].is_final


def _line(arm: Arm, search: ArmSearch) -> str:
    best = search.best
    found = "none has a score" if best is None else f"best {best.score:.4f} at {settings_in_words(best.settings)}"
    return f"{arm.name}: {len(search.scored)} of {search.budget} settings tried, {found}"


def _best(arm: Arm, search: ArmSearch, default: Settings) -> Best:
    """The outcome of an arm's search.

    Raises:
        StudyError: if all of its trials failed.
    """
    best = search.best
    if best is None or best.score is None:
        raise StudyError(f"all {len(search.scored)} trials of {arm.name} failed; their records say why")
    at_default = next((scored.score for scored in search.scored if scored.settings == default), None)
    return Best(
        levels=dict(arm.levels),
        trials=len(search.scored),
        settings=dict(best.settings),
        miou=best.score,
        default_miou=at_default,
    )
