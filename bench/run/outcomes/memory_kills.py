"""The processes that the kernel has killed for want of host memory, as far as it tells.

**Source**: Linux, "Control Group v2" (``memory.events``), "Memory Resource Controller" (``memory.oom_control``) and
"The /proc Filesystem" (``/proc/vmstat``).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MemoryKills:
    """Numbers of processes that the kernel killed for want of memory; ``None`` where it does not say.

    Attributes:
        of_group: in the control group of this process, such as a container or a job of a batch system.
        of_machine: on the whole machine.
    """

    of_group: int | None
    of_machine: int | None

    def since(self, before: MemoryKills) -> MemoryKills:
        """The numbers since an earlier moment."""
        return MemoryKills(_difference(self.of_group, before.of_group), _difference(self.of_machine, before.of_machine))

    def in_words(self) -> str:
        """The cause of a kill that is not known for certain, with a comma before it; empty where memory was not it."""
        if self.of_machine:
            return ", perhaps by the kernel for want of host memory, as it killed a process of this machine meanwhile"
        return ", perhaps by the kernel for want of host memory" if self.of_machine is None else ""


def memory_kills(root: Path = Path("/")) -> MemoryKills:
    """The numbers up to now.

    Args:
        root: the folder that has ``proc`` and ``sys``.
    """
    return MemoryKills(_of_group(root), _count(root / "proc/vmstat"))


def _of_group(root: Path) -> int | None:
    """The number of the innermost group that says one: version 2 has ``memory.events``, version 1 ``oom_control``."""
    groups: list[Path] = []
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                groups.append(root / "sys/fs/cgroup" / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                groups.append(root / "sys/fs/cgroup/memory" / path.lstrip("/") / "memory.oom_control")
    # Inside a container the path may be that of the host, while the group itself is mounted at the top.
    groups += [root / "sys/fs/cgroup/memory.events", root / "sys/fs/cgroup/memory/memory.oom_control"]
    return next((count for file in groups if (count := _count(file)) is not None), None)


def _count(file: Path) -> int | None:
    try:
        counts = dict(line.split() for line in file.read_text().splitlines())
        return int(counts["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before
