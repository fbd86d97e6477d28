"""ONNX Runtime: on a CPU in float32 or 8-bit integers, on a GPU by its CUDA provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes.int8 import quantised
from bench.measure.timing.runtimes.onnx_graph import IMAGE, LOGITS, onnx_graph
from bench.measure.timing.runtimes.runtime import Logits, PreparationError, preparing
from bench.protocol.setting import Setting


def prepare(
    network: nn.Module, image: Tensor, setting: Setting, device: torch.device, calibration: Sequence[Tensor]
) -> Logits:
    """A session on as many threads as torch has.

    Threads stop to spin when a call returns: two networks take turns in one process, and the threads of one must not
    take the CPUs of the other.

    Raises:
        PreparationError: for a network that has no ONNX graph or no session, or if the CUDA provider is not there.
    """
    import onnxruntime as ort

    half = setting.precision == "float16"
    graph = onnx_graph(network.half() if half else network, image.half() if half else image)
    if setting.precision in ("int8_static", "int8_dynamic"):
        graph = quantised(graph, setting, calibration)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    options.add_session_config_entry("session.force_spinning_stop", "1")
    with preparing("ONNX Runtime"):
        if device.type == "cpu":
            session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return lambda image: torch.from_numpy(session.run(None, {IMAGE: image.numpy()})[0])
        provider = (
            "CUDAExecutionProvider",
            {
                "device_id": device.index or 0,
                "use_tf32": int(setting.precision == "tf32"),
                "user_compute_stream": str(torch.cuda.current_stream(device).cuda_stream),
            },
        )
        session = ort.InferenceSession(graph.SerializeToString(), options, providers=[provider])
        if "CUDAExecutionProvider" not in session.get_providers():
            raise PreparationError("ONNX Runtime has no CUDA provider here; pip install onnxruntime-gpu in its place")
    return _on_gpu(session, image, half, device)


def _on_gpu(session: Any, example: Tensor, half: bool, device: torch.device) -> Logits:
    """A call that reads an image from GPU memory and leaves the logits there, one tensor for all calls."""
    kind, element = (torch.float16, np.float16) if half else (torch.float32, np.float32)
    channels = session.get_outputs()[0].shape[1]
    out = torch.empty(example.shape[0], channels, *example.shape[-2:], dtype=kind, device=device)
    place = "cuda", device.index or 0, element
    binding = session.io_binding()

    def logits(image: Tensor) -> Tensor:
        given = image.to(kind).contiguous()
        binding.bind_input(IMAGE, *place, tuple(given.shape), given.data_ptr())
        binding.bind_output(LOGITS, *place, tuple(out.shape), out.data_ptr())
        session.run_with_iobinding(binding)
        return out.float()

    return logits
