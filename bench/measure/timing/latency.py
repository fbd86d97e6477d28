"""Latency: every sample of a repeated call, after a warm-up that ends when the call has become steady."""

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
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """When a timing may begin and when it may end.

    Attributes:
        min_samples: calls timed at least.
        min_duration_s: seconds timed at least; both minima hold, unless ``max_duration_s`` ends the timing.
        max_duration_s: no sample is begun after so many seconds, ``min_samples`` of them or not; two are always taken.
        window: calls of one warm-up window; the warm-up is over when the medians of two windows in a row agree.
        window_s: a window ends after so many seconds too, after one call at least.
        tolerance: by which share they may differ.
        max_windows: the warm-up ends after so many, steady or not.
        max_warm_up_s: and after so many seconds.
    """

    min_samples: int = 50
    min_duration_s: float = 1.0
    max_duration_s: float = 120.0
    window: int = 5
    window_s: float = 1.0
    tolerance: float = 0.05
    max_windows: int = 10
    max_warm_up_s: float = 30.0


@dataclass(frozen=True)
class Timing:
    """What a timing gave.

    Attributes:
        samples_s: seconds of every timed call, in order.
        clock: ``cuda events``, or ``synchronised`` for the host's clock around a synchronised call.
        warm_up_calls: calls before the first sample.
        steady: whether the warm-up ended because the call had become steady.
        watch: what else went on while the samples were taken.
    """

    samples_s: list[float]
    clock: str
    warm_up_calls: int
    steady: bool
    watch: Watch

    def described(self) -> dict[str, Any]:
        """How the samples were taken, as a record keeps it beside them."""
        return {"clock": self.clock, "warm_up_calls": self.warm_up_calls, "steady": self.steady}


def latency(call: Call, device: torch.device, protocol: Protocol, *, progress: Progress | None = None) -> Timing:
    """Time ``call`` on ``device`` again and again; each sample ends when the device has done its work."""
    timed = stopwatch(call, device)
    warm = warm_up(timed, protocol)
    samples: list[float] = []
    with watched(device) as watch:
        start = time.perf_counter()
        while not _enough(len(samples), time.perf_counter() - start, protocol):
            samples.append(timed())
            if progress is not None:
                progress(min(len(samples), protocol.min_samples), protocol.min_samples)
    drifted = drift(samples)
    watch.reasons += [drifted] if drifted else []
    return Timing(samples, "cuda events" if device.type == "cuda" else "synchronised", warm.calls, warm.steady, watch)


@dataclass(frozen=True)
class WarmUp:
    """How many calls a warm-up took, whether it ended because the call was steady, and a call's seconds at its end."""

    calls: int
    steady: bool
    call_s: float


def warm_up(timed: Callable[[], float], protocol: Protocol) -> WarmUp:
    """Call until the medians of two windows in a row agree, or the protocol's patience ends."""
    start = time.perf_counter()
    calls, last_s = 0, math.inf
    for _ in range(protocol.max_windows):
        window = _window(timed, protocol)
        calls, before_s, last_s = calls + len(window), last_s, statistics.median(window)
        if abs(last_s - before_s) <= protocol.tolerance * before_s < math.inf:
            return WarmUp(calls, True, last_s)
        if time.perf_counter() - start > protocol.max_warm_up_s:
            break
    return WarmUp(calls, False, last_s)


def _window(timed: Callable[[], float], protocol: Protocol) -> list[float]:
    samples: list[float] = []
    while len(samples) < protocol.window and sum(samples) < protocol.window_s:
        samples.append(timed())
    return samples


def stopwatch(call: Call, device: torch.device) -> Callable[[], float]:
    """``call`` as a function that returns its seconds: by CUDA events, elsewhere by the host's clock."""
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
