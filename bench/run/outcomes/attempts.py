"""The attempts before the last: a trial that others crowded out, or that was killed, is tried again, and both count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.records.files import RecordError
from bench.records.record import UNKNOWN_HARDWARE, Ending, Record, read, record_files_of


def with_attempts_before(record: Record, folder: Path) -> Record:
    """The record with the earlier attempts of its trial, which the records say that it replaces.

    Args:
        record: the record of the last attempt.
        folder: the folder of the records.
    """
    attempts = [attempt.as_json() for attempt in _attempts(_files(record, folder), record.outcome)]
    if not attempts:
        return record
    return record.having(outcome={**record.outcome.as_json(), "attempts": attempts})


def _files(record: Record, folder: Path) -> list[Path]:
    """The records of a trial on any machine, and on one that was lost before it said which it was."""
    return record_files_of(folder, {f"{record.key}.", f"{record.planned_key}{UNKNOWN_HARDWARE}."})


def _attempts(files: Iterable[Path], last_outcome: Ending) -> list[Ending]:
    attempts: list[Ending] = []
    for file in files:
        try:
            outcome = read(file).outcome
        except (OSError, RecordError):  # the next reading of all records tells of it
            continue
        was_too_large = last_outcome.parts is not None and outcome.status == "out_of_memory"
        if outcome.shared is not None or outcome.lost is not None or was_too_large:
            last = {name: value for name, value in outcome.as_json().items() if name != "attempts"}
            attempts += [*outcome.attempts, Ending.model_validate(last)]
    return [attempt for place, attempt in enumerate(attempts) if attempt not in attempts[:place]]
