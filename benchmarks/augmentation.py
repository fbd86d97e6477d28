"""Augmentation: the time of a batch under each choice of the recipe, against the plain stream of the same crops."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.data import CamVid
from bench.data.base import Sample, Split
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.protocol.words import size
from bench.training.augment.batches import augmented
from bench.training.augment.plain import batches
from benchmarks.side_by_side import alternate, threads, verdict

IMAGE_PX = (1024, 2048)
RECIPE = Recipe(data=part(CamVid), crop_px=(512, 1024), batch=2, iterations=2, learning_rate=0.01)
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "short_side": {"short_side_px": 1024},
    "class_share": {"largest_class_share": 0.75},
    "rotation": {"rotation_deg": 10.0},
    "jitter": {"colour_jitter": 0.25, "hue_jitter": 0.25},
    "distortion": {"photometric_distortion": True},
    "blur": {"blur": 1.0, "blur_sigma_px": (0.15, 1.3)},
}
PLAIN = ("batch", "crop_px", "scale", "flip")
BLOCKS = 8


def augmentation() -> None:
    """Seconds of a batch under each choice of the augmentation, on one thread, against the plain stream, in turns."""
    split = _split()
    what = f"a batch of {RECIPE.batch} crops of {size(RECIPE.crop_px)} from images of {size(IMAGE_PX)}, one thread"
    with threads(1):
        for name, choices in CHOICES.items():
            ours = augmented(split, RECIPE.having(**choices), 0, torch.device("cpu"))
            other = batches(split, seed=0, **{name: getattr(RECIPE, name) for name in PLAIN})
            times = alternate(partial(next, ours), partial(next, other), BLOCKS)
            verdict(f"augmentation {name}", *times, f"{what}; other: the plain stream, s")


def _split() -> Split:
    """Four images of noise with labels of 19 classes in squares."""
    numbers = np.random.default_rng(0)
    samples = []
    for index in range(4):
        image = torch.from_numpy(numbers.integers(0, 256, (3, *IMAGE_PX), dtype=np.uint8))
        squares = numbers.integers(0, 19, (8, 16), dtype=np.uint8)
        label = torch.from_numpy(squares.repeat(IMAGE_PX[0] // 8, 0).repeat(IMAGE_PX[1] // 16, 1))
        samples.append(Sample(image, label, str(index)))
    return samples
