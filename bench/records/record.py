"""The files of a results folder: records as JSON, one a trial, and arrays beside them, each written in one step.

A record stores SI base units, raw: confusion matrices, boundary counts, every latency sample, peak bytes, MACs a slot.
Counts of each image are arrays in an NPZ file under ``artifacts``, which the record names. No torch, no ray.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from bench.records.files import RecordError, no_collection, read_json, write_json
from bench.records.forms import Form, problem
from bench.records.record_form import MEASURED, RecordForm, Status

VERSION = 1
"""Of the record format. 1: first (2026-11)."""


FINAL: frozenset[str] = frozenset({"done", "out_of_memory", "diverged", "excluded"})
"""Outcomes that are results: such a trial is not run again unless it is asked for."""


STATUSES: tuple[str, ...] = get_args(Status)


MANY = 1000
"""Records whose reading is worth a word with the garbage collector."""


@dataclass(frozen=True)
class Record:
    """One trial's result. See the README of a results folder, or any file in one, for the keys.

    Attributes:
        key: identity of the trial; equal keys mean equal settings, source and data. A timing's key ends in ``-`` and a
            digest of the hardware class that it was taken on.
        trial: study, variant, levels (factor -> level), seed, stage, against, size, data.
        choices: variant and recipe with every choice resolved.
        environment: commit, versions, device, threads, a hash of the host's name.
        outcome: status, reason, traceback, started_at, wall_s.
        measured: raw measurements; empty unless the status is ``done``. ``artifact`` is a path within the results
            folder, ``pictures`` are two, if they were kept: ``predictions`` and ``images``.
    """

    key: str
    trial: Mapping[str, Any]
    choices: Mapping[str, Any]
    environment: Mapping[str, Any]
    outcome: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION

    @property
    def planned_key(self) -> str:
        """The key without the hardware class: the planned trial's key."""
        return self.key.partition("-")[0]

    @property
    def status(self) -> str:
        return str(self.outcome["status"])

    @property
    def file_name(self) -> str:
        """``<key>.<host tag>.json``: two machines' records lie side by side in one folder."""
        return f"{self.key}.{self.environment.get('host', 'unknown')}.json"


def write(record: Record, folder: Path) -> Path:
    """Write a record into ``folder`` in one atomic step: a reader sees all of it or nothing."""
    path = folder / record.file_name
    write_json(asdict(record), path)
    return path


def read(path: Path) -> Record:
    """One record.

    Raises:
        RecordError: for a file that is no record, or one of a newer format.
    """
    try:
        data = read_json(path)
    except ValueError as error:
        raise RecordError(f"{path} is not a record ({error}); delete it and run again") from error
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise RecordError(
            f"{path} has record format {version}, this bench reads {VERSION}; use the bench that wrote it"
        )
    if wrong := _problem(data):
        raise RecordError(f"{path} is not a record ({wrong}); delete it and run again")
    return Record(**data)


def _problem(data: Any) -> str:
    """What is wrong with the content of a record's file; empty for nothing."""
    if wrong := _problem_of(RecordForm, data):
        return wrong
    if surplus := sorted(set(data) - {each.name for each in fields(Record)}):
        return f"it has {', '.join(surplus)}, which no record has"
    if data["outcome"]["status"] != "done":
        return ""
    wrong = _problem_of(MEASURED[data["trial"]["stage"]], data["measured"])
    return wrong and f"measured.{wrong}"


def _problem_of(form: type[Form], data: object) -> str:
    try:
        form.model_validate(data)
    except ValidationError as error:
        return problem(error)
    return ""


def record_files(folder: Path) -> list[Path]:
    """The files of a ``records`` folder in the order of their names; none where there is no folder.

    Raises:
        OSError: for a folder that may not be read: its records are not missing.
    """
    return sorted(path for path in folder.iterdir() if path.suffix == ".json") if folder.exists() else []


def read_all(folder: Path) -> list[Record]:
    """The records of a ``records`` folder, one a key, in file-name order.

    An unfinished record gives way to a finished one of another machine.

    Raises:
        RecordError: for two finished records of one trial, or a file in place of the folder.
        OSError: for a folder that may not be read.
    """
    if folder.exists() and not folder.is_dir():
        raise RecordError(f"{folder} is no folder, so no record can be in it; move it away")
    chosen: dict[str, tuple[Path, Record]] = {}
    with no_collection() as was_on:
        read_files = [(path, read(path)) for path in record_files(folder)]
        if len(read_files) > MANY and was_on:
            gc.collect()  # once: by itself, Python would go through what was read three times before it is old to it
    for path, record in read_files:
        other = chosen.get(record.key)
        if other is None or other[1].status not in FINAL:
            chosen[record.key] = (path, record)
        elif record.status in FINAL:
            raise RecordError(
                f"two finished records of one trial ({record.trial.get('variant')}, seed {record.trial.get('seed')}): "
                f"{other[0].name} and {path.name}; keep one of them"
            )
    return [record for _, record in chosen.values()]
