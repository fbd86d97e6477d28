"""The schedule of a study: its trials with their keys, their outcomes so far, and an estimate of the remaining time."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.protocol.words import plural
from bench.records.plan.plan import PlannedTrial
from bench.records.plan.rounds import Rounds
from bench.records.record import STATUSES, Record, read_all
from bench.run.check import Checked, Faulty, check_cells
from bench.run.earlier.changes import changes_since
from bench.run.earlier.kept import Measurement, kept_trials, what_is_measured
from bench.run.earlier.plan import earlier_plan
from bench.run.identity.explained import Explained, KeyChanges, changes_between, explained
from bench.run.identity.key import Key, is_current
from bench.run.identity.many.templates import MadeKeys
from bench.run.resources import Resources
from bench.run.stages import key_of
from bench.run.trial import Trial, record_key
from bench.study.cells import Cell
from bench.study.source import Loaded
from bench.study.study import Study

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
        same_cost: variant -> the other variants whose cost its trial measures too.
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
    same_cost: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        return self.loaded.study

    def outcomes(self) -> list[str]:
        """For each trial the status of its record, or ``missing`` if it has no record."""
        recorded = self.recorded()
        return [recorded[trial.key].status if trial.is_among(recorded) else "missing" for trial in self.trials]

    def statuses(self) -> dict[str, str]:
        """Key of each trial -> its outcome, as :meth:`outcomes` has it."""
        return {trial.key: outcome for trial, outcome in zip(self.trials, self.outcomes(), strict=True)}

    def recorded(self) -> dict[str, Record]:
        """Key of each trial that has a record -> its record."""
        # The nodes of a cluster are not known in advance, so a timing of any hardware class counts there.
        elsewhere = self.resources.address is not None
        finished_last = sorted(self.records(), key=lambda record: record.is_final)
        if not finished_last:
            return {}
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
        records = self.records()
        planned = {trial.key for trial in self.trials if records} | {row.key for row in self.kept()}
        return [record for record in records if record.planned_key not in planned]

    def kept(self, *, beside: bool = False) -> list[PlannedTrial]:
        """The trials of the plan that the folder holds which stay in it, although the study does not plan them now.

        Args:
            beside: ``True`` if other runs are at work in the folder, whose trials stay before they have records.
        """
        earlier = earlier_plan(self.folder)
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
        planned = (measured for trial in self.trials for measured in self._measured_by(trial))
        names = {trial.key: trial.variant for trial in self.trials if trial.stage != "cost"}
        return kept_trials(self.study, earlier, planned, names, recorded, present_key)

    def variants_of(self, trial: Trial) -> tuple[str, ...]:
        """The variants that a trial measures: its own and, for a cost, those of the same network."""
        return (trial.variant, *(self.same_cost.get(trial.variant, ()) if trial.stage == "cost" else ()))

    def _measured_by(self, trial: Trial) -> list[Measurement]:
        _, stage, seed, against, setting = what_is_measured(trial)
        return [(variant, stage, seed, against, setting) for variant in self.variants_of(trial)]

    def stale_reasons(self) -> list[str]:
        """The reasons why records belong to no trial of this schedule, one line for each, the most common first."""
        reasons = Counter(str(changes) for _, _, changes in self.changed())
        return [f"{plural(count, 'record')}: {reason}" for reason, count in reasons.most_common()]

    def changed(self) -> Iterator[tuple[Record, Trial | None, KeyChanges]]:
        """Yield each record that belongs to no trial of this schedule, the oldest first, and why.

        It comes with the trial that measures the same now; with ``None`` if no trial does.
        """
        stale = self._stale()
        planned = {measured: trial for trial in self.trials if stale for measured in self._measured_by(trial)}
        for record in sorted(stale, key=_started_at):
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

    def pending(self, retry: Collection[str] = (), *, accumulate: bool = False) -> list[Trial]:
        """The trials that a run would execute: those without a final status, and those to be retried.

        Args:
            retry: the statuses to retry, from :data:`RETRIES`.
            accumulate: ``True`` to try trainings whose memory ran out once more, as they may run in parts now.
        """
        finished = self.finished(retry, accumulate=accumulate)
        return [trial for trial in self.trials if not trial.is_among(finished)]

    def finished(self, retry: Collection[str] = (), *, accumulate: bool = False) -> set[str]:
        """The keys of the trials that a run would not execute; the arguments are those of :meth:`pending`."""
        return {
            key for key, record in self.recorded().items()
            if record.is_final and record.status not in retry
            and not (accumulate and _is_too_large_whole(record))
            and not (NOT_ALONE in retry and record.measured.isolated is False)
            and not (MAYBE_NOT_ALONE in retry and record.trial.stage != "quality" and record.measured.isolated is None)
        }  # fmt: skip

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

    def records(self) -> list[Record]:
        """The records in the folder."""
        return read_all(self.folder / "records")


def _is_too_large_whole(record: Record) -> bool:
    """True for a training whose memory ran out, and which was not tried with its batches in parts."""
    return record.status == "out_of_memory" and record.trial.stage == "quality" and record.outcome.parts is None


def _started_at(record: Record) -> str:
    return str(getattr(record.outcome, "started_at", None) or "")
