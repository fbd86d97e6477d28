"""Confusion matrices and calibration counts, computed on the device without waiting for it.

Maps are ``N H W`` uint8 with void as :data:`~bench.data.base.IGNORE`; ``K`` is the number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.base import IGNORE

LABELS = 256  # the number of values of a byte


LANES = 4
"""The number of tables among which neighbouring pixels alternate. With one table, all pixels of a region would wait for
the same counter."""


def confusion(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """The pixel counts [label][prediction] over all images, ``K K`` int64 on the device; void pixels are left out.

    Raises:
        ValueError: if a label or a prediction is outside the classes.
    """
    pairs = pair_counts(prediction, label, num_classes).sum(0)
    check_pairs(pairs)
    return pairs[:num_classes, :num_classes]


def pair_counts(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """The numbers of pixels with each label byte and each predicted class, ``N 256 K+1`` int64.

    Rows ``K … 254`` and the last column count labels and predictions that are no class. :func:`check_pairs` inspects
    them at the end of a split, so that the host need not wait for the device before.

    Raises:
        ValueError: if the maps are not uint8 or differ in shape, or if there are more classes than uint8 can hold.
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
    narrow = torch.int16 if LANES * bins <= 2**15 else torch.int32  # a narrow type, as the array has full size
    lanes = torch.arange(label.shape[-1], device=label.device).remainder(LANES).mul(bins).to(narrow)
    pairs = torch.add(lanes, label, alpha=columns).add_(prediction.clamp(max=num_classes))
    counts = [histogram(image.flatten(), LANES * bins).view(LANES, bins).sum(0) for image in pairs]
    return torch.stack(counts).view(-1, LABELS, columns)


def check_pairs(pairs: Tensor) -> None:
    """Refuse counts ``256 K+1`` of :func:`pair_counts` with labels or predictions that are no class; void is allowed.

    Raises:
        ValueError: if there is such a label, of which the largest is named, or such a prediction.
    """
    num_classes = pairs.shape[1] - 1
    allowed = f"with {num_classes} classes; allowed: 0 … {num_classes - 1}"
    labels = pairs[:IGNORE].sum(1).nonzero().flatten().tolist()
    if labels and labels[-1] >= num_classes:
        raise ValueError(f"label {labels[-1]} {allowed}")
    if int(pairs[:IGNORE, num_classes].sum()):
        raise ValueError(f"prediction {num_classes} or above {allowed}")


def histogram(values: Tensor, bins: int, weights: Tensor | None = None) -> Tensor:
    """The number of times that each of ``0 … bins - 1`` occurs, or the sum of its integer weights; ``bins`` int64.

    The result is exact and the same in every run. On CUDA this does not wait for the device, as ``bincount`` would.
    """
    if values.device.type == "cpu":
        return torch.bincount(values, weights, minlength=bins).long()  # weighted in float64: exact below 2**53
    ones = torch.ones((), dtype=torch.int64, device=values.device).expand(values.numel())
    counts = torch.zeros(bins, dtype=torch.int64, device=values.device)
    return counts.scatter_add_(0, values.long(), ones if weights is None else weights)


BINS = 15  # equal width: Guo et al., 2017, table 1


UNIT = 2**-24
"""The unit of confidence. Sums are whole numbers of this unit, so that no order of addition changes a record."""


def calibration_counts(prediction: Tensor, confidence: Tensor, label: Tensor) -> Tensor:
    """The pixels, the correct pixels and the sum of confidence in :data:`UNIT` of each bin, ``3 BINS`` int64.

    Bin ``m`` of ``M`` holds confidences above ``m / M`` and up to ``(m + 1) / M``. Void pixels are left out.

    Args:
        prediction: the predicted classes, ``N H W`` uint8.
        confidence: the softmax probabilities of the predicted classes, ``N H W`` float32.
        label: the labels, ``N H W`` uint8.
    """
    bins = (confidence * BINS).ceil_().sub_(1).clamp_(0, BINS - 1).to(torch.int16)
    bins.masked_fill_(label == IGNORE, BINS)
    right = torch.add(bins, prediction == label, alpha=BINS + 1)
    counts = histogram(right.flatten(), 2 * (BINS + 1)).view(2, BINS + 1)
    units = (confidence.double() / UNIT).round_().long()
    total = histogram(bins.flatten(), BINS + 1, units.flatten())
    return torch.stack([counts.sum(0), counts[1], total])[:, :BINS]
