"""The share of a training that one process of a group computes: its samples, its step and its random numbers."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket
from torch.nn.parallel import DistributedDataParallel

from bench.data.base import Split
from bench.network.model import Output, SegModel
from bench.network.numerics import autocast
from bench.protocol.recipe import Recipe
from bench.training.loop import stream_of
from bench.training.parallel.group import TrainingGroup, refuse_unshared
from bench.training.parallel.norms import synchronise
from bench.training.parallel.samples import make_share, places_of
from bench.training.parallel.sums import gathered, whole
from bench.training.step import Step, prepare


class GroupShare:
    """The share of one process of a group, a :class:`~bench.training.loop.TrainingShare`.

    Args:
        group: the group, which this process has joined.

    Attributes:
        seed: the seed of the training that is under way.
        iteration: the number of the iteration that is under way, from 0 on.
        part: the number of the next part of its batch, from 0 on.
    """

    def __init__(self, group: TrainingGroup) -> None:
        self.group = group
        self.seed = self.iteration = self.part = 0

    def prepare(self, model: SegModel, recipe: Recipe, device: torch.device) -> Step:
        """Prepare a step whose gradients are those of the whole batch. All processes get the weights of process 0.

        Raises:
            OptimiserError: if a trainable parameter is not in exactly one group.
            SharingError: if the batch or the network cannot be shared.
        """
        refuse_unshared(recipe, self.group.size)
        step = prepare(model, recipe, device)
        synchronise(model, device)
        # A variant may have parameters that no loss reaches, and nobody knows that beforehand. Torch warns of a search
        # for them where all are reached.
        shared = DistributedDataParallel(_SharedLoss(step, self), find_unused_parameters=True)
        shared.register_comm_hook(None, lambda state, bucket: _sum(bucket))  # it reads the annotations of a function
        return _SharedStep(**vars(step), share=self, shared=shared)

    def stream(
        self, split: Split, recipe: Recipe, seed: int, device: torch.device, first: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yield the images of this process's share of each batch, and the labels of the whole batch."""
        make = functools.partial(make_share, places=places_of(self.group, recipe))
        self.seed = seed
        with closing(stream_of(split, recipe, seed, device, first, make)) as stream:
            for iteration, (image, label) in enumerate(stream, first):
                self.iteration, self.part = iteration, 0
                yield image, self._whole_label(label, recipe.accumulate)

    def _whole_label(self, label: Tensor, parts: int) -> Tensor:
        """The labels of all processes in the order of the batch, from those of this process."""
        labels = gathered(label.to(torch.uint8)).long()  # they fit into bytes, in which data sets have them
        ordered: Tensor = labels.unflatten(0, (self.group.size, parts, -1)).transpose(0, 1).flatten(0, 2)
        return ordered

    @contextmanager
    def own_random_numbers(self, device: torch.device) -> Iterator[None]:
        """Inside, torch draws from a stream that depends on the seed, the process, the iteration and the part alone.

        Outside, all processes draw the same numbers, as losses do that each of them computes over the whole batch.
        """
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            place = (self.seed, self.group.rank, self.iteration, self.part)
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1)))
            yield


class _SharedLoss(nn.Module):
    """The sum of all loss terms over the whole batch, of which the network sees a share."""

    def __init__(self, step: Step, share: GroupShare) -> None:
        super().__init__()
        self.model, self.losses = step.model, step.losses
        self._precision, self._device, self._share = step.recipe.precision, step.device, share

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        with autocast(self._precision, self._device):
            with self._share.own_random_numbers(self._device):
                own: Output = self.model(image, with_aux=True)
            output = Output(
                whole(own.logits),
                {name: whole(side) for name, side in own.aux.items()},
                None if own.boundary is None else whole(own.boundary),
            )
            return torch.stack([term(output, label) for term in self.losses]).sum()


@dataclass(frozen=True)
class _SharedStep(Step):
    """A step of which each process computes a share. Gradients are summed with the last part of a batch.

    Attributes:
        share: the share of this process.
        shared: the loss over the whole batch, which sums the gradients of all processes.
    """

    share: GroupShare
    shared: DistributedDataParallel

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        is_last = self.share.part == self.recipe.accumulate - 1
        with nullcontext() if is_last else self.shared.no_sync():
            loss: Tensor = self.shared(image, label)
        self.share.part += 1
        return loss


def _sum(bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """The sum of a bucket of gradients over the processes; that of :class:`DistributedDataParallel` is the mean."""
    future = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
    total: torch.futures.Future[Tensor] = future.then(lambda done: done.value()[0])
    return total
