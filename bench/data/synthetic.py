"""Street-like scenes drawn by rule. They need no files, and whether context helps is known by construction.

Each class needs an ability that a network may lack:

- ``rows`` and ``columns`` need **texture**. They are stripes of the same mean colour and contrast that differ in their
  direction only; ``ground`` has the same mean colour and no stripes.
- ``disc`` and ``triangle`` need **shape at several scales**: their radius is 4 to 14 px in an image of 64 px. The
  colours of all objects are drawn from one distribution.
- ``pole`` needs **thin boundaries**: a pole is 2 to 3 px wide at any image size, in front of other classes.
- ``lit`` and ``unlit`` need **context**. They are lamps near the lower edge that look alike; a lamp is lit if the sky
  is dark. At least a third of the image's height lies between the lamps and the sky. The class of a lamp cannot be seen
  in a crop without sky, so train with whole images.

A frame of one pixel around the image is void. An image mirrored left to right keeps its labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch

from bench.data.base import IGNORE, SPLITS, DataError, Sample, SplitName
from bench.data.cache import Remembered
from bench.parts import Count, Range

SidePx = Annotated[int, Range(ge=32)]
SceneSeed = Annotated[int, Range(ge=0)]
Grid = npt.NDArray[np.int64]

NAMES = ("sky", "ground", "rows", "columns", "disc", "triangle", "pole", "lit", "unlit")
SKY, GROUND, ROWS, COLUMNS, DISC, TRIANGLE, POLE, LIT, UNLIT = range(len(NAMES))


class Synthetic:
    """Street-like scenes. Each depends on (seed, split, index) and its size only, and is drawn when first read."""

    name = "synthetic"
    classes: tuple[str, ...] = NAMES

    def __init__(
        self,
        folder: Path | None,
        *,
        height_px: SidePx = 64,
        width_px: SidePx = 96,
        train_images: Count = 512,
        val_images: Count = 48,
        test_images: Count = 48,
        seed: SceneSeed = 0,
    ) -> None:
        if folder is not None:
            raise DataError(f"Synthetic reads no files, but was given the folder {folder}; write: --data synthetic")
        self._size = height_px, width_px
        self._images: dict[SplitName, int] = {"train": train_images, "val": val_images, "test": test_images}
        self._seed = seed

    def split(self, name: SplitName) -> Remembered:
        """The scenes of a split. Those with an even index have a light sky, those with an odd index a dark sky."""
        return Remembered(self._images[name], lambda index: _sample(self._size, self._seed, name, index))

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Report the check as done: drawn scenes have no files that could be damaged."""
        if progress:
            total = sum(self._images.values())
            progress(total, total)

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of the choices and of one scene. It changes if a release of numpy draws other random numbers."""
        scene = _sample(self._size, self._seed, "train", 0)
        digest = hashlib.sha256(repr((self._size, self._images, self._seed)).encode())
        digest.update(scene.image.numpy().tobytes() + scene.label.numpy().tobytes())
        return digest.hexdigest()


def _sample(size: tuple[int, int], seed: int, split: SplitName, index: int) -> Sample:
    key = np.random.SeedSequence((seed, SPLITS.index(split), index))
    scene = _Scene(size, np.random.Generator(np.random.PCG64(key)), dark=index % 2 == 1)
    return Sample(*scene.finished(), f"{split}_{index:04d}")


class _Scene:
    """One image while it is drawn. All values are integers, so that every machine gets the same bytes."""

    def __init__(self, size: tuple[int, int], generator: np.random.Generator, *, dark: bool) -> None:
        self.height, self.width = size
        self.unit = min(size)  # the sizes of objects are given in 64ths of this length
        self.generator = generator
        self.y, self.x = np.ogrid[: self.height, : self.width]
        self.image: Grid = np.zeros((3, *size), dtype=np.int64)
        self.label: Grid = np.zeros(size, dtype=np.int64)
        self._ground()
        self._sky(dark)
        for draw, most in ((self._disc, 3), (self._triangle, 3), (self._pole, 4)):
            for _ in range(self._pick(1, most)):
                draw()
        for _ in range(self._pick(2, 3)):
            self._lamp(LIT if dark else UNLIT)

    def finished(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The image with noise and brightness jitter, and the label map with its void frame, both uint8."""
        noise = self.generator.integers(-12, 13, size=self.image.shape)
        image = np.clip((self.image + noise) * self._pick(208, 304) // 256, 0, 255)  # gain 0.81 to 1.19
        self.label[[0, -1]] = self.label[:, [0, -1]] = IGNORE
        return torch.from_numpy(image.astype(np.uint8)), torch.from_numpy(self.label.astype(np.uint8))

    def _pick(self, low: int, high: int) -> int:
        """A random whole number between ``low`` and ``high``, both included."""
        return int(self.generator.integers(low, high + 1))

    def _px(self, low: int, high: int) -> int:
        """A random length between ``low`` and ``high`` 64ths of the image's shorter side, in pixels."""
        return self._pick(max(1, low * self.unit // 64), max(1, high * self.unit // 64))

    def _paint(self, where: npt.NDArray[np.bool_], colour: Grid, label: int) -> None:
        np.copyto(self.image, colour.reshape(3, 1, 1), where=where)
        np.copyto(self.label, label, where=where)

    def _ground(self) -> None:
        """Draw three zones of one mean colour side by side, in random order and with slanted borders."""
        mean = self.generator.integers(90, 150, size=(3, 1, 1))
        contrast, period = self._pick(25, 45), self._pick(2, 4)
        slanted = self.x + self.y * self._pick(-64, 64) // 128
        zone = (slanted > self._pick(self.width * 3 // 16, self.width * 7 // 16)).astype(np.int64)
        zone += slanted > self._pick(self.width * 9 // 16, self.width * 13 // 16)
        self.label = self.generator.permutation([GROUND, ROWS, COLUMNS])[zone]
        self.image += mean
        for label, position in ((ROWS, self.y), (COLUMNS, self.x)):
            stripes = contrast * (2 * ((position + self._pick(0, 2 * period)) // period % 2) - 1)
            self.image += np.where(self.label == label, stripes, 0)

    def _sky(self, dark: bool) -> None:
        level = self._pick(35, 75) if dark else self._pick(190, 225)
        tint = self.generator.integers(-15, 16, size=3)
        tilt = self._pick(-3, 3) * self.unit // 64
        above = self.y < self._px(12, 19) + self.x * tilt // self.width
        self._paint(np.broadcast_to(above, self.label.shape), level + tint, SKY)

    def _colour(self) -> Grid:
        """A random colour of one of six hues. Red, green and blue are each weak or strong, but not all alike (grey)."""
        hue = self._pick(1, 6)
        return np.array([hue & 1, hue >> 1 & 1, hue >> 2]) * 200 + self.generator.integers(10, 46, size=3)

    def _place(self, low: int, high: int) -> tuple[Grid, Grid]:
        """Each pixel's offset (y, x) from a random point, whose row is ``low`` to ``high`` 64ths of the height."""
        y = self._pick(low * self.height // 64, high * self.height // 64)
        return self.y - y, self.x - self._pick(0, self.width - 1)

    def _disc(self) -> None:
        radius, (y, x) = self._px(4, 14), self._place(8, 50)
        self._paint(y * y + x * x <= radius * radius, self._colour(), DISC)

    def _triangle(self) -> None:
        """Draw a triangle that is as tall as a disc of the same radius, and as wide at its foot."""
        radius, (y, x) = self._px(4, 14), self._place(8, 50)
        self._paint((y <= radius) & (np.abs(x) * 2 <= y + radius), self._colour(), TRIANGLE)

    def _pole(self) -> None:
        width = self._pick(2, 3)
        left, top = self._pick(1, self.width - 4), self._px(4, 24)
        column = (self.x >= left) & (self.x < left + width)
        self._paint(column & (self.y >= top) & (self.y < top + self._px(28, 40)), self._colour(), POLE)

    def _lamp(self, label: int) -> None:
        """Draw a lamp, which has the shape of a diamond."""
        radius, (y, x) = self._px(5, 7), self._place(52, 58)
        self._paint(np.abs(y) + np.abs(x) <= radius, self._colour(), label)
