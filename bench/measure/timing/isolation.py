"""Was a timing alone on its machine? Counters of the kernel and of the GPU before and after it, and what they say.

What a neighbour does shows twice: as busy time of our CPUs that is not ours, and as time that our threads were ready to
run and had to wait. Counters that a system does not have are ``None`` and decide nothing.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.measure.timing.nvml import Gpu, gpu

PROC = Path("/proc")

FOREIGN_CPUS = 0.15
"""CPUs that others may use on average. On an idle two-core virtual machine the system took 0.01 to 0.05; the processes
of a local Ray cluster take as much again."""
WAITING = 0.10
"""Share of our threads' time, running or ready to run, that they may spend waiting for a CPU."""
STOLEN_CPUS = 0.05
"""CPUs that a hypervisor may give to other machines."""
DRIFT = 0.05
"""By which share the last third of the samples may differ from the first, if their spread does not explain it."""
CLOCK = 0.05
"""By which share a GPU's clock may change."""
SHORTEST_S = 0.5
"""The kernel counts busy time in ticks of 10 ms, so a shorter timing says nothing about neighbours."""


@dataclass(frozen=True)
class Counters:
    """Counters at one moment, in seconds where they are times.

    Attributes:
        at_s: monotonic clock.
        busy_s: of the CPUs that this process may use, by whomever.
        stolen_s: of these CPUs, by the hypervisor.
        own_s: CPU time of this process and of its children that have ended.
        waiting_s: time that threads of this process were ready to run and did not.
        gpu: state of the GPU.
    """

    at_s: float
    busy_s: float | None
    stolen_s: float | None
    own_s: float
    waiting_s: float | None
    gpu: Gpu


@dataclass
class Watch:
    """What :func:`watched` hands out: :attr:`facts` are there when its block is over."""

    facts: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def isolated(self) -> bool:
        return not self.reasons

    def measured(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {**self.facts, "isolated": self.isolated, "reasons": self.reasons}


@contextmanager
def watched(device: torch.device) -> Iterator[Watch]:
    """Watch the machine while the block inside is timed."""
    watch = Watch()
    before = counters(device)
    yield watch
    watch.facts = facts(before, counters(device))
    watch.reasons = reasons(watch.facts)


def counters(device: torch.device) -> Counters:
    """The counters now."""
    busy_s, stolen_s = _cpu_times()
    times = os.times()
    own_s = time.process_time() + times.children_user + times.children_system
    return Counters(time.monotonic(), busy_s, stolen_s, own_s, _waiting_s(), gpu(device))


def facts(before: Counters, after: Counters) -> dict[str, Any]:
    """What two readings say of the time between them; plain values for a record."""
    window_s = after.at_s - before.at_s
    own_s = after.own_s - before.own_s
    busy_s, stolen_s, waiting_s = (
        _difference(getattr(before, name), getattr(after, name)) for name in ("busy_s", "stolen_s", "waiting_s")
    )
    energy_j = _difference(before.gpu.energy_j, after.gpu.energy_j)
    return {
        "window_s": window_s,
        "own_cpus": own_s / window_s,
        "foreign_cpus": None if busy_s is None else max(0.0, busy_s - own_s) / window_s,
        "stolen_cpus": None if stolen_s is None else stolen_s / window_s,
        "waiting": None if waiting_s is None else waiting_s / max(waiting_s + own_s, 1e-9),
        "gpu_energy_j": energy_j,
        "gpu_before": asdict(before.gpu),
        "gpu_after": asdict(after.gpu),
    }


def reasons(known: Mapping[str, Any]) -> list[str]:
    """Why a timing with these facts was not alone; empty if nothing speaks against it."""
    found = []
    if known["window_s"] >= SHORTEST_S:
        if (known["foreign_cpus"] or 0) > FOREIGN_CPUS:
            found.append(f"other processes used {known['foreign_cpus']:.2f} CPUs (allowed: {FOREIGN_CPUS:g})")
        if (known["waiting"] or 0) > WAITING:
            found.append(f"threads waited for a CPU {known['waiting']:.0%} of their time (allowed: {WAITING:.0%})")
        if (known["stolen_cpus"] or 0) > STOLEN_CPUS:
            found.append(f"the hypervisor took {known['stolen_cpus']:.2f} CPUs away (allowed: {STOLEN_CPUS:g})")
    before, after = known["gpu_before"], known["gpu_after"]
    others = max(before["foreign_processes"] or 0, after["foreign_processes"] or 0)
    if others:
        found.append(f"{others} other processes on the GPU")
    clocks = before["clock_hz"], after["clock_hz"]
    if all(clocks) and abs(clocks[1] / clocks[0] - 1) > CLOCK:
        found.append(
            f"the GPU's clock went from {clocks[0] / 1e6:.0f} to {clocks[1] / 1e6:.0f} MHz, at "
            f"{before['temperature_c']:.0f} and {after['temperature_c']:.0f} °C"
        )
    return found


def drift(samples_s: Sequence[float]) -> str | None:
    """Whether samples drifted: their last third's median differs from the first's by more than :data:`DRIFT`, and by
    more than four standard errors of such a difference (each 1.25 σ / √n, σ = IQR / 1.35 within a third)."""
    third = len(samples_s) // 3
    if third < 4:
        return None
    parts = samples_s[:third], samples_s[-third:]
    medians = [statistics.median(part) for part in parts]
    change = medians[1] / medians[0] - 1
    quarters = [statistics.quantiles(part, n=4, method="inclusive") for part in parts]
    variance = sum(((q[2] - q[0]) / 1.35) ** 2 for q in quarters) * 1.25**2 / third
    if abs(change) <= DRIFT or abs(medians[1] - medians[0]) <= 4 * variance**0.5:
        return None
    return f"drift: the last third took {change:+.0%} against the first (allowed: {DRIFT:.0%})"


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _cpu_times() -> tuple[float | None, float | None]:
    """Busy and stolen seconds of the CPUs that this process may use: columns of /proc/stat, proc_stat(5)."""
    stat = PROC / "stat"
    if not stat.exists() or not hasattr(os, "sched_getaffinity"):
        return None, None
    ours = {f"cpu{index}" for index in os.sched_getaffinity(0)}
    busy = stolen = 0
    for line in stat.read_text().splitlines():
        name, *columns = line.split()
        if name in ours:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, columns[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy / os.sysconf("SC_CLK_TCK"), stolen / os.sysconf("SC_CLK_TCK")


def _waiting_s() -> float | None:
    """Run delay of every thread of this process; the second number of schedstat, in nanoseconds (sched-stats)."""
    total = 0
    for task in (PROC / "self" / "task").glob("*"):
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except FileNotFoundError:  # the thread has ended, or the kernel keeps no such statistics
            continue
    return total / 1e9 if (PROC / "self" / "schedstat").exists() else None
