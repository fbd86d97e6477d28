"""The batches of a training. Each is a function of (seed, iteration) alone, in two steps.

:func:`make_batch` cuts the crops on the CPU, beside the training. :func:`finish` changes colours and blurs all images
at once, on the device of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import Split
from bench.protocol.recipe import Recipe
from bench.training.augment import geometry
from bench.training.augment.blur import blur, draw_kernels
from bench.training.augment.colours import draw_factors, recolour
from bench.training.augment.draws import drawn_sample


class Batch(NamedTuple):
    """A batch whose crops are cut and whose colours are still those of the data.

    Attributes:
        image: the images, ``N 3 H W`` float32, normalised.
        label: the labels, ``N H W`` int64 with ``IGNORE`` for void and padding.
        factors: the factors of colours, ``N K``; ``None`` to leave them as they are.
        kernels: the kernels of the blur, ``N 2r+1``; ``None`` for none.
    """

    image: Tensor
    label: Tensor
    factors: Tensor | None
    kernels: Tensor | None

    def having(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with a change of every tensor, such as a move to a device."""
        return Batch(*(None if tensor is None else change(tensor) for tensor in self))  # type: ignore[arg-type]  # mypy takes one type for all fields


def make_batch(split: Split, recipe: Recipe, seed: int, iteration: int) -> Batch:
    """The batch of an iteration, on the CPU.

    It depends on the arguments alone, not on batches before, on any global random state or on the network. Samples are
    drawn without replacement within an epoch; an epoch may end inside a batch.

    Raises:
        ValueError: for a split without samples.
    """
    if len(split) < 1:
        raise ValueError("split is empty; it needs a sample")
    pairs = []
    for slot in range(recipe.batch):
        sample = split[drawn_sample(len(split), seed, iteration * recipe.batch + slot)]
        pairs.append(geometry.crop(sample, recipe, geometry.draw(recipe, seed, iteration, slot)))
    images, labels = zip(*pairs, strict=True)
    numbers = (draw_factors(recipe, seed, iteration), draw_kernels(recipe, seed, iteration))
    factors, kernels = (None if drawn is None else torch.from_numpy(drawn) for drawn in numbers)
    return Batch(torch.stack(images), torch.stack(labels), factors, kernels)


def finish(batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The images ``N 3 H W`` and labels ``N H W`` to train on, on the device of the batch."""
    image = batch.image
    if batch.factors is not None:
        image = recolour(image, batch.factors, recipe)
    if batch.kernels is not None:
        image = blur(image, batch.kernels)
    return image, batch.label


def augmented(
    split: Split, recipe: Recipe, seed: int, device: torch.device, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and labels of the iterations from ``start`` on without end, on a device."""
    iteration = start
    while True:
        yield finish(make_batch(split, recipe, seed, iteration).having(lambda tensor: tensor.to(device)), recipe)
        iteration += 1
