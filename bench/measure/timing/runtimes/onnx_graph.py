"""A network as an ONNX graph, which ONNX Runtime and OpenVINO both read, in float32 or half precision.

**Source**: torch, ``torch.onnx.export(…, dynamo=True)``, on ``torch.export``; shapes are static.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.runtime import preparing

IMAGE, LOGITS = "image", "logits"
"""The names of the graph's input and output."""


def onnx_graph(network: nn.Module, image: Tensor) -> Any:
    """The graph of a forward as an ``onnx.ModelProto``, with the weights in it.

    Args:
        network: image ``N 3 H W`` -> logits ``N K H W``, in evaluation mode.
        image: an image of the size that the graph is for, in the type of the weights.

    Raises:
        PreparationError: for a network that ``torch.export`` cannot trace, or with an operator that ONNX does not have.
    """
    with preparing("the export to ONNX"), torch.no_grad():
        program = torch.onnx.export(
            network, (image,), dynamo=True, input_names=[IMAGE], output_names=[LOGITS], verbose=False
        )
        assert program is not None
        return program.model_proto
