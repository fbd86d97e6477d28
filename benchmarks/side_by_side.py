"""Two sides of a measurement: timed in turns, on a number of threads, and told in the line that it ends with."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


def alternate(ours: Callable[[], object], other: Callable[[], object], blocks: int) -> tuple[list[float], list[float]]:
    """The seconds of each call, in ``blocks`` blocks of A B B A after one warm-up call of each function.

    A drift of the machine's speed affects both sides alike.
    """
    ours()
    other()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(blocks):
        for side in (0, 1, 1, 0):
            times[side].append(seconds((ours, other)[side]))
    return times


def seconds(work: Callable[[], object]) -> float:
    """The seconds that one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside the block, torch computes on this number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def say(line: str) -> None:
    """Print a line at once, so that it is there while a long measurement goes on."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def close(name: str, ours: str, other: str, ratio: str, what: str) -> None:
    """Print the line that a measurement ends with: both sides, their ratio, and what they are, its unit last."""
    say(f"bench {name}: ours={ours} other={other} ratio={ratio} ({what})")


def verdict(name: str, ours: list[float], other: list[float], what: str) -> None:
    """Print the closing line: the medians of both sides, and the median of the ratios other ÷ ours of pairs."""
    ratio = statistics.median(b / a for a, b in zip(ours, other, strict=True))
    close(name, f"{statistics.median(ours):.4f}", f"{statistics.median(other):.4f}", f"{ratio:.3f}", what)
