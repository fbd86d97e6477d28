"""The storing of a trial's results: what a results folder that cannot be written to means for a trial and a run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bench.parts import BenchError
from bench.records.files import write_arrays, write_bytes
from bench.records.pictures import Album
from bench.records.record import Record, write

_URL = re.compile(r"[a-z][a-z0-9+.-]+://.")


def is_url(place: str) -> bool:
    """True for a place that fsspec knows, such as ``s3://bucket/prefix``; false for a path."""
    return bool(_URL.match(place))


class StoreError(BenchError, RuntimeError):
    """A results folder that cannot be written to: a full or failing disk, a quota, a missing permission."""


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Inside, an error of the file system is one of the results folder.

    Raises:
        StoreError: in place of an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the results folder {folder} cannot be written to ({error.strerror or error}); make room or allow it, and "
            "run the same command again: trials that are done are kept"
        ) from error


@dataclass(frozen=True)
class Files:
    """The files that belong to a trial's record.

    Attributes:
        arrays: path relative to the results folder -> the arrays of the file.
        album: the pictures for the gallery; ``None`` for none.
        weights: path relative to the results folder -> the content of a file of weights.
    """

    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    album: Album | None = None
    weights: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write them into the results folder.

        Raises:
            StoreError: if the folder cannot be written to.
        """
        with storing(folder):
            for path, arrays in self.arrays.items():
                write_arrays(arrays, folder / path)
            for path, content in self.weights.items():
                write_bytes(content, folder / path)
            if self.album is not None:
                self.album.write()


def remove_unfinished(folder: Path) -> None:
    """Remove the files of a results folder that processes left which were killed while writing.

    The caller holds the folder's lock, and no run is at work there.
    """
    for path in folder.rglob(".*.part"):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def keep(record: Record, files: Files, error: StoreError) -> StoreError:
    """The error of a trial that is done and could not be stored, after it was written into a temporary folder.

    The record is complete but for the pictures. Where the temporary folder cannot be written to either, the error is
    the given one.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="bench-unstored-"))
        for path, arrays in files.arrays.items():
            write_arrays(arrays, folder / path)
        for path, weights in files.weights.items():
            write_bytes(weights, folder / path)
        content = record.as_json()
        content["measured"].pop("pictures", None)
        write(Record.model_validate(content), folder / "records")
    except OSError:
        return error
    return StoreError(f"{error}. The trial that was done just now is in {folder}: copy its folders into the results")
