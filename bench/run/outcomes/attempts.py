"""The attempts before the last: a trial whose memory ran out on a GPU that it shared is tried again, and both count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.records.files import RecordError
from bench.records.record import Ending, Record, read


def with_attempts_before(record: Record, folder: Path) -> Record:
    """The record with the earlier attempts of its trial, which the records say that it replaces.

    Args:
        record: the record of the last attempt.
        folder: the folder of the records.
    """
    attempts = [attempt.as_json() for attempt in _attempts(folder.glob(f"{record.key}.*.json"))]
    if not attempts:
        return record
    return record.having(outcome={**record.outcome.as_json(), "attempts": attempts})


def _attempts(files: Iterable[Path]) -> list[Ending]:
    attempts: list[Ending] = []
    for file in sorted(files):
        try:
            outcome = read(file).outcome
        except (OSError, RecordError):  # the next reading of all records tells of it
            continue
        if outcome.shared is not None:
            last = {name: value for name, value in outcome.as_json().items() if name != "attempts"}
            attempts += [*outcome.attempts, Ending.model_validate(last)]
    return [attempt for place, attempt in enumerate(attempts) if attempt not in attempts[:place]]
