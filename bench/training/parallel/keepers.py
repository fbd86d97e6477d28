"""The keeping of a training by several processes: process 0 keeps its state, and gives it to the others."""

from __future__ import annotations

import io
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import nn

from bench.training.keeper import Keeper, State


class GivingKeeper:
    """A :class:`~bench.training.keeper.Keeper` of process 0: another one, whose state the other processes get.

    Args:
        keeper: the keeper that keeps the training.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.first = 0

    def resume(self, state: State) -> None:
        self._keeper.resume(state)
        self.first = self._keeper.first
        content = io.BytesIO()
        if self.first:
            torch.save(replace(state, settle=lambda: None).taken(self.first), content)
        given = torch.frombuffer(bytearray(content.getvalue() or b"\0"), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(given)]), 0)
        dist.broadcast(given, 0)

    def after(self, done: int, total: int) -> None:
        self._keeper.after(done, total)

    def earlier_s(self) -> float:
        return self._keeper.earlier_s()

    def finish(self, model: nn.Module) -> None:
        self._keeper.finish(model)


class TakingKeeper:
    """A :class:`~bench.training.keeper.Keeper` of the other processes, which go on from where process 0 does."""

    def __init__(self) -> None:
        self.first = 0

    def resume(self, state: State) -> None:
        length = torch.zeros(1, dtype=torch.long)
        dist.broadcast(length, 0)
        given = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(given, 0)
        if len(given) > 1:
            content = io.BytesIO(given.numpy().tobytes())
            self.first = state.restore(torch.load(content, map_location="cpu", weights_only=True))

    def after(self, done: int, total: int) -> None:
        """Nothing: process 0 keeps the state."""

    def earlier_s(self) -> float:
        return 0.0

    def finish(self, model: nn.Module) -> None:
        """Nothing: process 0 keeps the weights."""
