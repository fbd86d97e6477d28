"""The processes that train the network of a trial together with the trial's own, which starts and watches them.

The trial's process is number 0 of the group. Whatever ends another one ends the trial: an error is raised here as if it
had been met here, and a death is told as one of the trial's own process is.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from bench.run.outcomes.memory_kills import memory_kills
from bench.run.outcomes.outcome import LostProcessError
from bench.run.processes.children.child import TrialChild
from bench.training.parallel.group import TrainingGroup, abort, joined, meeting_point

MODULE = "bench.run.processes.children.helper"
"""The module that a helper runs."""
SETTLE_S = 5.0
"""Seconds after an error of the connection to another process within which that one's own error is known."""
OF_CONNECTION = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|process group", re.IGNORECASE)
"""The texts of errors by which a process notices that another one is gone."""


class _RemoteTraceback(Exception):  # noqa: N818 - it stands for the traceback in another process
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


@contextmanager
def helped(order: Mapping[str, Any], size: int, device: torch.device) -> Iterator[TrainingGroup]:
    """Inside, ``size - 1`` other processes train the network of a trial together with this one.

    Args:
        order: the values that a helper takes, besides its place in the group.
        size: the number of processes in all.
        device: the device of this process.

    Raises:
        LostProcessError: if another process was killed, or ended itself.
        Exception: whatever another process raised.
    """
    helpers = _Helpers(order, size, device)
    try:
        helpers.wait_until_ready()
        with joined(helpers.store, 0, size, device) as group:
            try:
                yield group
            except Exception as error:  # a user's code may raise anything; the error or its cause is raised again
                cause = helpers.cause_of(error)
                helpers.end()
                if cause is None:
                    raise
                raise cause from cause.__cause__
            finally:
                helpers.end()
    finally:
        helpers.end()


class _Helpers:
    """The other processes of a group, and what is known of them."""

    def __init__(self, order: Mapping[str, Any], size: int, device: torch.device) -> None:
        self.store = meeting_point(size)
        self._on_gpu = device.type == "cuda"
        self._news = threading.Condition()
        self._ready: set[int] = set()
        self._failures: list[tuple[float, Exception]] = []
        self._is_over = False
        self._kills = memory_kills()
        path = [str(Path(entry).absolute()) for entry in sys.path]
        self._children = {
            rank: TrialChild(
                path,
                str(Path.cwd()),
                module=MODULE,
                name=f"process {rank + 1} of the trial's {size}",
                environment={"CUDA_VISIBLE_DEVICES": _visible_gpu(rank)} if self._on_gpu else None,
            )
            for rank in range(1, size)
        }
        for rank, child in self._children.items():
            child.send({**order, "rank": rank, "size": size, "port": self.store.port})
        self._thread = threading.Thread(target=self._watch, name="helpers of the training", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Wait until every helper has loaded the study.

        Raises:
            Exception: the error of a helper that could not.
        """
        with self._news:
            while len(self._ready) < len(self._children) and not self._failures:
                self._news.wait()
        if self._failures:
            raise self._first_failure()

    def cause_of(self, error: Exception) -> Exception | None:
        """The error of a helper that an error of this process follows from; ``None`` for one of its own."""
        if not OF_CONNECTION.search(str(error)) and not (self._failures and self._on_gpu):
            return None
        with self._news:
            self._news.wait_for(lambda: bool(self._failures), SETTLE_S)
        return self._first_failure() if self._failures else None

    def end(self) -> None:
        """Kill the helpers."""
        if self._is_over:
            return
        self._is_over = True
        for child in self._children.values():
            child.end()
        self._thread.join()
        for child in self._children.values():
            child.kill()

    def _first_failure(self) -> Exception:
        return min(self._failures, key=lambda failure: failure[0])[1]

    def _watch(self) -> None:
        """Take the messages of the helpers until all are gone."""
        living = dict(self._children)
        while living:
            ready = wait([child.connection for child in living.values()])
            for rank, child in list(living.items()):
                if child.connection not in ready:
                    continue
                message = child.receive(None)
                with self._news:
                    if message == ("ready",):
                        self._ready.add(rank)
                    elif message:
                        _, at, content, text, traceback = message
                        self._failures.append((at, _error_of(content, text, traceback)))
                    else:
                        del living[rank]
                        if not self._is_over and not self._failures:
                            ending = child.ending("in the training", memory_kills().since(self._kills))
                            self._failures.append((time.monotonic(), LostProcessError(ending)))
                    self._news.notify_all()
            if self._failures and self._on_gpu and not self._is_over:
                abort()  # else this process waits for the others on its GPU


def _error_of(content: bytes | None, text: str, traceback: str) -> Exception:
    """The error of another process, with its traceback there as the cause."""
    error: object = None
    if content is not None:
        try:
            error = pickle.loads(content)
        except Exception:  # noqa: BLE001 - a class of the study may do anything when it is restored; its text is there
            error = None
    if not isinstance(error, Exception):
        error = RuntimeError(text)
    error.__cause__ = _RemoteTraceback(traceback)
    return error


def _visible_gpu(rank: int) -> str:
    """CUDA's name of the GPU of a process, among those that this one sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(place) for place in range(torch.cuda.device_count())]
    return names[rank]
