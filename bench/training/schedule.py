"""The learning rate of every iteration: a warm-up, then a fall by the poly, the cosine or the step schedule."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from bench.protocol.recipe import Recipe


def make_schedule(optimiser: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """The recipe's schedule for all groups of an optimiser, each from its own rate on."""
    factors: list[Callable[[int], float]] = [
        functools.partial(factor, recipe=recipe, rate=group["lr"]) for group in optimiser.param_groups
    ]
    return LambdaLR(optimiser, factors)


def factor(iteration: int, recipe: Recipe, rate: float) -> float:
    """The number by which a group's learning rate ``rate`` is multiplied at an iteration, counted from 0.

    During ``warmup_iterations`` it rises in equal steps from ``warmup_start`` to 1, as :class:`torch.optim.lr_scheduler
    .LinearLR` does. From there on it falls over the iterations that are left, from the rate itself towards
    ``least_learning_rate``, which no group goes below (a group whose own rate is lower keeps it).
    """
    warm = recipe.warmup_iterations
    if iteration < warm:
        return recipe.warmup_start + (1 - recipe.warmup_start) * iteration / warm
    done = min((iteration - warm) / (recipe.iterations - warm), 1.0) if recipe.iterations > warm else 1.0
    floor = min(recipe.least_learning_rate / rate, 1.0)
    return floor + (1 - floor) * _left(done, recipe)


def _left(done: float, recipe: Recipe) -> float:
    """The share of the rate that is left when a share ``done`` of the schedule is over."""
    if recipe.schedule == "poly":
        return float((1 - done) ** recipe.poly_power)
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if recipe.schedule == "step":
        # A tolerance, since an iteration's share of the schedule is rounded.
        return math.prod(recipe.step_factor for place in recipe.step_at if done >= place - 1e-12)
    return 1.0
