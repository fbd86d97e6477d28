"""The lock of a results folder: one command at a time writes to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.study.factors import StudyError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the results folder. The kernel frees it when this process ends, however that happens.

    Raises:
        StudyError: if another run holds the lock.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StudyError(
                f"another run is at work in {folder} (process {file.read().strip() or 'unknown'}); "
                "wait for it, or choose another folder for this run with --results"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
