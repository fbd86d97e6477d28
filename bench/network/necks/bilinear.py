"""Bilinear upsampling of the last map: a control that gives a neck's output size without anything else of a neck.

Shapes: features [C1, …, C5] -> [C1, …, C4, C5 at C3's size]; the channels stay the same.

**Source**: the plainest row in FastFCN's comparison of upsampling methods (Wu et al., 2019, section 4); it has no
parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.network.layers import Resize, need_coarser_levels
from bench.parts import Level, Levels


class Bilinear(nn.Module):
    """The control: features -> the same list with the last map resized to the third from the end.

    Args:
        levels: the backbone's pyramid.

    Raises:
        WiringError: if there are fewer than three levels, or if the last three leave nothing to upsample.
    """

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        need_coarser_levels(self, levels)
        self.resize = Resize()
        self.out_levels: Levels = (*levels[:-1], Level(levels[-1].channels, levels[-3].stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [*features[:-1], self.resize(features[-1], features[-3].shape[-2:])]
