"""Boundaries between the regions of a label map, on the device the labels are on.

Shapes: label ``N H W`` with :data:`~bench.data.base.IGNORE` for void; a boundary map is boolean, ``N H W``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE


def boundary_band(label: Tensor, radius_px: int, *, frame: bool = False) -> Tensor:
    """Pixels at a Euclidean distance of at most ``radius_px`` from a pixel with another label.

    This is where an exact distance transform of some class, inside or outside, lies between 0 and the radius. Void is
    another label: the outline of a region is a boundary on both sides, whatever it borders on.

    Args:
        label: ``N H W``.
        radius_px: half the width of the band.
        frame: whether the outside of the image is void, which makes a boundary of every region that touches the frame.

    Returns:
        ``N H W``, boolean.
    """
    if frame:
        padded = F.pad(label, [radius_px] * 4, value=IGNORE)
        return boundary_band(padded, radius_px)[..., radius_px:-radius_px, radius_px:-radius_px]
    height, width = label.shape[-2:]
    band = torch.zeros_like(label, dtype=torch.bool)
    for down, right in _half_disk(radius_px):
        if down >= height or abs(right) >= width:
            continue
        left = max(0, -right)
        here = (..., slice(0, height - down), slice(left, width - max(0, right)))
        there = (..., slice(down, height), slice(left + right, width - max(0, right) + right))
        differ = label[here] != label[there]
        band[here] |= differ
        band[there] |= differ
    return band


def _half_disk(radius: int) -> list[tuple[int, int]]:
    """Offsets (down, right) within the radius, one of each opposite pair."""
    span = range(-radius, radius + 1)
    return [
        (y, x) for y in range(radius + 1) for x in span if 0 < y * y + x * x <= radius * radius and (y > 0 or x > 0)
    ]
