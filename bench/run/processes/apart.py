"""The files of a trial whose node does not see the results folder: they travel to the driver, which writes them there.

They go in pieces, as messages of the trial before its record, so that no record comes without its files and a large
file takes little memory.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PIECE_BYTES = 4 * 2**20
"""The most bytes of one message."""
SENT = ("artifacts", "logs", "pictures", "weights")
"""The folders whose files travel before the record; the state of a training travels to and fro over the desk."""
ABANDONED_S = 86400.0
"""Seconds after which a marker is one whose run was killed. A node that misses its run's sends files, as ever."""


@contextmanager
def marked(folder: Path) -> Iterator[str]:
    """Inside, the results folder has a file by which a node knows that it sees this folder; yields the file's name.

    Raises:
        OSError: if the folder cannot be written to.
    """
    for old in folder.glob(".run-*"):
        if time.time() - old.stat().st_mtime > ABANDONED_S:
            old.unlink(missing_ok=True)
    marker = folder / f".run-{secrets.token_hex(8)}"
    marker.touch()
    try:
        yield marker.name
    finally:
        marker.unlink(missing_ok=True)


def pieces(folder: Path) -> Iterator[dict[str, Any]]:
    """The files that a trial has left in a folder, in pieces as :func:`pieces_of` gives them."""
    for path in sorted(file for name in SENT for file in (folder / name).rglob("*") if file.is_file()):
        yield from pieces_of(path, path.relative_to(folder).as_posix())


def pieces_of(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The pieces of a file: its name as ``file``, ``content``, and whether it is the ``last``."""
    left = path.stat().st_size
    with path.open("rb") as file:
        while True:
            content = file.read(PIECE_BYTES)
            left -= len(content)
            is_last = left <= 0 or not content
            yield {"file": name, "content": content, "last": is_last}
            if is_last:
                break


class Arrivals:
    """Writes the files that arrive in pieces into the results folder, each under its name once it is complete.

    Args:
        folder: the results folder.
        into: the folders in it that may be written to.
    """

    def __init__(self, folder: Path, into: Sequence[str] = SENT) -> None:
        self._folder, self._into = folder, into
        self._unfinished: dict[str, Path] = {}

    def take(self, key: str, piece: Mapping[str, Any]) -> None:
        """Write a piece of a file of the trial with this key.

        Raises:
            OSError: if the folder cannot be written to.
            ValueError: for a file that does not belong into a results folder.
        """
        path = Path(piece["file"])
        if path.is_absolute() or ".." in path.parts or path.parts[0] not in self._into:
            raise ValueError(f"a node sent the file {path}, which is none of a trial")
        path = self._folder / path
        unfinished = self._unfinished.get(key)
        if unfinished is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._unfinished[key] = path.with_name(f".{path.name}.{key}.part")
        with unfinished.open("ab") as file:
            file.write(piece["content"])
        if piece["last"]:
            os.replace(unfinished, path)
            del self._unfinished[key]

    def drop(self, key: str) -> None:
        """Remove what has arrived of a file of a trial that sends no more."""
        unfinished = self._unfinished.pop(key, None)
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
