"""A plain vision transformer whose one map becomes a pyramid, so that every neck and head can read it.

Shapes: image ``N 3 H W`` -> [C2, C3, C4, C5] at strides 4, 8, 16 and 32, or some of them, each with ``width`` channels.

**Source**: Li, Mao, Girshick and He, Exploring Plain Vision Transformer Backbones for Object Detection (ViTDet), 2022,
section 3: the last map of the transformer, at stride 16, is upsampled by transposed convolutions, kept, or pooled; on
each scale a 1x1 and a 3x3 convolution follow, with a layer normalisation after each.

**Departures**:
- The transformer attends over the whole image in every block, as it was pretrained; ViTDet restricts most blocks to
  windows to save memory at 1024 pixels.
- The pyramid ends at stride 32; detection also reads stride 64.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.parts import ChoiceError, Count, Level, Levels, Part

Stride = Literal[4, 8, 16, 32]


class SimplePyramid(nn.Module):
    """A plain vision transformer with a simple feature pyramid: image ``N 3 H W`` -> a map at each of ``strides``.

    Args:
        transformer: a backbone whose last map has stride 16, such as a vision transformer of
            :class:`~bench.network.Timm`; of several maps, none may have another stride.
        width: the channels of each level of the pyramid.
        strides: the strides of the levels, ascending. A level that no neck and no head reads would never be trained.

    Raises:
        ChoiceError: if the transformer has maps of several strides, or of another one than 16, or if ``strides`` are
            out of order.
    """

    def __init__(
        self, *, transformer: Part[Any], width: Count = 256, strides: tuple[Stride, ...] = (4, 8, 16, 32)
    ) -> None:
        super().__init__()
        if not strides or list(strides) != sorted(set(strides)):
            raise ChoiceError(f"SimplePyramid(strides={strides}): expected strides in ascending order, each once")
        self.inner = transformer.build()
        own_strides = sorted({level.stride for level in self.inner.out_levels})
        if len(own_strides) > 1:
            raise ChoiceError(f"SimplePyramid: {transformer!r} has a pyramid of its own; choose it as the backbone")
        if own_strides != [16]:
            raise ChoiceError(
                f"SimplePyramid: a pyramid is built from a map at stride 16, but that of {transformer!r} has stride "
                f"{own_strides[0]}; Timm has patch_px=16 for that"
            )
        channels = self.inner.out_levels[-1].channels
        self.scales = nn.ModuleList(_scale(stride, channels, width) for stride in strides)
        self.out_levels: Levels = tuple(Level(width, stride) for stride in strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        sizes = [level.size(*image.shape[-2:]) for level in self.out_levels]
        last = self.inner(image)[-1]
        maps = [scale(last) for scale in self.scales]
        return [x[..., :rows, :columns] for x, (rows, columns) in zip(maps, sizes, strict=True)]


def _scale(stride: int, channels: int, width: int) -> nn.Sequential:
    """The layers from the map at stride 16 with ``channels`` to the level at ``stride`` with ``width`` channels."""
    layers: list[nn.Module] = []
    if stride == 4:
        layers = [
            nn.ConvTranspose2d(channels, channels // 2, 2, stride=2),
            ChannelNorm(channels // 2),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 2, channels // 4, 2, stride=2),
        ]
    elif stride == 8:
        layers = [nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)]
    elif stride == 32:
        layers = [nn.MaxPool2d(2, ceil_mode=True)]
    entering = channels * stride // 16 if stride < 16 else channels
    return nn.Sequential(
        *layers,
        nn.Conv2d(entering, width, 1, bias=False),
        ChannelNorm(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        ChannelNorm(width),
    )


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of a map ``N C H W``, at each place by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        turned = nn.functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.weight, self.bias, eps=1e-6)
        return turned.permute(0, 3, 1, 2)
