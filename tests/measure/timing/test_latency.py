"""Latency: when a warm-up is over, when a timing is, and that every sample is kept."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
import torch

from bench.measure.timing import latency as module
from bench.measure.timing.latency import Protocol, WarmUp, latency, stopwatch, warm_up

CPU = torch.device("cpu")


class Clock:
    """A clock that a timed call sets forward."""

    def __init__(self, durations_s: Iterator[float]) -> None:
        self.now_s, self.durations_s = 0.0, durations_s

    def perf_counter(self) -> float:
        return self.now_s

    def call(self) -> None:
        self.now_s += next(self.durations_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(itertools.repeat(0.1))
    monkeypatch.setattr(module, "time", made)
    return made


def test_the_warm_up_ends_when_two_windows_agree(clock: Clock) -> None:
    clock.durations_s = iter([0.4] * 3 + [0.2] * 3 + [0.1] * 3 + [0.102] * 3)
    assert warm_up(stopwatch(clock.call, CPU), Protocol(window=3)) == WarmUp(
        12, True, pytest.approx(0.102), pytest.approx(2.406)
    )


def test_a_call_that_does_not_become_steady_is_timed_all_the_same_and_said_not_to_be(clock: Clock) -> None:
    clock.durations_s = itertools.cycle([0.1, 0.2])
    protocol = Protocol(window=1, max_windows=6, min_samples=4, min_duration_s=0)
    timing = latency(clock.call, CPU, protocol)
    assert (timing.warm_up.calls, timing.warm_up.steady) == (6, False)
    assert timing.samples_s == pytest.approx([0.1, 0.2, 0.1, 0.2])


def test_a_slow_warm_up_is_cut_short(clock: Clock) -> None:
    clock.durations_s = itertools.count(10.0, 10.0)
    protocol = Protocol(window=2, window_s=100, max_warm_up_s=25)
    assert warm_up(stopwatch(clock.call, CPU), protocol) == WarmUp(2, False, pytest.approx(15.0), 30.0)


def test_a_window_of_slow_calls_is_as_short_as_it_can_be(clock: Clock) -> None:
    clock.durations_s = iter([3.0, 2.0, 2.0])
    assert warm_up(stopwatch(clock.call, CPU), Protocol()) == WarmUp(3, True, pytest.approx(2.0), 7.0)


def test_a_warm_up_on_a_gpu_lasts_seconds_and_ends_when_the_calls_are_steady_after_them(clock: Clock) -> None:
    least_s = Protocol().least_warm_up_s(torch.device("cuda", 0))
    assert (least_s, Protocol().least_warm_up_s(CPU)) == (2.0, 0.0)
    protocol = Protocol(window=1, max_windows=2)
    clock.durations_s = itertools.repeat(0.25)
    assert warm_up(stopwatch(clock.call, CPU), protocol, least_s) == WarmUp(8, True, 0.25, 2.0)
    clock.durations_s = itertools.cycle([0.25, 0.5])
    assert warm_up(stopwatch(clock.call, CPU), protocol, least_s).steady is False
    clock.durations_s = itertools.repeat(0.5)
    longest = Protocol(window=1, max_warm_up_s=1.0)
    assert warm_up(stopwatch(clock.call, CPU), longest, least_s) == WarmUp(3, True, 0.5, 1.5)


def test_the_conditions_of_a_timing_have_the_time_of_its_warm_up(clock: Clock) -> None:
    timing = latency(clock.call, CPU, Protocol(window=1, min_samples=2, min_duration_s=0))
    assert timing.described() == {
        "clock": "synchronised", "warm_up_calls": 2, "warm_up_s": pytest.approx(0.2), "steady": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "count"),
    [
        (Protocol(min_samples=7, min_duration_s=0.05), 7),
        (Protocol(min_samples=7, min_duration_s=1.95), 20),
        (Protocol(min_samples=700, max_duration_s=2.95), 30),
        (Protocol(min_samples=700, max_duration_s=0.01), 2),
    ],
)
def test_both_minima_hold_unless_time_is_up(clock: Clock, protocol: Protocol, count: int) -> None:
    told: list[tuple[int, int]] = []
    timing = latency(clock.call, CPU, protocol, progress=lambda *at: told.append(at))
    assert timing.samples_s == pytest.approx([0.1] * count)
    assert told[-1] == (min(count, protocol.min_samples), protocol.min_samples)


def test_a_sample_is_the_time_of_the_call() -> None:
    samples = latency(lambda: time.sleep(0.01), CPU, Protocol(min_samples=5, min_duration_s=0)).samples_s
    assert all(0.01 <= sample < 0.1 for sample in samples)
