"""TensorRT by Torch-TensorRT, on GPUs of NVIDIA."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.runtime import Logits, preparing
from bench.network.numerics import operand_type
from bench.protocol.setting import Setting


def prepare(network: nn.Module, image: Tensor, setting: Setting) -> Logits:
    """An engine of the whole network; operators that TensorRT does not have stay with torch.

    Raises:
        PreparationError: for a network that Torch-TensorRT cannot compile.
    """
    import torch_tensorrt

    kind = operand_type(setting.precision)
    with preparing("TensorRT"), torch.no_grad():
        run = torch_tensorrt.compile(
            network.to(kind), ir="dynamo", inputs=[image.to(kind)], disable_tf32=setting.precision != "tf32"
        )

    def logits(image: Tensor) -> Tensor:
        with torch.inference_mode():
            return cast(Tensor, run(image.to(kind))).float()

    return logits
