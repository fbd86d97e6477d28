"""Path aggregation: a bottom-up path on top of a feature pyramid network, fused at stride 8.

Shapes: features [C1, …, C5] -> [C1, …, C4, fused]; the fused map has C3's size and ``3 * width`` or ``width`` channels.

**Source**: Liu et al., Path Aggregation Network for Instance Segmentation, 2018, section 3.1: N3 = P3; each N, through
a 3x3 convolution with stride 2 and ReLU, is added to the P above it, and another 3x3 with ReLU gives the next N.

**Departures**:
- The paper pools regions from all levels, but a decode head reads one map, so the levels are concatenated at C3's size
  or summed.
- Between levels of the same stride the first convolution has stride 1.
- The underlying pyramid is that of :class:`~bench.network.necks.fpn.FPN`, with its departures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from bench.network.layers import Resize, WiringError, joined, need_coarser_levels, summed
from bench.network.necks.fpn import TopDown
from bench.parts import Count, Level, Levels


class PathAggregation(nn.Module):
    """PANet's neck: features -> the same list with the last map replaced by the fused one, at the third-last's stride.

    Args:
        levels: the backbone's pyramid; the last three levels are read.
        width: the channels of each level.
        fusion: ``concat`` to concatenate all levels, ``sum`` to add them.

    Raises:
        WiringError: if there are fewer than three levels, if the last three leave nothing to upsample, or if a stride
            is more than twice the one before.
    """

    def __init__(self, levels: Levels, *, width: Count = 256, fusion: Literal["concat", "sum"] = "concat") -> None:
        super().__init__()
        need_coarser_levels(self, levels)
        self.fusion = fusion
        self.resize = Resize()
        self.top_down = TopDown([level.channels for level in levels[-3:]], width, smoothed=3)
        self.down = nn.ModuleList()
        self.out = nn.ModuleList()
        for fine, coarse in pairwise(levels[-3:]):
            if coarse.stride not in (fine.stride, 2 * fine.stride):
                raise WiringError(
                    f"PathAggregation halves the size from level to level, or keeps it; got strides {fine.stride} and "
                    f"{coarse.stride}; take a backbone with strides 8, 16, 32"
                )
            self.down.append(nn.Conv2d(width, width, 3, stride=coarse.stride // fine.stride, padding=1))
            self.out.append(nn.Conv2d(width, width, 3, padding=1))
        self.relu = nn.ReLU()
        self.out_levels: Levels = (*levels[:-1], Level(3 * width if fusion == "concat" else width, levels[-3].stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        finest, *coarser = self.top_down(features[-3:])
        maps = [finest]
        for level, down, out in zip(coarser, self.down, self.out, strict=True):
            maps.append(self.relu(out(self.relu(down(maps[-1])) + level)))
        maps = [self.resize(x, finest.shape[-2:]) for x in maps]
        return [*features[:-1], joined(maps, finest) if self.fusion == "concat" else summed(maps)]
