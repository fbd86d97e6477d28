"""The files of a results folder that no report reads: states of trainings, files of no record, stale records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records import results as stored
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.run.keeping.place import FOLDER as CHECKPOINTS

FILES_OF_RECORDS = ("artifacts", "weights", "pictures")
"""The folders whose files belong to records."""


@dataclass(frozen=True)
class Removable:
    """Files of one kind that may be removed.

    Attributes:
        what: the kind, as a noun in the plural.
        why: a sentence on what their absence means, without its full stop.
        files: the files.
    """

    what: str
    why: str
    files: Sequence[Path]

    @property
    def size_bytes(self) -> int:
        """The bytes that they take on the disk."""
        return sum(path.stat().st_size for path in self.files)

    def remove(self) -> None:
        """Remove the files, and the folders that are empty then.

        Raises:
            OSError: if a file cannot be removed.
        """
        for path in self.files:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in self.files}:
            if not any(folder.iterdir()):
                folder.rmdir()


def removable(folder: Path) -> list[Removable]:
    """The files of a results folder that may be removed, by kind; kinds without files are left out.

    Raises:
        RecordError: for results that cannot be read. It cannot be told then what belongs to them.
    """
    results = stored.load(folder)
    current = list(results.records)
    names = {record.file_name for record in current}
    stale = [folder / "records" / record.file_name for record in results.stale if record.file_name not in names]
    needed = {folder / path for record in current for path in _files_of(record)}
    needed |= {folder / "logs" / f"{_stem(record)}.log" for record in current}
    unneeded = [
        path
        for kind in (*FILES_OF_RECORDS, "logs")
        for path in sorted((folder / kind).glob("*"))
        if path.is_file() and path not in needed and not (kind == "logs" and _is_of(path, current))
    ]
    kinds = (
        Removable(
            "States of trainings under way",
            "Without them, a trial that was interrupted starts anew",
            _files_in(folder / CHECKPOINTS),
        ),
        Removable(
            "Records of no planned trial", "Without them, their trials run again if they are planned again", stale
        ),
        Removable("Files of no record of a planned trial", "No report reads them", unneeded),
    )
    return [kind for kind in kinds if kind.files]


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _files_of(record: Record) -> Iterator[str]:
    """The files beside a record that it names."""
    measured = record.measured
    if isinstance(measured, MeasuredQuality):
        yield from filter(None, (measured.artifact, measured.weights, *measured.pictures.values()))


def _stem(record: Record) -> str:
    return record.file_name.removesuffix(".json")


def _is_of(log: Path, records: Sequence[Record]) -> bool:
    """True for the log of one of the records, on whatever host it was written."""
    return any(log.name.startswith(f"{record.key}.") for record in records)
