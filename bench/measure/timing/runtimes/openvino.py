"""OpenVINO on a CPU, in float32, in 8-bit integers or in a half precision that the CPU has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.int8 import quantised
from bench.measure.timing.runtimes.onnx_graph import onnx_graph
from bench.measure.timing.runtimes.runtime import Logits, PreparationError, preparing
from bench.protocol.setting import Setting

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8_static": "f32"}
"""Precision -> OpenVINO's name of it, for what a graph does not quantise. Without one, OpenVINO computes in bfloat16
wherever the CPU has it."""
NEEDED = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16", "int8_static": "INT8"}
"""Precision -> the ability that a CPU needs for it, as OpenVINO calls it."""


def prepare(network: nn.Module, image: Tensor, setting: Setting, calibration: Sequence[Tensor]) -> Logits:
    """A compiled model on as many threads as torch has, for one call at a time.

    Raises:
        PreparationError: for a network that OpenVINO cannot compile, or a precision that this CPU does not have.
    """
    import openvino as ov

    core = ov.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if NEEDED[setting.precision] not in able:
        raise PreparationError(f"OpenVINO has no {setting.precision} on this CPU, which is able to {', '.join(able)}")
    graph = onnx_graph(network, image)
    if setting.precision == "int8_static":
        graph = quantised(graph, setting, calibration)
    with preparing("OpenVINO"):
        compiled = core.compile_model(
            core.read_model(graph.SerializeToString()),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": HINTS[setting.precision],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        request = compiled.create_infer_request()

    def logits(image: Tensor) -> Tensor:
        found = request.infer([image.numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0])

    return logits
