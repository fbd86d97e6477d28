"""Calibration: is the network right as often as it is confident? Raw counts a bin of confidence.

**Source**: Guo et al., "On Calibration of Modern Neural Networks", 2017, section 2; each labelled pixel is a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.measure.confusion import histogram

BINS = 15  # equal width: Guo et al., 2017, table 1
UNIT = 2**-24
"""Confidence is summed as a whole number of these, so that no order of addition changes a record."""


def calibration_counts(prediction: Tensor, confidence: Tensor, label: Tensor) -> Tensor:
    """Pixels, right ones, and the sum of confidence in :data:`UNIT` a bin, ``3 BINS`` int64; void pixels left out.

    Bin ``m`` of ``M`` holds confidences above ``m / M`` and up to ``(m + 1) / M``.

    Args:
        prediction: ``N H W`` uint8.
        confidence: ``N H W`` float32, softmax probability of the predicted class.
        label: ``N H W`` uint8.
    """
    bins = (confidence * BINS).ceil_().sub_(1).clamp_(0, BINS - 1).to(torch.int16)
    bins.masked_fill_(label == IGNORE, BINS)
    right = torch.add(bins, prediction == label, alpha=BINS + 1)
    counts = histogram(right.flatten(), 2 * (BINS + 1)).view(2, BINS + 1)
    units = (confidence.double() / UNIT).round_().long()
    total = histogram(bins.flatten(), BINS + 1, units.flatten())
    return torch.stack([counts.sum(0), counts[1], total])[:, :BINS]
