"""The batches of a training. Each is a function of (seed, iteration) alone, in two steps.

:func:`make_batch` copies the bytes of the crops on the CPU, beside the training. :func:`finish` interpolates them, and
changes colours and blurs all images at once, on the device of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from bench.training.augment.geometry import Place


class Batch(NamedTuple):
    """A batch of crops as the bytes that they are made of.

    Attributes:
        pixels: the pixels of all crops one after the other, ``3 P`` uint8.
        label: the labels, ``N H W`` uint8 with ``IGNORE`` for void and padding.
        places: the place of each crop on its pixels.
        factors: the factors of colours, ``N K``; ``None`` to leave them as they are.
        kernels: the kernels of the blur, ``N 2r+1``; ``None`` for none.
    """

    pixels: Tensor
    label: Tensor
    places: tuple[Place, ...]
    factors: Tensor | None
    kernels: Tensor | None

    def having(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with a change of every tensor, such as a move to a device."""
        factors, kernels = (None if tensor is None else change(tensor) for tensor in (self.factors, self.kernels))
        return Batch(change(self.pixels), change(self.label), self.places, factors, kernels)


def make_batch(split: Split, recipe: Recipe, seed: int, iteration: int) -> Batch:
    """The batch of an iteration, on the CPU.

    It depends on the arguments alone, not on batches before, on any global random state or on the network. Samples are
    drawn without replacement within an epoch; an epoch may end inside a batch.

    Raises:
        ValueError: for a split without samples.
    """
    if len(split) < 1:
        raise ValueError("split is empty; it needs a sample")
    cuts = []
    for slot in range(recipe.batch):
        sample = split[drawn_sample(len(split), seed, iteration * recipe.batch + slot)]
        cuts.append(geometry.cut(sample, recipe, geometry.draw(recipe, seed, iteration, slot)))
    pixels = torch.cat([cut.image.flatten(1) for cut in cuts], dim=1)
    numbers = (draw_factors(recipe, seed, iteration), draw_kernels(recipe, seed, iteration))
    factors, kernels = (None if drawn is None else torch.from_numpy(drawn) for drawn in numbers)
    return Batch(pixels, torch.stack([cut.label for cut in cuts]), tuple(cut.place for cut in cuts), factors, kernels)


def finish(batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The normalised images ``N 3 H W`` and the labels ``N H W`` int64 to train on, on the device of the batch."""
    pixels = normalise(batch.pixels[..., None])[..., 0]
    parts = pixels.split([place.part.height * place.part.width for place in batch.places], dim=1)
    shaped = [
        part.unflatten(1, (place.part.height, place.part.width))
        for part, place in zip(parts, batch.places, strict=True)
    ]
    image = torch.stack([geometry.placed(*pair, recipe.crop_px) for pair in zip(shaped, batch.places, strict=True)])
    if batch.factors is not None:
        image = recolour(image, batch.factors, recipe)
    if batch.kernels is not None:
        image = blur(image, batch.kernels)
    return image, batch.label.long()


def augmented(
    split: Split, recipe: Recipe, seed: int, device: torch.device, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and labels of the iterations from ``start`` on without end, on a device."""
    iteration = start
    while True:
        yield finish(make_batch(split, recipe, seed, iteration).having(lambda tensor: tensor.to(device)), recipe)
        iteration += 1
