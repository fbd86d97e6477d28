"""The making of a schedule: the data of a study are checked, and its trials get their keys."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data.decoded.shelf import Shelf
from bench.measure.timing.execution import timed_recipe
from bench.protocol.modes import check_compiler, check_setting, check_test
from bench.protocol.setting import Stage
from bench.run.check import refuse_one_class
from bench.run.earlier.plan import earlier_keys
from bench.run.resources import Resources
from bench.run.schedule.many_keys import KeysOfMany
from bench.run.schedule.schedule import Schedule
from bench.run.schedule.twins import refuse_twins, same_cost
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Loaded
from bench.study.study import Study
from bench.training.parallel.group import refuse_unshared


def checked_schedule(loaded: Loaded, results: Path, resources: Resources, shelf: Shelf | None = None) -> Schedule:
    """Check the data of a study and make its schedule. Nothing is written.

    Args:
        loaded: the study and its data.
        results: the folder in which the results folder of the study lies.
        resources: the CPUs and GPUs that trials take.
        shelf: the shelf of decoded samples, whose files are not decoded again; ``None`` for none.

    Raises:
        BenchError: if the data cannot be used, or for what :func:`make_schedule` refuses.
    """
    with copied_digests(results / loaded.folder_name) as digests:
        loaded.check_data(shelf, digests)
        return schedule_of(loaded, results, resources, loaded.fingerprints(digests))


def make_schedule(loaded: Loaded, results: Path, resources: Resources) -> Schedule:
    """Make the schedule of a study. Nothing is written.

    Cost trials come first, because they are short and show which networks do not fit into memory. Speed trials follow,
    then quality trials seed by seed.

    Raises:
        BenchError: if this machine's device does not have a speed setting or a recipe's precision, or if the data have
            one class.
    """
    with copied_digests(results / loaded.folder_name) as digests:
        return schedule_of(loaded, results, resources, loaded.fingerprints(digests))


def schedule_of(loaded: Loaded, results: Path, resources: Resources, fingerprints: Mapping[str, str]) -> Schedule:
    """:func:`make_schedule` for data whose fingerprints, by variant, are known.

    Raises:
        BenchError: as that does.
    """
    folder, study = results / loaded.folder_name, loaded.study
    refuse_one_class(study, loaded.classes_of)
    refuse_twins(study)
    shared = same_cost(study) if "cost" in study.stages else {}
    measured_with_another = {name for others in shared.values() for name in others}
    trials: list[Trial] = []
    stages: tuple[Stage, ...] = ("cost", "quality")
    keys, modules = KeysOfMany(), loaded.modules
    for stage in stages:
        if stage in study.stages:
            _refuse_recipes(study, resources, stage)
        planned = study.cells() if stage in study.stages else ()
        processes = resources.processes_of(stage)
        for seed in study.seeds if stage == "quality" else (None,):
            for cell in planned:
                if stage == "cost" and cell.name in measured_with_another:
                    continue
                fingerprint = fingerprints[cell.name]
                key = keys.key_of(cell, stage, seed, fingerprint, modules=modules, processes=processes)
                source = loaded.source.of_cell(cell.name)
                trials.append(Trial(source, cell.name, seed, stage, key, processes=processes))
        if stage == "cost":
            trials += _comparisons(loaded, fingerprints, resources, keys)
    keys.check()
    earlier = earlier_keys(folder)
    return Schedule(loaded, folder, resources, tuple(trials), fingerprints, keys.made, earlier, same_cost=shared)


def _refuse_recipes(study: Study, resources: Resources, stage: Stage) -> None:
    """Refuse the recipes that cannot be followed in a stage on this machine.

    Raises:
        BenchError: for the first such recipe.
    """
    for cell in study.recipe_examples:
        cell.recipe.check(resources.machine(stage).device)
        if stage == "quality":
            check_test(cell.recipe, resources.machine(stage).device)
            check_compiler(cell.recipe.test_mode, resources.machine(stage).device)
        refuse_unshared(cell.recipe, resources.processes_of(stage))


@contextlib.contextmanager
def copied_digests(folder: Path) -> Iterator[Path]:
    """Inside the block, a copy of the digests of files that a results folder keeps; the folder stays as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        digests = Path(scratch) / FILE_DIGESTS
        with contextlib.suppress(OSError):
            shutil.copyfile(folder / FILE_DIGESTS, digests)
        yield digests


def _comparisons(
    loaded: Loaded, fingerprints: Mapping[str, str], resources: Resources, keys: KeysOfMany
) -> list[Trial]:
    """The speed comparisons of a study.

    Raises:
        StudyError: if both sides of a comparison would be built for other numbers of classes.
    """
    trials = []
    modules = loaded.modules
    for cell, other, setting in loaded.study.pairs():
        check_setting(setting, resources.machine("speed").device)
        check_compiler(setting.mode, resources.machine("speed").device)
        if setting.phase == "training":
            timed_recipe(cell.recipe, setting)  # refuses a batch that the recipe cannot compute in its parts
        if loaded.classes_of(cell) != loaded.classes_of(other):
            raise StudyError(
                f"study {loaded.study.name!r}: the data of {cell.name} and {other.name} have other numbers of classes, "
                "so their speeds are not compared; leave the factor that changes the data out of Speed(against=…)"
            )
        fingerprint = fingerprints[cell.name]
        key = keys.key_of(cell, "speed", None, fingerprint, against=other, setting=setting, modules=modules)
        trials.append(Trial(loaded.source, cell.name, None, "speed", key, other.name, setting))
    return trials
