"""Augmentation: the time of a batch under each choice of the recipe, against the plain stream of the same crops."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.data import CamVid
from bench.data.base import Sample, Split
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.protocol.words import size
from bench.training.augment import plain
from bench.training.augment.batches import finish, make_batch

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
ROUNDS = 16


def augmentation() -> None:
    """Seconds of a batch under each choice of the augmentation, on one thread, against the plain stream, in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        split = _split()
        for name, choices in CHOICES.items():
            recipe = RECIPE.having(**choices)
            sides = (partial(_batch, split, recipe), partial(_plain, split))
            times: list[tuple[float, float]] = []
            for index in range(ROUNDS):
                seconds = [_seconds(partial(side, index)) for side in (sides if index % 2 else sides[::-1])]
                ours, other = seconds if index % 2 else seconds[::-1]
                times.append((ours, other))
            ours, other = (statistics.median(side) for side in zip(*times, strict=True))
            ratio = statistics.median(a / b for a, b in times)
            sys.stdout.write(
                f"bench augmentation {name}: ours={ours:.4g} other={other:.4g} ratio={ratio:.4g} (a batch of "
                f"{RECIPE.batch} crops of {size(RECIPE.crop_px)} from images of {size(IMAGE_PX)}, one thread; other: "
                "plain batches, s)\n"
            )
            sys.stdout.flush()
    finally:
        torch.set_num_threads(threads)


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


def _batch(split: Split, recipe: Recipe, iteration: int) -> None:
    finish(make_batch(split, recipe, 0, iteration), recipe)


def _plain(split: Split, iteration: int) -> None:
    choices: dict[str, Any] = {name: getattr(RECIPE, name) for name in ("batch", "crop_px", "scale", "flip")}
    next(plain.batches(split, seed=0, start=iteration, **choices))


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
