"""Isolation: a real neighbour is seen, none is seen where the counters show none, and drift is told from spread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.measure.timing import isolation
from bench.measure.timing.isolation import (
    Counters,
    Kind,
    Watch,
    counters,
    drift,
    facts,
    gpu_facts,
    notes,
    reasons,
    unknown,
    watched,
)
from bench.measure.timing.nvml import ABSENT, SLOWDOWNS, Gpu

CPU = torch.device("cpu")
NO_GPU = Gpu(reason="not a CUDA device")
KNOWN = Gpu(foreign_processes=0, slowdowns=())
MAIN, OTHER = 1, 2
START = Counters(at_s=100.0, busy_s=50.0, stolen_s=1.0, own_s=10.0, waiting_s={MAIN: 2.0, OTHER: 0.0}, cpus=2)
ALONE = replace(START, at_s=110.0, busy_s=70.3, own_s=30.0, waiting_s={MAIN: 2.05, OTHER: 0.05})


def used(after: Counters, kind: Kind = "cpu", looks: tuple[Gpu, ...] = (NO_GPU, NO_GPU)) -> dict[str, Any]:
    """The facts of ten seconds from :data:`START` on."""
    return {"kind": kind, **facts(START, after), **gpu_facts(looks)}


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_slow_neighbour_process_is_detected() -> None:
    busy = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    neighbours = [subprocess.Popen(busy, stdout=subprocess.PIPE) for _ in os.sched_getaffinity(0)]
    try:
        for neighbour in neighbours:
            assert neighbour.stdout is not None
            neighbour.stdout.readline()
        with watched(CPU) as watch:
            spin(1.0)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.communicate()
    assert watch.isolated is False
    assert watch.facts["foreign_cpus"] > 0.3
    assert any(reason.startswith("other processes used") for reason in watch.reasons)
    assert watch.measured()["isolated"] is False


def test_own_work_is_not_foreign() -> None:
    before = counters()
    spin(0.6)
    after = counters()
    assert after.own_s - before.own_s == pytest.approx(0.6, abs=0.5)
    assert after.busy_s is not None
    assert before.busy_s is not None
    assert after.busy_s - before.busy_s >= after.own_s - before.own_s - 0.1


def test_counters_without_a_neighbour_give_no_reason() -> None:
    known = used(ALONE)
    assert known["own_cpus"] == pytest.approx(2.0)
    assert known["foreign_cpus"] == pytest.approx(0.03)
    assert known["waiting"] == pytest.approx(0.1 / 20.1)
    assert known["longest_wait"] == pytest.approx(0.005)
    assert reasons(known) == unknown(known) == notes(known) == []


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"busy_s": 73.0}, "other processes used 0.30 CPUs (allowed: 0.15)"),
        ({"waiting_s": {MAIN: 4.5, OTHER: 2.5}}, "threads waited for a CPU 20% of their time (allowed: 10%)"),
        ({"stolen_s": 2.0}, "the hypervisor took 0.10 CPUs away (allowed: 0.05)"),
    ],
)
def test_each_sign_of_company_is_a_reason_on_a_cpu(after: dict[str, Any], reason: str) -> None:
    assert reasons(used(replace(ALONE, **after))) == [reason]


def planted_proc(folder: Path, cpus: int, busy_ticks: int, waits_s: dict[int, float]) -> None:
    """Write the files of /proc for a machine of ``cpus`` CPUs, the work spread evenly over them."""
    lines = [f"cpu{cpu} {busy_ticks // cpus} 0 0 1000 0 0 0 0 0 0\n" for cpu in range(cpus)]
    (folder / "stat").write_text("cpu 1 2 3 4 5 6 7 8 9 10\n" + "".join(lines) + "ctxt 1\n")
    for thread, waited_s in waits_s.items():
        task = folder / "self" / "task" / str(thread)
        task.mkdir(parents=True, exist_ok=True)
        (task / "schedstat").write_text(f"1000000 {round(waited_s * 1e9)} 12\n")
    (folder / "self" / "schedstat").write_text("1000000 0 12\n")


def test_the_daemons_of_a_host_with_200_cores_void_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "PROC", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(200)))
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    planted_proc(tmp_path, 200, busy_ticks=20_000, waits_s={MAIN: 1.0, OTHER: 0.0})
    before = replace(counters(), at_s=100.0, own_s=50.0)
    planted_proc(tmp_path, 200, busy_ticks=20_000 + 1_200 + 1_000, waits_s={MAIN: 1.01, OTHER: 0.2})
    after = replace(counters(), at_s=110.0, own_s=62.0)
    known = facts(before, after)
    assert known["cpus"] == 200
    assert known["foreign_cpus"] == pytest.approx(1.0)
    assert known["longest_wait"] == pytest.approx(0.02)
    assert reasons({"kind": "gpu", **known, **gpu_facts((KNOWN, KNOWN))}) == []
    assert reasons({"kind": "cpu", **known, **gpu_facts((NO_GPU, NO_GPU))}) == []
    few = {**known, "cpus": 16, "kind": "cpu", **gpu_facts((NO_GPU, NO_GPU))}
    assert reasons(few) == ["other processes used 1.00 CPUs (allowed: 0.16)"]


def test_on_a_gpu_the_thread_that_waits_longest_is_judged_and_not_all_together() -> None:
    launches_late = replace(ALONE, waiting_s={MAIN: 2.0, OTHER: 0.8})
    assert reasons(used(launches_late, "gpu", (KNOWN, KNOWN))) == [
        "a thread waited for a CPU 8% of the time (allowed: 5%)"
    ]
    many_wait_little = replace(ALONE, waiting_s={MAIN: 2.3, **dict.fromkeys(range(2, 20), 0.3)})
    assert reasons(used(many_wait_little, "gpu", (KNOWN, KNOWN))) == []
    assert len(reasons(used(many_wait_little))) == 1, "on a CPU, all threads compute"


def test_on_a_gpu_other_processes_may_use_a_quarter_of_the_cpus() -> None:
    machine = replace(ALONE, cpus=16)
    assert reasons(used(replace(machine, busy_s=70.0 + 39.0), "gpu", (KNOWN, KNOWN))) == []
    assert reasons(used(replace(machine, busy_s=70.0 + 45.0), "gpu", (KNOWN, KNOWN))) == [
        "other processes used 4.50 CPUs (allowed: 4)"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "hardware slowdown",
        "thermal slowdown by the driver",
        "thermal slowdown by the hardware",
        "power brake",
        "sync boost with another GPU",
    ],
)
def test_a_slowdown_from_outside_voids_a_timing_by_its_name(name: str) -> None:
    assert name in SLOWDOWNS.values()
    assert reasons(used(ALONE, "gpu", (KNOWN, replace(KNOWN, slowdowns=(name,))))) == [
        f"{name}: the GPU's clock was lowered in 50% of 2 readings"
    ]


def test_a_power_cap_and_a_clock_that_changes_are_noted_and_void_nothing() -> None:
    cool = replace(KNOWN, clock_hz=1.98e9, energy_j=5.0)
    capped = replace(KNOWN, slowdowns=("power cap",), clock_hz=1.755e9, energy_j=9.0)
    known = used(ALONE, "gpu", (cool, capped, capped, replace(capped, energy_j=11.0)))
    assert known["gpu_energy_j"] == 6.0
    assert known["gpu_slowdowns"] == {"power cap": 0.75}
    assert reasons(known) == unknown(known) == []
    assert notes(known) == [
        "the GPU ran at its power cap in 75% of 4 readings", "the GPU's clock went from 1980 to 1755 MHz",
    ]  # fmt: skip


def test_a_process_that_comes_and_goes_during_the_timing_is_a_reason() -> None:
    looks = (KNOWN, replace(KNOWN, foreign_processes=1), KNOWN)
    assert reasons(used(ALONE, "gpu", looks)) == ["1 other process on the GPU"]


@pytest.mark.parametrize(
    ("look", "sentence"),
    [
        (Gpu(reason=ABSENT), f"other processes and slowdowns of the GPU are not known: {ABSENT}"),
        (
            replace(KNOWN, foreign_processes=None, unknown={"foreign_processes": "NVML: Not Supported"}),
            "other processes on the GPU are not known: NVML: Not Supported",
        ),
        (
            replace(KNOWN, slowdowns=None, unknown={"slowdowns": "NVML: Not Supported"}),
            "slowdowns of the GPU are not known: NVML: Not Supported",
        ),
    ],
)
def test_what_a_gpu_does_not_report_is_said_to_be_unknown(look: Gpu, sentence: str) -> None:
    known = used(ALONE, "gpu", (look, look))
    assert (reasons(known), unknown(known)) == ([], [sentence])
    watch = Watch(torch.device("cuda", 0), known, reasons(known), unknown(known))
    assert watch.isolated is None
    assert watch.measured()["unknown"] == [sentence]
    watch.reasons.append("drift")
    assert watch.isolated is False, "one reason is enough"


def test_a_gpu_that_stops_reporting_is_unknown() -> None:
    silent = replace(KNOWN, foreign_processes=None, unknown={"foreign_processes": "NVML: GPU is lost"})
    assert unknown(used(ALONE, "gpu", (KNOWN, silent))) == [
        "other processes on the GPU are not known: NVML: GPU is lost"
    ]


def test_a_watch_reads_the_gpu_between_calls_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "gpu", lambda device: KNOWN)
    monkeypatch.setattr(isolation, "LOOK_S", 0.0)
    with watched(torch.device("cuda", 0)) as watch:
        watch.look()
        monkeypatch.setattr(isolation, "LOOK_S", 1000.0)
        watch.look()
    assert watch.facts["gpu_looks"] == 3
    assert watch.facts["kind"] == "gpu"
    with watched(CPU) as watch:
        watch.look()
    assert watch.facts["gpu_looks"] == 2


def test_the_waiting_of_every_thread_is_read() -> None:
    held = threading.Event()
    thread = threading.Thread(target=held.wait)
    thread.start()
    waiting_s = counters().waiting_s
    held.set()
    thread.join()
    assert waiting_s is not None
    assert {threading.get_native_id(), thread.native_id} <= set(waiting_s)


def test_counters_that_a_system_lacks_decide_nothing_and_are_said_to_be_unknown() -> None:
    lacking = replace(START, busy_s=None, stolen_s=None, waiting_s=None)
    known = {"kind": "cpu", **facts(lacking, ALONE), **gpu_facts((NO_GPU, NO_GPU))}
    assert (known["foreign_cpus"], known["stolen_cpus"], known["waiting"]) == (None, None, None)
    assert reasons(known) == []
    assert unknown(known) == ["the system has no counters that show other processes (/proc/stat)"]


def test_a_timing_of_a_few_ticks_says_nothing_about_neighbours() -> None:
    known = used(replace(START, at_s=100.02, busy_s=50.04))
    assert reasons(known) == []
    assert unknown(known) == ["the timing lasted less than 0.5 s, too short to show other processes"]


def test_drift_is_told_from_spread() -> None:
    steady = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98] * 5
    assert drift(steady) is None
    slower = [*steady[:10], *steady[:10], *(1.2 * value for value in steady[:10])]
    assert drift(slower) == "drift: the last third took +20% against the first (allowed: 5%)"
    assert drift([1.0, 1.5, 0.6, 1.4, 0.7, 1.1, 0.9, 1.3, 0.8, 1.2, 1.6, 1.0]) is None, "a wide spread explains it"
    assert drift([1.0, 2.0, 3.0]) is None, "too few to tell"
