"""Feature pyramid network over the last three levels, fused at stride 8.

Shapes: features [C1, …, C5] -> [C1, …, C4, fused]; the fused map has C3's size and ``3 * width`` or ``width`` channels.

**Source**: Lin et al., Feature Pyramid Networks for Object Detection, 2017, section 3: 1x1 laterals, a top-down sum and
a 3x3 convolution on each level, with bias, without normalisation or activation.

**Departures**:
- Detection reads each level separately, but a decode head reads one map, so the levels are fused. By default they are
  concatenated at C3's size, as in JPU and UPerNet (Xiao et al., 2018), so that the head gets all of them; ``finest`` is
  P3 alone, into which the top-down path has already summed the others.
- The top-down path resizes bilinearly, like the whole network; the paper uses the nearest neighbour.
- The pyramid has three levels, from C3 on, like that of JPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from bench.network.layers import Resize, joined, need_coarser_levels, own_draws, summed
from bench.parts import Count, Level, Levels


class FPN(nn.Module):
    """FPN: features -> the same list with the last map replaced by the fused one, at the third-last level's stride.

    Args:
        levels: the backbone's pyramid; the last three levels are read.
        width: the channels of each level.
        fusion: ``concat`` to concatenate all levels, ``sum`` to add them, ``finest`` for the finest one alone.

    Raises:
        WiringError: if there are fewer than three levels, or if the last three leave nothing to upsample.
    """

    def __init__(
        self, levels: Levels, *, width: Count = 256, fusion: Literal["concat", "sum", "finest"] = "concat"
    ) -> None:
        super().__init__()
        need_coarser_levels(self, levels)
        self.fusion = fusion
        self.resize = Resize()
        self.top_down = TopDown(
            [level.channels for level in levels[-3:]], width, smoothed=1 if fusion == "finest" else 3
        )
        self.out_levels: Levels = (*levels[:-1], Level(3 * width if fusion == "concat" else width, levels[-3].stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = self.top_down(features[-3:])
        size = maps[0].shape[-2:]
        maps = [self.resize(x, size) for x in maps]
        return [*features[:-1], joined(maps, maps[0]) if self.fusion == "concat" else summed(maps)]


class TopDown(nn.Module):
    """The top-down path: maps from fine to coarse -> the finest ``smoothed`` levels, each of ``width`` channels."""

    def __init__(self, channels: Sequence[int], width: int, *, smoothed: int) -> None:
        super().__init__()
        self.resize = Resize()
        self.laterals = nn.ModuleList(nn.Conv2d(in_channels, width, 1) for in_channels in channels)
        self.smooth = nn.ModuleList()
        for index in range(smoothed):
            with own_draws(f"smooth {index}"):
                self.smooth.append(nn.Conv2d(width, width, 3, padding=1))
        for conv in (*self.laterals, *self.smooth):
            nn.init.zeros_(conv.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        sums = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for index in reversed(range(len(sums) - 1)):
            sums[index] = sums[index] + self.resize(sums[index + 1], sums[index].shape[-2:])
        return [smooth(x) for smooth, x in zip(self.smooth, sums, strict=False)]
