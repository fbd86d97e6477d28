"""Training: one function that trains a network on data and returns the history of its loss.

The recipe chooses the optimiser and the schedule; SGD with the poly schedule is the default. The data stream depends on
the seed and the iteration alone, so that two variants get the same batches; dropout draws from a stream of its own.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import LRScheduler

from bench.data.base import Split
from bench.network.model import SegModel
from bench.network.numerics import switches
from bench.protocol.recipe import Recipe
from bench.training.ahead import ahead
from bench.training.augment.batches import Batch, finish, make_batch
from bench.training.average import MovingAverage
from bench.training.keeper import Keeper, State, Stateful
from bench.training.late import DivergedError, LateLosses
from bench.training.prefetch import prefetched
from bench.training.schedule import make_schedule
from bench.training.step import Step, in_parts, layout, prepare

TrainingListener = Callable[[int, int, float], None]
"""A function that is called after every iteration with (iterations done, iterations in all, loss). An exception that it
raises ends the training."""

HISTORY_POINTS = 500
READ_EVERY = 10
"""Iterations whose losses are read from a GPU at a time."""


@dataclass
class History:
    """The loss and the learning rate of every iteration; only records store fewer points.

    Attributes:
        loss: the weighted sum of all loss terms, for each iteration.
        learning_rate: the learning rate of the first optimiser group (the backbone's, if it is trained).
        train_s: the wall time of the loop, in seconds.
    """

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    train_s: float = 0.0

    def thinned(self, points: int = HISTORY_POINTS) -> dict[str, list[float]]:
        """The history at no more than ``points`` points, each for a stretch of iterations.

        A point has the last iteration of its stretch (counted from 1), the mean loss of the stretch, and the learning
        rate at its end.
        """
        total = len(self.loss)
        step = max(1, math.ceil(total / points))
        ends = [min(start + step, total) for start in range(0, total, step)]
        starts = [0, *ends[:-1]]
        return {
            "iteration": [float(end) for end in ends],
            "loss": [math.fsum(self.loss[a:b]) / (b - a) for a, b in zip(starts, ends, strict=True)],
            "lr": [self.learning_rate[end - 1] for end in ends],
        }


class TrainingShare(Protocol):
    """The share of a training that this process computes, where several processes train one network together."""

    def prepare(self, model: SegModel, recipe: Recipe, device: torch.device) -> Step:
        """Prepare a training step, as :func:`bench.training.step.prepare` does."""

    def stream(
        self, split: Split, recipe: Recipe, seed: int, device: torch.device, first: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yield what the step takes of the iterations from ``first`` on, as :func:`stream_of` does."""


_SHARE: ContextVar[TrainingShare | None] = ContextVar("share of a training", default=None)


@contextmanager
def computing(share: TrainingShare) -> Iterator[None]:
    """Inside, trainings of this process compute a share of every batch; else they compute all of it."""
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)


def train(
    model: SegModel,
    split: Split,
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device,
    progress: TrainingListener | None = None,
    keeper: Keeper | None = None,
    read_every: int | None = None,
) -> History:
    """Train ``model`` in place for ``recipe.iterations`` steps.

    On a CPU, the same seed and the same number of threads give the same numbers. Batches are made beside the training
    by as many threads as the split allows in its attribute ``workers``, if it has one; their number changes no number.

    Args:
        model: the network, on any device; it is moved to ``device``.
        split: the training images.
        recipe: the schedule and the optimiser.
        seed: the seed of batches and dropout.
        device: the device on which to train.
        progress: a function that is called for every iteration, once its loss is read.
        keeper: an object that keeps the state of the training, and from which an interrupted one goes on.
        read_every: the iterations after which losses are read, at once; by default :data:`READ_EVERY` on a GPU, else 1.

    Raises:
        OptimiserError: if a trainable parameter is not in exactly one group.
        CompileError: if the recipe wants the network compiled and torch.compile cannot.
        DivergedError: if the loss of an iteration is not finite, or if the last update leaves weights or buffers that
            are not finite. (Those that were not so before the training, such as a mask of -inf, may stay so.)
    """
    share = _SHARE.get()
    step = (share.prepare if share else prepare)(model, recipe, device)
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

    def tell(values: Iterable[float]) -> None:
        for value in values:
            history.loss.append(value)
            if progress is not None:
                progress(len(history.loss), recipe.iterations, value)

    start = time.perf_counter()
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        switches(recipe.precision, recipe.kernels, device),
    ):
        torch.manual_seed(seed)
        if keeper is not None:
            modules: dict[str, nn.Module] = {"model": model, "losses": step.losses}
            if recipe.ema_decay > 0:
                modules["average"] = average
            others: dict[str, Stateful] = {"optimiser": step.optimiser, "scaler": step.scaler, "schedule": schedule}
            keeper.resume(State(modules, others, history, settle=lambda: tell(losses.rest())))
        first = 0 if keeper is None else keeper.first
        losses = LateLosses(device, read_every or (READ_EVERY if device.type == "cuda" else 1), first)
        made = (share.stream if share else stream_of)(split, recipe, seed, device, first)
        with closing(made) as stream, losses.diverging_first():
            for iteration, (image, label) in zip(range(first, recipe.iterations), stream, strict=False):
                loss = in_parts(step, image, label) if recipe.accumulate > 1 else step.forward(image, label)
                read = losses.add(loss.detach())
                history.learning_rate.append(float(schedule.get_last_lr()[0]))
                if recipe.accumulate == 1:
                    step.backward(loss)
                step.update()
                schedule.step()
                if recipe.ema_decay > 0:
                    average.update(model)
                tell(read)
                if keeper is not None:
                    keeper.after(iteration + 1, recipe.iterations)
            tell(losses.rest())
    history.train_s = time.perf_counter() - start
    if keeper is not None:
        history.train_s += keeper.earlier_s()
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


def stream_of(
    split: Split,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    first: int,
    make: Callable[..., Batch] = make_batch,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield the batches of the iterations from ``first`` on, in the memory format in which convolutions are fastest.

    Those for a GPU are put into memory that it reads without the host waiting for it, and reach it one step early.
    ``make`` makes a batch on the CPU, from what :func:`bench.training.augment.batches.make_batch` takes.
    """
    memory_format, workers = layout(device), getattr(split, "workers", 0)

    def finished(batch: Batch) -> tuple[Tensor, Tensor]:
        image, label = finish(batch, recipe)
        return image.contiguous(memory_format=memory_format), label

    if device.type != "cuda":
        with closing(ahead(lambda number: finished(make(split, recipe, seed, number)), workers, first)) as ready:
            yield from ready
        return
    with closing(ahead(lambda number: make(split, recipe, seed, number, pinned=True), workers, first)) as made:
        yield from prefetched(itertools.islice(made, recipe.iterations - first), finished, device)


def not_finite(model: nn.Module) -> set[str]:
    """The names of the weights and buffers that hold a number that is not finite. The device is waited for once."""
    extremes: dict[str, Tensor] = {}
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        if not is_lazy(tensor) and _may_be_not_finite(tensor):
            numbers = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
            extremes[name] = torch.stack(numbers.aminmax()).isfinite().all()  # both extremes pass NaN on
    finite = torch.stack(list(extremes.values())).tolist() if extremes else []
    return {name for name, each in zip(extremes, finite, strict=True) if not each}


def _may_be_not_finite(tensor: Tensor) -> bool:
    """True for numbers that torch can compare; 8-bit floats and sparse tensors, which it cannot, are not looked at."""
    inexact = tensor.is_floating_point() or tensor.is_complex()
    return inexact and tensor.element_size() > 1 and tensor.layout == torch.strided and tensor.numel() > 0
