"""The batches of a training. Each is a function of (seed, iteration) alone, in two steps.

:func:`make_batch` copies the bytes of the crops on the CPU, beside the training. :func:`finish` interpolates them, and
changes colours and blurs all images at once, on the device of the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import Split
from bench.network.normalisation import normalise
from bench.protocol.recipe import Recipe
from bench.training.augment import geometry
from bench.training.augment.blur import blur, draw_kernels
from bench.training.augment.colours import draw_factors, recolour
from bench.training.augment.draws import drawn_sample
from bench.training.augment.geometry import CropPlace, Cut


class Batch(NamedTuple):
    """A batch of crops as the bytes that they are made of.

    Attributes:
        pixels: red, green, blue and label of the pixels of all crops, one crop after the other, ``4 P`` uint8.
        places: the place of each crop on its pixels.
        factors: the factors of colours, ``N K``; ``None`` to leave them as they are.
        kernels: the kernels of the blur, ``N 2r+1``; ``None`` for none.
    """

    pixels: Tensor
    places: tuple[CropPlace, ...]
    factors: Tensor | None
    kernels: Tensor | None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device. The host does not wait for it if the batch is in pinned memory."""
        factors, kernels = (
            None if tensor is None else tensor.to(device, non_blocking=True) for tensor in (self.factors, self.kernels)
        )
        return Batch(self.pixels.to(device, non_blocking=True), self.places, factors, kernels)


def make_batch(split: Split, recipe: Recipe, seed: int, iteration: int, *, pinned: bool = False) -> Batch:
    """The batch of an iteration, on the CPU.

    It depends on the arguments alone, not on batches before, on any global random state or on the network. Samples are
    drawn without replacement within an epoch; an epoch may end inside a batch.

    Args:
        split: the training split.
        recipe: the recipe.
        seed: the seed of the stream.
        iteration: the number of the batch.
        pinned: ``True`` for memory from which a GPU copies without the host waiting for it.

    Raises:
        ValueError: for a split without samples.
    """
    if len(split) < 1:
        raise ValueError("split is empty; it needs a sample")
    cuts = []
    for slot in range(recipe.batch):
        sample = split[drawn_sample(len(split), seed, iteration * recipe.batch + slot)]
        cuts.append(geometry.cut(sample, recipe, geometry.draw(recipe, seed, iteration, slot)))
    numbers = (draw_factors(recipe, seed, iteration), draw_kernels(recipe, seed, iteration))
    drawn = (None if array is None else torch.from_numpy(array) for array in numbers)
    factors, kernels = (tensor.pin_memory() if pinned and tensor is not None else tensor for tensor in drawn)
    return Batch(joined_cuts(cuts, pinned), tuple(cut.place for cut in cuts), factors, kernels)


def joined_cuts(cuts: Sequence[Cut], pinned: bool) -> Tensor:
    """The bytes of all cuts, ``4 P``. Each is copied once."""
    pixels = torch.empty(4, sum(cut.label.numel() for cut in cuts), dtype=torch.uint8, pin_memory=pinned)
    for own, cut in zip(pixels.split([cut.label.numel() for cut in cuts], dim=1), cuts, strict=True):
        shaped = own.unflatten(1, cut.label.shape)
        shaped[:3] = cut.image
        shaped[3] = cut.label
    return pixels


def finish(batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The normalised images ``N 3 H W`` and the labels ``N H W`` int64 to train on, on the device of the batch."""
    colours, known = normalise(batch.pixels[:3, :, None])[..., 0], batch.pixels[3]
    sizes = [(place.part.height, place.part.width) for place in batch.places]
    starts = list(itertools.accumulate((height * width for height, width in sizes), initial=0))
    images, labels = [], []
    for start, size, place in zip(starts, sizes, batch.places, strict=False):
        inside = slice(start, start + size[0] * size[1])
        images.append(geometry.placed(colours[:, inside].unflatten(1, size), place, recipe.crop_px))
        labels.append(geometry.placed_label(known[inside].unflatten(0, size), place, recipe.crop_px))
    image, label = torch.stack(images), torch.stack(labels).long()
    if batch.factors is not None:
        image = recolour(image, batch.factors, recipe)
    if batch.kernels is not None:
        image = blur(image, batch.kernels)
    return image, label


def augmented(
    split: Split, recipe: Recipe, seed: int, device: torch.device, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and labels of the iterations from ``start`` on without end, on a device."""
    iteration = start
    while True:
        yield finish(make_batch(split, recipe, seed, iteration).to(device), recipe)
        iteration += 1
