"""The merging of results folders of one study, which machines without a common folder have filled.

All is read and checked before anything is written: the plans must be of one study, and no trial may have two finished
records that differ. Files that belong to records are copied before the records, and ``study.json`` comes last, so that
a merge that was interrupted is done again by the same command.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.protocol.words import first_few
from bench.records.agreement import check_agreement, paired
from bench.records.files import RecordError, open_file, write_at_once, write_json
from bench.records.forms import build, problem
from bench.records.plan.plan import Plan, PlannedTrial, read_plan
from bench.records.quality import MeasuredQuality
from bench.records.record import Record, read, record_files
from bench.run.earlier.kept import what_is_measured, with_kept
from bench.run.identity.explained import difference, packed, unpacked

MOST_NAMED = 3
"""The most trials or files that a message names."""
SAME = ("name", "baseline", "baseline_levels", "recipe", "data", "size", "final", "rounds")
"""The fields in which the plans of one study agree."""


class MergeError(RecordError):
    """Results folders that cannot be merged."""


@dataclass(frozen=True)
class Contribution:
    """A results folder as read.

    Attributes:
        folder: the folder.
        plan: its plan.
        records: its records of planned trials.
        unplanned: the number of its other records.
    """

    folder: Path
    plan: Plan
    records: Sequence[Record]
    unplanned: int

    def path(self, record: Record) -> Path:
        """The file of a record."""
        return self.folder / "records" / record.file_name


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge that was checked and not written yet.

    Attributes:
        target: the folder that is written to.
        plan: the plan of all.
        records: all records that it then has.
        copies: file -> its place in ``target``, in the order in which they are copied.
        added: the number of records that are copied.
        left_out: files that ``target`` has with another content, and keeps.
        unplanned: source -> the number of its records that its plan has no trial for, which are not copied.
    """

    target: Path
    plan: Plan
    records: Sequence[Record]
    copies: dict[Path, Path]
    added: int
    left_out: Sequence[Path]
    unplanned: Mapping[Path, int]

    def write(self) -> None:
        """Copy the files, and then write the plan.

        Raises:
            OSError: if a file cannot be read or written.
        """
        for source, place in self.copies.items():
            with open_file(source) as content:
                write_at_once(place, _copy_of(content))
        write_json(self.plan.as_json(), self.target / "study.json")


def _copy_of(content: Any) -> Callable[[Any], object]:
    return lambda file: shutil.copyfileobj(content, file)


def merged(target: Path, sources: Sequence[Path]) -> Merged:
    """Merge results folders of one study into ``target``; nothing is written.

    Args:
        target: a results folder, which counts like the others; or one that is empty or does not exist yet.
        sources: the other results folders.

    Raises:
        MergeError: for plans of different studies or of other source and data, and for two finished records of one
            trial on one class of hardware; both sides are named.
        RecordError: for a folder that cannot be read, and records that contradict each other.
    """
    if repeated := [folder for folder in sources if folder.resolve() == target.resolve()]:
        raise MergeError(f"{repeated[0]} is the target itself; name the other folders")
    is_new = not any(not path.name.startswith(".") for path in target.glob("*"))
    sides = [_side(folder) for folder in ([] if is_new else [target]) + list(sources)]
    plan = _as_of(sides[0].plan, target)
    for other in sides[1:]:
        plan = _with_plan_of(plan, sides[0].folder, other)
    chosen = _chosen(sides)
    check_agreement(plan, paired(plan, (record for _, record in chosen)))
    copies: dict[Path, Path] = {}
    left_out: list[Path] = []
    for source, place in _files(target, sides, chosen):
        if source.parent == place.parent or place in copies.values() or not source.is_file():
            continue
        if not place.exists() or place.parent.name == "records":
            copies[source] = place
        elif place.parent.name != "pictures" and source.read_bytes() != place.read_bytes():
            left_out.append(source)
    added = sum(place.parent.name == "records" for place in copies.values())
    unplanned = {side.folder: side.unplanned for side in sides if side.unplanned and side.folder != target}
    return Merged(target, plan, [record for _, record in chosen], copies, added, left_out, unplanned)


def _side(folder: Path) -> Contribution:
    plan = read_plan(folder)
    keys = {trial.key for trial in plan.trials}
    records = [read(path) for path in record_files(folder / "records")]
    planned = [record for record in records if record.planned_key in keys]
    return Contribution(folder, plan, planned, len(records) - len(planned))


def _as_of(plan: Plan, folder: Path) -> Plan:
    """The plan with the name of the folder that it lies in."""
    return build(Plan, {**plan.as_json(), "folder": folder.name})


def _with_plan_of(plan: Plan, folder: Path, other: Contribution) -> Plan:
    """A plan with the trials of another folder's plan.

    Where both have the same variants and stages, all trials of both are planned. Else those that only the other has
    stay as trials of an earlier run do: those with a record.
    """
    before, added = plan.as_json(), other.plan.as_json()
    for name in SAME:
        if before.get(name) != added.get(name):
            raise MergeError(
                f"{folder} and {other.folder} are not of one study: {name} differs; bench compare compares them"
            )
    if list(plan.factors) != list(other.plan.factors):
        raise MergeError(f"{folder} and {other.folder} are not of one study: their factors differ")
    _refuse_other_keys(plan, folder, other)
    known = {(trial.key, trial.variant) for trial in plan.trials}
    new = [trial for trial in other.plan.trials if (trial.key, trial.variant) not in known]
    shared = {
        "identity": packed({**unpacked(other.plan.identity), **unpacked(plan.identity)}.values()),
        "modules": {**other.plan.modules, **plan.modules},
    }
    if not new:
        return build(Plan, {**before, **shared})
    try:
        if _shape(plan) == _shape(other.plan):
            seeds = sorted({*plan.seeds, *other.plan.seeds})
            trials = [*before["trials"], *(trial.as_json() for trial in new)]
            return build(Plan, {**before, **shared, "seeds": seeds, "trials": trials})
        recorded = {record.planned_key for record in other.records}
        rows = [trial for trial in new if trial.key in recorded and not trial.excluded]
        networks = {"audit": {"variants": {}, **before.get("audit", {})}}
        return build(Plan, with_kept({**before, **shared, **networks}, other.plan, rows))
    except ValueError as error:
        raise MergeError(f"the plans of {folder} and {other.folder} do not fit together: {problem(error)}") from error


def _shape(plan: Plan) -> tuple[object, ...]:
    """The levels, variants and stages of a plan: all that plans of one study which differ in seeds have in common."""
    variants = sorted({(trial.variant, trial.stage, bool(trial.excluded)) for trial in plan.trials})
    return plan.factors, plan.stages, variants


def _refuse_other_keys(plan: Plan, folder: Path, other: Contribution) -> None:
    """Raise MergeError if both plan one measurement under two keys: their source, settings or data differ."""
    ours = {what_is_measured(trial): trial for trial in _run(plan)}
    differing = [
        (ours[what], trial) for trial in _run(other.plan) if (what := what_is_measured(trial)) in ours
        and ours[what].key != trial.key
    ]  # fmt: skip
    if not differing:
        return
    (a, b), more = differing[0], f", and {len(differing) - 1} more differ" if len(differing) > 1 else ""
    before, now = unpacked(plan.identity).get(a.key), unpacked(other.plan.identity).get(b.key)
    why = difference(before, now) if before and now else "made by other source, settings or data"
    raise MergeError(
        f"{_named(a)} is {a.key} in {folder} and {b.key} in {other.folder}{more} "
        f"({why}); run both with the same source and data, or compare them with bench compare"
    )


def _run(plan: Plan) -> Iterator[PlannedTrial]:
    return (trial for trial in plan.trials if not trial.excluded)


def _named(trial: PlannedTrial) -> str:
    return f"{trial.stage} {trial.variant}" + ("" if trial.seed is None else f" seed {trial.seed}")


def _chosen(sides: Iterable[Contribution]) -> list[tuple[Contribution, Record]]:
    """The record of each key that stays, with the side that has it: a finished one if there is any."""
    chosen: dict[str, tuple[Contribution, Record]] = {}
    conflicts: list[str] = []
    for side in sides:
        for record in side.records:
            other = chosen.get(record.key)
            if other is None or (record.is_final and not other[1].is_final):
                chosen[record.key] = (side, record)
            elif record.is_final and record.as_json() != other[1].as_json():
                conflicts.append(f"{other[0].path(other[1])} and {side.path(record)}")
    if conflicts:
        raise MergeError(
            f"two finished records of one trial differ: {first_few(conflicts, MOST_NAMED)}; remove one of each"
        )
    return list(chosen.values())


def _files(
    target: Path, sides: Iterable[Contribution], chosen: Sequence[tuple[Contribution, Record]]
) -> Iterator[tuple[Path, Path]]:
    """The files of other folders with their places in ``target``: those of records first, records last."""
    for side, record in chosen:
        measured, log = record.measured, f"logs/{record.file_name.removesuffix('.json')}.log"
        if isinstance(measured, MeasuredQuality):
            for name in filter(None, (measured.artifact, measured.weights, *measured.pictures.values())):
                yield side.folder / name, target / name
        yield side.folder / log, target / log
    done = {record.planned_key for _, record in chosen if record.is_final}
    for side in sides:
        for path in sorted([*side.folder.glob("attribution/*"), *side.folder.glob("limits-*.json")]):
            yield path, target / path.relative_to(side.folder)
        for path in sorted(side.folder.glob("checkpoints/*.state")):
            if path.stem not in done:
                yield path, target / path.relative_to(side.folder)
    for side, record in chosen:
        yield side.path(record), target / "records" / record.file_name
