"""Two functions timed in turns, A B B A, so that a drift of the machine's speed affects both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def alternate(ours: Callable[[], object], other: Callable[[], object], blocks: int) -> tuple[list[float], list[float]]:
    """The seconds of each call, in ``blocks`` blocks of A B B A after one warm-up call of each function."""
    ours()
    other()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(blocks):
        for side in (0, 1, 1, 0):
            start = time.perf_counter()
            (ours, other)[side]()
            times[side].append(time.perf_counter() - start)
    return times


def verdict(name: str, ours: list[float], other: list[float], what: str) -> None:
    """Print the closing line: the medians of both sides, and the median of the ratios other ÷ ours of pairs."""
    ratio = statistics.median(b / a for a, b in zip(ours, other, strict=True))
    medians = statistics.median(ours), statistics.median(other)
    print(f"bench {name}: ours={medians[0]:.4f} other={medians[1]:.4f} ratio={ratio:.3f} ({what})")  # noqa: T201
