"""The lock of a results folder, and the sign of a run that is at work in one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.run.sharing.claims import LOCK, RUN, Claim, Owner, live, new_run, sweep, take
from bench.study.factors import StudyError

PATIENCE_S = 900.0
"""Seconds to wait for the lock, which another run has while it writes the plan or the report."""
LOOK_EVERY_S = 0.2
"""Seconds between two looks at whether the lock is free."""


@contextmanager
def locked(folder: Path, run: str = "") -> Iterator[None]:
    """Hold the lock of the results folder, after other runs that write the plan or the report there are done.

    Raises:
        StudyError: if another run holds the lock for too long.
        OSError: if the folder cannot be written to.
    """
    claim = take(folder, LOCK, run)
    deadline = time.monotonic() + PATIENCE_S
    while isinstance(claim, Owner):
        if time.monotonic() > deadline:
            raise StudyError(f"another run holds the lock of {folder} for a long time ({claim}); see what it does")
        time.sleep(LOOK_EVERY_S)  # the other run may be on another machine, which can wake nobody here
        claim = take(folder, LOCK, run)
    with claim.kept():
        yield


@dataclass(frozen=True)
class Presence:
    """The sign of a run that is at work in a results folder.

    Attributes:
        folder: the results folder.
        run: the name of the run, which its claims tell.
        claim: the sign itself.
    """

    folder: Path
    run: str
    claim: Claim

    def others(self) -> list[str]:
        """The other runs that are at work in the folder."""
        return [str(owner) for owner in live(self.folder, RUN).values() if owner.run != self.run]

    def leave(self) -> list[str]:
        """Take the sign away, and say which other runs are at work. The lock is held, so one of them is the last."""
        self.claim.release()
        return self.others()


@contextmanager
def at_work(folder: Path) -> Iterator[Presence]:
    """Inside, this run is at work in the folder, as others can see. Its claims are gone afterwards.

    Raises:
        OSError: if the folder cannot be written to.
    """
    run = new_run()
    claim = take(folder, RUN + run, run)
    assert isinstance(claim, Claim), "the name of a new run is its own"
    try:
        with claim.kept():
            yield Presence(folder, run, claim)
    finally:
        sweep(folder, run)


@contextmanager
def claimed(folder: Path, name: str, run: str) -> Iterator[None]:
    """Inside, this run has the trial whose claim has this name.

    Raises:
        StudyError: if another run is at work on it.
        OSError: if the folder cannot be written to.
    """
    claim = take(folder, name, run)
    if isinstance(claim, Owner):
        raise StudyError(f"another run is at work on this trial ({claim}); wait for it")
    with claim.kept():
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a results folder in which no run is at work, for a command that changes or removes records.

    Raises:
        StudyError: if a run is at work in it.
        OSError: if the folder cannot be written to.
    """
    try:
        with locked(folder):
            if others := [owner for name, owner in live(folder).items() if name != LOCK]:
                raise StudyError(f"another run is at work in {folder} ({others[0]}); wait for it")
            yield
    finally:
        sweep(folder, new_run())
