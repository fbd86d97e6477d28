"""Scenes of the positive control. It tests three abilities of a network, each by classes that need only it.

- ``lit`` and ``unlit`` need **context**. They are lamps in the lowest rows that look alike; a lamp is lit if the sky,
  in the topmost rows, is dark. At least :data:`DISTANCE_PX` rows lie between the lamp and the sky, so that a network
  with a smaller receptive field can only guess.
- ``fence`` needs **thin boundaries**. A fence is made of stripes 2 px wide on ``plain`` ground. Every aligned block of
  4×4 pixels of a fence has the mean colour of the ground around it, so that a network that first averages over such
  blocks sees no fence.
- ``red`` and ``blue`` need **resolution**. They are tiles of 8×8 px whose colour is drawn at random; one value of a
  feature map at stride 16 covers four of them.

Images are 128 px high and 64 px wide and have no void pixels. An image mirrored left to right keeps its labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench.data.base import SPLITS, DataError, Sample, SplitName
from bench.data.cache import Remembered
from bench.data.synthetic import Grid, SceneSeed
from bench.parts import Count

NAMES = ("plain", "sky", "fence", "red", "blue", "lit", "unlit")
PLAIN, SKY, FENCE, RED, BLUE, LIT, UNLIT = range(len(NAMES))

HEIGHT_PX, WIDTH_PX = 128, 64
BLOCK_PX = 4
"""The spacing of the grid on which every object lies."""
SKY_PX, LAMPS_PX = 12, 100
"""The row at which the sky ends, and the topmost row at which a lamp may begin."""
DISTANCE_PX = LAMPS_PX - SKY_PX
TILE_PX, LAMP_PX = 8, 20
CONTRAST = 60
"""The difference in grey level between a fence's stripes and the ground, upwards and downwards in turn."""
NOISE = 6


class ControlScenes:
    """The scenes of the positive control. Each depends on (seed, split, index) only, and is drawn when first read."""

    name = "control scenes"
    classes: tuple[str, ...] = NAMES

    def __init__(
        self,
        folder: Path | None,
        *,
        train_images: Count = 256,
        val_images: Count = 32,
        test_images: Count = 48,
        seed: SceneSeed = 0,
    ) -> None:
        if folder is not None:
            raise DataError(f"ControlScenes reads no files, but was given the folder {folder}; leave --data out")
        self._images: dict[SplitName, int] = {"train": train_images, "val": val_images, "test": test_images}
        self._seed = seed

    def split(self, name: SplitName) -> Remembered:
        """The scenes of a split. Those with an even index have a light sky, those with an odd index a dark sky."""
        return Remembered(self._images[name], lambda index: _sample(self._seed, name, index))

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Report the check as done: drawn scenes have no files that could be damaged."""
        if progress:
            total = sum(self._images.values())
            progress(total, total)

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of the choices and of one scene. It changes if a release of numpy draws other random numbers."""
        scene = _sample(self._seed, "train", 0)
        digest = hashlib.sha256(repr((self._images, self._seed)).encode())
        digest.update(scene.image.numpy().tobytes() + scene.label.numpy().tobytes())
        return digest.hexdigest()


def _sample(seed: int, split: SplitName, index: int) -> Sample:
    key = np.random.SeedSequence((seed, SPLITS.index(split), index))
    image, label = _scene(np.random.Generator(np.random.PCG64(key)), dark=index % 2 == 1)
    return Sample(image, label, f"{split}_{index:04d}")


def _scene(draw: np.random.Generator, *, dark: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """One image and its label, both uint8. It is drawn with integers, so that every machine gets the same bytes."""
    ground = draw.integers(100, 141, size=(3, 1, 1))
    image: Grid = np.broadcast_to(ground, (3, HEIGHT_PX, WIDTH_PX)).copy()
    label: Grid = np.full((HEIGHT_PX, WIDTH_PX), PLAIN)
    stripes = CONTRAST * (1 - np.arange(WIDTH_PX) // 2 % 2 * 2)
    _fence(draw, image, label, stripes, 16 + int(draw.integers(0, 3)) * BLOCK_PX)
    _tiles(draw, image, label, 60)
    level = draw.integers(40, 71) if dark else draw.integers(185, 216)
    image[:, :SKY_PX] = level
    label[:SKY_PX] = SKY
    for half in (0, 32):
        left = half + int(draw.integers(0, 4)) * BLOCK_PX
        top = LAMPS_PX + int(draw.integers(0, 2)) * BLOCK_PX
        where = slice(top, top + LAMP_PX), slice(left, left + LAMP_PX)
        image[:, *where] = np.array([200, 190, 60])[:, None, None]
        label[where] = LIT if dark else UNLIT
    image += draw.integers(-NOISE, NOISE + 1, size=image.shape)
    return torch.from_numpy(image.astype(np.uint8)), torch.from_numpy(label.astype(np.uint8))


def _fence(draw: np.random.Generator, image: Grid, label: Grid, stripes: Grid, top: int) -> None:
    height, width = (int(draw.integers(6, 9)) * BLOCK_PX for _ in range(2))
    left = int(draw.integers(0, (WIDTH_PX - width) // BLOCK_PX + 1)) * BLOCK_PX
    image[:, top : top + height, left : left + width] += stripes[left : left + width]
    label[top : top + height, left : left + width] = FENCE


def _tiles(draw: np.random.Generator, image: Grid, label: Grid, top: int) -> None:
    """Draw a field of 3 by 6 tiles, each red or blue at random."""
    left = int(draw.integers(0, (WIDTH_PX - 6 * TILE_PX) // BLOCK_PX + 1)) * BLOCK_PX
    red = draw.integers(0, 2, size=(3, 6)).repeat(TILE_PX, 0).repeat(TILE_PX, 1).astype(bool)
    where = slice(top, top + red.shape[0]), slice(left, left + red.shape[1])
    colours = np.array([[190, 60, 60], [60, 60, 190]])[..., None, None]
    image[:, *where] = np.where(red, colours[0], colours[1])
    label[where] = np.where(red, RED, BLUE)
