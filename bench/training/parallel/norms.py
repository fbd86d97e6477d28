"""Batch normalisation by the statistics of the whole batch, of which each process has a share.

On a GPU it is that of torch, which has no form for a CPU; there it is :class:`SynchronisedNorm`. Layers of other
classes stay as they are, such as the normalisation that JPU's release does not synchronise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.network.layers import widened
from bench.training.parallel.group import SharingError
from bench.training.parallel.sums import summed

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The layers that are synchronised."""


class SynchronisedNorm(_BatchNorm):
    """A batch normalisation ``N C …`` whose mean and variance in training are those of all processes' batches together.

    The variance is the mean of squared differences from the common mean, which keeps more digits than the difference of
    two means. In evaluation it is the usual one.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        wide = widened(input)
        axes = [axis for axis in range(wide.dim()) if axis != 1]
        shape = [1, -1] + [1] * (wide.dim() - 2)
        own = wide.new_full((1,), wide.numel() // wide.shape[1])
        totals = summed(torch.cat([wide.sum(axes), own]))
        count = totals[-1].detach()
        if count <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got {count:g} in all processes")
        mean = totals[:-1] / count
        centred = wide - mean.view(shape)
        variance = summed(centred.square().sum(axes)) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Take the statistics of a batch into the running ones, if the layer has any."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation of a network take the statistics of all processes, in place.

    The layers stay the same objects with another class, so that whoever holds one of them, or its weights, still does.

    Raises:
        SharingError: for a normalisation of another class that derives from torch's, whose statistics would be those
            of a share of the batch.
    """
    for name, module in model.named_modules():
        if type(module) in PLAIN:
            if device.type == "cuda":
                module.__class__ = nn.SyncBatchNorm
                module.process_group = None  # the default one  # type: ignore[assignment]
            else:
                module.__class__ = SynchronisedNorm
        elif isinstance(module, _BatchNorm) and not isinstance(module, (nn.SyncBatchNorm, SynchronisedNorm)):
            raise SharingError(
                f"several processes cannot train this network together: {name} is a {type(module).__name__}, whose "
                "statistics cannot be taken over all of them; train it on one GPU"
            )
