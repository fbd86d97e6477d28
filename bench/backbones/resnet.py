"""ResNet-18/34/50/101 that keeps resolution by dilation, with every level C1 … C5 as an output.

Shapes: image ``N 3 H W``; level at stride ``s``: ``N C ceil(H/s) ceil(W/s)``.

**Source**: He et al., Deep Residual Learning for Image Recognition, 2016, table 1. Dilation and deep stem as in
PyTorch-Encoding, on which DANet and FastFCN are built: the first block of a dilated stage has the dilation of the stage
before ("contracted"), and multi-grid gives the absolute dilations of the last stage's blocks (4, 8, 16 in DANet).

**Departures**:
- No classifier.
- In basic blocks the first convolution is contracted and the second is not; multi-grid sets both.
- Multi-grid needs one dilation a block; PyTorch-Encoding repeats a short list.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from torch import Tensor, nn

from bench.layers import own_draws
from bench.parts import ChoiceError, Count, Level, Levels, Range

Dilation = Annotated[int, Range(ge=1)]

STAGE_NAMES = ("layer1", "layer2", "layer3", "layer4")

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks a stage by depth (He et al., table 1)."""

STAGES = {
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    32: ((1, 1), (2, 1), (2, 1), (2, 1)),
}
"""(stride, dilation) of each stage by output stride."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ``N I H W`` -> ``N width H/stride W/stride``."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = _conv3x3(in_channels, width, stride, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, second)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 and a shortcut: ``N I H W`` -> ``N 4*width H/stride W/stride``."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, dilations[0])
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return out


class ResNet(nn.Module):
    """Image ``N 3 H W`` -> [C1, …, C5]; C1 is the stem before pooling.

    Tensors are drawn by name, so those that two configurations share (another depth, stem or output stride) are
    bit-identical under the same seed.

    Args:
        depth: number of layers; 18 and 34 have basic blocks, 50 and 101 bottlenecks.
        stem: one 7x7 convolution (``plain``), or three 3x3 and twice the channels (``deep``).
        output_stride: of C4 and C5 at least: 32 is undilated, 16 dilates the last stage, 8 the last two.
        multi_grid: absolute dilations of the last stage's blocks, one each; ``()`` is the stage's own dilation.
        width: channels of the plain stem; 64 is the published network.

    Raises:
        ChoiceError: for a multi-grid without a dilated last stage or of another length than that stage.
    """

    def __init__(
        self,
        *,
        depth: Literal[18, 34, 50, 101] = 50,
        stem: Literal["plain", "deep"] = "plain",
        output_stride: Literal[8, 16, 32] = 32,
        multi_grid: tuple[Dilation, ...] = (),
        width: Count = 64,
    ) -> None:
        super().__init__()
        _check_multi_grid(multi_grid, depth, output_stride)
        if stem == "plain":
            channels = width
            self.conv1: nn.Module = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        else:
            channels = 2 * width
            self.conv1 = _deep_stem(width)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        levels = [Level(channels, 2)]
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock if depth < 50 else Bottleneck
        total_stride, contracted = 4, 1
        stages = zip(STAGE_NAMES, BLOCKS[depth], STAGES[output_stride], strict=True)
        for index, (name, count, (stride, dilation)) in enumerate(stages):
            dilations = [(contracted, dilation)] + [(dilation, dilation)] * (count - 1)
            if multi_grid and index == 3:
                dilations = [(each, each) for each in multi_grid]
            stage = _stage(block, channels, width << index, stride, dilations)
            self.add_module(name, stage)
            channels, contracted = (width << index) * block.expansion, dilation
            total_stride *= stride
            levels.append(Level(channels, total_stride))
        self.out_levels: Levels = tuple(levels)
        _initialise(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.relu(self.bn1(self.conv1(image)))]
        x = self.maxpool(features[0])
        for name in STAGE_NAMES:
            x = self.get_submodule(name)(x)
            features.append(x)
        return features


def _check_multi_grid(multi_grid: tuple[int, ...], depth: int, output_stride: int) -> None:
    blocks = BLOCKS[depth][3]
    if multi_grid and output_stride == 32:
        raise ChoiceError(
            f"ResNet(multi_grid={multi_grid}, output_stride=32): multi-grid sets the dilations of the last stage, "
            "which at output stride 32 has none; take output_stride=8 or 16, or multi_grid=()"
        )
    if multi_grid and len(multi_grid) != blocks:
        raise ChoiceError(
            f"ResNet(multi_grid={multi_grid}, depth={depth}): expected one dilation for each of the {blocks} blocks of "
            f"the last stage, got {len(multi_grid)}; give {blocks} dilations, or multi_grid=()"
        )


def _deep_stem(width: int) -> nn.Sequential:
    """Three 3x3 convolutions in place of the 7x7; the normalisation after the third is the stem's own."""
    return nn.Sequential(
        _conv3x3(3, width, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv3x3(width, width, 1, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv3x3(width, 2 * width, 1, 1),
    )


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    stride: int,
    dilations: list[tuple[int, int]],
) -> nn.Sequential:
    blocks = [block(in_channels, width, stride, dilations[0])]
    blocks += [block(width * block.expansion, width, 1, each) for each in dilations[1:]]
    return nn.Sequential(*blocks)


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Projection where the shape changes, else ``None``."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _initialise(network: nn.Module) -> None:
    """Normal convolutions, std sqrt(2 / (k * k * out)) as in PyTorch-Encoding; normalisation starts at 1 and 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            with own_draws(name):
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
