"""Latency: every sample of a repeated call, after a warm-up that ends when the call has become steady."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.measure.isolation import Watch, drift, watched

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
        tolerance: by which share they may differ.
        max_windows: the warm-up ends after so many, steady or not.
        max_warm_up_s: and after so many seconds.
    """

    min_samples: int = 50
    min_duration_s: float = 1.0
    max_duration_s: float = 120.0
    window: int = 5
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
    warm_up_calls, steady = warm_up(timed, protocol)
    samples: list[float] = []
    with watched(device) as watch:
        start = time.perf_counter()
        while not _enough(len(samples), time.perf_counter() - start, protocol):
            samples.append(timed())
            if progress is not None:
                progress(min(len(samples), protocol.min_samples), protocol.min_samples)
    drifted = drift(samples)
    watch.reasons += [drifted] if drifted else []
    return Timing(samples, "cuda events" if device.type == "cuda" else "synchronised", warm_up_calls, steady, watch)


def warm_up(timed: Callable[[], float], protocol: Protocol) -> tuple[int, bool]:
    """Call until the medians of two windows in a row agree: how many calls that took, and whether they did agree."""
    start = time.perf_counter()
    medians: list[float] = []
    while len(medians) < protocol.max_windows:
        medians.append(statistics.median(timed() for _ in range(protocol.window)))
        if len(medians) > 1 and abs(medians[-1] / medians[-2] - 1) <= protocol.tolerance:
            return len(medians) * protocol.window, True
        if time.perf_counter() - start > protocol.max_warm_up_s:
            break
    return len(medians) * protocol.window, False


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
