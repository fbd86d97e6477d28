"""The files of a results folder: records as JSON, one a trial, and arrays beside them, each written in one step.

A record stores SI base units, raw: confusion matrices, boundary counts, every latency sample, peak bytes, MACs a slot.
Counts of each image are arrays in an NPZ file under ``artifacts``, which the record names. No torch, no ray.
"""

from __future__ import annotations

import gc
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile
from pydantic_core import from_json

from bench.parts import BenchError
from bench.schema.forms import problem
from bench.schema.record import MEASURED, RecordForm, Status

VERSION = 1
"""Of the record format. 1: first (2026-11)."""

FINAL: frozenset[str] = frozenset({"done", "out_of_memory", "diverged", "excluded"})
"""Outcomes that are results: such a trial is not run again unless it is asked for."""
STATUSES: tuple[str, ...] = get_args(Status)

_NUMBERS = re.compile(r'\[\n([^\[\]{}":]+)\]')
"""A list of numbers over several lines; a string's own line breaks are escaped."""

MANY = 1000
"""Records whose reading is worth a word with the garbage collector."""


class RecordError(BenchError, ValueError):
    """Records that cannot be read, or that must not be put side by side."""


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
    def cell_key(self) -> str:
        """The key without the hardware class: the key of the planned cell."""
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


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """JSON into ``path`` by a rename, flushed to disk first, so that no crash leaves half a file."""
    write_text(json_text(data), path)


def json_text(data: Mapping[str, Any]) -> str:
    """JSON that people and ``git diff`` can read: a line an entry, but a row of numbers on one line.

    Raises:
        ValueError: for NaN and infinity.
    """
    text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def write_text(text: str, path: Path) -> None:
    """UTF-8 text into ``path``, by a rename as :func:`write_json` does it."""
    _write_at_once(path, lambda file: file.write(text.encode()))


def write_arrays(arrays: Mapping[str, npt.NDArray[Any]], path: Path, *, compress: bool = True) -> None:
    """An NPZ into ``path``, by a rename as :func:`write_json` does it."""
    save = np.savez_compressed if compress else np.savez
    _write_at_once(path, lambda file: save(file, allow_pickle=False, **arrays))


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Some arrays of an NPZ.

    Raises:
        RecordError: for a file that is none, or that lacks one of them.
    """
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise ValueError("it is one array, not an archive of arrays")
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # Of what is no archive at all, numpy says that it may be a pickle, and how to run it.
        why = "it is no archive of arrays" if "pickle" in str(error) else error
        raise RecordError(f"{path} cannot be read ({why}); delete it, and reports go without it") from error


def _write_at_once(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a disk that is full does not say where
        raise


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        ValueError: for a file that is none, that is not UTF-8 or nested too deep, or holds NaN or half of a character.
    """
    content = path.read_bytes()
    try:
        return from_json(content, allow_inf_nan=False)  # in less than half of the time, but says less of what is wrong
    except ValueError:
        return _read_slowly(content)


def _read_slowly(content: bytes) -> Any:
    """The same by Python's own parser."""
    try:
        data = json.loads(content.decode(), parse_constant=_refuse)
        if b"\\ud" in content.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


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
    if wrong := problem(RecordForm, data):
        return wrong
    if surplus := sorted(set(data) - {each.name for each in fields(Record)}):
        return f"it has {', '.join(surplus)}, which no record has"
    if data["outcome"]["status"] != "done":
        return ""
    wrong = problem(MEASURED[data["trial"]["stage"]], data["measured"])
    return wrong and f"measured.{wrong}"


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


@contextmanager
def no_collection() -> Iterator[bool]:
    """Without the search for cycles: records have none, and with 10,000 of them it takes a third of the time.

    Yields whether there was one.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield was_on
    finally:
        if was_on:
            gc.enable()
