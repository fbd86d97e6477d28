"""Quality measures of one 1024x2048 image with 19 classes, drawn by rule (:mod:`benchmarks.street`)."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from bench.data.base import IGNORE
from bench.measure.quality.boundary import BoundaryCounts, match_boundaries
from bench.measure.quality.confusion import confusion as our_confusion
from benchmarks.plain import boundary_counts
from benchmarks.side_by_side import alternate, close, seconds, threads
from benchmarks.street import CLASSES, street

TOLERANCES_PX = (3, 5, 9, 12)
BLOCKS = 40
ROUNDS = 10


def boundary() -> None:
    """Matched boundary pixels, 19 classes, 4 tolerances (ours), and by disk dilation (other), one 1024x2048 image."""
    prediction, label = street()

    def ours() -> BoundaryCounts:
        return match_boundaries(prediction[None], label[None], CLASSES, TOLERANCES_PX)

    counts = ours()
    times = [seconds(ours) for _ in range(ROUNDS)]
    start = time.perf_counter()
    direct = boundary_counts(prediction, label, CLASSES, TOLERANCES_PX)
    other = time.perf_counter() - start
    times += [seconds(ours) for _ in range(ROUNDS)]
    for name, mine, theirs in zip(counts._fields, counts, direct, strict=True):
        np.testing.assert_array_equal(mine[0], theirs, err_msg=name)
    middle = statistics.median(times)
    what = f"direct ÷ ours, equal counts, median of {2 * ROUNDS}, s"
    close("boundary", f"{middle:.4f}", f"{other:.2f}", f"{other / middle:.0f}", what)


def confusion() -> None:
    """Confusion matrix of uint8 maps (ours) and by torchmetrics without validation (other), one 1024x2048 image.

    It runs on one thread, because counting uses no more on a CPU. Before it, ours is compared with merely reading both
    maps, that is with their sums.
    """
    prediction, label = (torch.from_numpy(maps)[None] for maps in street())
    wide = prediction.long(), label.long()  # torchmetrics would convert the maps itself; that time is not counted

    def ours() -> torch.Tensor:
        return our_confusion(prediction, label, CLASSES)

    def other() -> torch.Tensor:
        return multiclass_confusion_matrix(*wide, CLASSES, ignore_index=IGNORE, validate_args=False)

    def read() -> tuple[torch.Tensor, torch.Tensor]:
        return prediction.sum(), label.sum()

    np.testing.assert_array_equal(ours().numpy(), other().numpy())
    how = f"fastest of {2 * BLOCKS}, one thread, s"
    with threads(1):
        _fastest("reading", *alternate(ours, read, BLOCKS), f"sums over both uint8 maps ÷ ours, {how}")
        _fastest(
            "confusion", *alternate(ours, other, BLOCKS), f"torchmetrics on int64 maps ÷ ours, equal counts, {how}"
        )


def _fastest(name: str, ours: list[float], other: list[float], what: str) -> None:
    """Print the closing line for calls of some milliseconds, of which the fastest was disturbed least."""
    mine, theirs = min(ours), min(other)
    close(name, f"{mine:.5f}", f"{theirs:.5f}", f"{theirs / mine:.3f}", what)
