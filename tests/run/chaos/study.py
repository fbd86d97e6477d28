"""A study whose command is given again and again while its processes are killed or stopped, and what must hold then."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.records.record import read, read_all
from tests.run.runner import Runner

TRIALS = 4
PATIENCE_S = 300.0
LAST_S = 180.0
"""Seconds after which no process is left: two agents of Ray try for a minute to tell that their driver was killed."""
MOMENT_S = 20.0
"""The most seconds that a kill waits for its moment, after which it comes all the same."""
VOLATILE = ("train_s", "resumed_after")
"""What a record measures of the training itself, which an interruption changes."""


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        target: the processes that are killed: the ``driver``, a ``worker`` (or the process of its trial), or ``both``.
        moment: ``any``; ``record`` or ``state`` for the writing of such a file, up to its rename.
        after_s: the seconds of the run before it, for ``any``.
        at_once: ``True`` if the next command does not wait for the end of the killed run's workers.
    """

    target: str
    moment: str
    after_s: float
    at_once: bool

    @classmethod
    def drawn(cls, draws: random.Random, usual_s: float) -> Kill:
        return cls(
            draws.choice(("driver", "worker", "both")), draws.choice(("any", "any", "record", "state")),
            draws.uniform(0, 1.2 * usual_s), draws.random() < 0.5,
        )  # fmt: skip

    def __str__(self) -> str:
        when = f"{self.after_s:.1f} s after the start" if self.moment == "any" else f"writing a {self.moment}"
        return f"{self.target}, {when}"


@dataclass
class Study:
    """A study in a results folder of its own, whose command is given until every trial is done.

    Attributes:
        file: the study's file.
        runner: the starter of commands.
        run: the run that is at work; ``None`` if none is.
        started_at: the time of its start.
        done: the records of finished trials that were seen -> the time of their last change.
        ended: the runs that have ended.
        unfinished: the files that killed runs were writing, as they were before the run.
    """

    file: Path
    runner: Runner
    run: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    done: dict[str, int] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    unfinished: set[Path] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.runner.results / "tiny"

    def start(self) -> subprocess.Popen[str]:
        self.unfinished = {*parts(self.folder / "records"), *parts(self.folder / "checkpoints")}
        self.run = self.runner.started_quietly("run", self.file, "--checkpoint-minutes", "0.001")
        self.started_at = time.monotonic()
        return self.run

    def strike(self, kill: Kill) -> bool:
        """Kill processes at the moment; ``False`` if the run ended before it came."""
        run = self.run or self.start()
        deadline = time.monotonic() + MOMENT_S
        while not self._has_come(kill, deadline) or (kill.target == "worker" and not self.workers()):
            if run.poll() is not None:
                self.over(run)
                return False
            time.sleep(0.001)  # polls files and other processes; nothing to wait on
        workers = self.workers()
        if kill.target != "driver":
            for process in workers if kill.target == "both" else workers[-1:]:
                kill_9(process)
        if kill.target != "worker":
            kill_9(run.pid)
            run.wait()
            self.over(run)
            deadline = time.monotonic() + PATIENCE_S
            while self.workers() and not kill.at_once:
                assert time.monotonic() < deadline, "workers outlive their run"
                time.sleep(0.1)  # polls other processes; nothing to wait on
        return True

    def _has_come(self, kill: Kill, deadline: float) -> bool:
        if kill.moment == "any":
            return time.monotonic() - self.started_at >= kill.after_s
        name = {"record": "records", "state": "checkpoints"}[kill.moment]
        return time.monotonic() > deadline or not parts(self.folder / name) <= self.unfinished

    def over(self, run: subprocess.Popen[str]) -> None:
        self.ended.append(run.pid)
        self.run = None

    def finish(self) -> None:
        """Give the command until it ends with 0, but no more than three times: a kill may fail trials of its run."""
        for _ in range(3):
            run = self.run or self.start()
            code = run.wait(timeout=PATIENCE_S)
            self.over(run)
            self.look()
            if code == 0:
                return
        raise AssertionError(self.runner.output())

    def look(self) -> None:
        """Every record can be read, and those of finished trials are there and as they were."""
        records = {path.name: path for path in (self.folder / "records").glob("[!.]*.json")}
        for name, path in records.items():
            changed_at = path.stat().st_mtime_ns
            if read(path).status == "done":
                assert self.done.setdefault(name, changed_at) == changed_at, f"{name} was done, and was done again"
        assert self.done.keys() <= records.keys(), "a finished trial was lost"

    def processes(self) -> dict[int, str]:
        """Id -> command of every process that the commands have started, and that is alive."""
        mark, found = f"HOME={self.runner.home}".encode(), dict[int, str]()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue  # it ended just now
        return found

    def workers(self) -> list[int]:
        """The processes of trials, and the workers that watch them."""
        commands = self.processes()
        return [
            pid for pid, command in commands.items() if "processes.process import" in command or "ray::Impl" in command
        ]

    def wait_for_the_end(self) -> None:
        deadline = time.monotonic() + LAST_S
        while left := self.processes():
            assert time.monotonic() < deadline, f"{left} still run {LAST_S:g} s after their run has ended"
            time.sleep(0.1)  # polls other processes; nothing to wait on

    def leaves_nothing(self) -> None:
        self.wait_for_the_end()
        assert [str(path) for path in self.folder.rglob("*.part")] == [], "files that were never finished"
        assert list((self.folder / "checkpoints").glob("*")) == [], "states of trainings that are over"
        assert not (self.folder / ".claims").exists()
        left = [folder for pid in self.ended for folder in Path("/tmp").glob(f"bench-{pid}-*")]
        assert left == [], f"scratch folders: {[sorted(folder.rglob('*')) for folder in left]}"

    def measured(self) -> dict[str, dict[str, Any]]:
        """Key -> what a finished trial measured, without its times."""
        records = read_all(self.folder / "records")
        assert [record.status for record in records] == ["done"] * TRIALS
        return {
            record.key: {name: value for name, value in record.measured.as_json().items() if name not in VOLATILE}
            for record in records
        }


def parts(folder: Path) -> set[Path]:
    """The files in a folder that are being written, or that a killed process was writing."""
    return set(folder.glob(".*.part"))


def kill_9(process: int) -> None:
    with suppress(ProcessLookupError):  # it has ended just now
        os.kill(process, signal.SIGKILL)


def study_of(file: Path, runner: Runner) -> Study:
    """The trainings of a study of two variants and two seeds."""
    file.write_text(file.read_text() + '\nSTUDY = STUDY.having(stages=("quality",))\n')
    return Study(file, runner)
