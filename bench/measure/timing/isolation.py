"""The check that a timing was alone on its machine, from counters of the kernel and the GPU around and during it.

On a CPU, the work of other processes shows in two ways: as busy time of our CPUs that is not our own, and as time in
which our threads were ready to run and had to wait. On a GPU, the host only has to launch in time: there the thread
that waited longest is judged, be it the one that launches forwards or the one that launches backwards, and other
processes may use more of the CPUs. Other processes on the GPU itself, and slowdowns of its clock that have a cause
outside of our own load, void a timing too.

There are three results: alone, not alone with the reasons, and unknown with what is not known. Our CPUs are those of
the process's affinity; a quota of a container without CPUs of its own shows as waiting.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from bench.measure.timing.nvml import POWER_CAP, Gpu, gpu

PROC = Path("/proc")
Kind = Literal["cpu", "gpu"]
"""The kind of a device: what runs the network."""


@dataclass(frozen=True)
class Allowance:
    """The number of CPUs that others may use on average.

    Attributes:
        least: the number that is allowed on a machine of any size.
        share: the share of the CPUs that is allowed, where that is more.
    """

    least: float
    share: float

    def of(self, cpus: int) -> float:
        return max(self.least, self.share * cpus)


FOREIGN_CPUS: Mapping[Kind, Allowance] = {"cpu": Allowance(0.15, 0.01), "gpu": Allowance(0.15, 0.25)}
"""The CPUs that other processes may use. On an idle virtual machine with two cores the system used 0.01 to 0.05; the
processes of a local Ray cluster use as much again. Daemons of a host with 200 cores use about one core."""
STOLEN_CPUS: Mapping[Kind, Allowance] = {"cpu": Allowance(0.05, 0.005), "gpu": Allowance(0.05, 0.05)}
"""The CPUs that a hypervisor may give to other machines."""
WAITING = 0.10
"""The share of our threads' time, running or ready to run, that they may spend waiting for a CPU; on a CPU."""
LONGEST_WAIT = 0.05
"""The share of the timing that any one of our threads may spend waiting for a CPU; on a GPU."""
DRIFT = 0.05
"""The share by which the last third of the samples may differ from the first, unless their spread explains more."""
CLOCK = 0.05
"""The change of a GPU's clock, as a share, from which on it is noted."""
SHORTEST_S = 0.5
"""The shortest timing, in seconds, that shows other processes: the kernel counts in ticks of 10 ms."""
LOOK_S = 0.5
"""The least seconds between two readings of the GPU during a timing."""


@dataclass(frozen=True)
class Counters:
    """The counters at one moment; times are in seconds, and a counter that the system does not have is ``None``.

    Attributes:
        at_s: the monotonic clock.
        busy_s: the busy time of the CPUs that this process may use, by any process.
        stolen_s: the time that the hypervisor took from these CPUs.
        own_s: the CPU time of this process and of its children that have ended.
        waiting_s: thread -> the time in which it was ready to run and had to wait, for the threads of this process.
        cpus: the number of CPUs that this process may use.
    """

    at_s: float
    busy_s: float | None
    stolen_s: float | None
    own_s: float
    waiting_s: Mapping[int, float] | None
    cpus: int


@dataclass
class Watch:
    """The result of :func:`watched`, which is filled when its block ends.

    Attributes:
        device: the device that the block uses.
        facts: the use of the machine during the block, as :func:`facts` returns it.
        reasons: the reasons why the block was not alone on the machine; empty if none is known.
        unknown: what could not be found out about it, as sentences; empty if all is known.
        notes: what is worth to know and voids nothing, as sentences.
        looks: the states of the GPU at the beginning, between calls and at the end.
    """

    device: torch.device
    facts: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looks: list[Gpu] = field(default_factory=list)
    looked_s: float = 0.0

    @property
    def isolated(self) -> bool | None:
        """``True`` for a block that was alone, ``False`` for one that was not, ``None`` if that is not known."""
        if self.reasons:
            return False
        return None if self.unknown else True

    def look(self) -> None:
        """Read the state of the GPU between two timed calls, at most every :data:`LOOK_S` seconds."""
        if self.device.type == "cuda" and time.monotonic() - self.looked_s >= LOOK_S:
            self.look_now()

    def look_now(self) -> None:
        self.looks.append(gpu(self.device))
        self.looked_s = time.monotonic()

    def measured(self) -> dict[str, Any]:
        """The facts and what follows from them, as a record keeps them."""
        conclusions = {"reasons": self.reasons, "unknown": self.unknown, "notes": self.notes}
        return {**self.facts, "isolated": self.isolated, **conclusions}


@contextmanager
def watched(device: torch.device) -> Iterator[Watch]:
    """Watch the machine during the block, which is timed and calls :meth:`Watch.look` between its calls."""
    watch = Watch(device)
    watch.look_now()
    before = counters()
    yield watch
    after = counters()
    watch.look_now()
    kind: Kind = "cpu" if device.type == "cpu" else "gpu"
    watch.facts = {"kind": kind, **facts(before, after), **gpu_facts(watch.looks)}
    watch.reasons = reasons(watch.facts)
    watch.unknown = unknown(watch.facts)
    watch.notes = notes(watch.facts)


def counters() -> Counters:
    """The counters at this moment."""
    busy_s, stolen_s = _cpu_times()
    times = os.times()
    own_s = time.process_time() + times.children_user + times.children_system
    return Counters(time.monotonic(), busy_s, stolen_s, own_s, _waiting_s(), len(_cpus()))


def facts(before: Counters, after: Counters) -> dict[str, Any]:
    """The use of the CPUs between two readings, as plain values for a record."""
    window_s = after.at_s - before.at_s
    own_s = after.own_s - before.own_s
    busy_s, stolen_s = (_difference(getattr(before, name), getattr(after, name)) for name in ("busy_s", "stolen_s"))
    waits_s = None if before.waiting_s is None or after.waiting_s is None else _waits(before.waiting_s, after.waiting_s)
    return {
        "window_s": window_s,
        "cpus": after.cpus,
        "own_cpus": own_s / window_s,
        "foreign_cpus": None if busy_s is None else max(0.0, busy_s - own_s) / window_s,
        "stolen_cpus": None if stolen_s is None else stolen_s / window_s,
        "waiting": None if waits_s is None else sum(waits_s) / max(sum(waits_s) + own_s, 1e-9),
        "longest_wait": None if waits_s is None else max(waits_s, default=0.0) / window_s,
    }


def gpu_facts(looks: Sequence[Gpu]) -> dict[str, Any]:
    """The states of the GPU during a timing, two or more, as plain values for a record."""
    processes = [look.foreign_processes for look in looks if look.foreign_processes is not None]
    known = [look.slowdowns for look in looks if look.slowdowns is not None]
    slowdowns = Counter(name for names in known for name in names)
    return {
        "gpu_looks": len(looks),
        "gpu_foreign_processes": max(processes) if len(processes) == len(looks) or any(processes) else None,
        "gpu_slowdowns": {name: count / len(known) for name, count in slowdowns.items()} if known else None,
        "gpu_energy_j": _difference(looks[0].energy_j, looks[-1].energy_j),
        "gpu_before": asdict(looks[0]),
        "gpu_after": asdict(looks[-1]),
    }


def reasons(known: Mapping[str, Any]) -> list[str]:
    """The reasons why a timing with these facts was not alone on its machine; empty if none is known."""
    kind: Kind = known["kind"]
    disturbances = []
    if known["window_s"] >= SHORTEST_S:
        allowed = FOREIGN_CPUS[kind].of(known["cpus"])
        if (known["foreign_cpus"] or 0) > allowed:
            disturbances.append(f"other processes used {known['foreign_cpus']:.2f} CPUs (allowed: {allowed:.3g})")
        if kind == "cpu" and (known["waiting"] or 0) > WAITING:
            disturbances.append(
                f"threads waited for a CPU {known['waiting']:.0%} of their time (allowed: {WAITING:.0%})"
            )
        if kind == "gpu" and (known["longest_wait"] or 0) > LONGEST_WAIT:
            disturbances.append(
                f"a thread waited for a CPU {known['longest_wait']:.0%} of the time (allowed: {LONGEST_WAIT:.0%})"
            )
        allowed = STOLEN_CPUS[kind].of(known["cpus"])
        if (known["stolen_cpus"] or 0) > allowed:
            disturbances.append(f"the hypervisor took {known['stolen_cpus']:.2f} CPUs away (allowed: {allowed:.3g})")
    others = known["gpu_foreign_processes"]
    if others:
        disturbances.append(f"{others} other {'process' if others == 1 else 'processes'} on the GPU")
    for name, share in (known["gpu_slowdowns"] or {}).items():
        if name != POWER_CAP:
            disturbances.append(f"{name}: the GPU's clock was lowered in {share:.0%} of {known['gpu_looks']} readings")
    return disturbances


def unknown(known: Mapping[str, Any]) -> list[str]:
    """The sentences about what these facts do not tell of other work on the machine; empty if they tell all."""
    sentences = []
    if known["window_s"] < SHORTEST_S:
        sentences.append(f"the timing lasted less than {SHORTEST_S:g} s, too short to show other processes")
    elif known["foreign_cpus"] is None and known["waiting"] is None:
        sentences.append("the system has no counters that show other processes (/proc/stat)")
    if known["kind"] == "cpu":
        return sentences
    state = known["gpu_before"]
    if state["reason"]:
        return [*sentences, f"other processes and slowdowns of the GPU are not known: {state['reason']}"]
    why = {**known["gpu_after"]["unknown"], **state["unknown"]}
    for name, what in (("foreign_processes", "other processes on the GPU"), ("slowdowns", "slowdowns of the GPU")):
        if known[f"gpu_{name}"] is None:
            sentences.append(f"{what} are not known: {why.get(name, 'the GPU stopped reporting them')}")
    return sentences


def notes(known: Mapping[str, Any]) -> list[str]:
    """The sentences about a GPU's clock that are worth to know and say what is normal on a loaded GPU."""
    sentences = []
    share = (known["gpu_slowdowns"] or {}).get(POWER_CAP)
    if share:
        sentences.append(f"the GPU ran at its {POWER_CAP} in {share:.0%} of {known['gpu_looks']} readings")
    before, after = known["gpu_before"], known["gpu_after"]
    clocks = before["clock_hz"], after["clock_hz"]
    if all(clocks) and abs(clocks[1] / clocks[0] - 1) > CLOCK:
        sentences.append(f"the GPU's clock went from {clocks[0] / 1e6:.0f} to {clocks[1] / 1e6:.0f} MHz")
    return sentences


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


def _waits(before: Mapping[int, float], after: Mapping[int, float]) -> list[float]:
    """The seconds that each thread waited between two readings; one that ended in between is left out."""
    return [waited_s - before.get(thread, 0.0) for thread, waited_s in after.items()]


def _cpus() -> frozenset[int]:
    """The numbers of the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _cpu_times() -> tuple[float | None, float | None]:
    """The busy and the stolen seconds of the CPUs that this process may use, from /proc/stat, see proc_stat(5)."""
    stat = PROC / "stat"
    if not stat.exists():
        return None, None
    ours = {f"cpu{index}" for index in _cpus()}
    busy = stolen = 0
    for line in stat.read_text().splitlines():
        name, *columns = line.split()
        if name in ours:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, columns[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy / os.sysconf("SC_CLK_TCK"), stolen / os.sysconf("SC_CLK_TCK")


def _waiting_s() -> dict[int, float] | None:
    """The run delay of each thread of this process: the second number of schedstat, in nanoseconds (sched-stats)."""
    if not (PROC / "self" / "schedstat").exists():
        return None
    waiting_s: dict[int, float] = {}
    for task in (PROC / "self" / "task").glob("*"):
        try:
            waiting_s[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return waiting_s
