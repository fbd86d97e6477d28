"""A street-like scene drawn by rule: no files, and the answer to "does context help?" is known by construction.

Each class needs one thing that a network may lack:

- ``rows`` and ``columns``: **texture**. Stripes of one mean colour and contrast, told apart by their direction only;
  ``ground`` has the same mean colour and no stripes.
- ``disc`` and ``triangle``: **shape at several scales**, 4 to 14 px in radius (of 64). All objects draw their colours
  from one distribution.
- ``pole``: **thin boundaries**, 2 to 3 px wide at any image size, across whatever lies behind.
- ``lit`` and ``unlit``: **context**. Lamps that look alike near the lower edge; a lamp is lit if the sky is dark. At
  least a third of the height lies between the two, and a crop without sky cannot be answered: train with whole images.

Void is a frame of one pixel. Mirroring an image left to right keeps every label right.
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

Side = Annotated[int, Range(ge=32)]
Seed = Annotated[int, Range(ge=0)]
Grid = npt.NDArray[np.int64]

NAMES = ("sky", "ground", "rows", "columns", "disc", "triangle", "pole", "lit", "unlit")
SKY, GROUND, ROWS, COLUMNS, DISC, TRIANGLE, POLE, LIT, UNLIT = range(len(NAMES))


class Synthetic:
    """Scenes that depend on (seed, split, index) and the image size only; drawn when first asked for."""

    name = "synthetic"
    classes: tuple[str, ...] = NAMES

    def __init__(
        self,
        folder: Path | None,
        *,
        height_px: Side = 64,
        width_px: Side = 96,
        train_images: Count = 512,
        val_images: Count = 48,
        test_images: Count = 48,
        seed: Seed = 0,
    ) -> None:
        if folder is not None:
            raise DataError(f"Synthetic reads no files, but was given the folder {folder}; write: --data synthetic")
        self._size = height_px, width_px
        self._images: dict[SplitName, int] = {"train": train_images, "val": val_images, "test": test_images}
        self._seed = seed

    def split(self, name: SplitName) -> Remembered:
        """The scenes of a split; those with an even index have a light sky, those with an odd one a dark sky."""
        return Remembered(self._images[name], lambda index: _sample(self._size, self._seed, name, index))

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Nothing can be wrong with it."""
        if progress:
            total = sum(self._images.values())
            progress(total, total)

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of the choices and of one scene: should a numpy release draw other numbers, it shows."""
        scene = _sample(self._size, self._seed, "train", 0)
        digest = hashlib.sha256(repr((self._size, self._images, self._seed)).encode())
        digest.update(scene.image.numpy().tobytes() + scene.label.numpy().tobytes())
        return digest.hexdigest()


def _sample(size: tuple[int, int], seed: int, split: SplitName, index: int) -> Sample:
    key = np.random.SeedSequence((seed, SPLITS.index(split), index))
    scene = _Scene(size, np.random.Generator(np.random.PCG64(key)), dark=index % 2 == 1)
    return Sample(*scene.finished(), f"{split}_{index:04d}")


class _Scene:
    """One image while it is drawn. Integers throughout, so that every machine gets the same bytes."""

    def __init__(self, size: tuple[int, int], generator: np.random.Generator, *, dark: bool) -> None:
        self.height, self.width = size
        self.unit = min(size)  # sizes of things are in 64ths of it
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
        """Image with noise and brightness jitter, label with its void frame, both uint8."""
        noise = self.generator.integers(-12, 13, size=self.image.shape)
        image = np.clip((self.image + noise) * self._pick(208, 304) // 256, 0, 255)  # gain 0.81 to 1.19
        self.label[[0, -1]] = self.label[:, [0, -1]] = IGNORE
        return torch.from_numpy(image.astype(np.uint8)), torch.from_numpy(self.label.astype(np.uint8))

    def _pick(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.generator.integers(low, high + 1))

    def _px(self, low: int, high: int) -> int:
        """A length between ``low`` and ``high`` 64ths of the image's shorter side."""
        return self._pick(max(1, low * self.unit // 64), max(1, high * self.unit // 64))

    def _paint(self, where: npt.NDArray[np.bool_], colour: Grid, label: int) -> None:
        np.copyto(self.image, colour.reshape(3, 1, 1), where=where)
        np.copyto(self.label, label, where=where)

    def _ground(self) -> None:
        """Three zones side by side, in any order, with slanted borders, one mean colour."""
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
        """One of six hues, none of them grey: each of red, green and blue is weak or strong, but not all alike."""
        hue = self._pick(1, 6)
        return np.array([hue & 1, hue >> 1 & 1, hue >> 2]) * 200 + self.generator.integers(10, 46, size=3)

    def _place(self, low: int, high: int) -> tuple[Grid, Grid]:
        """Offsets from a random point whose height is between ``low`` and ``high`` 64ths of the image."""
        y = self._pick(low * self.height // 64, high * self.height // 64)
        return self.y - y, self.x - self._pick(0, self.width - 1)

    def _disc(self) -> None:
        radius, (y, x) = self._px(4, 14), self._place(8, 50)
        self._paint(y * y + x * x <= radius * radius, self._colour(), DISC)

    def _triangle(self) -> None:
        """As tall as a disc of that radius, and as wide at its foot."""
        radius, (y, x) = self._px(4, 14), self._place(8, 50)
        self._paint((y <= radius) & (np.abs(x) * 2 <= y + radius), self._colour(), TRIANGLE)

    def _pole(self) -> None:
        width = self._pick(2, 3)
        left, top = self._pick(1, self.width - 4), self._px(4, 24)
        column = (self.x >= left) & (self.x < left + width)
        self._paint(column & (self.y >= top) & (self.y < top + self._px(28, 40)), self._colour(), POLE)

    def _lamp(self, label: int) -> None:
        """A diamond."""
        radius, (y, x) = self._px(5, 7), self._place(52, 58)
        self._paint(np.abs(y) + np.abs(x) <= radius, self._colour(), label)
