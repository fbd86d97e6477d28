"""The kernel's counts of processes that it killed for want of memory, in files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.run.outcomes.memory_kills import MemoryKills, memory_kills


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, MemoryKills(None, None)),
        ({"proc/vmstat": "pgfault 9\noom_kill 3\n"}, MemoryKills(None, 3)),
        (
            {
                "proc/self/cgroup": "0::/job/7\n",
                "sys/fs/cgroup/job/7/memory.events": "oom 3\noom_kill 2\n",
                "sys/fs/cgroup/memory.events": "oom_kill 8\n",
            },
            MemoryKills(2, None),
        ),
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:memory:/box\n0::/\n",
                "sys/fs/cgroup/memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            },
            MemoryKills(1, None),
        ),
        ({"proc/self/cgroup": "0::/hidden\n", "sys/fs/cgroup/memory.events": "oom_kill 5\n"}, MemoryKills(5, None)),
        ({"sys/fs/cgroup/memory.events": "damaged\n", "proc/vmstat": "damaged\n"}, MemoryKills(None, None)),
    ],
)
def test_the_counts_are_those_of_the_own_group_and_of_the_machine(
    tmp_path: Path, files: dict[str, str], expected: MemoryKills
) -> None:
    assert memory_kills(write(tmp_path, files)) == expected


def test_a_kill_is_called_perhaps_the_kernels_unless_the_kernel_says_that_it_killed_nothing() -> None:
    before = MemoryKills(0, 4)
    assert MemoryKills(0, 4).since(before).in_words() == ""
    assert "as it killed a process of this machine meanwhile" in MemoryKills(0, 5).since(before).in_words()
    assert MemoryKills(None, None).since(before).in_words() == ", perhaps by the kernel for want of host memory"
