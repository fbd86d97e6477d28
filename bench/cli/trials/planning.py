"""The work of ``bench plan``, and the schedule that the options of every command about trials ask for."""

from __future__ import annotations

import gc
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from bench.cli.decoding import need_of
from bench.cli.documents.plan import (
    Because,
    ChangedValue,
    DiskNeed,
    KeptTrial,
    LeftOut,
    PlanDocument,
    Time,
    TrialState,
    Unused,
)
from bench.cli.documents.rounds import RoundsState
from bench.cli.documents.trials import trial_fields
from bench.data.decoded.shelf import Shelf
from bench.protocol.text import plain
from bench.run.forecast.disk import disk_of
from bench.run.forecast.pilot import pilot
from bench.run.forecast.time import time_from_pilot, time_from_records
from bench.run.keeping.place import kept_after, states_by_key
from bench.run.resources import here
from bench.run.schedule.making import checked_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.audit import unfair_tuning
from bench.study.explored import read_chosen
from bench.study.factors import StudyError
from bench.study.faults import fault_line
from bench.study.fractions import aliases_in_words
from bench.study.source import Source, load
from bench.training.late import DivergedError


def source(
    study: Path,
    size: str | None = None,
    data: str | None = None,
    seeds: str | None = None,
    final: bool = False,
    protocol: str | None = None,
    recipe: str | None = None,
    tuned: Path | None = None,
    explored: Path | None = None,
) -> Source:
    """The source of a study from a command's options.

    Raises:
        StudyError: if the seeds are not whole numbers, or if the file of explored cells cannot be read.
    """
    try:
        chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else None
    except ValueError:
        raise StudyError(f"--seeds {seeds!r}: expected whole numbers with commas, such as 0,1,2") from None
    path = study.resolve() if study.is_file() else study.absolute()  # a dangling link is told by its own name
    cells = None if explored is None else read_chosen(explored)
    best = None if tuned is None else str(tuned)
    return Source(str(path), size, data, chosen, final, protocol, recipe, best, explored=cells)


def scheduled(
    chosen: Source,
    results: Path,
    cpus: int | None,
    gpus: float | None,
    address: str | None = None,
    *,
    shelf: Shelf | None,
    processes: int | None = None,
    trained_by: int | None = None,
) -> Schedule:
    """The schedule of a study, after its data were checked; samples on the shelf are not decoded again.

    ``trained_by`` is the number of processes that trained each network, where all are trained already.

    Raises:
        BenchError: if the study or its data cannot be used, or if this machine lacks the resources.
    """
    resources = here(cpus, gpus, address, processes)
    if trained_by is not None:
        resources = replace(resources, processes=trained_by)
    return checked_schedule(load(chosen), results, resources, shelf)


@contextmanager
def without_collection() -> Iterator[None]:
    """Inside, Python looks for no circular garbage: among 100,000 cells, that takes a fifth of the time of a plan."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


MOST_BUILT = 60
"""The most networks that a plan builds, in a second or two; ``bench check`` and ``bench run`` build all."""


def plan_of(
    schedule: Schedule, shelf: Shelf | None = None, rounds: RoundsState | None = None, *, most: int | None = None
) -> PlanDocument:
    """The trials with their outcomes, why some run again, and the time and the disk that those left take.

    Nothing is written.

    Args:
        schedule: the trials of the study.
        shelf: the shelf for decoded samples; ``None`` for none.
        rounds: how far the rounds have come, if seeds are added in rounds.
        most: the most trials of which the document has those too that there is nothing to say about, the first ones;
            ``None`` for all.
    """
    study = schedule.study
    todo = schedule.pending()
    able = [trial for trial in todo if schedule.fault_of(trial) is None]
    unused, again = _unused_records(schedule)
    return PlanDocument(
        study=study.name,
        folder=str(schedule.folder),
        cells=len(study.cells()),
        trials=_states(schedule, again, len(schedule.trials) if most is None else most),
        same_cost={variant: list(others) for variant, others in schedule.same_cost.items()},
        done=len(schedule.trials) - len(todo),
        left=len(todo),
        excluded=[LeftOut(variant=cell.name, reason=cell.reason) for cell in study.excluded()],
        kept=[KeptTrial(key=row.key, stage=row.stage, variant=row.variant, seed=row.seed) for row in schedule.kept()],
        unused=[Unused(records=count, reason=reason) for reason, count in unused.most_common()],
        aliases=aliases_in_words([cell.levels for cell in study.cells()], study.baseline),
        tuning=unfair_tuning(study.tuned),
        notes=schedule.notes(),
        faulty=[LeftOut(variant=name, reason=plain(faulty.reason)) for name, faulty in schedule.faulty.items()],
        not_built=len(study.cells()) - len(schedule.networks),
        time=_time_needed(schedule, able) if able else None,
        disk=_disk_needed(schedule, able, shelf) if able else None,
        rounds=rounds,
    )


def _unused_records(schedule: Schedule) -> tuple[Counter[str], dict[str, Because]]:
    """The number of unused records by reason, and the reason why a trial runs again, by the trial's key."""
    reasons: Counter[str] = Counter()
    again: dict[str, Because] = {}
    for record, trial, changes in schedule.changed():
        reasons[str(changes)] += 1
        if trial is not None and record.is_final:
            again[trial.key] = Because(
                text=str(changes),
                settings=[ChangedValue(**asdict(setting)) for setting in changes.settings],
                data=changes.data,
                versions=[ChangedValue(**asdict(version)) for version in changes.versions],
                definitions=list(changes.definitions),
            )
    return reasons, again


def _states(schedule: Schedule, again: Mapping[str, Because], most: int) -> list[TrialState]:
    """The first ``most`` trials, and those that run again, are faulty or go on from a kept state."""
    finished, kept = schedule.finished(), states_by_key(schedule.folder)
    states = []
    for number, (trial, outcome) in enumerate(zip(schedule.trials, schedule.outcomes(), strict=True)):
        is_left, fault = not trial.is_among(finished), schedule.fault_of(trial)
        goes_on = is_left and trial.stage == "quality" and trial.is_among(kept)
        runs_again = is_left and trial.is_among(again)
        if number >= most and not (runs_again or goes_on or fault):
            continue
        states.append(
            TrialState(
                **trial_fields(trial, outcome),
                left=is_left,
                again=again[trial.key] if runs_again else None,
                goes_on_after=kept_after(kept[trial.key]) if goes_on else None,
                fault=None if fault is None else plain(fault.reason),
            )
        )
    return states


def _time_needed(schedule: Schedule, todo: Sequence[Trial]) -> Time:
    known = time_from_records(schedule, todo)
    if known is not None:
        return Time(**asdict(known), problem="")
    if schedule.study.baseline_name in schedule.faulty:
        return _unknown_time("because the baseline cannot be built")
    if min(schedule.resources.gpus, 1) > schedule.resources.node_gpus:
        return _unknown_time("before there are records, because this machine has no GPU to try a step on")
    try:
        foretold = time_from_pilot(schedule, todo, pilot(schedule))
    except DivergedError as error:
        return _unknown_time(f"because the first two training steps of the baseline diverged ({error})")
    except Exception as error:  # noqa: BLE001 - a component is a user's code: it may raise anything, and the plan tells
        return _unknown_time(f"because a training step of the baseline fails: {fault_line(error)}")
    return Time(**asdict(foretold), problem="")


def _unknown_time(problem: str) -> Time:
    return Time(device_s=None, low_s=None, high_s=None, here_s=None, basis=None, problem=problem)


def _disk_needed(schedule: Schedule, todo: Sequence[Trial], shelf: Shelf | None) -> DiskNeed:
    decoded = None if shelf is None else need_of(schedule, shelf, todo).missing_bytes
    return DiskNeed(**asdict(disk_of(schedule, todo)), decoded=decoded)


def command_line(argv: Sequence[str]) -> str:
    """The command in a form that can be typed again, without the path of this installation and the share of a plan."""
    words = list(argv[1:])
    for index in reversed([index for index, word in enumerate(words) if word.partition("=")[0] == "--shard"]):
        del words[index : index + (1 if "=" in words[index] else 2)]
    return shlex.join(["bench", *words])
