"""Sums and whole batches over the processes of a group, with gradients."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process's result depends on this one's operand, and counts towards the loss of that process's share.
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        ctx.rows = len(own)
        return gathered(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process computes the same loss of the whole batch. Its own share of the gradient is all that it adds to.
        return gradients[0].narrow(0, dist.get_rank() * ctx.rows, ctx.rows)


def summed(own: Tensor) -> Tensor:
    """The sum of a tensor over the processes; its gradient is the sum of theirs."""
    return cast(Tensor, _Sum.apply(own))  # type: ignore[no-untyped-call]  # torch's stub has no types for it


def whole(own: Tensor) -> Tensor:
    """The tensors of all processes, one after the other in the first dimension, with a gradient for this one's alone.

    So the gradients of the weights, summed over the processes, are those of one loss of the whole batch which each of
    them computes.
    """
    return cast(Tensor, _Whole.apply(own))  # type: ignore[no-untyped-call]  # torch's stub has no types for it


def gathered(own: Tensor) -> Tensor:
    """The tensors of all processes, of one shape, one after the other in the first dimension; without a gradient."""
    out = own.new_empty((dist.get_world_size() * len(own), *own.shape[1:]))
    dist.all_gather(list(out.chunk(dist.get_world_size())), own.detach().contiguous())
    return out
