"""The exponential moving average of a network's weights.

It computes what ``torch.optim.swa_utils.AveragedModel`` with ``get_ema_multi_avg_fn`` does. That class keeps the number
of its updates on the device and asks for it in every update, so that the host waits for the device.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """The average of a network's weights; the first update takes the weights as they are. Buffers are the last ones.

    Attributes:
        module: a network with the averaged weights.
        decay: the weight of the average before, against that of the new weights.
        updates: the number of updates.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights and buffers of the network after a step, without waiting for a device."""
        averaged: list[tuple[Tensor, Tensor]] = []
        copied = list(zip(self.module.buffers(), model.buffers(), strict=True))
        for mean, weight in zip(self.module.parameters(), model.parameters(), strict=True):
            inexact = mean.is_floating_point() or mean.is_complex()
            (averaged if self.updates > 0 and inexact else copied).append((mean, weight.detach()))
        for means, weights in _by_kind(averaged):
            torch._foreach_lerp_(means, weights, 1 - self.decay)
        for copies, originals in _by_kind(copied):
            torch._foreach_copy_(copies, originals)
        self.updates += 1


def _by_kind(pairs: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The pairs as two lists for each kind of number and device: one kernel then does for many tensors."""
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair[0].dtype, pair[0].device].append(pair)
    return [([one for one, _ in group], [other for _, other in group]) for group in groups.values()]
