"""The processes that a run has started: none of them outlives it, however early it is stopped.

A process whose parent has died belongs to the first process of the machine, where nobody finds it again. So this
process, as long as it starts and ends others, is the one to which such a process belongs (Linux alone has this).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of <sys/prctl.h>."""
END_S = 10.0
"""Seconds that processes get to end once they are killed; one that reads from a dead file system takes longer."""


def adopt(orphans: bool) -> None:
    """Say whether processes below this one whose parent dies become its own children."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, int(orphans), 0, 0, 0)


@contextmanager
def none_left() -> Iterator[None]:
    """At the end, kill every process that was started below this one inside and still runs, and wait for its end."""
    before = descendants()
    adopt(True)
    try:
        yield
    finally:
        deadline = time.monotonic() + END_S
        while (left := descendants() - before) and time.monotonic() < deadline:
            for process in left:
                with suppress(OSError):  # it has ended meanwhile
                    os.kill(process, signal.SIGKILL)
                with suppress(OSError):  # it is the child of another one that ends just now
                    os.waitpid(process, os.WNOHANG)
            time.sleep(0.02)  # the kernel tells of the end of a child alone, and these may be a child's children
        adopt(False)


def descendants() -> set[int]:
    """The ids of the children of this process, of their children and so on; none where there is no ``/proc``."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            children[int(path.read_text(errors="replace").rpartition(")")[2].split()[1])].append(int(path.parent.name))
    below, parents = set[int](), [os.getpid()]
    while parents:
        new = [child for parent in parents for child in children[parent] if child not in below]
        below.update(new)
        parents = new
    return below
