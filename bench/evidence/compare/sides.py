"""One side of a comparison: the records of a results folder, or those of one commit or host in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.records.agreement import check_agreement, paired
from bench.records.files import RecordError
from bench.records.plan.plan import Plan, PlannedTrial, read_plan
from bench.records.record import AnyMeasured, Record, TrialFacts, measured_by, read, record_files
from bench.records.results import load

_SIDE = re.compile(r"(?P<folder>.+?)(?:@(?P<commit>[^@#]+))?(?:#(?P<host>[^@#]+))?")
_DIGITS = re.compile(r"[0-9a-f]{4,40}")
"""The digits of a commit or a host, as records have them."""


class TrialName(NamedTuple):
    """The names and settings by which a trial of one side is matched with a trial of the other."""

    variant: str
    stage: str
    seed: str
    against: str
    setting: str


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: as it was asked for.
        plan: the plan of its folder.
        records: one a trial and, for costs, a hardware class.
    """

    name: str
    plan: Plan
    records: tuple[Record, ...]

    @property
    def variants(self) -> list[str]:
        """The names of the variants with a finished measurement: those of the plan in its order, then others."""
        seen = dict.fromkeys(record.trial.variant for record in self.records if record.status == "done")
        order = dict.fromkeys(trial.variant for trial in self.plan.trials)
        return [
            *(variant for variant in order if variant in seen),
            *(variant for variant in seen if variant not in order),
        ]

    def done(self, form: type[AnyMeasured], variant: str) -> Iterator[tuple[Record, AnyMeasured]]:
        """The finished records of a variant's trials of one stage, each with its measurements."""
        return measured_by((record for record in self.records if record.trial.variant == variant), form)


def side(text: str) -> Side:
    """The records that ``FOLDER``, ``FOLDER@COMMIT``, ``FOLDER#HOST`` or ``FOLDER@COMMIT#HOST`` names.

    A folder alone has the records of its planned trials. With a commit (four or more digits of it) or a host (its tag,
    in every record's file name) records that the plan does not hold any more count too: those of an older source.

    Raises:
        RecordError: for a folder without study, for a commit or host without records, for two records of one trial, and
            for records of planned trials that contradict the plan or each other.
    """
    match = None if Path(text).is_dir() else _SIDE.fullmatch(text)
    if match is None or not (match["commit"] or match["host"]) or not Path(match["folder"]).is_dir():
        results = load(text)
        return Side(text, results.plan, tuple(results.records))
    folder = Path(match["folder"])
    plan = read_plan(folder)
    all_records = [(path.name, read(path)) for path in record_files(folder / "records")]
    chosen = [(name, record) for name, record in all_records if _is_of(record, match["commit"], match["host"])]
    if not chosen:
        unknown = [name for name in match.groups()[1:] if name and not _DIGITS.fullmatch(name)]
        hint = " (branches and tags of git are not known here)" if unknown else ""
        raise RecordError(
            f"{text} has no record{hint}; {folder} has those of {_sources(record for _, record in all_records)}"
        )
    pairs = paired(plan, (record for _, record in chosen))
    check_agreement(plan, pairs)
    of_file: dict[str, list[Record]] = {}
    for _, record in pairs:
        of_file.setdefault(record.file_name, []).append(record)
    candidates = [(name, own) for name, record in chosen for own in of_file.get(record.file_name, [record])]
    return Side(text, plan, tuple(_one_each(candidates, {trial.key for trial in plan.trials})))


def _is_of(record: Record, commit: str | None, host: str | None) -> bool:
    asked = {"commit": commit, "host": host}
    return all(
        _DIGITS.fullmatch(start) and str(getattr(record.environment, name)).startswith(start)
        for name, start in asked.items()
        if start
    )


def _sources(records: Iterable[Record]) -> str:
    """The commits and hosts in the records, each with its number of records."""
    counts = Counter(f"{str(record.environment.commit)[:12]}#{record.environment.host}" for record in records)
    return ", ".join(f"@{source} ({count})" for source, count in counts.items()) or "nobody"


def _one_each(candidates: list[tuple[str, Record]], planned: set[str]) -> list[Record]:
    """One record a trial: a finished one before an unfinished one, then a planned one before an older one."""
    best: dict[tuple[TrialName, str], tuple[tuple[bool, bool], str, Record]] = {}
    for name, record in candidates:
        rank = (record.is_final, record.planned_key in planned)
        trial = name_of(record.trial), hardware_of(record)
        other = best.get(trial)
        if other is not None and other[0] == rank and record.is_final:
            raise RecordError(
                f"two records of one trial ({record.trial.variant}, seed {record.trial.seed}): {other[1]} and "
                f"{name}; choose one by its commit (@…) or host (#…)"
            )
        if other is None or rank >= other[0]:
            best[trial] = (rank, name, record)
    return [record for _, _, record in best.values()]


def name_of(trial: TrialFacts | PlannedTrial) -> TrialName:
    """The name of a trial, from what a record or a plan says of it."""
    setting = trial.setting.name if trial.setting else ""
    return TrialName(trial.variant, trial.stage, str(trial.seed), str(trial.against), setting)


def hardware_of(record: Record) -> str:
    """The hardware class that a cost or a speed was measured on; empty for quality, which does not depend on it."""
    return "" if record.trial.stage == "quality" else str(record.environment.hardware)
