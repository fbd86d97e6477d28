"""A backbone with a very small receptive field, for the positive control, whose classes need more than that.

Shapes: image ``N 3 H W`` -> [C1, …, C5] at strides 1, 4, 8, 16, 16.

C1 is the image itself, for a shape stream. The other levels are computed from means over blocks of 4×4 pixels, and each
value of C5 depends on one block of 16×16 pixels. Windows never overlap, so no information spreads sideways.

**Source**: none; the network is of no other use.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.network.layers import own_draws
from bench.parts import Count, Level, Levels

STRIDES = (4, 8, 16, 16)
"""The strides of C2 … C5."""


class ShallowBackbone(nn.Module):
    """The shallow backbone: image ``N 3 H W`` -> [C1, …, C5].

    Args:
        width: the channels of C2; C3, C4 and C5 have twice as many.
        draw: the number of the initial draw. All draws have the same distribution, so this choice can only matter by
            chance and serves as a null factor.
    """

    def __init__(self, *, width: Count = 16, draw: Count = 1) -> None:
        super().__init__()
        self.means = nn.AvgPool2d(STRIDES[0])
        channels, stride = 3, STRIDES[0]
        levels = [Level(3, 1)]
        self.stages = nn.ModuleList()
        for index, target in enumerate(STRIDES):
            wide = width if index == 0 else 2 * width
            with own_draws(f"draw {draw} stage {index}"):
                self.stages.append(_stage(channels, wide, target // stride))
            channels, stride = wide, target
            levels.append(Level(channels, stride))
        self.out_levels: Levels = tuple(levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features, x = [image], self.means(image)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _stage(channels: int, width: int, stride: int) -> nn.Module:
    """A convolution over windows that do not overlap, with normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, stride, stride=stride, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )
