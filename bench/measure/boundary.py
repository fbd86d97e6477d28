"""Boundary pixels of a prediction that have one of the label near, and the other way round.

Maps ``N H W`` uint8, ``K`` classes, void :data:`~bench.data.base.IGNORE`; everything stays on the device of the maps
(which boundary pixels there are is data, so CUDA waits for it).

**Source**: Perazzi et al., DAVIS, 2016, section 4, and a description of its use in Gated-SCNN's release: a class is
set against all others; a pixel is on its boundary if it differs from the pixel to the right, below, or below right
(on the last row and column from the one that there is); pixels that are void in the label are outside every class, in
both maps; near means within a disk, as a binary dilation with one has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.measure.confusion import histogram

FAR = 1 << 60
"""More than any number of a pixel or squared distance, and far from the largest int64."""


class BoundaryCounts(NamedTuple):
    """Boundary pixels an image and class: all of them ``N K``, and those with one of the other map near ``N T K``."""

    matched_prediction: Tensor
    prediction: Tensor
    matched_label: Tensor
    label: Tensor


def match_boundaries(
    prediction: Tensor, label: Tensor, num_classes: int, tolerances_px: Sequence[float]
) -> BoundaryCounts:
    """Boundary pixels of each class that lie within each tolerance of the other map's; int64.

    Both maps' boundary pixels are sorted, so the nearest one on a row is found by bisection; its rows up to the largest
    tolerance are looked at from the middle outwards. The work is that of the boundaries, whatever the classes are.
    """
    reach = math.floor(max(tolerances_px, default=0))
    maps = (prediction.masked_fill(label == IGNORE, IGNORE), label)
    pixels = [boundary_pixels(each, num_classes, reach) for each in maps]
    height, width = label.shape[-2:]
    row, planes = width + reach, len(label) * num_classes
    counts = []
    for one, other in (pixels, reversed(pixels)):
        plane = one.div((height + reach) * row, rounding_mode="floor")
        distance = _squared_distances(one, other, row, reach, min(tolerances_px, default=0))
        matched = [histogram(plane[distance <= limit * limit], planes) for limit in tolerances_px]
        empty = one.new_zeros(0, planes)
        counts += [torch.stack(matched) if matched else empty, histogram(plane, planes)]
    return BoundaryCounts(*(_by_image(each, num_classes) for each in counts))


def boundary_pixels(maps: Tensor, num_classes: int, margin_px: int = 0) -> Tensor:
    """The boundary pixels of each class in ascending order, as int64 numbers.

    A pixel's number is its index in ``N K H W`` with ``margin_px`` empty rows and columns after the last of each plane,
    so that a step of up to that many rows and columns never meets a pixel on the far side.
    """
    height, width = maps.shape[-2:]
    differs = torch.zeros_like(maps, dtype=torch.bool)
    differs[..., :-1] = maps[..., 1:] != maps[..., :-1]
    differs[..., :-1, :] |= maps[..., 1:, :] != maps[..., :-1, :]
    differs[..., :-1, :-1] |= maps[..., 1:, 1:] != maps[..., :-1, :-1]
    image, y, x = differs.nonzero(as_tuple=True)
    below, right = (y + 1).clamp(max=height - 1), (x + 1).clamp(max=width - 1)
    # The boundary is that of every class that occurs among the four.
    four = torch.stack([maps[image, y, x], maps[image, y, right], maps[image, below, x], maps[image, below, right]])
    new = four < num_classes
    for index in range(1, 4):
        new[index] &= (four[:index] != four[index]).all(0)
    plane = image * num_classes + four
    numbers = (plane * (height + margin_px) + y) * (width + margin_px) + x
    return numbers[new].sort().values


def _squared_distances(pixels: Tensor, others: Tensor, row: int, reach: int, enough: float) -> Tensor:
    """Squared distance from each of ``pixels`` to the nearest of ``others``; :data:`FAR` beyond ``reach``.

    One that is at most ``enough`` squared may be less than is said.
    """
    fence = others.new_tensor([FAR])
    others = torch.cat([-fence, others, fence])
    result = torch.full_like(pixels, FAR)
    left = torch.arange(len(pixels), device=pixels.device)
    nearest = result
    for dy in range(reach + 1):
        for rows in (dy, -dy) if dy else (0,):
            aim = pixels + rows * row
            index = torch.searchsorted(others, aim)
            dx = torch.minimum(others[index] - aim, aim - others[index - 1])
            nearest = torch.minimum(nearest, torch.where(dx <= reach, dx * dx + dy * dy, FAR))
        settled = nearest <= max(dy + 1, enough) ** 2  # no row further away has a nearer one
        result[left[settled]] = nearest[settled]
        left, pixels, nearest = left[~settled], pixels[~settled], nearest[~settled]
    result[left] = nearest
    return result


def _by_image(counts: Tensor, num_classes: int) -> Tensor:
    """``[T] N·K`` as ``N [T] K``."""
    return counts.view(*counts.shape[:-1], -1, num_classes).movedim(-2, 0)
