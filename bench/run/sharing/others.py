"""The trials that another run has finished in the same results folder since this one was planned."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bench.records.files import RecordError
from bench.records.record import Record, read, record_files, record_files_of

Seen = Mapping[str, Mapping[str, int]]
"""The key of a trial -> the name of each file of a record of it -> the time of its last change."""


def seen(folder: Path) -> Seen:
    """The records that a results folder has, by the keys of their trials."""
    files: dict[str, dict[str, int]] = {}
    for path in record_files(folder / "records"):
        files.setdefault(_key(path.name), {})[path.name] = path.stat().st_mtime_ns
    return files


def of_trial(records: Seen, name: str) -> dict[str, int]:
    """The files of records of one trial, on any machine, with the times of their last change.

    Args:
        records: the records of a folder.
        name: the key of the trial's record, or the trial's own key for a timing on any hardware class.
    """
    files = records.get(_key(name), {})
    return {file: time for file, time in files.items() if file.startswith((f"{name}.", f"{name}-"))}


def _key(name: str) -> str:
    return name.partition(".")[0].partition("-")[0]


def ended_since(folder: Path, name: str, before: Mapping[str, int]) -> Record | None:
    """The record of a trial that another run has ended since; ``None`` if none has.

    An interruption is no end, since the trial is to be run again.

    Args:
        folder: the results folder.
        name: as in :func:`of_trial`.
        before: the records of the trial that were there when this run was planned.
    """
    for path in record_files_of(folder / "records", (f"{name}.", f"{name}-")):
        with suppress(FileNotFoundError, RecordError):  # a damaged record is no end, and reports name it
            if before.get(path.name) != path.stat().st_mtime_ns:
                record = read(path)
                if record.status != "interrupted":
                    return record
    return None
