"""A backbone from timm, which can be any of its networks that returns features.

Shapes: image ``N 3 H W`` -> the levels of the network, most often C1 … C5 or C2 … C5, each ``N C h w``.

**Source**: Wightman, PyTorch Image Models, ``create_model(…, features_only=True)``.

**Departures**:
- Layers and initial weights are timm's, so only networks of this class share initial tensors with each other.
- Pretrained weights are timm's, chosen by the tag in the name (``resnet50.a1_in1k``), and have no checksum here.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.parts import BenchError, ChoiceError, Level, Levels


class Timm(nn.Module):
    """A network of timm: image ``N 3 H W`` -> features from shallow to deep.

    Args:
        name: the name of the network in timm's list, with or without the tag of its weights.
        output_stride: the stride of the last level; below 32, timm must be able to dilate the network.
        pretrained: ``True`` to fetch the weights that the tag names. They are not fetched on the meta device.

    Raises:
        BenchError: if timm is not installed.
        ChoiceError: if timm does not have the network, or not with these choices.
    """

    def __init__(self, *, name: str, output_stride: Literal[8, 16, 32] = 32, pretrained: bool = False) -> None:
        super().__init__()
        dilated = {"output_stride": output_stride} if output_stride < 32 else {}
        with_weights = pretrained and torch.get_default_device().type != "meta"
        try:
            self.network: Any = _timm().create_model(name, features_only=True, pretrained=with_weights, **dilated)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise ChoiceError(
                f"Timm(name={name!r}, output_stride={output_stride}): {error}; choose a network that "
                "timm.list_models() names and that gives features, or output_stride=32"
            ) from error
        info = self.network.feature_info
        self.channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        self.out_levels: Levels = tuple(map(Level, info.channels(), info.reduction()))

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.network(image)
        return [x.permute(0, 3, 1, 2) for x in features] if self.channels_last else list(features)


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise BenchError(
            "the backbone Timm needs timm, which is not installed: pip install 'segbench[timm]'"
        ) from error
