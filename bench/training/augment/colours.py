"""Colours of a batch: jitter of brightness, contrast, saturation and hue, or mmsegmentation's photometric distortion.

Images are ``N 3 H W`` with colours in 0 … 1, on any device. Factors are ``N K``, drawn beforehand on the CPU for each
image on its own, so that a device does not wait.

**Departures**

- Colours are real numbers. The originals round to 8 bits after each step.
- Jitter comes in a fixed order: brightness, contrast, saturation, hue. torchvision and Gated-SCNN shuffle the order.
- Padding stays the mean colour, and does not count in the mean grey of a contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.network.normalisation import LUMA, MEAN, STD
from bench.protocol.recipe import Recipe
from bench.training.augment.draws import COLOURS, generator

BRIGHTNESS = 32 / 255  # this and the next three: PhotoMetricDistortion of mmsegmentation, mmseg/datasets/transforms/
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18  # of 180 steps of the colour circle, as OpenCV counts them


def draw_factors(recipe: Recipe, seed: int, iteration: int) -> np.ndarray | None:
    """The factors of a batch, ``N K`` float32; ``None`` for a recipe that changes no colour."""
    streams = [generator(COLOURS, seed, iteration, slot) for slot in range(recipe.batch)]
    if recipe.photometric_distortion:
        return np.array([_distortion(numbers) for numbers in streams], np.float32)
    if recipe.colour_jitter > 0 or recipe.hue_jitter > 0:
        return np.array([_jitter(recipe, numbers) for numbers in streams], np.float32)
    return None


def _jitter(recipe: Recipe, numbers: np.random.Generator) -> list[float]:
    """The factors of brightness, contrast and saturation, and the turn of the hue: torchvision's ColorJitter."""
    factors = 1 + recipe.colour_jitter * numbers.uniform(-1, 1, size=3)
    return [*factors, recipe.hue_jitter * numbers.uniform(-1, 1)]


def _distortion(numbers: np.random.Generator) -> list[float]:
    """Brightness added, contrast, saturation, turn of the hue and contrast again. Each change has probability 0.5.

    The contrast changes either before saturation and hue or after them.
    """
    first = numbers.random() < 0.5
    brighter, contrasted, saturated, turned = numbers.random(4) < 0.5
    added = numbers.uniform(-BRIGHTNESS, BRIGHTNESS)
    contrast, saturation = numbers.uniform(*CONTRAST), numbers.uniform(*SATURATION)
    turn = numbers.integers(-HUE, HUE) / 180
    return [
        added if brighter else 0.0,
        contrast if contrasted and first else 1.0,
        saturation if saturated else 1.0,
        turn if turned else 0.0,
        contrast if contrasted and not first else 1.0,
    ]


def recolour(image: Tensor, factors: Tensor, recipe: Recipe) -> Tensor:
    """The batch with other colours.

    Args:
        image: the images, normalised. Padding is known by the mean colour, 0, which no pixel of 8 bits has.
        factors: those of :func:`draw_factors`, on the device of the images.
        recipe: the recipe.
    """
    padding = (image == 0).all(1, keepdim=True)
    colours = _each(image, [(std, mean) for mean, std in zip(MEAN, STD, strict=True)])
    columns = factors[..., None, None, None].unbind(1)
    if recipe.photometric_distortion:
        added, first, saturation, turn, last = columns
        changed = distorted(colours, added, first, saturation, turn, last)
    else:
        brightness, contrast, saturation, turn = columns
        changed = jittered(colours, padding, brightness, contrast, saturation, turn)
    normal = _each(changed, [(1 / std, -mean / std) for mean, std in zip(MEAN, STD, strict=True)])
    return normal.masked_fill(padding, 0)


def _each(image: Tensor, lines: Sequence[tuple[float, float]]) -> Tensor:
    """Each colour times its factor plus its summand. No tensor is made from numbers, for which a host would wait."""
    colours = image.split(1, 1)
    return torch.cat([colour * factor + added for colour, (factor, added) in zip(colours, lines, strict=True)], 1)


def _grey(image: Tensor) -> Tensor:
    """The luma ``N 1 H W``, as :func:`~bench.network.normalisation.grey_of` computes it, from numbers alone."""
    red, green, blue = image.split(1, 1)
    grey: Tensor = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return grey


def jittered(
    image: Tensor, padding: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turn: Tensor
) -> Tensor:
    """Brightness times a factor, contrast about the mean grey, saturation about each pixel's grey, and a turn of hue.

    Args:
        image: the images.
        padding: the pixels that are no part of an image, ``N 1 H W`` bool.
        brightness: the factor of all colours, ``N 1 1 1`` like the others.
        contrast: the factor of the difference to the mean grey of the image.
        saturation: the factor of the difference to the grey of the pixel.
        turn: the turn of the hue, as a share of the colour circle.
    """
    image = (image * brightness).clamp(0, 1)
    pixels = (~padding).sum((2, 3), keepdim=True).clamp(min=1)
    grey = _grey(image).masked_fill(padding, 0)
    middle = (grey.sum((2, 3), keepdim=True, dtype=torch.float64) / pixels).float()
    image = (middle + (image - middle) * contrast).clamp(0, 1)
    grey = _grey(image)
    image = (grey + (image - grey) * saturation).clamp(0, 1)
    return turn_hue(image, turn)


def distorted(image: Tensor, added: Tensor, first: Tensor, saturation: Tensor, turn: Tensor, last: Tensor) -> Tensor:
    """Brightness added, contrast about black (``first``), saturation and hue in HSV, and contrast (``last``)."""
    image = ((image + added).clamp(0, 1) * first).clamp(0, 1)
    return (turn_hue(saturate(image, saturation), turn) * last).clamp(0, 1)


def saturate(image: Tensor, factor: Tensor) -> Tensor:
    """The saturation of HSV times a factor, at most 1; hue and value stay."""
    value = image.amax(1, keepdim=True)
    chroma = value - image.amin(1, keepdim=True)
    largest = value / chroma.clamp(min=torch.finfo(chroma.dtype).tiny)  # a grey pixel has nothing to enlarge
    return value - (value - image) * torch.minimum(factor, largest)


def turn_hue(image: Tensor, turn: Tensor) -> Tensor:
    """The hue of HSV turned by a share of the colour circle; saturation and value stay."""
    value = image.amax(1, keepdim=True)
    chroma = value - image.amin(1, keepdim=True)
    red, green, blue = image.split(1, 1)
    divisor = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(
        red == value,
        (green - blue) / divisor,
        torch.where(green == value, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )  # in sixths of the circle
    at = torch.cat([(hue + 6 * turn + start) % 6 for start in (5, 3, 1)], 1)
    return value - chroma * torch.minimum(at, 4 - at).clamp(0, 1)
