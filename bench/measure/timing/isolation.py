"""The check that a timing was alone on its machine, from counters of the kernel and the GPU before and after it.

The work of other processes shows in two ways: as busy time of our CPUs that is not our own, and as time in which our
threads were ready to run and had to wait. Counters that a system does not have are ``None`` and decide nothing.
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
"""The number of CPUs that other processes may use on average. On an idle virtual machine with two cores the system used
0.01 to 0.05; the processes of a local Ray cluster use as much again."""
WAITING = 0.10
"""The share of our threads' time, running or ready to run, that they may spend waiting for a CPU."""
STOLEN_CPUS = 0.05
"""The number of CPUs that a hypervisor may give to other machines."""
DRIFT = 0.05
"""The share by which the last third of the samples may differ from the first, unless their spread explains more."""
CLOCK = 0.05
"""The share by which a GPU's clock may change."""
SHORTEST_S = 0.5
"""The shortest timing, in seconds, that is checked for other processes: the kernel counts in ticks of 10 ms."""


@dataclass(frozen=True)
class Counters:
    """The counters at one moment; times are in seconds.

    Attributes:
        at_s: the monotonic clock.
        busy_s: the busy time of the CPUs that this process may use, by any process.
        stolen_s: the time that the hypervisor took from these CPUs.
        own_s: the CPU time of this process and of its children that have ended.
        waiting_s: the time in which threads of this process were ready to run and had to wait.
        gpu: the state of the GPU.
    """

    at_s: float
    busy_s: float | None
    stolen_s: float | None
    own_s: float
    waiting_s: float | None
    gpu: Gpu


@dataclass
class Watch:
    """The result of :func:`watched`, which is filled when its block ends.

    Attributes:
        facts: the use of the machine during the block, as :func:`facts` returns it.
        reasons: the reasons why the block was not alone on the machine; empty if it was.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def isolated(self) -> bool:
        return not self.reasons

    def measured(self) -> dict[str, Any]:
        """The facts and the reasons as a record keeps them."""
        return {**self.facts, "isolated": self.isolated, "reasons": self.reasons}


@contextmanager
def watched(device: torch.device) -> Iterator[Watch]:
    """Watch the machine during the block, which is timed."""
    watch = Watch()
    before = counters(device)
    yield watch
    watch.facts = facts(before, counters(device))
    watch.reasons = reasons(watch.facts)


def counters(device: torch.device) -> Counters:
    """The counters at this moment."""
    busy_s, stolen_s = _cpu_times()
    times = os.times()
    own_s = time.process_time() + times.children_user + times.children_system
    return Counters(time.monotonic(), busy_s, stolen_s, own_s, _waiting_s(), gpu(device))


def facts(before: Counters, after: Counters) -> dict[str, Any]:
    """The use of the machine between two readings, as plain values for a record."""
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
    """The reasons why a timing with these facts was not alone on its machine; empty if it was."""
    disturbances = []
    if known["window_s"] >= SHORTEST_S:
        if (known["foreign_cpus"] or 0) > FOREIGN_CPUS:
            disturbances.append(f"other processes used {known['foreign_cpus']:.2f} CPUs (allowed: {FOREIGN_CPUS:g})")
        if (known["waiting"] or 0) > WAITING:
            disturbances.append(
                f"threads waited for a CPU {known['waiting']:.0%} of their time (allowed: {WAITING:.0%})"
            )
        if (known["stolen_cpus"] or 0) > STOLEN_CPUS:
            disturbances.append(f"the hypervisor took {known['stolen_cpus']:.2f} CPUs away (allowed: {STOLEN_CPUS:g})")
    before, after = known["gpu_before"], known["gpu_after"]
    others = max(before["foreign_processes"] or 0, after["foreign_processes"] or 0)
    if others:
        disturbances.append(f"{others} other processes on the GPU")
    clocks = before["clock_hz"], after["clock_hz"]
    if all(clocks) and abs(clocks[1] / clocks[0] - 1) > CLOCK:
        disturbances.append(
            f"the GPU's clock went from {clocks[0] / 1e6:.0f} to {clocks[1] / 1e6:.0f} MHz, at "
            f"{before['temperature_c']:.0f} and {after['temperature_c']:.0f} °C"
        )
    return disturbances


def drift(samples_s: Sequence[float]) -> str | None:
    """A sentence about the drift of samples, or ``None`` if they did not drift.

    Samples drifted if the medians of their first and last third differ by more than :data:`DRIFT`, and by more than
    four standard errors of that difference. The standard error of each median is 1.25 σ / √n, with σ = IQR / 1.35 in
    its third.
    """
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
    """The busy and the stolen seconds of the CPUs that this process may use, from /proc/stat, see proc_stat(5)."""
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
    """The run delay of all threads of this process: the second number of schedstat, in nanoseconds (sched-stats)."""
    total = 0
    for task in (PROC / "self" / "task").glob("*"):
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except FileNotFoundError:  # the thread has ended, or the kernel keeps no such statistics
            continue
    return total / 1e9 if (PROC / "self" / "schedstat").exists() else None
