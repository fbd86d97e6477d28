"""Geometry of a training sample: scale, crop, rotation and flip, which image and label share.

Images are ``3 H W``, labels ``H W`` with ``IGNORE`` for void and padding. The value of a label is always that of one
pixel of the sample; colours are interpolated.

:func:`cut` runs on the CPU, where the sample is, and takes bytes out of it. :func:`placed` interpolates them, on any
device: no tensor is made from numbers there and no number is read from a tensor, so that a host does not wait.

**Departures** from the scale-then-crop of DANet, FastFCN, Gated-SCNN and mmsegmentation:

- The source rectangle that fills the crop is cut out first, and only this rectangle is resized. The distribution is the
  same with less work; the scale is rounded so that the rectangle has whole pixels, and is not rounded to whole pixels
  of the whole image.
- Padding may lie on any side, not only on the right and below; the row of pixels beside it is interpolated with it.
- Images are resized bilinearly, without antialiasing when they are scaled down, as in OpenCV. (Pillow antialiases;
  Gated-SCNN resizes bicubically.)
- What a rotation brings in from outside is void, where FastFCN gives it the label of value 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE, Sample
from bench.network.layers import resize
from bench.protocol.recipe import Recipe
from bench.training.augment.draws import AUGMENT, PLACES, ROTATION, generator

TRIES = 10
"""The crops of which one may be too uniform: mmsegmentation's RandomCrop, mmseg/datasets/transforms/transforms.py."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Draw:
    """The random numbers of one sample's geometry.

    Attributes:
        scale: the scale.
        places: the places of the crops to be tried, down and across, as shares of what there is to choose from.
        flipped: ``True`` for a horizontal flip.
        angle_deg: the angle of the rotation, counter-clockwise.
    """

    scale: float
    places: np.ndarray
    flipped: bool
    angle_deg: float


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of source pixels. It may reach beyond the image."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class CropPlace:
    """The place of a crop on the pixels of which it is interpolated.

    Attributes:
        image_px: the height and width of the image.
        rectangle: the source rectangle that fills the crop; it may reach beyond the image.
        part: the part of the image that is read.
        angle_deg: the angle of the rotation, counter-clockwise.
        flipped: ``True`` for a horizontal flip.
    """

    image_px: Size
    rectangle: Rectangle
    part: Rectangle
    angle_deg: float
    flipped: bool


def draw(recipe: Recipe, seed: int, iteration: int, slot: int) -> Draw:
    """The numbers for the image ``slot`` of a batch. Recipes that differ in a flip or a rotation get the same crops."""
    numbers = generator(AUGMENT, seed, iteration, slot)
    scale = float(numbers.uniform(*recipe.scale))
    first = numbers.random(2)
    flipped = bool(numbers.random() < recipe.flip)
    places = first[None]
    if recipe.largest_class_share < 1:
        places = np.concatenate([places, generator(PLACES, seed, iteration, slot).random((TRIES, 2))])
    angle = 0.0
    if recipe.rotation_deg > 0:
        angle = float(generator(ROTATION, seed, iteration, slot).uniform(-recipe.rotation_deg, recipe.rotation_deg))
    return Draw(scale, places, flipped, angle)


class Cut(NamedTuple):
    """The part of a sample that a crop is made of.

    Attributes:
        image: the pixels, ``3 h w`` uint8.
        label: their labels, ``h w`` uint8.
        place: the place of the crop on them.
    """

    image: Tensor
    label: Tensor
    place: CropPlace


def cut(sample: Sample, recipe: Recipe, drawn: Draw) -> Cut:
    """The part of a sample that a crop of ``recipe.crop_px`` is made of. Its tensors are views of the sample's."""
    size = height, width = (sample.label.shape[0], sample.label.shape[1])
    factor = drawn.scale * base_scale(size, recipe)
    rows, columns = (max(1, round(side / factor)) for side in recipe.crop_px)
    for spot in drawn.places:
        rectangle = Rectangle(offset(height, rows, spot[0]), offset(width, columns, spot[1]), rows, columns)
        part = read_part(size, rectangle, recipe.crop_px, drawn.angle_deg)
        place = CropPlace(size, rectangle, part, drawn.angle_deg, drawn.flipped)
        inside = (..., slice(part.top, part.top + part.height), slice(part.left, part.left + part.width))
        if recipe.largest_class_share == 1 or is_mixed(
            placed_label(sample.label[inside], place, recipe.crop_px), recipe.largest_class_share
        ):
            break
    return Cut(sample.image[inside], sample.label[inside], place)


def base_scale(size: Size, recipe: Recipe) -> float:
    """The scale at which an image has the sides that the recipe asks for, or is the largest within both of them."""
    asked = ((recipe.short_side_px, min(size)), (recipe.long_side_px, max(size)))
    return min((wanted / side for wanted, side in asked if wanted is not None), default=1.0)


def is_mixed(label: Tensor, largest_share: float) -> bool:
    """True for a label of several classes of which none has ``largest_share`` of the labelled pixels or more."""
    counts = label.flatten().long().bincount(minlength=IGNORE + 1)
    counts[IGNORE] = 0
    several = int((counts > 0).sum()) > 1
    return several and int(counts.max()) < largest_share * int(counts.sum())


def offset(have: int, want: int, at: float) -> int:
    """The start of a window of ``want`` pixels on a side of ``have`` pixels; negative if the window is larger."""
    low, high = sorted((0, have - want))
    return low + int(at * (high - low + 1))


def nearest(source: int, target: int, device: torch.device | None = None) -> Tensor:
    """The source index of each target pixel's centre, on the same grid as ``resize`` without aligned corners."""
    return (2 * torch.arange(target, device=device) + 1) * source // (2 * target)


def read_part(size: Size, rectangle: Rectangle, crop_px: Size, angle_deg: float) -> Rectangle:
    """The part of an image that the interpolation of a crop reads; without pixels if the crop lies outside."""
    height, width = size
    if angle_deg == 0:
        top, left = max(rectangle.top, 0), max(rectangle.left, 0)
        bottom, right = min(rectangle.top + rectangle.height, height), min(rectangle.left + rectangle.width, width)
    else:
        y, x = _turned(size, rectangle, crop_px, angle_deg)
        (top, bottom), (left, right) = _span(y, height), _span(x, width)
    return Rectangle(top, left, max(0, bottom - top), max(0, right - left))


def placed_label(label: Tensor, place: CropPlace, crop_px: Size) -> Tensor:
    """The label of a crop, made of the labels ``h w``: that of the nearest pixel, ``IGNORE`` outside the image."""
    (height, width), rectangle, read = place.image_px, place.rectangle, place.part
    if read.height == 0 or read.width == 0:
        return label.new_full(crop_px, IGNORE)
    if place.angle_deg == 0:
        rows = rectangle.top + nearest(rectangle.height, crop_px[0], label.device)[:, None]
        columns = rectangle.left + nearest(rectangle.width, crop_px[1], label.device)
    else:
        turned = _turned(place.image_px, rectangle, crop_px, place.angle_deg, label.device)
        rows, columns = (at.floor().long() for at in turned)
    values = label[(rows - read.top).clamp(0, read.height - 1), (columns - read.left).clamp(0, read.width - 1)]
    if place.angle_deg != 0 or read != rectangle:
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        values = values.masked_fill_(~inside, IGNORE)
    return values.flip(-1) if place.flipped else values


def placed(part: Tensor, place: CropPlace, crop_px: Size) -> Tensor:
    """A crop ``3 crop_px`` of standardised pixels ``3 h w``: bilinear, with the mean colour outside of the image."""
    if place.angle_deg == 0:
        rectangle, read = place.rectangle, place.part
        right, below = rectangle.left + rectangle.width, rectangle.top + rectangle.height
        around = (
            read.left - rectangle.left,
            right - read.left - read.width,
            read.top - rectangle.top,
            below - read.top - read.height,
        )
        padded = F.pad(part, around) if any(around) else part  # after standardisation, 0 is the mean colour
        image = resize(padded[None], crop_px, align_corners=False)[0]
    elif place.part.height == 0 or place.part.width == 0:
        image = part.new_zeros(3, *crop_px)
    else:
        image = _rotated(part, place, crop_px)
    return image.flip(-1) if place.flipped else image


def _rotated(part: Tensor, place: CropPlace, crop_px: Size) -> Tensor:
    read = place.part
    y, x = _turned(place.image_px, place.rectangle, crop_px, place.angle_deg, part.device)
    grid = torch.stack([2 * (x - read.left) / read.width - 1, 2 * (y - read.top) / read.height - 1], dim=-1).float()
    return F.grid_sample(part[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _turned(
    size: Size, rectangle: Rectangle, crop_px: Size, angle_deg: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """The places in an image, down and across, that its rotation about its middle brings to the pixels of a crop.

    Pixel i of a side reaches from i to i + 1. The canvas keeps the size of the image.
    """
    middle_y, middle_x = size[0] / 2, size[1] / 2
    rows, columns = (torch.arange(side, dtype=torch.float64, device=device) + 0.5 for side in crop_px)
    down = rectangle.top + rows * rectangle.height / crop_px[0]
    across = rectangle.left + columns * rectangle.width / crop_px[1]
    y, x = (down - middle_y)[:, None], (across - middle_x)[None, :]
    sine, cosine = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    return middle_y + x * sine + y * cosine, middle_x + x * cosine - y * sine


def _span(at: Tensor, side: int) -> tuple[int, int]:
    """The first and the last pixel, exclusive, of a side that interpolation at these places reads."""
    return max(0, math.floor(at.min()) - 1), min(side, math.ceil(at.max()) + 1)
