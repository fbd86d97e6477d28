"""The CPUs that a timing on one of several GPUs keeps to, so that those on the other GPUs do not disturb it.

The kernel counts the work of each CPU, so a timing that has CPUs of its own sees that no other process used them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")


def cpus_of_gpu(slot: int, count: int) -> frozenset[int] | None:
    """The CPUs of the timing on one of a node's GPUs; ``None`` if there are too few, or if the system offers no choice.

    Args:
        slot: the number of the GPU on the node, from 0 on.
        count: the number of CPUs of a timing.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    return nth_share(sorted(os.sched_getaffinity(0), key=_place), slot, count)


def nth_share(cpus: list[int], slot: int, count: int) -> frozenset[int] | None:
    """The ``slot``-th share of ``count`` CPUs; ``None`` if it is not there as a whole."""
    share = cpus[slot * count : (slot + 1) * count]
    return frozenset(share) if len(share) == count else None


def keep_to(cpus: frozenset[int]) -> None:
    """Run this thread, and what it starts, on some CPUs alone, if the system allows that."""
    with suppress(OSError):
        os.sched_setaffinity(0, cpus)


def _place(cpu: int) -> tuple[int, int, int]:
    """The chip, the core and the number of a CPU: in this order, the two threads of one core are neighbours."""
    topology = TOPOLOGY / f"cpu{cpu}" / "topology"
    try:
        chip, core = (int((topology / name).read_text()) for name in ("physical_package_id", "core_id"))
    except (OSError, ValueError):  # a virtual machine need not tell
        chip, core = 0, cpu
    return chip, core, cpu
