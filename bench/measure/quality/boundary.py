"""Matches of boundary pixels: those of a prediction that lie near one of the label, and the other way round.

Maps are ``N H W`` uint8 with void as :data:`~bench.data.base.IGNORE`; ``K`` is the number of classes. The work is done
in numpy on the host: bisection of sorted numbers is several times as fast there as in torch, and copying the
predictions of an image from the device costs little.

**Source**: Perazzi et al., DAVIS, 2016, section 4, and a description of its use in Gated-SCNN's release. Each class is
compared with all others together. A pixel is on the boundary of a class if it differs from the pixel to its right,
below it, or below right (on the last row and column, from those that exist). Pixels that are void in the label are
outside every class, in both maps. A pixel is near another if it lies within a disk around it, as in a binary dilation
with that disk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bench.data.base import IGNORE

Maps = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Places = tuple[Numbers, Numbers]
"""The places of pixels: their lines, counted through all planes, and their columns."""

FAR = 1 << 60
"""A number larger than the difference between any two pixels' numbers, and far below the largest int64."""


class BoundaryCounts(NamedTuple):
    """The boundary pixels of each image and class: all, ``N K``, and those near one of the other map, ``N T K``."""

    matched_prediction: Numbers
    prediction: Numbers
    matched_label: Numbers
    label: Numbers


def match_boundaries(prediction: Maps, label: Maps, num_classes: int, tolerances_px: Sequence[float]) -> BoundaryCounts:
    """The boundary pixels of each class that lie within each tolerance of a boundary pixel of the other map.

    The boundary pixels of both maps are sorted, so that the nearest one in a row is found by bisection. Rows are
    searched from the pixel's own outwards, up to the largest tolerance. The work grows with the boundaries, not with
    the classes.
    """
    reach = math.floor(max(tolerances_px, default=0))
    height, width = label.shape[-2:]
    row, planes = width + reach, len(label) * num_classes
    masked = np.where(label == IGNORE, np.uint8(IGNORE), prediction)
    pixels = [boundary_pixels(maps, num_classes, reach) for maps in (masked, label)]
    places = [np.divmod(numbers, row) for numbers in pixels]
    counts = []
    for one, other in ((0, 1), (1, 0)):
        plane = places[one][0] // (height + reach)
        maybe = _may_be_near(places[one], places[other], reach + 1)
        distance = _squared_distances(pixels[one][maybe], pixels[other], row, reach, min(tolerances_px, default=0))
        near = [np.bincount(plane[maybe][distance <= limit * limit], minlength=planes) for limit in tolerances_px]
        matched = np.array(near, dtype=np.int64).reshape(len(tolerances_px), len(label), num_classes)
        total = np.bincount(plane, minlength=planes).reshape(len(label), num_classes)
        counts += [matched.swapaxes(0, 1), total]
    return BoundaryCounts(*counts)


def boundary_pixels(maps: Maps, num_classes: int, margin_px: int = 0) -> Numbers:
    """The boundary pixels of each class, as ascending numbers.

    The number of a pixel is its index in ``N K H W``, where each plane is followed by ``margin_px`` empty rows and
    columns, so that a step of up to that many rows and columns never leads across an edge to another pixel.
    """
    height, width = maps.shape[-2:]
    differs = np.zeros(maps.shape, dtype=bool)
    np.not_equal(maps[..., 1:], maps[..., :-1], out=differs[..., :-1])
    differs[..., :-1, :] |= maps[..., 1:, :] != maps[..., :-1, :]
    differs[..., :-1, :-1] |= maps[..., 1:, 1:] != maps[..., :-1, :-1]
    place = np.flatnonzero(differs)
    line, x = np.divmod(place, width)
    image, y = np.divmod(line, height)
    right, below = x < width - 1, width * (y < height - 1)
    # The pixel is on the boundary of every class that occurs among the four pixels.
    four = maps.ravel()[np.stack([place, place + right, place + below, place + right + below])]
    new = four < num_classes
    for index in range(1, 4):
        new[index] &= (four[:index] != four[index]).all(0)
    numbers = ((image * num_classes + four) * (height + margin_px) + y) * (width + margin_px) + x
    return np.sort(numbers[new])


def _may_be_near(places: Places, others: Places, side: int) -> npt.NDArray[np.bool_]:
    """True for each place that has one of the others in its own square cell or in one of the eight cells around it."""
    cell, taken = ((line // side, column // side) for line, column in (places, others))
    shape = [int(max(a.max(initial=0), b.max(initial=0))) + 1 for a, b in zip(cell, taken, strict=True)]
    cells = np.zeros(shape, dtype=np.uint8)
    cells[taken] = 1
    around: npt.NDArray[np.uint8] = ndimage.maximum_filter(cells, 3)
    return around[cell] > 0


def _squared_distances(pixels: Numbers, others: Numbers, row: int, reach: int, enough: float) -> Numbers:
    """The squared distance from each of ``pixels`` to the nearest of ``others``.

    For a pixel without any of the others within ``reach``, the result only has to exceed ``reach`` squared. A result of
    at most ``enough`` squared may be larger than the true squared distance.
    """
    others = np.concatenate([[-FAR], others, [FAR]])
    result = np.empty_like(pixels)
    left, nearest = np.arange(len(pixels)), np.full(len(pixels), (reach + 1) ** 2)
    for dy in range(reach + 1):
        for rows in (dy, -dy) if dy else (0,):
            aim = pixels + rows * row
            after = others.searchsorted(aim)
            dx = np.minimum(others[after] - aim, aim - others[after - 1]).clip(max=reach + 1)
            np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        result[left] = nearest
        undecided = np.flatnonzero(nearest > max(dy + 1, enough) ** 2)  # further rows change nothing for the rest
        left, pixels, nearest = left[undecided], pixels[undecided], nearest[undecided]
    return result
