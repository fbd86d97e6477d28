"""Isolation: a real neighbour is seen, none is seen where the counters show none, and drift is told from spread."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.measure.timing.isolation import Counters, counters, drift, facts, reasons, watched
from bench.measure.timing.nvml import Gpu, foreign, gpu

CPU = torch.device("cpu")
START = Counters(at_s=100.0, busy_s=50.0, stolen_s=1.0, own_s=10.0, waiting_s=2.0, gpu=Gpu())
ALONE = replace(START, at_s=110.0, busy_s=70.3, own_s=30.0, waiting_s=2.1)


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_slow_neighbour_process_is_detected() -> None:
    busy = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    neighbours = [subprocess.Popen(busy, stdout=subprocess.PIPE) for _ in os.sched_getaffinity(0)]
    try:
        for each in neighbours:
            assert each.stdout is not None
            each.stdout.readline()
        with watched(CPU) as watch:
            spin(1.0)
    finally:
        for each in neighbours:
            each.kill()
            each.communicate()
    assert not watch.isolated
    assert watch.facts["foreign_cpus"] > 0.3
    assert any(reason.startswith("other processes used") for reason in watch.reasons)
    assert watch.measured()["isolated"] is False


def test_own_work_is_not_foreign() -> None:
    before = counters(CPU)
    spin(0.6)
    after = counters(CPU)
    assert after.own_s - before.own_s == pytest.approx(0.6, abs=0.5)
    assert after.busy_s is not None
    assert before.busy_s is not None
    assert after.busy_s - before.busy_s >= after.own_s - before.own_s - 0.1


def test_counters_without_a_neighbour_give_no_reason() -> None:
    known = facts(START, ALONE)
    assert known["own_cpus"] == pytest.approx(2.0)
    assert known["foreign_cpus"] == pytest.approx(0.03)
    assert known["waiting"] == pytest.approx(0.1 / 20.1)
    assert reasons(known) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"busy_s": 73.0}, "other processes used 0.30 CPUs (allowed: 0.15)"),
        ({"waiting_s": 7.0}, "threads waited for a CPU 20% of their time (allowed: 10%)"),
        ({"stolen_s": 2.0}, "the hypervisor took 0.10 CPUs away (allowed: 0.05)"),
        ({"gpu": Gpu(foreign_processes=2)}, "2 other processes on the GPU"),
    ],
)
def test_each_sign_of_company_is_a_reason(after: dict[str, Any], said: str) -> None:
    assert reasons(facts(START, replace(ALONE, **after))) == [said]


def test_a_gpu_that_throttles_is_a_reason() -> None:
    cool, hot = (
        Gpu(clock_hz=1.98e9, temperature_c=60, energy_j=5.0),
        Gpu(clock_hz=1.2e9, temperature_c=88, energy_j=9.0),
    )
    known = facts(replace(START, gpu=cool), replace(ALONE, gpu=hot))
    assert known["gpu_energy_j"] == 4.0
    assert reasons(known) == ["the GPU's clock went from 1980 to 1200 MHz, at 60 and 88 °C"]


def test_counters_that_a_system_lacks_decide_nothing() -> None:
    known = facts(replace(START, busy_s=None, stolen_s=None), replace(ALONE, waiting_s=None))
    assert (known["foreign_cpus"], known["stolen_cpus"], known["waiting"]) == (None, None, None)
    assert reasons(known) == []


def test_a_timing_of_a_few_ticks_says_nothing_about_neighbours() -> None:
    assert reasons(facts(START, replace(START, at_s=100.02, busy_s=50.04))) == []


def test_drift_is_told_from_spread() -> None:
    steady = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98] * 5
    assert drift(steady) is None
    slower = [*steady[:10], *steady[:10], *(1.2 * value for value in steady[:10])]
    assert drift(slower) == "drift: the last third took +20% against the first (allowed: 5%)"
    assert drift([1.0, 1.5, 0.6, 1.4, 0.7, 1.1, 0.9, 1.3, 0.8, 1.2, 1.6, 1.0]) is None, "a wide spread explains it"
    assert drift([1.0, 2.0, 3.0]) is None, "too few to tell"


def test_a_gpu_has_other_processes_besides_this_one_whatever_number_it_goes_by() -> None:
    assert foreign([]) == 0
    assert foreign([4711]) == 0
    assert foreign([4711, 4712, 4712]) == 1
    assert gpu(CPU) == Gpu(reason="not a CUDA device")
