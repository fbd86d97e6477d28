"""OpenVINO on a CPU, in float32 or a half precision that the CPU has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.onnx_graph import onnx_graph
from bench.measure.timing.runtimes.runtime import Logits, PreparationError, preparing
from bench.protocol.setting import Setting

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""Precision -> OpenVINO's name of it. Without one, OpenVINO computes in bfloat16 wherever the CPU has it."""


def prepare(network: nn.Module, image: Tensor, setting: Setting) -> Logits:
    """A compiled model on as many threads as torch has, for one call at a time.

    Raises:
        PreparationError: for a network that OpenVINO cannot compile, or a precision that this CPU does not have.
    """
    import openvino as ov

    core = ov.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hint = HINTS[setting.precision]
    if f"{hint[:-2].upper()}P{hint[-2:]}".replace("BFP16", "BF16") not in able:
        raise PreparationError(f"OpenVINO has no {setting.precision} on this CPU, which is able to {', '.join(able)}")
    graph = onnx_graph(network, image).SerializeToString()
    with preparing("OpenVINO"):
        compiled = core.compile_model(
            core.read_model(graph),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": hint,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        request = compiled.create_infer_request()

    def logits(image: Tensor) -> Tensor:
        found = request.infer([image.numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0])

    return logits
