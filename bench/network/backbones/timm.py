"""Any network of timm that gives features, as a backbone.

Shapes: image ``N 3 H W`` -> the levels that the network has, most often C1 … C5 or C2 … C5: ``N C h w``.

**Source**: Wightman, PyTorch Image Models, ``create_model(…, features_only=True)``.

**Departures**:
- timm's own layers and initial draws: only networks of this class share tensors with each other.
- Weights are timm's, by the tag in the name (``resnet50.a1_in1k``) and without a checksum of ours.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.parts import BenchError, ChoiceError, Level, Levels


class Timm(nn.Module):
    """Image ``N 3 H W`` -> features, shallow to deep.

    Args:
        name: of the network, as timm lists it, with or without the tag of its weights.
        output_stride: of the last level; below 32 the network must be one that timm can dilate.
        pretrained: whether to fetch the weights that the tag names. On the meta device they are left out.

    Raises:
        BenchError: without timm.
        ChoiceError: for a network that timm does not have, or not with these choices.
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
