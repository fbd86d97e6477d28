"""The training loop in its plain form, which defines what training computes: each step waits for the one before.

:func:`bench.training.loop.train` computes the same, with batches made beside the step and losses read late. The keys of
trials read this form, as long as :data:`bench.run.stages.PROVEN` says that the other one was compared with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from bench.data.base import Split
from bench.network.model import SegModel
from bench.network.numerics import switches
from bench.protocol.recipe import Recipe
from bench.training.augment.batches import augmented
from bench.training.augment.plain import batches
from bench.training.average import MovingAverage
from bench.training.late import DivergedError
from bench.training.loop import History, TrainingListener, not_finite
from bench.training.schedule import make_schedule
from bench.training.step import in_parts, layout, prepare


def train_plainly(
    model: SegModel,
    split: Split,
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device,
    progress: TrainingListener | None = None,
) -> History:
    """Train ``model`` in place for ``recipe.iterations`` steps; arguments and errors are those of ``loop.train``."""
    step = prepare(model, recipe, device)
    masks = not_finite(model)
    # PolynomialLR, which computes each rate from the one before, rounds otherwise than make_schedule(). It stays in
    # use for the usual schedule, so that trials by it keep their numbers.
    if recipe.schedule == "poly" and recipe.warmup_iterations == 0 and recipe.least_learning_rate == 0:
        schedule: LRScheduler = torch.optim.lr_scheduler.PolynomialLR(
            step.optimiser, recipe.iterations, recipe.poly_power
        )
    else:
        schedule = make_schedule(step.optimiser, recipe)
    if recipe.ema_decay > 0:
        average = MovingAverage(model, recipe.ema_decay)
    history = History()
    start = time.perf_counter()
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        switches(recipe.precision, recipe.kernels, device),
    ):
        torch.manual_seed(seed)
        stream = _stream(split, recipe, seed, device)
        for iteration, (image, label) in zip(range(recipe.iterations), stream, strict=False):
            loss = in_parts(step, image, label) if recipe.accumulate > 1 else step.forward(image, label)
            value = _finite(loss, iteration)
            history.loss.append(value)
            history.learning_rate.append(float(schedule.get_last_lr()[0]))
            if recipe.accumulate == 1:
                step.backward(loss)
            step.update()
            schedule.step()
            if recipe.ema_decay > 0:
                average.update(model)
            if progress is not None:
                progress(iteration + 1, recipe.iterations, value)
    history.train_s = time.perf_counter() - start
    if recipe.ema_decay > 0:
        model.load_state_dict(average.module.state_dict())
    lost = sorted(not_finite(model) - masks)
    if lost:
        shown = ", ".join(lost[:3]) + (", …" if len(lost) > 3 else "")
        raise DivergedError(
            f"{len(lost)} tensors of weights and running statistics are not finite after iteration "
            f"{recipe.iterations}: {shown}; lower the learning rate or clip gradients"
        )
    return history


def _stream(split: Split, recipe: Recipe, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches on the device, in the memory format in which its convolutions are fastest."""
    memory_format = layout(device)
    for image, label in (
        augmented(split, recipe, seed, device)
        if recipe.short_side_px is not None
        or recipe.long_side_px is not None
        or recipe.largest_class_share < 1
        or recipe.rotation_deg > 0
        or recipe.colour_jitter > 0
        or recipe.hue_jitter > 0
        or recipe.photometric_distortion
        or recipe.blur > 0
        else batches(split, batch=recipe.batch, crop_px=recipe.crop_px, scale=recipe.scale, flip=recipe.flip, seed=seed)
    ):
        yield image.to(device, memory_format=memory_format, non_blocking=True), label.to(device, non_blocking=True)


def _finite(loss: Tensor, iteration: int) -> float:
    value: float = loss.detach().item()
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss is {value} at iteration {iteration + 1}; lower the learning rate or clip gradients"
        )
    return value
