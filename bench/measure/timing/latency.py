"""Latency: the seconds of each of many repeated calls, after a warm-up that ends when their time has become steady."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.measure.timing.isolation import Watch, drift, watched

Call = Callable[[], object]
TimingListener = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The rules for when a timing begins and ends.

    Attributes:
        min_samples: the least number of timed calls.
        min_duration_s: the least time, in seconds. Both minima must be met, unless ``max_duration_s`` ends the timing.
        max_duration_s: the time, in seconds, after which no further call is timed; two calls are always timed.
        window: the number of calls in a warm-up window. The warm-up ends when the medians of two windows in a row
            agree.
        window_s: the time, in seconds, after which a window ends with fewer calls, but at least one.
        tolerance: the share by which the two medians may differ.
        max_windows: the number of windows after which the warm-up ends, steady or not.
        max_warm_up_s: the time, in seconds, after which the warm-up ends, steady or not.
        cuda_warm_up_s: the least time of a warm-up on a CUDA device, in seconds, in which its clock rises.
    """

    min_samples: int = 50
    min_duration_s: float = 1.0
    max_duration_s: float = 120.0
    window: int = 5
    window_s: float = 1.0
    tolerance: float = 0.05
    max_windows: int = 10
    max_warm_up_s: float = 30.0
    cuda_warm_up_s: float = 2.0

    def least_warm_up_s(self, device: torch.device) -> float:
        """The least time of a warm-up on this device, in seconds."""
        return self.cuda_warm_up_s if device.type == "cuda" else 0.0


@dataclass(frozen=True)
class WarmUp:
    """The result of a warm-up.

    Attributes:
        calls: the number of calls.
        steady: ``True`` if it ended because the time of the call had become steady.
        call_s: the seconds of a call at its end.
        seconds: the seconds of the whole warm-up.
    """

    calls: int
    steady: bool
    call_s: float
    seconds: float


@dataclass(frozen=True)
class Timing:
    """The result of a timing.

    Attributes:
        samples_s: the seconds of every timed call, in order.
        clock: ``cuda events``, or ``synchronised`` for the host's clock around a synchronised call.
        warm_up: the calls before the first timed one.
        watch: the use of the machine during the timing.
    """

    samples_s: list[float]
    clock: str
    warm_up: WarmUp
    watch: Watch

    def described(self) -> dict[str, Any]:
        """The conditions of the timing, as a record keeps them beside the samples."""
        warm_up = {
            "warm_up_calls": self.warm_up.calls,
            "warm_up_s": self.warm_up.seconds,
            "steady": self.warm_up.steady,
        }
        return {"clock": self.clock, **warm_up}


def latency(call: Call, device: torch.device, protocol: Protocol, *, progress: TimingListener | None = None) -> Timing:
    """Time ``call`` on ``device`` repeatedly; each sample ends when the device has finished its work."""
    timed = stopwatch(call, device)
    warm = warm_up(timed, protocol, protocol.least_warm_up_s(device))
    samples: list[float] = []
    with watched(device) as watch:
        start = time.perf_counter()
        while not _enough(len(samples), time.perf_counter() - start, protocol):
            samples.append(timed())
            watch.look()
            if progress is not None:
                progress(min(len(samples), protocol.min_samples), protocol.min_samples)
    drifted = drift(samples)
    watch.reasons += [drifted] if drifted else []
    return Timing(samples, "cuda events" if device.type == "cuda" else "synchronised", warm, watch)


def warm_up(timed: Callable[[], float], protocol: Protocol, least_s: float = 0.0) -> WarmUp:
    """Call until the medians of two windows in a row agree, or until the protocol's limits are reached.

    Args:
        timed: the call, which returns its seconds.
        protocol: the rules.
        least_s: the time, in seconds, before which the warm-up does not end, unless the longest time is shorter.
    """
    start = time.perf_counter()
    calls, windows, last_s = 0, 0, math.inf
    while True:
        window = _window(timed, protocol)
        calls, before_s, last_s = calls + len(window), last_s, statistics.median(window)
        steady = abs(last_s - before_s) <= protocol.tolerance * before_s < math.inf
        seconds = time.perf_counter() - start
        windows += seconds >= least_s
        is_warm = windows > 0 and (steady or windows >= protocol.max_windows)
        if is_warm or seconds > protocol.max_warm_up_s:
            return WarmUp(calls, steady, last_s, seconds)


def _window(timed: Callable[[], float], protocol: Protocol) -> list[float]:
    samples: list[float] = []
    while len(samples) < protocol.window and sum(samples) < protocol.window_s:
        samples.append(timed())
    return samples


def stopwatch(call: Call, device: torch.device) -> Callable[[], float]:
    """A function that runs ``call`` and returns its seconds, by CUDA events or, elsewhere, by the host's clock."""
    if device.type != "cuda":

        def by_clock() -> float:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start

        return by_clock

    def by_events() -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize(device)
        return float(begin.elapsed_time(end)) / 1e3

    return by_events


def _enough(count: int, elapsed_s: float, protocol: Protocol) -> bool:
    if elapsed_s >= protocol.max_duration_s:
        return count >= 2
    return count >= protocol.min_samples and elapsed_s >= protocol.min_duration_s
