"""Boundary pixels of a prediction that have one of the label near, and the other way round. Numpy, on the host.

Maps ``N H W`` uint8, ``K`` classes, void :data:`~bench.data.base.IGNORE`. Bisection of sorted numbers is several times
as fast in numpy as in torch, and the maps of an image are small: so a device hands over its predictions.

**Source**: Perazzi et al., DAVIS, 2016, section 4, and a description of its use in Gated-SCNN's release: a class is
set against all others; a pixel is on its boundary if it differs from the pixel to the right, below, or below right
(on the last row and column from the one that there is); pixels that are void in the label are outside every class, in
both maps; near means within a disk, as a binary dilation with one has it.
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
"""Line, counted through all planes, and column."""

FAR = 1 << 60
"""Further than any two pixels' numbers are apart, and far from the largest int64."""


class BoundaryCounts(NamedTuple):
    """Boundary pixels an image and class: all of them ``N K``, and those with one of the other map near ``N T K``."""

    matched_prediction: Numbers
    prediction: Numbers
    matched_label: Numbers
    label: Numbers


def match_boundaries(prediction: Maps, label: Maps, num_classes: int, tolerances_px: Sequence[float]) -> BoundaryCounts:
    """Boundary pixels of each class that lie within each tolerance of the other map's.

    Both maps' boundary pixels are sorted, so the nearest one in a row is found by bisection; rows up to the largest
    tolerance are looked at from the middle outwards. The work is that of the boundaries, not of the classes.
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
        every = np.bincount(plane, minlength=planes).reshape(len(label), num_classes)
        counts += [matched.swapaxes(0, 1), every]
    return BoundaryCounts(*counts)


def boundary_pixels(maps: Maps, num_classes: int, margin_px: int = 0) -> Numbers:
    """The boundary pixels of each class as ascending numbers.

    A pixel's number is its index in ``N K H W`` with ``margin_px`` empty rows and columns after the last of each plane,
    so that no step of up to that many rows and columns leads past the far side to another pixel.
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
    # The boundary is that of every class that occurs among the four.
    four = maps.ravel()[np.stack([place, place + right, place + below, place + right + below])]
    new = four < num_classes
    for index in range(1, 4):
        new[index] &= (four[:index] != four[index]).all(0)
    numbers = ((image * num_classes + four) * (height + margin_px) + y) * (width + margin_px) + x
    return np.sort(numbers[new])


def _may_be_near(places: Places, others: Places, side: int) -> npt.NDArray[np.bool_]:
    """Which places have one of the others in their square cell of that side or in one of the eight around it."""
    own, taken = ((line // side, column // side) for line, column in (places, others))
    shape = [int(max(a.max(initial=0), b.max(initial=0))) + 1 for a, b in zip(own, taken, strict=True)]
    cells = np.zeros(shape, dtype=np.uint8)
    cells[taken] = 1
    around: npt.NDArray[np.uint8] = ndimage.maximum_filter(cells, 3)
    return around[own] > 0


def _squared_distances(pixels: Numbers, others: Numbers, row: int, reach: int, enough: float) -> Numbers:
    """Squared distance from each of ``pixels`` to the nearest of ``others``, more than ``reach`` squared beyond it.

    One that is at most ``enough`` squared may be less than is said.
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
        undecided = np.flatnonzero(nearest > max(dy + 1, enough) ** 2)  # no row further away is nearer to the others
        left, pixels, nearest = left[undecided], pixels[undecided], nearest[undecided]
    return result
