"""Confusion matrices on the device, without waiting for it.

Maps ``N H W`` uint8, ``K`` classes, void :data:`~bench.data.base.IGNORE`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.base import IGNORE

LABELS = 256  # values of a byte


LANES = 4
"""Tables that neighbouring pixels take turns in: within a region they would all wait for one counter."""


def confusion(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Pixel counts [label][prediction] over all images, ``K K`` int64 on the device; void pixels are left out.

    Raises:
        ValueError: for a label or prediction outside the classes.
    """
    pairs = pair_counts(prediction, label, num_classes).sum(0)
    check_pairs(pairs)
    return pairs[:num_classes, :num_classes]


def pair_counts(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """How often each label byte meets each predicted class, ``N 256 K+1`` int64.

    Rows ``K … 254`` and the last column, of predictions that are no class, are for :func:`check_pairs`: so that nothing
    is looked at before the end of a split.

    Raises:
        ValueError: for maps that are not uint8 and of one shape, or more classes than that holds.
    """
    if prediction.dtype != torch.uint8 or label.dtype != torch.uint8 or prediction.shape != label.shape:
        raise ValueError(
            f"prediction {prediction.dtype} {tuple(prediction.shape)} and label {label.dtype} {tuple(label.shape)}; "
            "both must be uint8 maps N H W of one shape"
        )
    if num_classes > IGNORE:
        raise ValueError(f"{num_classes} classes; a uint8 map has room for {IGNORE} beside void")
    columns = num_classes + 1
    bins = LABELS * columns
    narrow = torch.int16 if LANES * bins <= 2**15 else torch.int32  # what is written once and read once, at full size
    lanes = torch.arange(label.shape[-1], device=label.device).remainder(LANES).mul(bins).to(narrow)
    pairs = torch.add(lanes, label, alpha=columns).add_(prediction.clamp(max=num_classes))
    counts = [histogram(image.flatten(), LANES * bins).view(LANES, bins).sum(0) for image in pairs]
    return torch.stack(counts).view(-1, LABELS, columns)


def check_pairs(pairs: Tensor) -> None:
    """Refuse what is no class in counts that :func:`pair_counts` made, ``256 K+1``; void labels aside.

    Raises:
        ValueError: naming the largest such label, or saying that a prediction is none of the classes.
    """
    num_classes = pairs.shape[1] - 1
    allowed = f"with {num_classes} classes; allowed: 0 … {num_classes - 1}"
    labels = pairs[:IGNORE].sum(1).nonzero().flatten().tolist()
    if labels and labels[-1] >= num_classes:
        raise ValueError(f"label {labels[-1]} {allowed}")
    if int(pairs[:IGNORE, num_classes].sum()):
        raise ValueError(f"prediction {num_classes} or above {allowed}")


def histogram(values: Tensor, bins: int, weights: Tensor | None = None) -> Tensor:
    """How often each of ``0 … bins - 1`` occurs, or the sum of its integer weights; ``bins`` int64.

    Exact and the same in every run, and on CUDA without waiting for the device, which ``bincount`` does.
    """
    if values.device.type == "cpu":
        return torch.bincount(values, weights, minlength=bins).long()  # weighted in float64: exact below 2**53
    ones = torch.ones((), dtype=torch.int64, device=values.device).expand(values.numel())
    counts = torch.zeros(bins, dtype=torch.int64, device=values.device)
    return counts.scatter_add_(0, values.long(), ones if weights is None else weights)


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
