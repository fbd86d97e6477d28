"""torch.compile that tries all kernels that it has; on a GPU it also uses CUDA graphs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.runtime import Logits
from bench.network.numerics import autocast
from bench.protocol.setting import Setting


def prepare(network: nn.Module, setting: Setting, device: torch.device) -> Logits:
    """A network that torch compiles when it is first called."""
    run = torch.compile(network, mode="max-autotune")

    def logits(image: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(setting.precision, device):
            return cast(Tensor, run(image))

    return logits
