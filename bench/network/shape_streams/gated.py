"""Gated shape stream: boundaries from shallow features, gated by deep ones, at image resolution.

Shapes: image ``N 3 H W`` and features [C1, …, C5] -> boundary logits ``N 1 H W`` and the map for the head ``N 1 h w``,
of the image's size divided by ``stride``.

**Source**: Takikawa et al., Gated-SCNN: Gated Shape CNNs for Semantic Segmentation, 2019, section 3. For a ResNet, C1
starts the stream and C3, C4, C5 gate it, as in PaddleSeg's port; with the paper's WiderResNet these are mod1, mod3,
mod4 and mod7. Written from the paper and a description; no code of the release is used.

**Departures**:
- Image gradients are Sobel magnitudes by default. ``canny`` has the paper's Canny edges, 0 or 1, of the true image;
  ``released`` those of the release, which takes the normalised image for bytes and gives 0 or 255. All are computed
  on the device, the release's on the host.
- A 1x1 convolution brings C1 to the first width where they differ (deep stem); at 64 channels there is none.
- ``stride`` above 1 computes the whole stream at a smaller size; the paper has 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.network.layers import Resize, need_levels, own_draws
from bench.network.shape_streams.canny import canny, wrapped_bytes
from bench.parts import Count, Level, Levels

LUMINANCE = (0.299, 0.587, 0.114)
"""Share of red, green, blue (ITU-R BT.601)."""

IMAGE_MEAN = (0.485, 0.456, 0.406)
"""What was subtracted from images of 0 … 1 to normalise them (ImageNet)."""

IMAGE_STD = (0.229, 0.224, 0.225)
"""What they were divided by then."""

Gates = Literal["on", "open"]
ImageGradient = Literal["sobel", "canny", "released", "none"]


class GatedShapeStream(nn.Module):
    """Image and features -> boundary logits at image size, and the fused edge map for the head.

    Args:
        levels: the backbone's pyramid C1 … C5. C1 starts the stream; C3, C4, C5 gate it, C2 is not read.
        gates: ``on``: each gate's alpha is computed from stream and backbone; ``open``: alpha is 1 everywhere, the
            limit of its sigmoid, so features pass doubled and all alike. No deep level reaches the stream then, and
            the convolutions that would compute the gates are not built. No stream at all is an empty slot.
        image_gradient: what joins the boundary probabilities in the map for the head: Sobel magnitude, Canny edges
            (``canny``, ``released``), or nothing.
        widths: channels of the three residual blocks and after the last of the three projections.
        stride: of the stream's own resolution.

    Raises:
        WiringError: for fewer than five levels.
    """

    zero_gradient: ClassVar[dict[str, str]] = {
        "side.bias": "a shift of the whole side map is removed by the gate's normalisation",
        "score.bias": "a shift of the whole gate is removed by the normalisation behind it",
    }

    def __init__(
        self,
        levels: Levels,
        *,
        gates: Gates = "on",
        image_gradient: ImageGradient = "sobel",
        widths: tuple[Count, Count, Count, Count] = (64, 32, 16, 8),
        stride: Literal[1, 2, 4] = 1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 5, "take a backbone with levels C1 … C5")
        first, _, *deep = levels[-5:]
        self.out_level = Level(1, stride)
        self.resize = Resize()
        self.start: nn.Module = nn.Identity()
        if first.channels != widths[0]:
            with own_draws("start"):
                self.start = nn.Conv2d(first.channels, widths[0], 1)
        self.steps = nn.ModuleList(Step(width, narrow) for width, narrow in pairwise(widths))
        if gates == "on":
            for index, (step, level) in enumerate(zip(self.steps, deep, strict=True)):
                with own_draws(f"gate {index}"):
                    step.gate = Gate(widths[index + 1], level.channels)
        self.boundary = nn.Conv2d(widths[3], 1, 1, bias=False)
        self.image_gradient = _image_gradient(image_gradient)
        with own_draws("fuse"):
            self.fuse = nn.Conv2d(1 if self.image_gradient is None else 2, 1, 1, bias=False)

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        size = self.out_level.size(*image.shape[-2:])
        first, _, *deep = features[-5:]
        x = self.resize(self.start(first), size)
        for step, level in zip(self.steps, deep, strict=True):
            x = step(x, level)
        logits = self.boundary(x)
        edges = [torch.sigmoid(logits)]
        if self.image_gradient is not None:
            edges.append(self.resize(self.image_gradient(image), size))
        return self.resize(logits, image.shape[-2:]), torch.sigmoid(self.fuse(torch.cat(edges, dim=1)))


def _image_gradient(name: ImageGradient) -> nn.Module | None:
    if name == "none":
        return None
    return SobelMagnitude() if name == "sobel" else CannyEdges(released=name == "released")


class Step(nn.Module):
    """Residual block, projection, gated convolution: ``N width h w`` -> ``N narrow h w``; open without a ``gate``."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.residual = ResidualBlock(width)
        self.project = nn.Conv2d(width, narrow, 1)
        self.gate: Gate | None = None
        self.out = nn.Conv2d(narrow, narrow, 1, bias=False)
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = self.project(self.residual(x))
        out: Tensor = self.out(2 * x if self.gate is None else x * (1 + self.gate(x, level)))
        return out


class Gate(nn.Module):
    """Alpha between 0 and 1 from stream and backbone: ``N C h w`` and a deep level -> ``N 1 h w``."""

    def __init__(self, channels: int, level_channels: int) -> None:
        super().__init__()
        self.resize = Resize()
        self.side = nn.Conv2d(level_channels, 1, 1)
        self.norm = nn.BatchNorm2d(channels + 1)
        self.mix = nn.Conv2d(channels + 1, channels + 1, 1)
        self.score = nn.Conv2d(channels + 1, 1, 1)
        self.score_norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        side = self.resize(self.side(level), x.shape[-2:])
        mixed = F.relu(self.mix(self.norm(torch.cat([x, side], dim=1))))
        alpha: Tensor = self.score_norm(self.score(mixed)).sigmoid()
        return alpha


class ResidualBlock(nn.Module):
    """ReLU of the input plus 3x3, normalisation, ReLU, 3x3, normalisation; keeps the shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return out


class SobelMagnitude(nn.Module):
    """Gradient magnitude of the luminance between 0 and 1: normalised image ``N 3 H W`` -> ``N 1 H W``.

    A step from black to white across a straight edge is 1. The frame is no edge. No gradient flows to the image.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
        share = torch.tensor(LUMINANCE) * torch.tensor(IMAGE_STD)
        kernel = torch.stack([across, across.T]).unsqueeze(1) * share.view(1, 3, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        padded = F.pad(image.detach(), (1, 1, 1, 1), mode="replicate")
        magnitude: Tensor = torch.linalg.vector_norm(F.conv2d(padded, self.kernel), dim=1, keepdim=True)
        return magnitude


class CannyEdges(nn.Module):
    """Canny edges with Gated-SCNN's thresholds: normalised image ``N 3 H W`` -> ``N 1 H W``. No gradient flows back.

    Args:
        released: whether to take the normalised numbers, cut off and wrapped, for the image's bytes, and 255 for an
            edge, as Gated-SCNN's code does; else the bytes are those before normalisation, and an edge is 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, released: bool) -> None:
        super().__init__()
        self.released = released
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        if self.released:
            return 255 * canny(wrapped_bytes(image)).to(image.dtype)
        true = ((image.detach() * self.std + self.mean) * 255).round().clamp(0, 255)
        return canny(true.to(torch.int32)).to(image.dtype)
