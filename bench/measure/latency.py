"""Latency: seconds of synchronised forwards in evaluation mode, auxiliaries off, image ``N 3 H W``."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from bench.model import SegModel

WARM_UP = 5
"""Forwards before the first timed one; more follow until two in a row agree within 10 %."""


def latency(
    model: SegModel, image: Tensor, samples: int, *, progress: Callable[[int, int], None] | None = None
) -> list[float]:
    """Seconds of each of ``samples`` forwards of ``image``, the device synchronised before and after each.

    Warm-up comes first: :data:`WARM_UP` forwards, then until two in a row agree within 10 %, 20 at most.
    """
    forward = _forward(model, image)
    last = float("inf")
    for attempt in range(WARM_UP + 20):
        now = forward()
        if attempt >= WARM_UP and abs(now - last) <= 0.1 * min(now, last):
            break
        last = now
    times = []
    for index in range(samples):
        times.append(forward())
        if progress is not None:
            progress(index + 1, samples)
    return times


def _forward(model: SegModel, image: Tensor) -> Callable[[], float]:
    """One synchronised forward that returns its seconds."""

    def synchronise() -> None:
        if image.device.type == "cuda":
            torch.cuda.synchronize(image.device)

    def forward() -> float:
        with torch.inference_mode():
            synchronise()
            start = time.perf_counter()
            model(image, with_aux=False)
            synchronise()
            return time.perf_counter() - start

    return forward
