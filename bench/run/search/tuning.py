"""The tuning of a study: the same number of settings is tried for every arm, on training images that are held out.

Each setting is trained in an ordinary trial, or in one for each part of the training images, so that an interrupted
tuning goes on from its records. A tuning that prunes ends a training early that is worse than the arm's earlier
settings were at the same point: it compares settings of earlier rounds alone, and none of another arm.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from optuna.storages import BaseStorage

from bench.protocol.recipe import Recipe
from bench.protocol.words import settings_in_words
from bench.records.plan.tuned import Best
from bench.records.quality import MeasuredQuality
from bench.records.record import Record, read_all
from bench.run.search.arm import ArmSearch
from bench.run.search.pruning import Looks, is_worse, looks_of
from bench.run.search.rounds import check_round
from bench.run.stages import key_of
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Source, Tried, load
from bench.study.study import Study
from bench.study.tuning.arms import Arm
from bench.study.tuning.ranges import Among, Settings
from bench.training.parallel.group import refuse_unshared


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
        looks: the shares of a training after which settings are compared, and the worse half is pruned; none to train
            all settings to the end.
        processes: the number of processes that train each network together.
    """

    source: Source
    arms: Sequence[Arm]
    budget: int
    folds: int
    tested: int
    seed: int
    folder: Path
    looks: tuple[float, ...] = ()
    processes: int = 1

    def planned(self, arm: Arm, settings: Settings, rivals: Sequence[Looks] = ()) -> PlannedSettings:
        """The trials that measure settings, one for each part that they are tested on.

        Args:
            arm: their arm.
            settings: the settings.
            rivals: the looks at settings of the arm, worse than which the training for the first part is ended.
        """
        trials, recipes = [], []
        for fold in range(self.tested):
            tried = Tried(tuple(settings.items()), fold, self.folds, () if fold else self.looks)
            source = replace(self.source, tried=tried, seeds=(self.seed,))
            loaded = load(source)
            cell = loaded.study.cell(arm.cell.name)
            fingerprint = loaded.dataset_of(cell).fingerprint(self.folder / FILE_DIGESTS)
            processes = self.processes
            key = key_of(cell, "quality", self.seed, fingerprint, modules=loaded.modules, processes=processes)
            known = () if fold else tuple(tuple(sorted(rival.items())) for rival in rivals)
            trials.append(Trial(source, cell.name, self.seed, "quality", key.text, processes=processes, rivals=known))
            recipes.append(cell.recipe)
        return PlannedSettings(arm, settings, trials, recipes[0], rivals)


@dataclass(frozen=True)
class PlannedSettings:
    """Settings that are tried for an arm.

    Attributes:
        arm: the arm.
        settings: the settings.
        trials: the trials that measure them, one for each part of the training images that they are tested on.
        recipe: the recipe of the first of these.
        rivals: the looks at earlier settings of the arm, with which those at the first trial are compared.
    """

    arm: Arm
    settings: Settings
    trials: Sequence[Trial]
    recipe: Recipe
    rivals: Sequence[Looks]

    def left(self, recorded: Mapping[str, Record]) -> list[Trial]:
        """The trials that are still to be run."""
        if self.is_pruned(recorded):
            return []
        return [trial for trial in self.trials if trial.key not in recorded or not recorded[trial.key].is_final]

    def records(self, recorded: Mapping[str, Record]) -> list[Record | None]:
        """The records of the trials that count; ``None`` for a trial without one."""
        trials = self.trials[:1] if self.is_pruned(recorded) else self.trials
        return [recorded.get(trial.key) for trial in trials]

    def is_pruned(self, recorded: Mapping[str, Record]) -> bool:
        """True if the first training was ended early, and this search would end it too: another may have ended it."""
        record = recorded.get(self.trials[0].key)
        if record is None or record.status != "pruned":
            return False
        looks = list(self.looks(recorded).items())
        return any(is_worse(dict(looks[:count]), self.rivals) for count in range(1, len(looks) + 1))

    def looks(self, recorded: Mapping[str, Record]) -> Looks:
        """The looks at the first training, by number."""
        record = recorded.get(self.trials[0].key)
        if record is None:
            return {}
        curve = record.measured.curve if isinstance(record.measured, MeasuredQuality) else record.outcome.looks
        points = {} if curve is None else dict(zip(map(int, curve.iteration), curve.miou, strict=True))
        return looks_of(points, self.recipe)


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
        rivals = {arm.name: searches[arm.name].rivals if tuning.looks else [] for arm in tuning.arms}
        planned = [tuning.planned(arm, settings, rivals[arm.name]) for arm, settings in asked]
        recorded = _run(tuning, planned, run)
        # Values are written in full here, as those of two settings may be the same when they are rounded.
        named = {f"{each.arm.name} at {_in_full(each.settings)}": each for each in planned}
        ended = check_round({name: each.records(recorded) for name, each in named.items()})
        for name, each in named.items():
            searches[each.arm.name].tell(
                each.settings,
                score_of(ended[name]),
                looks=each.looks(recorded) if tuning.looks else None,
                pruned=each.is_pruned(recorded),
                iterations=sum(map(iterations_of, ended[name])),
            )
        for arm in tuning.arms:
            told(_line(arm, searches[arm.name]))
    return [_best(arm, searches[arm.name], default) for arm in tuning.arms]


def tried_before(tuning: Tuning, study: Study, storage: BaseStorage, others: Iterable[Arm]) -> list[Best]:
    """The outcomes of earlier searches of arms that are not tuned now; ``trials`` is 0 for an arm without one."""
    default = default_settings(study)
    found = []
    for arm in others:
        search = _search(tuning, arm, study, default, storage)
        has_score = search.best is not None and search.best.score is not None
        untried = Best(levels=dict(arm.levels), trials=0, settings={})
        found.append(_best(arm, search, default) if has_score else untried)
    return found


def default_settings(study: Study) -> Settings:
    """The settings of the study's own recipe, of the fields that it tunes."""
    return {field: getattr(study.recipe, field) for field in study.tune}


def score_of(records: Sequence[Record]) -> float | None:
    """The mean IoU over the parts that settings were tested on; ``None`` if a trial did not end as done."""
    scores = [record.measured.miou for record in records if isinstance(record.measured, MeasuredQuality)]
    done = all(record.status == "done" for record in records) and len(scores) == len(records)
    return fmean(scores) if done else None


def iterations_of(record: Record) -> int:
    """The iterations of the training of a trial that is done or was pruned; 0 for one that ended otherwise."""
    if isinstance(record.measured, MeasuredQuality):
        return record.measured.iterations
    return 0 if record.outcome.looks is None else int(record.outcome.looks.iteration[-1])


def refuse_unshared_settings(study: Study, processes: int) -> None:
    """Refuse a study of which a network, at settings that a tuning may try, cannot be trained by so many processes.

    Raises:
        BenchError: if there is one.
    """
    shared = {name: space for name, space in study.tune.items() if name in ("batch", "accumulate", "compiled")}
    values = [
        space.values if isinstance(space, Among) else range(int(space.low), int(space.high) + 1)
        for space in shared.values()
    ]
    for cell in study.cells() if processes > 1 else ():
        refuse_unshared(cell.recipe, processes)
        for combination in itertools.product(*values):
            refuse_unshared(cell.recipe.having(**dict(zip(shared, combination, strict=True))), processes)


def _run(
    tuning: Tuning, planned: Sequence[PlannedSettings], run: Callable[[Sequence[Trial]], None]
) -> Mapping[str, Record]:
    """Run the trials of a round that are left, and return all records by key.

    A tuning that prunes runs those for the first part of the training images first: pruned settings have no others.
    """
    recorded = _records(tuning.folder)
    for some in (slice(0, 1), slice(1, None)) if tuning.looks else (slice(None),):
        left = {t.key: t for each in planned for t in each.left(recorded) if t in each.trials[some]}
        if left:
            run(list(left.values()))
            recorded = _records(tuning.folder)
    return recorded


def _search(tuning: Tuning, arm: Arm, study: Study, default: Settings, storage: BaseStorage) -> ArmSearch:
    """The search of an arm, in a study of Optuna's whose name changes with all that changes a score."""
    keys = [trial.key for trial in tuning.planned(arm, default).trials]
    searched = (keys, sorted(study.tune.items()), *([tuning.looks] if tuning.looks else []))
    identity = hashlib.sha256(repr(searched).encode()).hexdigest()[:12]
    name = f"{tuning.folder.name} {arm.name} {identity}"
    return ArmSearch(name, study.tune, default, tuning.budget, tuning.seed, storage)


def _records(folder: Path) -> Mapping[str, Record]:
    """Key -> the record of a trial."""
    return {record.key: record for record in read_all(folder / "records")}


def _in_full(settings: Settings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _line(arm: Arm, search: ArmSearch) -> str:
    best = search.best
    found = "none has a score" if best is None else f"best {best.score:.4f} at {settings_in_words(best.settings)}"
    pruned = sum(scored.pruned for scored in search.scored)
    early = f" ({pruned} pruned)" if pruned else ""
    return f"{arm.name}: {len(search.scored)} of {search.budget} settings tried{early}, {found}"


def _best(arm: Arm, search: ArmSearch, default: Settings) -> Best:
    """The outcome of an arm's search.

    Raises:
        StudyError: if all of its trials failed.
    """
    best = search.best
    if best is None or best.score is None:
        raise StudyError(f"all {len(search.scored)} trials of {arm.name} failed; their records say why")
    iterations = [scored.iterations for scored in search.scored]
    at_default = next((scored.score for scored in search.scored if scored.settings == default), None)
    return Best(
        levels=dict(arm.levels),
        trials=len(search.scored),
        settings=dict(best.settings),
        miou=best.score,
        default_miou=at_default,
        pruned=sum(scored.pruned for scored in search.scored),
        iterations=None if None in iterations else sum(each or 0 for each in iterations),
    )
