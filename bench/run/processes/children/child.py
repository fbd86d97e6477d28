"""A child process that works for this one, and is ended with it: what it says, and from what it has died."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from bench.run.outcomes.memory_kills import MemoryKills
from bench.run.processes.cpus import keep_to
from bench.run.processes.stopping import SIGNALS, STOP_S

MOST_LAST_WORDS = 4000
"""Characters of the interpreter's last words that are kept."""


class TrialChild:
    """A process that runs the function ``main`` of a module of this package.

    Args:
        path: the folders that it imports from.
        cwd: its folder.
        cpus: the CPUs that it keeps to; ``None`` for all.
        module: the module with ``main``, which takes the file descriptors of the connection and of the file for the
            interpreter's last words, and the id of this process.
        name: the name of the process, for the reason of its end.
        environment: environment variables that it has besides those of this process.

    Attributes:
        pid: the id that the process itself has told; ``None`` before.
        connection: this process's end of the connection.
    """

    def __init__(
        self,
        path: Sequence[str],
        cwd: str,
        cpus: frozenset[int] | None = None,
        *,
        module: str,
        name: str = "the trial's process",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.pid: int | None = None
        self._name = name
        self.connection, theirs = Pipe()
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115 - kill() closes it
        code = (
            f"import sys; sys.path[:] = {list(path)!r}; from {module} import main; "
            f"main({theirs.fileno()}, {self._last_words.fileno()}, {os.getpid()})"
        )
        started = threading.Event()

        def live() -> None:
            # The kernel ends the child together with the thread that started it, so that thread stays. Its CPUs are the
            # child's from the first moment on.
            if cpus is not None:
                keep_to(cpus)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    cwd=cwd if Path(cwd).is_dir() else None,
                    pass_fds=(theirs.fileno(), self._last_words.fileno()),
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **(environment or {})},
                )
            started.set()
            self._process.wait()

        self._thread = threading.Thread(target=live, name="trial process", daemon=True)
        self._thread.start()
        started.wait()

    def send(self, order: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it died since its last trial, as receive() then says
            self.connection.send(order)

    def receive(self, limit: float | None) -> tuple[Any, ...] | None:
        """The next message, ``()`` once the process is dead, ``None`` if nothing comes before ``limit``."""
        try:
            if not self.connection.poll(None if limit is None else max(0.0, limit - time.monotonic())):
                return None
            return tuple(self.connection.recv())
        except (EOFError, OSError):
            return ()

    def end(self) -> None:
        """Kill the process. Whoever waits for a message of it is told that it is dead."""
        self._process.kill()

    def stop(self) -> None:
        """Ask the process to end in order, and wait until it has, for a while."""
        self._process.terminate()
        self._thread.join(STOP_S)

    def kill(self) -> None:
        self.end()
        self._thread.join()
        self.connection.close()
        self._last_words.close()

    def ending(self, where: str, memory_kills: MemoryKills) -> dict[str, Any]:
        """The outcome of a trial whose process died, from what is known of its death."""
        self._thread.join()
        code = self._process.returncode
        self._last_words.seek(0)
        words = self._last_words.read().decode(errors="replace")[:MOST_LAST_WORDS].strip()
        self.kill()
        if -code in SIGNALS:
            return {"status": "interrupted", "reason": f"{_signal(code)} ended it, {where}", "traceback": None}
        if code >= 0:
            reason = f"{self._name} ended itself with exit code {code}, {where}"
            return {"status": "failed", "reason": reason, "traceback": words or None}
        lost = _signal(code)
        if code == -signal.SIGKILL and memory_kills.of_group:
            reason = f"host memory: the kernel killed {self._name} for want of it ({lost}), {where}"
            return {"status": "out_of_memory", "reason": reason, "traceback": None, "lost": lost}
        cause = memory_kills.in_words() if code == -signal.SIGKILL else ""
        reason = f"{self._name} was killed by {lost}{cause}, {where}"
        return {"status": "failed", "reason": reason, "traceback": words or None, "lost": lost}


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
