"""ResNet-18/34/50/101/152, which can keep resolution by dilation, with all levels C1 … C5 as outputs.

Shapes: the image is ``N 3 H W``; a level at stride ``s`` is ``N C ceil(H/s) ceil(W/s)``.

**Source**: He et al., Deep Residual Learning for Image Recognition, 2016, table 1. Dilation and deep stem as in
PyTorch-Encoding, on which DANet and FastFCN are built: the first block of a dilated stage has half its dilation
("contracted"), and multi-grid gives the absolute dilations of the last stage's blocks (4, 8, 16 in DANet).
mmsegmentation's FastFCN is ``dilations=(1, 1, 2, 4)`` at output stride 32, its ResNet-V1c a deep stem with
``stem_widths=(32, 32, 64)``, and its ResNet-18 and 34 have ``basic_dilation='first'``.

**Departures**:
- No classifier.
- In basic blocks the first convolution is contracted and the second is not; multi-grid sets both. mmsegmentation never
  dilates the second (``basic_dilation='first'``).
- Multi-grid needs one dilation for each block; PyTorch-Encoding repeats a short list.
- Initial weights are drawn; the releases start from ImageNet weights, which the choice ``weights`` loads.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from torch import Tensor, nn

from bench.network.backbones.pretrained import load_weights
from bench.network.checkpoints.verified import check_weights_choice
from bench.network.layers import draw_by_name
from bench.parts import ChoiceError, Count, Level, Levels, Range

Dilation = Annotated[int, Range(ge=1)]

STAGE_NAMES = ("layer1", "layer2", "layer3", "layer4")

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth -> number of blocks in each stage (He et al., table 1)."""

STAGES = {
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    32: ((1, 1), (2, 1), (2, 1), (2, 1)),
}
"""Output stride -> default (stride, dilation) of each stage."""

Stride = Literal[1, 2]
Stages = tuple[tuple[int, int], ...]

MMSEGMENTATION_STEM = {f"stem.{index}": f"conv1.{index}" for index in (0, 1, 3, 4, 6)} | {"stem.7": "bn1"}
"""Name of a module of a deep stem in mmsegmentation -> its name here. Torchvision, PyTorch-Encoding and timm use the
names that are used here."""


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
    """A 1x1, a 3x3 (with the stride) and a 1x1 convolution and a shortcut.

    Shapes: ``N I H W`` -> ``N 4*width H/stride W/stride``.
    """

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
    """ResNet: image ``N 3 H W`` -> [C1, …, C5]; C1 is the output of the stem before pooling.

    Initial weights are drawn by the tensor's name, so tensors that two configurations share (with another depth, stem
    or output stride) are bit-identical under the same seed.

    Args:
        depth: the number of layers; 18 and 34 have basic blocks, the others bottlenecks.
        stem: ``plain`` for one 7x7 convolution, ``deep`` for three 3x3 convolutions.
        output_stride: the stride of C5: 32 is undilated, 16 dilates the last stage, 8 the last two.
        multi_grid: the absolute dilations of the last stage's blocks; ``()`` uses the stage's own dilation for all.
        width: the channels of the plain stem; 64 is the published network.
        stem_widths: the channels of the deep stem's convolutions; ``None`` for PyTorch-Encoding's width, width and
            2 x width.
        strides: the strides of the four stages, in place of the default ones; they must lead to ``output_stride``.
        dilations: the dilations of the four stages, in place of the default ones of ``output_stride``.
        contracted: ``True`` if the first block of a dilated stage has half its dilation, ``False`` for all of it.
        basic_dilation: the convolutions of a dilated basic block that are dilated: ``both``, as in PyTorch-Encoding, or
            the ``first`` alone, as in mmsegmentation.
        weights: the path or URL of a state dict to start from, with the names of torchvision, PyTorch-Encoding, timm or
            mmsegmentation; a classifier ``fc`` in it is dropped. ``None`` keeps the random initial weights.
        weights_sha256: the checksum of that file.

    Attributes:
        loaded: the result of loading the weights; ``None`` without weights, and on the meta device.

    Raises:
        ChoiceError: if strides, multi-grid, widths of the stem or weights contradict other choices.
        StateFileError: if the weights cannot be fetched or do not fit.
    """

    def __init__(
        self,
        *,
        depth: Literal[18, 34, 50, 101, 152] = 50,
        stem: Literal["plain", "deep"] = "plain",
        output_stride: Literal[8, 16, 32] = 32,
        multi_grid: tuple[Dilation, ...] = (),
        width: Count = 64,
        stem_widths: tuple[Count, Count, Count] | None = None,
        strides: tuple[Stride, Stride, Stride, Stride] | None = None,
        dilations: tuple[Dilation, Dilation, Dilation, Dilation] | None = None,
        contracted: bool = True,
        basic_dilation: Literal["both", "first"] = "both",
        weights: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        super().__init__()
        check_weights_choice("ResNet", weights, weights_sha256)
        stages = _stages(output_stride, strides, dilations)
        _check_multi_grid(multi_grid, depth, stages[-1][1])
        if basic_dilation == "first":
            _check_basic_dilation(depth, stages)
        if stem == "plain" and stem_widths is not None:
            raise ChoiceError(f"ResNet(stem='plain', stem_widths={stem_widths}): give stem='deep', or no stem_widths")
        widths = (width, width, 2 * width) if stem_widths is None else stem_widths
        channels = width if stem == "plain" else widths[-1]
        self.conv1 = _plain_stem(width) if stem == "plain" else _deep_stem(widths)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        levels, total_stride = [Level(channels, 2)], 4
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock if depth < 50 else Bottleneck
        for index, (name, count, (stride, dilation)) in enumerate(zip(STAGE_NAMES, BLOCKS[depth], stages, strict=True)):
            first = max(1, dilation // 2) if contracted else dilation
            pairs = [(first, dilation)] + [(dilation, dilation)] * (count - 1)
            if multi_grid and index == 3:
                pairs = [(dilation, dilation) for dilation in multi_grid]
            if basic_dilation == "first":
                pairs = [(dilated, 1) for dilated, _ in pairs]
            self.add_module(name, _stage(block, channels, width << index, stride, pairs))
            channels = (width << index) * block.expansion
            total_stride *= stride
            levels.append(Level(channels, total_stride))
        self.out_levels: Levels = tuple(levels)
        draw_by_name(self)
        self.loaded = None
        if weights is not None and weights_sha256 is not None:
            self.loaded = load_weights(self, weights, weights_sha256, names=MMSEGMENTATION_STEM)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.relu(self.bn1(self.conv1(image)))]
        x = self.maxpool(features[0])
        for name in STAGE_NAMES:
            x = self.get_submodule(name)(x)
            features.append(x)
        return features


def _stages(output_stride: int, strides: tuple[int, ...] | None, dilations: tuple[int, ...] | None) -> Stages:
    """The (stride, dilation) of each stage."""
    default = STAGES[output_stride]
    if strides is not None:
        if dilations is None:
            raise ChoiceError(f"ResNet(strides={strides}): give the dilations of the four stages too")
        if 4 * math.prod(strides) != output_stride:
            raise ChoiceError(
                f"ResNet(strides={strides}, output_stride={output_stride}): behind the stem's 4 these strides lead to "
                f"{4 * math.prod(strides)}; give strides and output_stride that agree"
            )
    return tuple(zip(strides or [s for s, _ in default], dilations or [d for _, d in default], strict=True))


def _check_multi_grid(multi_grid: tuple[int, ...], depth: int, dilation: int) -> None:
    blocks = BLOCKS[depth][3]
    if multi_grid and dilation == 1:
        raise ChoiceError(
            f"ResNet(multi_grid={multi_grid}): multi-grid sets the dilations of the last stage, which here has none, "
            "as at output stride 32; take output_stride=8 or 16, or multi_grid=()"
        )
    if multi_grid and len(multi_grid) != blocks:
        raise ChoiceError(
            f"ResNet(multi_grid={multi_grid}, depth={depth}): expected one dilation for each of the {blocks} blocks of "
            f"the last stage, got {len(multi_grid)}; give {blocks} dilations, or multi_grid=()"
        )


def _check_basic_dilation(depth: int, stages: Stages) -> None:
    if depth >= 50 or all(dilation == 1 for _, dilation in stages):
        why = f"depth={depth} has bottlenecks" if depth >= 50 else "no stage here is dilated"
        raise ChoiceError(
            f"ResNet(basic_dilation='first'): it is about dilated basic blocks, but {why}; take depth=18 or 34 with "
            "output_stride=8 or 16, or basic_dilation='both'"
        )


def _plain_stem(width: int) -> nn.Module:
    return nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)


def _deep_stem(widths: tuple[int, ...]) -> nn.Module:
    """Three 3x3 convolutions in place of the 7x7; the normalisation after the third is the stem's own."""
    first, second, third = widths
    return nn.Sequential(
        _conv3x3(3, first, 2, 1),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        _conv3x3(first, second, 1, 1),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        _conv3x3(second, third, 1, 1),
    )


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    stride: int,
    dilations: list[tuple[int, int]],
) -> nn.Sequential:
    blocks = [block(in_channels, width, stride, dilations[0])]
    blocks += [block(width * block.expansion, width, 1, dilation) for dilation in dilations[1:]]
    return nn.Sequential(*blocks)


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The projection of a shortcut if the shape changes, else ``None``."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )
