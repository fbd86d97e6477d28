"""Geometry of a training sample: scale, crop, rotation and flip, which image and label share.

Images are ``3 H W``, labels ``H W`` with ``IGNORE`` for void and padding. The value of a label is always that of one
pixel of the sample; colours are interpolated.

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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE, Sample
from bench.network.layers import resize
from bench.network.normalisation import standardise
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


def crop(sample: Sample, recipe: Recipe, drawn: Draw) -> tuple[Tensor, Tensor]:
    """A crop of ``recipe.crop_px``: the image normalised, with padding of the mean colour (0), and the label int64."""
    height, width = sample.label.shape
    factor = drawn.scale * base_scale((height, width), recipe)
    rows, columns = (max(1, round(side / factor)) for side in recipe.crop_px)
    for place in drawn.places:
        rectangle = Rectangle(offset(height, rows, place[0]), offset(width, columns, place[1]), rows, columns)
        label = cut_label(sample.label, rectangle, recipe.crop_px, drawn.angle_deg)
        if recipe.largest_class_share == 1 or is_mixed(label, recipe.largest_class_share):
            break
    image = cut_image(sample.image, rectangle, recipe.crop_px, drawn.angle_deg)
    label = label.long()
    return (image.flip(-1), label.flip(-1)) if drawn.flipped else (image, label)


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


def nearest(source: int, target: int) -> Tensor:
    """The source index of each target pixel's centre, on the same grid as ``resize`` without aligned corners."""
    return (2 * torch.arange(target) + 1) * source // (2 * target)


def cut_label(label: Tensor, rectangle: Rectangle, crop_px: Size, angle_deg: float = 0.0) -> Tensor:
    """The label ``crop_px`` of a rectangle of a rotated image: that of the nearest pixel, ``IGNORE`` outside."""
    height, width = label.shape
    if angle_deg == 0:
        rows = rectangle.top + nearest(rectangle.height, crop_px[0])
        columns = rectangle.left + nearest(rectangle.width, crop_px[1])
        values = label[rows.clamp(0, height - 1)][:, columns.clamp(0, width - 1)]
        if rows[0] >= 0 and rows[-1] < height and columns[0] >= 0 and columns[-1] < width:
            return values
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    else:
        rows, columns = (at.floor().long() for at in _turned((height, width), rectangle, crop_px, angle_deg))
        values = label[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return values.masked_fill_(~inside, IGNORE)


def cut_image(image: Tensor, rectangle: Rectangle, crop_px: Size, angle_deg: float = 0.0) -> Tensor:
    """The image ``3 crop_px`` of a rectangle of a rotated image: bilinear, normalised, the mean colour outside."""
    height, width = image.shape[-2:]
    if angle_deg == 0:
        top, left = rectangle.top, rectangle.left
        bottom, right = top + rectangle.height, left + rectangle.width
        part = image[..., max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        around = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        padded = F.pad(standardise(part.float() / 255), around)  # after standardisation, 0 is the mean colour
        return resize(padded[None], crop_px, align_corners=False)[0]
    y, x = _turned((height, width), rectangle, crop_px, angle_deg)
    top, bottom = _span(y, height)
    left, right = _span(x, width)
    if top >= bottom or left >= right:
        return torch.zeros(3, *crop_px)
    part = standardise(image[..., top:bottom, left:right].float() / 255)
    grid = torch.stack([2 * (x - left) / (right - left) - 1, 2 * (y - top) / (bottom - top) - 1], dim=-1).float()
    return F.grid_sample(part[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _turned(size: Size, rectangle: Rectangle, crop_px: Size, angle_deg: float) -> tuple[Tensor, Tensor]:
    """The places in an image, down and across, that its rotation about its middle brings to the pixels of a crop.

    Pixel i of a side reaches from i to i + 1. The canvas keeps the size of the image.
    """
    middle_y, middle_x = size[0] / 2, size[1] / 2
    down = rectangle.top + (torch.arange(crop_px[0], dtype=torch.float64) + 0.5) * rectangle.height / crop_px[0]
    across = rectangle.left + (torch.arange(crop_px[1], dtype=torch.float64) + 0.5) * rectangle.width / crop_px[1]
    y, x = (down - middle_y)[:, None], (across - middle_x)[None, :]
    sine, cosine = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    return middle_y + x * sine + y * cosine, middle_x + x * cosine - y * sine


def _span(at: Tensor, side: int) -> tuple[int, int]:
    """The first and the last pixel, exclusive, of a side that interpolation at these places reads."""
    return max(0, math.floor(at.min()) - 1), min(side, math.ceil(at.max()) + 1)
