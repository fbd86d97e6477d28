"""Initial weights of a backbone, drawn by name."""

from __future__ import annotations

import math

from torch import nn

from bench.layers import own_draws


def draw_by_name(network: nn.Module) -> None:
    """Normal convolutions, std sqrt(2 / (k * k * out)) as in PyTorch-Encoding; normalisation starts at 1 and 0.

    Each convolution draws from a stream of its own name, so tensors that two configurations share start out alike.
    There is nothing to draw on the meta device, where a draw would load torch's compiler.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            fan_out = module.out_channels * math.prod(module.kernel_size)
            with own_draws(name):
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
