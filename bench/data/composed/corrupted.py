"""A data set whose evaluated images are corrupted: by noise, blur, brightness, contrast, or lossy compression.

Shapes: as in the data set beneath; labels are unchanged.

**Source**: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations,
2019, whose levels of severity these are, as the ImageNet-C of its public code has them (hendrycks/robustness).

**Departures**:
- Of the nineteen corruptions these are the eight that need no other images and no warping, so that labels stay exact.
- Values are rounded to bytes, where the public code cuts their fractions off: what is not struck stays as it is.
- Noise is drawn from a stream of each image's own, by its name, so that an image is corrupted in one way at all times.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from bench.data.base import SPLITS, Dataset, Sample, Split, SplitName
from bench.data.cache import Remembered
from bench.data.composed.composed import Composed
from bench.data.composed.inner import built_inside
from bench.parts import Part

Pixels = npt.NDArray[np.float64]
"""An image ``H W 3`` with values in 0 … 1."""

Corruption = Literal[
    "gaussian noise", "shot noise", "impulse noise", "gaussian blur", "brightness", "contrast", "pixelate", "jpeg"
]
Severity = Literal[1, 2, 3, 4, 5]

AMOUNTS: dict[Corruption, tuple[float, float, float, float, float]] = {
    "gaussian noise": (0.08, 0.12, 0.18, 0.26, 0.38),  # standard deviation
    "shot noise": (60, 25, 12, 5, 3),  # photons of a white pixel
    "impulse noise": (0.03, 0.06, 0.09, 0.17, 0.27),  # share of values that become black or white
    "gaussian blur": (1, 2, 3, 4, 6),  # standard deviation in pixels
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to the largest of red, green and blue
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),  # factor of the distance from the image's mean colour
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),  # size that the image is reduced to
    "jpeg": (25, 18, 15, 10, 7),  # quality
}
"""Corruption -> its amount at the severities 1 to 5."""


class Corrupted(Composed):
    """The data set ``data``, whose validation and test images are corrupted. Training images are as they are.

    Args:
        folder: a folder that holds a folder ``data`` or one called like the data set beneath.
        data: the data set beneath.
        corruption: the kind of corruption.
        severity: its severity, from 1 to 5.

    Raises:
        DataError: if the data set beneath cannot be used.
    """

    name = "corrupted"

    def __init__(self, folder: Path | None, *, data: Part[Any], corruption: Corruption, severity: Severity = 3) -> None:
        super().__init__((built_inside(data, "data", folder), SPLITS), changes=(corruption, str(severity)))
        self._corruption, self._severity = corruption, severity

    def unchanged(self, name: SplitName) -> Dataset | None:
        return super().unchanged(name) if name == "train" else None

    def split(self, name: SplitName) -> Split:
        clean = super().split(name)
        if name == "train":
            return clean
        return Remembered(len(clean), lambda index: self._corrupted(clean[index]))

    def _corrupted(self, sample: Sample) -> Sample:
        return sample._replace(image=corrupt(sample.image, self._corruption, self._severity, sample.name))


def corrupt(image: Tensor, corruption: Corruption, severity: Severity, name: str) -> Tensor:
    """A corrupted copy of an image.

    Args:
        image: the image, ``3 H W`` uint8.
        corruption: the kind of corruption.
        severity: its severity, from 1 to 5.
        name: the name of the image, from which its noise is drawn.

    Returns:
        The corrupted image, ``3 H W`` uint8.
    """
    seed = hashlib.sha256(f"{corruption} {severity} {name}".encode(errors="surrogateescape")).digest()
    random = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    pixels: Pixels = image.permute(1, 2, 0).numpy().astype(np.float64) / 255
    corrupted = np.clip(_KINDS[corruption](pixels, AMOUNTS[corruption][severity - 1], random), 0, 1)
    return torch.from_numpy((corrupted * 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()


def _gaussian_noise(pixels: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    return pixels + random.normal(0, deviation, pixels.shape)


def _shot_noise(pixels: Pixels, photons: float, random: np.random.Generator) -> Pixels:
    counted: Pixels = random.poisson(pixels * photons) / photons
    return counted


def _impulse_noise(pixels: Pixels, share: float, random: np.random.Generator) -> Pixels:
    struck = random.random(pixels.shape) < share
    return np.where(struck, (random.random(pixels.shape) < 0.5).astype(np.float64), pixels).astype(np.float64)


def _gaussian_blur(pixels: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    blurred: Pixels = ndimage.gaussian_filter(pixels, (deviation, deviation, 0), mode="nearest", truncate=4)
    return blurred


def _brightness(pixels: Pixels, added: float, random: np.random.Generator) -> Pixels:
    """The same hue and saturation, at a larger value: all three colours grow by one factor."""
    value = pixels.max(axis=2, keepdims=True)
    brighter = np.clip(value + added, 0, 1)
    lit: Pixels = np.where(value > 0, pixels * brighter / np.where(value > 0, value, 1), brighter)
    return lit


def _contrast(pixels: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    faded: Pixels = (pixels - mean) * factor + mean
    return faded


def _pixelate(pixels: Pixels, size: float, random: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    picture = _picture(pixels).resize((max(1, int(width * size)), max(1, int(height * size))), Image.Resampling.BOX)
    return _pixels(picture.resize((width, height), Image.Resampling.BOX))


def _jpeg(pixels: Pixels, quality: float, random: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    _picture(pixels).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as picture:
        return _pixels(picture)


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255


_KINDS: dict[Corruption, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "gaussian noise": _gaussian_noise,
    "shot noise": _shot_noise,
    "impulse noise": _impulse_noise,
    "gaussian blur": _gaussian_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
