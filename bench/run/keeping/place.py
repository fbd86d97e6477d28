"""The file of the state of a training: where it lies, how far the training is, and its removal. No torch."""

from __future__ import annotations

import glob
from contextlib import suppress
from pathlib import Path

from bench.records.files import unfinished

FOLDER = "checkpoints"
"""The folder of a results folder that has the states of trainings."""
FORMAT = b"bench training state 2"
"""The first line of a file of a state begins so and ends with the number of iterations that it was kept after; the
second line is the SHA-256 of all that follows."""
LONGEST_LINE = 200
"""The most bytes of the first line."""


def state_path(folder: Path, key: str, parts: int = 1) -> Path:
    """The file of the state of the trial with this key.

    Args:
        folder: the results folder.
        key: the trial's key.
        parts: the parts in which it computes what its recipe computes at once: no state goes on in others.
    """
    return folder / FOLDER / (f"{key}.state" if parts == 1 else f"{key}.{parts}-parts.state")


def states_of(folder: Path, key: str) -> list[Path]:
    """The file of the state of the trial with this key, and those of its trainings in parts that are there."""
    return [state_path(folder, key), *(folder / FOLDER).glob(f"{glob.escape(key)}.*-parts.state")]


def states_by_key(folder: Path) -> dict[str, Path]:
    """Key -> the file of the state of that trial, without those of trainings in parts."""
    return {path.stem: path for path in (folder / FOLDER).glob("*.state")}


def forget(path: Path) -> None:
    """Remove the state of a training that is over, and what processes left of it that were killed while writing."""
    for file in (path, *unfinished(path)):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def kept_after(path: Path) -> int | None:
    """The number of iterations after which the state in a file was kept; 0 if it does not say, ``None`` for no state.

    The file's first line alone is read, since the rest may be large.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(LONGEST_LINE)
    except OSError:
        return None
    number = line.removeprefix(FORMAT).strip()
    return None if not line.startswith(FORMAT) else int(number) if number.isdigit() else 0
