"""Bands along boundaries: boundary IoU, and the band in which a trimap confusion matrix is counted.

Maps are ``N H W`` uint8 with void as :data:`~bench.data.base.IGNORE`; ``K`` is the number of classes. The work is done
on the device of the maps. A band of radius ``r`` is the union of squares of side ``2 r + 1`` around boundary pixels
(Chebyshev distance), which costs the same for every radius.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE
from bench.measure.quality.confusion import pair_counts


def near_other_label(maps: Tensor, radius_px: int, *, frame: bool = False) -> Tensor:
    """The pixels with another label within ``radius_px``, boolean ``N H W``; void is a label like any other.

    Args:
        maps: the label maps, ``N H W``.
        radius_px: the radius, 1 or more.
        frame: ``True`` if the outside of the image counts as another label.
    """
    near = _touches_other_label(maps, frame)
    for axis in (-1, -2):
        near = _spread(near, radius_px - 1, axis)
    return near


def boundary_iou_counts(prediction: Tensor, label: Tensor, num_classes: int, share: float) -> Tensor:
    """The pixels near boundaries for boundary IoU: intersection, prediction and label of each class; ``N 3 K`` int64.

    A pixel of a mask counts if it lies within ``d`` of the mask's own contour, which includes the frame of the image;
    ``d`` is ``share`` of the image's diagonal, rounded, and at least 1. Void pixels are left out, and their outline is
    a contour in both maps.

    **Source**: Cheng et al., Boundary IoU, 2021, section 4, and a description of its released ``mask_to_boundary``,
    which erodes ``d`` times by 3×3.
    """
    radius = max(1, round(share * math.hypot(*label.shape[-2:])))
    prediction = prediction.masked_fill(label == IGNORE, IGNORE)
    # Pixels deep inside a region get one additional class; void stays void.
    inside = [(classes != IGNORE) & ~near_other_label(classes, radius, frame=True) for classes in (prediction, label)]
    guess, truth = (
        classes.masked_fill(deep, num_classes) for classes, deep in zip((prediction, label), inside, strict=True)
    )
    pairs = pair_counts(guess, truth, num_classes + 1)[:, : num_classes + 1, : num_classes + 1]
    intersection = pairs.diagonal(dim1=1, dim2=2)
    return torch.stack([intersection, pairs.sum(1), pairs.sum(2)], dim=1)[..., :num_classes]


def _touches_other_label(maps: Tensor, frame: bool) -> Tensor:
    """The pixels with another label among their eight neighbours."""
    touches = torch.zeros_like(maps, dtype=torch.bool)
    if frame:
        for axis, side in ((-2, 0), (-2, -1), (-1, 0), (-1, -1)):
            touches.select(axis, side).fill_(True)  # no index of several rows, which the host would send to the device
    head, tail, whole = slice(None, -1), slice(1, None), slice(None)
    for here, there in (((whole, head), (whole, tail)), ((head, whole), (tail, whole)),
                        ((head, head), (tail, tail)), ((head, tail), (tail, head))):  # fmt: skip
        differ = maps[..., *here] != maps[..., *there]
        touches[..., *here] |= differ
        touches[..., *there] |= differ
    return touches


def _spread(marked: Tensor, radius: int, axis: int) -> Tensor:
    """The pixels within ``radius`` of a marked pixel along an axis, by differences of running counts."""
    pad = (radius + 1, radius) if axis == -1 else (0, 0, radius + 1, radius)
    running = F.pad(marked, pad).cumsum(axis, dtype=torch.int32)
    length = marked.shape[axis]
    return running.narrow(axis, 2 * radius + 1, length) != running.narrow(axis, 0, length)
