"""Starts ``bench`` as a user does: a process of its own, with a home folder and a results folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

BENCH = (sys.executable, "-m", "bench.cli.app")


def heed_ctrl_c() -> None:
    """A shell that starts the tests in the background makes them, and so their children, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Runner:
    """Starts ``bench`` commands with a home folder of their own and waits for them.

    Attributes:
        environment: environment variables that the commands get besides those of this process.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.environment = environment
        self.home, self.results = folder / "home", folder / "results"
        self.home.mkdir()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        process = self._started(arguments, subprocess.PIPE)
        self.started.append(process)
        return process

    def started_quietly(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """A command whose output goes to a file: workers that outlive it would keep a pipe open."""
        with (self.home.parent / f"output {len(self.started)}").open("w", encoding="utf-8") as file:
            process = self._started(arguments, file)
        self.started.append(process)
        return process

    def output(self) -> str:
        """The output of all commands that were started quietly."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.home.parent.glob("output *")))

    def _started(self, arguments: Sequence[str | Path], output: int | IO[str]) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
        return subprocess.Popen(
            [*BENCH, *map(str, arguments), "--results", str(self.results)],
            env=environment | {"HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parents[2])} | self.environment,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,  # so that a signal to the group is what Ctrl-C in a terminal is
            preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - it only sets a signal, which a fork of a thread may
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        out, err = process.communicate(timeout=400)
        return process.returncode, out, err

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        return self.finish(self.start(*arguments))

    def records(self, name: str) -> dict[str, int]:
        """Record file -> time of its last change."""
        return {path.name: path.stat().st_mtime_ns for path in (self.results / name / "records").glob("*.json")}

    def wait_for_log(self, name: str, word: str) -> None:
        """Until a trial that is still running has logged ``word``."""
        deadline = time.monotonic() + 300
        folder = self.results / name / "logs"
        while not any(word in path.read_text() for path in folder.glob("*.log")):
            assert time.monotonic() < deadline, f"no log says {word!r} after five minutes"
            time.sleep(0.1)  # polls another process; nothing to wait on

    def wait_for_records(self, name: str, count: int) -> None:
        deadline = time.monotonic() + 300
        while len(self.records(name)) < count:
            assert time.monotonic() < deadline, f"no {count} records after five minutes"
            time.sleep(0.1)  # polls another process; nothing to wait on

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
