"""The death of a trial's process: the worker outlives it, and tells how it died, from its own processes alone.

The session ``chaos`` has the same deaths in whole runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.run.processes import worker
from bench.run.processes.worker import TrialProcess

MAIN = """
import ctypes, faulthandler, os, signal, time
from multiprocessing.connection import Connection

def main(connection_fd, crash_fd, parent):
    faulthandler.enable(os.fdopen(crash_fd, "w"))
    connection = Connection(connection_fd)
    order = connection.recv()
    connection.send(("started", os.getpid(), "a device"))
    connection.send(("event", {"phase": "train", "done": 3, "total": 8, "loss": 0.5}))
    exec(order["deed"])
"""


@pytest.fixture
def process(tmp_path: Path) -> TrialProcess:
    """A worker's process of trials, which imports nothing and does what its order says."""
    package = tmp_path / "bench" / "run" / "processes"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "process.py").write_text(MAIN)
    return TrialProcess((str(tmp_path), *sys.path), str(tmp_path))


@pytest.mark.parametrize(
    ("deed", "status", "reason", "lost"),
    [
        ("os._exit(7)", "failed", "the trial's process ended itself with exit code 7, in train at 3/8", None),
        ("os.kill(os.getpid(), signal.SIGKILL)", "failed", "the trial's process was killed by SIGKILL", "SIGKILL"),
        ("ctypes.string_at(0)", "failed", "the trial's process was killed by SIGSEGV, in train at 3/8", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "interrupted", "SIGTERM ended it, in train at 3/8", None),
        ("ctypes.PyDLL(None).sleep(60)", "timed_out", "ended from outside 0.2 s after its time limit of 0.1 s", None),
        ("time.sleep(60)", "timed_out", "ended from outside 0.2 s after its time limit of 0.1 s", None),
    ],
)
def test_the_worker_says_how_the_process_died_and_starts_another(
    process: TrialProcess, monkeypatch: pytest.MonkeyPatch, deed: str, status: str, reason: str, lost: str | None
) -> None:
    monkeypatch.setattr(worker, "GRACE_S", 0.2)
    for _ in range(2):
        order: dict[str, Any] = {"deed": deed, "handling": {"timeout_s": 0.1 if status == "timed_out" else None}}
        started, event, last = process.run(order)
        ending = last["ending"]
        assert (ending["status"], ending.get("lost")) == (status, lost)
        assert ending["reason"].startswith(reason)
        assert ("Segmentation fault" in (ending["traceback"] or "")) is (lost == "SIGSEGV"), "the last words"
        assert (started["device"], event["event"]["done"]) == ("a device", 3)
