"""Processes that train a network together on this machine's CPU, for tests."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from bench.training.parallel.group import joined, known_meeting_point, meeting_point

CPU = torch.device("cpu")
Together = Callable[..., list[Any]]
"""A function that calls another one in each process, with its group and what else is given: the results by rank."""


@contextmanager
def processes(size: int) -> Iterator[Together]:
    """Inside, ``size`` processes are there; each call of what this yields has a group of its own."""
    with ProcessPoolExecutor(size, multiprocessing.get_context("spawn")) as pool:

        def together(work: Callable[..., Any], *arguments: Any) -> list[Any]:
            store = meeting_point(size)
            ranks: list[Future[Any]] = [
                pool.submit(_in_group, store.port, rank, size, work, arguments) for rank in range(size)
            ]
            return [rank.result() for rank in ranks]

        yield together


def _in_group(port: int, rank: int, size: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    torch.set_num_threads(1)
    with joined(known_meeting_point(port, size), rank, size, CPU) as group:
        return work(group, *arguments)
