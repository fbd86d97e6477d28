"""Batches that threads make beside the training step, handed out in their order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], workers: int, start: int = 0) -> Generator[T, None, None]:
    """Yield ``make(start)``, ``make(start + 1)`` and so on without end, the same whatever the number of threads.

    Each thread makes one batch ahead of the one that is handed out, and one more waits. An error of ``make`` is raised
    when its batch is due. Close the generator to end the threads.

    Args:
        make: makes a batch from its number alone.
        workers: the number of threads; 0 makes each batch when it is asked for.
        start: the first number.
    """
    if workers == 0:
        yield from map(make, itertools.count(start))
        return
    executor = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        numbers = itertools.count(start)
        pending = deque(executor.submit(make, next(numbers)) for _ in range(workers + 1))
        while True:
            batch = pending.popleft().result()
            pending.append(executor.submit(make, next(numbers)))
            yield batch
    finally:
        executor.shutdown(cancel_futures=True)
