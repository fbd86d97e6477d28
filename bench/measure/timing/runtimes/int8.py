"""8-bit integers: a network quantised after training, and the images that the ranges of its feature maps come from.

**Source**: ONNX Runtime, ``onnxruntime.quantization``. Weights are signed, each channel with a scale, and feature maps
unsigned. Their ranges are the extremes over the images (``int8_static``), as pairs of QuantizeLinear and
DequantizeLinear, which OpenVINO reads too, or they are found in each forward (``int8_dynamic``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.base import Dataset
from bench.measure.timing.runtimes.onnx_graph import IMAGE
from bench.measure.timing.runtimes.runtime import preparing
from bench.network.layers import resize
from bench.network.normalisation import normalise
from bench.protocol.setting import Setting

CALIBRATION_BATCHES = 8
"""The batches of training images from which the ranges of feature maps are taken."""


def calibration_images(dataset: Dataset, setting: Setting) -> list[Tensor]:
    """Normalised batches ``N 3 H W`` of a setting's size, of the first images of the training split.

    The first batch is the one to time, the :data:`CALIBRATION_BATCHES` others are to calibrate with. A split with fewer
    images begins anew.
    """
    split, size = dataset.split("train"), torch.Size((setting.height, setting.width))

    def image(index: int) -> Tensor:
        return resize(normalise(split[index % len(split)].image[None]), size, False)

    starts = range(0, (CALIBRATION_BATCHES + 1) * setting.batch, setting.batch)
    return [torch.cat([image(start + index) for index in range(setting.batch)]) for start in starts]


def quantised(graph: Any, setting: Setting, images: Sequence[Tensor]) -> Any:
    """The graph in 8-bit integers, as an ``onnx.ModelProto``.

    Args:
        graph: the graph in float32, which is used up.
        setting: its precision is ``int8_static`` or ``int8_dynamic``.
        images: the batches ``N 3 H W`` that the ranges are taken from, for ``int8_static``.

    Raises:
        PreparationError: for a graph that cannot be quantised.
    """
    import onnx
    from onnxruntime import quantization

    with preparing("quantisation"), tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "int8.onnx")
        kinds = {"per_channel": True, "weight_type": quantization.QuantType.QInt8}
        if setting.precision == "int8_dynamic":
            quantization.quantize_dynamic(graph, path, **kinds)
        else:
            reader = _CalibrationReader(images)
            activations = {
                "activation_type": quantization.QuantType.QUInt8,
                "quant_format": quantization.QuantFormat.QDQ,
            }
            quantization.quantize_static(graph, path, reader, **activations, **kinds)
        return onnx.load(path)


class _CalibrationReader:
    """A reader of images as the quantiser asks for it: the next input at each call, then ``None``."""

    def __init__(self, images: Sequence[Tensor]) -> None:
        self.left: Iterator[Tensor] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self.left, None)
        return None if image is None else {IMAGE: image.numpy()}
