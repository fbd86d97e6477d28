"""A forward that a compiler or another runtime computes, as a call that can be timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.measure.timing.runtimes import aot_inductor, max_autotune, onnxruntime, openvino, tensorrt
from bench.measure.timing.runtimes.runtime import Logits, compiled_throughout, preparing
from bench.protocol.setting import Setting


class Prepared:
    """A call that returns the logits ``N K H W`` of one batch, which hold until the next call.

    Args:
        make: makes the call.
        image: the image ``N 3 H W`` that it computes.
        device: the device on which it runs.

    Attributes:
        prepared_s: seconds until the first logits were there: of export, compilation and one call.

    Raises:
        PreparationError: for a network that a compiler or a runtime cannot prepare.
    """

    def __init__(self, make: Callable[[], Callable[[], Tensor]], image: Tensor, device: torch.device) -> None:
        self.image = image
        start = time.perf_counter()
        self.call = make()
        with preparing("the first call"), compiled_throughout():
            self.call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.prepared_s = time.perf_counter() - start

    def __call__(self) -> Tensor:
        return self.call()


def logits_by(
    network: nn.Module, image: Tensor, setting: Setting, device: torch.device, calibration: Sequence[Tensor]
) -> Logits:
    """The network as the setting's mode computes it.

    Args:
        network: image ``N 3 H W`` -> logits ``N K H W``, in evaluation mode, on its device and in the setting's memory
            format. It is used up: its weights may have another type afterwards.
        image: an image of the size that is asked for.
        setting: the conditions, which the device has; its mode is none of eager torch.
        device: the device.
        calibration: the batches ``N 3 H W`` that ``int8_static`` takes the ranges of feature maps from.

    Raises:
        PreparationError: for a network that the mode cannot prepare.
    """
    if setting.mode == "aot_inductor":
        return aot_inductor.prepare(network, image)
    if setting.mode == "onnxruntime":
        return onnxruntime.prepare(network, image, setting, device, calibration)
    if setting.mode == "openvino":
        return openvino.prepare(network, image, setting, calibration)
    if setting.mode == "tensorrt":
        return tensorrt.prepare(network, image, setting)
    return max_autotune.prepare(network, setting, device)
