"""Joint pyramid upsampling: a stride-8 map from the last three levels of an undilated backbone.

Shapes: features [C1, …, C5] -> [C1, …, C4, fused]; the fused map has C3's size and ``len(dilations) * width`` channels.

**Source**: Wu et al., FastFCN: Rethinking Dilated Convolution in the Backbone for Semantic Segmentation, 2019,
section 3.3; branch structure and concatenation order of the released version 1.0.0.

**Departures**:
- The depthwise normalisation is synchronised along with all others where a trainer does so; the release leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.layers import Resize, WiringError, conv_norm_relu, need_levels, own_draws
from bench.parts import ChoiceError, Count, Level, Levels


class JPU(nn.Module):
    """Features -> the same list with the last map replaced by the fused one, at the stride of the third from the end.

    Args:
        levels: the backbone's pyramid; the last three levels are read.
        width: channels of each lateral and of each dilated branch.
        dilations: of the parallel separable convolutions.
        frozen: keep the random initial weights: a control for what the upsampling structure does without training.
            The normalisation statistics still follow the data.

    Raises:
        ChoiceError: for no dilations.
        WiringError: for fewer than three levels, or three that leave nothing to upsample.
    """

    zero_gradient: ClassVar[dict[str, str]] = {
        "depthwise_norm.bias": "a shift ahead of a convolution without bias is removed by the normalisation behind it",
    }

    def __init__(
        self,
        levels: Levels,
        *,
        width: Count = 512,
        dilations: tuple[Count, ...] = (1, 2, 4, 8),
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if not dilations:
            raise ChoiceError("JPU(dilations=()): expected at least one dilation, such as (1, 2, 4, 8)")
        _check_levels(self, levels)
        self.resize = Resize()
        self.laterals = nn.ModuleList(conv_norm_relu(level.channels, width, 3) for level in levels[-3:])
        self.branches = nn.ModuleList()
        for index, dilation in enumerate(dilations):
            with own_draws(f"branch {index}"):
                self.branches.append(SeparableConv(3 * width, width, dilation))
        self.out_levels: Levels = (*levels[:-1], Level(len(dilations) * width, levels[-3].stride))
        if frozen:
            self.requires_grad_(False)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        shallow, middle, deep = (lateral(x) for lateral, x in zip(self.laterals, features[-3:], strict=True))
        size = shallow.shape[-2:]
        # Deep to shallow is the order of the release, which a converted checkpoint relies on.
        joint = torch.cat([self.resize(deep, size), self.resize(middle, size), shallow], dim=1)
        fused = torch.cat([branch(joint) for branch in self.branches], dim=1)
        return [*features[:-1], fused]


class SeparableConv(nn.Module):
    """Dilated depthwise 3x3 with normalisation but no activation, then 1x1, normalisation, ReLU; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, padding=dilation, dilation=dilation, groups=in_channels, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(in_channels)
        self.pointwise = conv_norm_relu(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise_norm(self.depthwise(x)))
        return out


def _check_levels(owner: nn.Module, levels: Levels) -> None:
    need_levels(owner, levels, 3, "take a backbone with more stages")
    strides = tuple(level.stride for level in levels[-3:])
    if not strides[0] <= strides[1] <= strides[2] or strides[0] == strides[2]:
        raise WiringError(
            f"JPU upsamples to the third level from the end, so the last three must become coarser, as in strides 8, "
            f"16, 32; got strides {', '.join(map(str, strides))}; take a backbone with output_stride=32, or neck=None"
        )
