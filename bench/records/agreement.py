"""The agreement of the records of a folder with its plan and with each other: cheap checks that every load makes.

The counts of one record agree with each other by its form (:mod:`~bench.records.quality` and its neighbours).
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.protocol.recipe import OUTSIDE_QUALITY
from bench.records.cost import MeasuredCost
from bench.records.files import RecordError
from bench.records.plan.plan import Plan, PlannedTrial
from bench.records.quality import MeasuredQuality
from bench.records.record import Record, measured_by

REMEDY = "delete it and run again"


def paired(plan: Plan, records: Iterable[Record]) -> list[tuple[PlannedTrial, Record]]:
    """The records of planned trials, each with its trial.

    A record of a cost that several planned trials share is there for each of them, as if it were its own. One that was
    measured before a level was renamed has the name that the plan has now, since a key holds no names.
    """
    rows: dict[str, list[PlannedTrial]] = {}
    for row in plan.trials:
        rows.setdefault(row.key, []).append(row)
    names = {row.variant for row in plan.trials}
    pairs = []
    for record in records:
        sharing = rows.get(record.planned_key, [])
        if sharing and (_has_an_earlier_name(record, names) or _is_named_anew(record, sharing)):
            pairs += [(row, _renamed(record, row)) for row in sharing]
        elif any(row.variant == record.trial.variant for row in sharing):
            pairs += [(row, _as_own(record, row)) for row in sharing]
        else:
            pairs += [(row, record) for row in sharing[:1]]
    return pairs


def _has_an_earlier_name(record: Record, names: Container[str]) -> bool:
    """True if a record names a variant that the plan does not have, its own or the one that it is timed against."""
    return not all(name is None or name in names for name in (record.trial.variant, record.trial.against))


def _is_named_anew(record: Record, sharing: Sequence[PlannedTrial]) -> bool:
    """True if a record's variant and levels both have names that the plan gives to another network now."""
    if any(row.variant == record.trial.variant for row in sharing):
        return False
    levels = record.trial.levels or record.choices.as_json().get("levels")
    return bool(levels) and all(row.levels != levels for row in sharing)


def _renamed(record: Record, row: PlannedTrial) -> Record:
    """A record as that of a planned trial which has its key and another name."""
    against = {} if record.trial.against is None else {"against": row.against}
    trial = {**record.trial.as_json(), "variant": row.variant, "levels": row.levels, **against}
    return record.having(trial=trial)


def _as_own(record: Record, row: PlannedTrial) -> Record:
    """A record that variants of the same network share, as that of one of them; recipes differ, and cost reads none."""
    if row.stage != "cost" or record.trial.variant == row.variant:
        return record
    return _renamed(record, row).having(choices={**record.choices.as_json(), "recipe": {}})


def check_agreement(plan: Plan, records: Sequence[tuple[PlannedTrial, Record]]) -> None:
    """Compare records with their planned trials and with each other.

    Args:
        plan: the plan of the folder.
        records: the records of planned trials, each with its trial.

    Raises:
        RecordError: for a record that cannot be that of its trial; the message names its file.
    """
    for trial, record in records:
        if reason := next(_disagreements(plan, trial, record), ""):
            raise RecordError(f"{record.file_name} {reason}; {REMEDY}")
    finished = list(measured_by((record for _, record in records), MeasuredQuality))
    _check_artifacts(finished)
    _check_labels(plan, finished)


def _disagreements(plan: Plan, trial: PlannedTrial, record: Record) -> Iterator[str]:
    """The reasons why a record is not that of a planned trial."""
    recorded, measured = record.trial, record.measured
    for name in ("variant", "stage", "seed"):
        if getattr(recorded, name) != getattr(trial, name):
            yield _other(name, getattr(trial, name), getattr(recorded, name))
    for name in ("against", "setting"):
        if getattr(recorded, name) not in (None, getattr(trial, name)):
            yield _other(name, getattr(trial, name), getattr(recorded, name))
    if recorded.levels is not None and recorded.levels != trial.levels:
        yield _other("levels", trial.levels, recorded.levels)
    if isinstance(measured, MeasuredQuality):
        classes = plan.data_of(trial.variant).classes
        if measured.classes != classes:
            yield f"was measured on other classes than the plan's ({len(measured.classes)} and {len(classes)})"
    facts = plan.audit.variants.get(trial.variant)
    if facts is None:
        return
    if isinstance(measured, MeasuredCost):
        for slot, part in facts.slots.items():
            counted = measured.parameters.get(slot, part.parameters)
            if "parameters" in part.model_fields_set and counted != part.parameters:
                yield f"counts {counted:,.0f} parameters in {slot}, and the plan {part.parameters:,.0f}"
    if record.version == 1:  # later ones have a digest: their choices are those that the key was made from
        for slot, part in facts.slots.items():
            if unlike := _unlike(record.choices.variant.get(slot, part.as_json()), part.as_json()):
                yield f"has other choices than the plan: {slot}{unlike}"
        if trial.stage == "quality" and (unlike := _unlike(record.choices.recipe, facts.recipe)):
            yield f"has other choices than the plan: recipe{unlike}"


def _other(name: str, planned: object, recorded: object) -> str:
    return f"has the key of a planned trial with {name} {reprlib.repr(planned)}, but says {reprlib.repr(recorded)}"


def _unlike(recorded: Any, planned: Any) -> str:
    """The place and the two values of the first choice that differs; empty if none does.

    Names of code are left out, since code may move, and choices that only one side has, since new ones may come. So are
    the fields of a recipe that change no quality: they may have changed since it was measured.
    """
    if isinstance(recorded, Mapping) and isinstance(planned, Mapping):
        names = [name for name in planned if name in recorded and name != "class" and name not in OUTSIDE_QUALITY]
        places = ((f".{name}" if name != "choices" else "", name) for name in names)
    elif isinstance(recorded, list) and isinstance(planned, list) and len(recorded) == len(planned):
        places = ((f".{index}", index) for index in range(len(planned)))
    elif recorded == planned or (isinstance(recorded, str) and isinstance(planned, str) and "." in recorded + planned):
        return ""
    else:
        return f" {reprlib.repr(recorded)}, not {reprlib.repr(planned)}"
    unlike = ((place, _unlike(recorded[name], planned[name])) for place, name in places)
    return next((place + inner for place, inner in unlike if inner), "")


def _check_artifacts(finished: Iterable[tuple[Record, MeasuredQuality]]) -> None:
    """Raises RecordError for two records that name the same file of arrays: one has the other's measurements."""
    named: dict[str, Record] = {}
    for record, measured in finished:
        if measured.artifact and (other := named.setdefault(measured.artifact, record)) is not record:
            key = measured.artifact.rpartition("/")[2].partition(".")[0]
            wrong = other if record.planned_key == key else record
            raise RecordError(f"{wrong.file_name} has the measurements of another trial, {measured.artifact}; {REMEDY}")


def _check_labels(plan: Plan, finished: Sequence[tuple[Record, MeasuredQuality]]) -> None:
    """Raises RecordError for a record that counts other labels than the others that were evaluated on the same images.

    The rows of a confusion matrix add up to the labelled pixels of each class, whatever the network predicted.
    """
    evaluations = {name: plan.evaluation_of(name) for name in dict.fromkeys(trial.variant for trial in plan.trials)}
    groups: dict[object, list[tuple[Record, tuple[int, ...]]]] = {}
    for record, measured in finished:
        pixels = tuple(map(sum, measured.confusion))
        groups.setdefault((evaluations[record.trial.variant], measured.split), []).append((record, pixels))
    for group in groups.values():
        counts = Counter(pixels for _, pixels in group)
        if len(counts) > 1:
            [(usual, _)] = counts.most_common(1)
            of_usual = next(record for record, pixels in group if pixels == usual)
            unusual, pixels = next((record, pixels) for record, pixels in group if pixels != usual)
            classes = plan.data_of(unusual.trial.variant).classes
            differing = (count for count in zip(classes, pixels, usual, strict=True) if count[1] != count[2])
            name, counted, usually = next(differing)
            raise RecordError(
                f"{unusual.file_name} counts {counted:,} labelled pixels of {name}, and {of_usual.file_name} "
                f"{usually:,} of the same images; delete the wrong one and run again"
            )
