"""The samples of one process's share of a batch: those that one process would put into the same places of the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.data.base import Split
from bench.protocol.recipe import Recipe
from bench.training.augment import geometry
from bench.training.augment.batches import Batch, joined_cuts
from bench.training.augment.blur import draw_kernels
from bench.training.augment.colours import draw_factors
from bench.training.augment.draws import drawn_sample
from bench.training.parallel.group import TrainingGroup


def places_of(group: TrainingGroup, recipe: Recipe) -> list[int]:
    """The places in a batch of this process's samples: its share of the first part of the batch, of the second, and so
    on.
    """
    part = recipe.batch // recipe.accumulate
    own = part // group.size
    return [start + group.rank * own + place for start in range(0, recipe.batch, part) for place in range(own)]


def make_share(
    split: Split, recipe: Recipe, seed: int, iteration: int, *, places: Sequence[int], pinned: bool = False
) -> Batch:
    """Some samples of the batch that :func:`bench.training.augment.batches.make_batch` makes from the same arguments.

    Args:
        split: the training split.
        recipe: the recipe.
        seed: the seed of the stream.
        iteration: the number of the batch.
        places: the places of the samples in the batch.
        pinned: ``True`` for memory from which a GPU copies without the host waiting for it.

    Raises:
        ValueError: for a split without samples.
    """
    if len(split) < 1:
        raise ValueError("split is empty; it needs a sample")
    cuts = []
    for place in places:
        sample = split[drawn_sample(len(split), seed, iteration * recipe.batch + place)]
        cuts.append(geometry.cut(sample, recipe, geometry.draw(recipe, seed, iteration, place)))
    numbers = (draw_factors(recipe, seed, iteration), draw_kernels(recipe, seed, iteration))
    drawn = (None if array is None else torch.from_numpy(array[list(places)]) for array in numbers)
    factors, kernels = (tensor.pin_memory() if pinned and tensor is not None else tensor for tensor in drawn)
    return Batch(joined_cuts(cuts, pinned), tuple(cut.place for cut in cuts), factors, kernels)
