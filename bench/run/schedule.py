"""The schedule of a study: its trials with their keys, their outcomes so far, and an estimate of the remaining time."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.data.decoded.shelf import Shelf
from bench.measure.timing.execution import timed_recipe
from bench.protocol.words import plural
from bench.records.files import RecordError, file_digest, write_json
from bench.records.forms import build, problem
from bench.records.plan import VERSION, Plan, PlannedTrial, Rounds, read_plan
from bench.records.record import STATUSES, Record, read_all
from bench.run import environment
from bench.run.check import Checked, Faulty, check_cells, facts, refuse_one_class
from bench.run.earlier.changes import changes_since
from bench.run.earlier.kept import kept_trials, what_is_measured, with_kept
from bench.run.identity.explained import Explained, KeyChanges, changes_between, explained, packed, unpacked
from bench.run.identity.key import Key, is_current
from bench.run.identity.many.templates import MadeKeys
from bench.run.many_keys import KeysOfMany
from bench.run.resources import Resources
from bench.run.stages import key_of
from bench.run.trial import Trial, record_key
from bench.study.cells import Cell
from bench.study.designs import word_of
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Loaded
from bench.study.study import Study
from bench.training.parallel.group import refuse_unshared

NOT_ALONE = "not_alone"
"""The value of ``--retry`` for timings that are done, but during which other work ran on the machine."""
MAYBE_NOT_ALONE = "maybe_not_alone"
"""The value of ``--retry`` for timings that are done, and of which it is not known whether they were alone."""


RETRIES = (*STATUSES, NOT_ALONE, MAYBE_NOT_ALONE)


@dataclass(frozen=True)
class Schedule:
    """All trials of a study, and the folder for their results.

    Attributes:
        loaded: the study and its data.
        folder: the folder for the results.
        resources: the CPUs and GPUs that trials take.
        trials: the trials, in the order in which they run.
        fingerprints: variant -> the fingerprint of its data.
        keys: key of each trial -> its parts.
        earlier: key of each trial of the plan that the folder held before -> its parts.
        most_built: the most networks that are built to look at them; ``None`` for all.
        rounds: the rounds in which seeds are added until comparisons are resolved; ``None`` for fixed seeds.
    """

    loaded: Loaded
    folder: Path
    resources: Resources
    trials: tuple[Trial, ...]
    fingerprints: Mapping[str, str]
    keys: MadeKeys = field(default_factory=MadeKeys)
    earlier: Mapping[str, Explained] = field(default_factory=dict)
    most_built: int | None = None
    rounds: Rounds | None = None

    @property
    def study(self) -> Study:
        return self.loaded.study

    def statuses(self) -> dict[str, str]:
        """Key of each trial -> the status of its record, or ``missing`` if it has no record."""
        recorded = self.recorded()
        return {trial.key: recorded[trial.key].status if trial.key in recorded else "missing" for trial in self.trials}

    def recorded(self) -> dict[str, Record]:
        """Key of each trial that has a record -> its record."""
        # The nodes of a cluster are not known in advance, so a timing of any hardware class counts there.
        elsewhere = self.resources.address is not None
        finished_last = sorted(self.records(), key=lambda record: record.is_final)
        records = {record.planned_key if elsewhere else record.key: record for record in finished_last}
        keys = {
            trial.key: trial.key if elsewhere else record_key(trial, self.resources.machine(trial.stage))
            for trial in self.trials
        }
        return {planned_key: records[key] for planned_key, key in keys.items() if key in records}

    def stale(self) -> int:
        """The number of records that belong to no trial of this schedule, as source, settings, data or seeds differ."""
        return len(self._stale())

    def _stale(self) -> list[Record]:
        planned = {trial.key for trial in self.trials} | {row.key for row in self.kept()}
        return [record for record in self.records() if record.planned_key not in planned]

    def kept(self, *, beside: bool = False) -> list[PlannedTrial]:
        """The trials of the plan that the folder holds which stay in it, although the study does not plan them now.

        Args:
            beside: ``True`` if other runs are at work in the folder, whose trials stay before they have records.
        """
        earlier = _earlier_plan(self.folder)
        if earlier is None:
            return []

        def present_key(row: PlannedTrial, cell: Cell, against: Cell | None) -> str:
            fingerprint, modules = self.fingerprints[cell.name], self.loaded.modules
            key = key_of(
                cell,
                row.stage,
                row.seed,
                fingerprint,
                against=against,
                setting=row.setting,
                modules=modules,
                processes=row.processes,
            )
            return key.text

        recorded = None if beside else [record.planned_key for record in self.records()]
        return kept_trials(self.study, earlier, map(what_is_measured, self.trials), recorded, present_key)

    def stale_reasons(self) -> list[str]:
        """The reasons why records belong to no trial of this schedule, one line for each, the most common first."""
        reasons = Counter(str(changes) for _, _, changes in self.changed())
        return [f"{plural(count, 'record')}: {reason}" for reason, count in reasons.most_common()]

    def changed(self) -> Iterator[tuple[Record, Trial | None, KeyChanges]]:
        """Yield each record that belongs to no trial of this schedule, the oldest first, and why.

        It comes with the trial that measures the same now; with ``None`` if no trial does.
        """
        planned = {what_is_measured(trial): trial for trial in self.trials}
        for record in sorted(self._stale(), key=_started_at):
            trial = planned.get(what_is_measured(record.trial))
            yield record, trial, self._changes_since(record, trial)

    def _changes_since(self, record: Record, trial: Trial | None) -> KeyChanges:
        if not is_current(record.planned_key):
            return KeyChanges(other=f"the key is of an earlier version; bench rekey {self.folder} gives new ones")
        if trial is None:
            return KeyChanges(other="a variant, seed or setting that is not planned now")
        old = self.earlier.get(record.planned_key)
        if trial.setting is not None:
            if old is None:
                return KeyChanges(other="made by other source, settings or data")
            return changes_between(old, explained(self.keys[trial.key]))
        cell, modules = self.study.cell(trial.variant), self.loaded.modules
        present_fingerprint = self.fingerprints[cell.name]

        def present_key(like: Cell, fingerprint: str | None) -> Key:
            data, processes = fingerprint or present_fingerprint, trial.processes
            return key_of(like, trial.stage, trial.seed, data, modules=modules, processes=processes)

        return changes_since(record, cell, old, present_fingerprint, present_key)

    def notes(self) -> list[str]:
        """The places where the code that a trial runs could not be determined, so that all code it may reach counts."""
        return list(dict.fromkeys(note for source in self.keys.sources for note in source.notes))

    def _identity(self) -> dict[str, Any]:
        """The parts of the keys of this schedule, and of the keys of records that belong to none of its trials."""
        planned = {trial.key for trial in self.trials}
        now = [explained(self.keys[trial.key]) for trial in self.trials if trial.key in self.keys]
        others = dict.fromkeys(record.planned_key for record in self.records() if record.planned_key not in planned)
        earlier = {**self.earlier, **_earlier(self.folder)}  # another run may have ended since this schedule was made
        kept = [earlier[key] for key in others if key in earlier]
        return packed([*now, *kept])

    def _modules(self) -> dict[str, str]:
        """Path, from the study's folder on, of every file of the study's own code -> SHA-256 of its content.

        A file of neither the study's folder nor its repository is listed by its name alone.
        """
        study = Path(self.loaded.source.path).resolve()
        root = environment.repository(study.parent) or study.parent
        files = [study, *(file for source in self.keys.sources for file in source.files)]
        imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        digests = {}
        for file in dict.fromkeys(path.resolve() for path in files):
            is_near = file.is_relative_to(root) or file.is_relative_to(study.parent)
            path = os.path.relpath(file, study.parent) if is_near else file.name
            if is_near or str(file) in imported:
                digests[Path(path).as_posix()] = file_digest(file.read_bytes())
        return digests

    def pending(self, retry: Collection[str] = (), *, accumulate: bool = False) -> list[Trial]:
        """The trials that a run would execute: those without a final status, and those to be retried.

        Args:
            retry: the statuses to retry, from :data:`RETRIES`.
            accumulate: ``True`` to try trainings whose memory ran out once more, as they may run in parts now.
        """
        done = {
            key for key, record in self.recorded().items()
            if record.is_final and record.status not in retry
            and not (accumulate and _is_too_large_whole(record))
            and not (NOT_ALONE in retry and record.measured.isolated is False)
            and not (MAYBE_NOT_ALONE in retry and record.trial.stage != "quality" and record.measured.isolated is None)
        }  # fmt: skip
        return [trial for trial in self.trials if trial.key not in done]

    @functools.cached_property
    def networks(self) -> tuple[Checked | Faulty, ...]:
        """The variants as built, so that a network that cannot be built is told before any training.

        Of more than :attr:`most_built`, the baseline and others at equal distances are built, none of them twice only
        because its recipe is another.
        """
        cells, most = self.study.cells(), self.most_built
        if most is not None and len(cells) > most:
            others = list({id(cell.variant): cell for cell in reversed(cells)}.values())[::-1]
            spread = [others[index * len(others) // most] for index in range(most)]
            cells = tuple({cell.name: cell for cell in [self.cells[self.study.baseline_name], *spread]}.values())[:most]
        return tuple(check_cells(self.study, self.loaded.classes_of, *self.loaded.input_px, cells))

    @functools.cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Variant -> its cell."""
        return {cell.name: cell for cell in self.study.cells()}

    @property
    def checked(self) -> tuple[Checked, ...]:
        """The counts of every variant that can be built."""
        return tuple(network for network in self.networks if isinstance(network, Checked))

    @functools.cached_property
    def faulty(self) -> dict[str, Faulty]:
        """Variant -> why it cannot be built, computed or trained."""
        return {network.cell.name: network for network in self.networks if isinstance(network, Faulty)}

    def fault_of(self, trial: Trial) -> Faulty | None:
        """The reason why a trial would fail, if one of its networks is faulty."""
        return self.faulty.get(trial.variant) or self.faulty.get(trial.against or "")

    def _seeds(self) -> list[int]:
        """The seeds of the trials, in the order of the rounds, or those of the study."""
        if self.rounds is None:
            return list(self.study.seeds)
        taken = {trial.seed for trial in self.trials}
        return [seed for seed in self.rounds.seeds if seed in taken]

    def document(self, command: str, *, beside: bool = False) -> Plan:
        """The plan as ``study.json`` holds it, with the trials of earlier runs that stay in it.

        Args:
            command: the command that the plan names.
            beside: as in :meth:`kept`.

        Raises:
            StudyError: for a study that no plan can hold, so that nothing is run that a report would refuse.
        """
        study = self.study
        document = {
            "version": VERSION,
            "name": study.name,
            "folder": self.folder.name,
            "question": study.question,
            "factors": {factor.name: list(factor.levels) for factor in study.factors},
            "design": word_of(study.design, study.factors),
            "baseline": study.baseline_name,
            "baseline_levels": {factor.name: study.baseline[factor.name] for factor in study.factors},
            "seeds": self._seeds(),
            "stages": list(study.stages),
            "margin": study.margin,
            "focus": study.focus,
            "against": study.against,
            "published": [asdict(declared) for declared in study.published],
            "recipe": study.recipe.describe(),
            **self._data(),
            "size": self.loaded.source.size,
            "final": self.loaded.source.final,
            "created": {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                **environment.harness_state(),
            },
            "command": command,
            "trials": [self._planned(trial, self.cells[trial.variant]) for trial in self.trials] + self._excluded(),
            "audit": facts(study, self.checked, *self.loaded.input_px).as_json(),
            "identity": self._identity(),
            "modules": self._modules(),
            **({"rounds": self.rounds.as_json()} if self.rounds is not None else {}),
        }
        earlier = _earlier_plan(self.folder)
        try:
            return build(Plan, document if earlier is None else with_kept(document, earlier, self.kept(beside=beside)))
        except ValueError as error:
            raise StudyError(f"study {study.name!r} cannot be planned: {problem(error)}") from error

    def write(self, command: str, *, beside: bool = False) -> Path:
        """Write ``study.json`` into the results folder, whose lock the caller holds; the arguments are the plan's."""
        path = self.folder / "study.json"
        write_json(self.document(command, beside=beside).as_json(), path)
        return path

    def is_planned(self) -> bool:
        """True if the folder's plan is as this run, the last one at work, would write it.

        Its trials are there as planned ones, and every trial that stays from another run has a record.
        """
        plan = _earlier_plan(self.folder)
        if plan is None:
            return False
        planned = {row.key for row in plan.trials if not row.kept}
        others = {row.key for row in plan.trials if row.kept}
        return {trial.key for trial in self.trials} <= planned and others <= {
            record.planned_key for record in self.records()
        }

    def _planned(self, trial: Trial, cell: Cell) -> dict[str, Any]:
        return {
            "key": trial.key,
            "variant": trial.variant,
            "levels": dict(cell.levels),
            "stage": trial.stage,
            "seed": trial.seed,
            "excluded": None,
            **({"against": trial.against, "setting": asdict(trial.setting)} if trial.setting else {}),
            **({"processes": trial.processes} if trial.processes > 1 else {}),
        }

    def _excluded(self) -> list[dict[str, Any]]:
        return [
            {
                "key": f"excluded:{cell.name}",
                "variant": cell.name,
                "levels": dict(cell.levels),
                "stage": stage,
                "seed": None,
                "excluded": cell.reason,
            }
            for cell in self.study.excluded()
            for stage in self.study.stages
        ]

    def _data(self) -> dict[str, Any]:
        """The data sets as the plan describes them: the baseline's, and those of variants that have another."""
        baseline = self.study.cell("baseline")
        others = [cell for cell in self.study.cells() if cell.recipe.data != baseline.recipe.data]
        evaluated = self.loaded.evaluated()
        return {
            "data": self._described(baseline, in_full=bool(others)),
            **({"other_data": {cell.name: self._described(cell, in_full=True) for cell in others}} if others else {}),
            **({"evaluated": evaluated} if evaluated else {}),
        }

    def _described(self, cell: Cell, *, in_full: bool) -> dict[str, Any]:
        """The data set of a cell; in full with its choices and numbers of images, which tell it from another."""
        data, chosen = self.loaded.dataset_of(cell), cell.recipe.data
        described = {
            "name": data.name,
            "classes": list(data.classes),
            "fingerprint": self.fingerprints[cell.name],
        }
        if not in_full:
            return described
        images = {name: len(data.split(name)) for name in self.loaded.splits_of(chosen)}
        return {**described, "choices": chosen.describe()["choices"], "images": images}

    def records(self) -> list[Record]:
        """The records in the folder."""
        return read_all(self.folder / "records")


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
    trials: list[Trial] = []
    keys, modules = KeysOfMany(), loaded.modules
    for stage in ("cost", "quality"):
        planned = study.cells() if stage in study.stages else ()
        device = resources.machine(stage).device
        for seed in study.seeds if stage == "quality" else (None,):
            for cell in planned:
                cell.recipe.check(device)
                processes = resources.processes_of(stage)
                refuse_unshared(cell.recipe, processes)
                fingerprint = fingerprints[cell.name]
                key = keys.key_of(cell, stage, seed, fingerprint, modules=modules, processes=processes)
                source = loaded.source.of_cell(cell.name)
                trials.append(Trial(source, cell.name, seed, stage, key, processes=processes))
        if stage == "cost":
            trials += _comparisons(loaded, fingerprints, resources, keys)
    keys.check()
    return Schedule(loaded, folder, resources, tuple(trials), fingerprints, keys.made, _earlier(folder))


@contextlib.contextmanager
def copied_digests(folder: Path) -> Iterator[Path]:
    """Inside the block, a copy of the digests of files that a results folder keeps; the folder stays as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        digests = Path(scratch) / FILE_DIGESTS
        with contextlib.suppress(OSError):
            shutil.copyfile(folder / FILE_DIGESTS, digests)
        yield digests


def _earlier(folder: Path) -> dict[str, Explained]:
    """The parts of the keys of the plan that a folder holds; empty if it holds no plan, or one without these parts."""
    plan = _earlier_plan(folder)
    return unpacked(plan.identity) if plan is not None else {}


def _earlier_plan(folder: Path) -> Plan | None:
    """The plan that a folder holds; ``None`` if it holds none that can be read."""
    try:
        return read_plan(folder)
    except (OSError, RecordError):
        return None


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
        setting.check(resources.machine("speed").device)
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


def _is_too_large_whole(record: Record) -> bool:
    """True for a training whose memory ran out, and which was not tried with its batches in parts."""
    return record.status == "out_of_memory" and record.trial.stage == "quality" and record.outcome.parts is None


def _started_at(record: Record) -> str:
    return str(getattr(record.outcome, "started_at", None) or "")
