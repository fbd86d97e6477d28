"""Bilinear upsampling of the last map: what a neck is worth beyond the size of its output.

Shapes: features [C1, …, C5] -> [C1, …, C4, C5 at C3's size]; channels stay.

**Source**: the plainest row in FastFCN's comparison of upsampling methods (Wu et al., 2019, section 4); it has no
parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.network.layers import Resize, need_coarser_levels
from bench.parts import Level, Levels


class Bilinear(nn.Module):
    """Features -> the same list with the last map resized to the third from the end.

    Args:
        levels: the backbone's pyramid.

    Raises:
        WiringError: for fewer than three levels, or three that leave nothing to upsample.
    """

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        need_coarser_levels(self, levels)
        self.resize = Resize()
        self.out_levels: Levels = (*levels[:-1], Level(levels[-1].channels, levels[-3].stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [*features[:-1], self.resize(features[-1], features[-3].shape[-2:])]
