"""Gated shape stream: boundaries from shallow features, gated by deep ones, at image resolution.

Shapes: image ``N 3 H W`` and features [C1, …, C5] -> boundary logits ``N 1 H W`` and the map for the head ``N 1 h w``,
whose size is that of the image divided by ``stride``.

**Source**: Takikawa et al., Gated-SCNN: Gated Shape CNNs for Semantic Segmentation, 2019, section 3. For a ResNet, C1
starts the stream and C3, C4, C5 gate it, as in PaddleSeg's port; with the paper's WiderResNet these are mod1, mod3,
mod4 and mod7. Written from the paper and a description; no code of the release is used.

**Departures**:
- Image gradients are Sobel magnitudes by default. ``canny`` gives the paper's Canny edges, 0 or 1, of the true image.
  ``released`` gives those of the release, which treats the normalised image as bytes, and has values of 0 or 255. All
  are computed on the device; the release computes them on the host.
- A 1x1 convolution projects C1 to the first width if they differ (deep stem); at 64 channels there is none.
- A ``stride`` above 1 computes the whole stream at a smaller size; the paper has 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.network.layers import Resize, joined, need_levels, own_draws
from bench.network.shape_streams.canny import canny, wrapped_bytes
from bench.parts import Count, Level, Levels

LUMINANCE = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in the luminance (ITU-R BT.601)."""

IMAGE_MEAN = (0.485, 0.456, 0.406)
"""The mean that is subtracted from images of 0 … 1 to normalise them (ImageNet)."""

IMAGE_STD = (0.229, 0.224, 0.225)
"""The standard deviation by which they are then divided."""

Gates = Literal["on", "open"]
ImageGradient = Literal["sobel", "canny", "released", "none"]


class GatedShapeStream(nn.Module):
    """The shape stream: image and features -> boundary logits at image size, and the fused edge map for the head.

    Args:
        levels: the backbone's pyramid C1 … C5. C1 starts the stream; C3, C4 and C5 gate it, and C2 is not read.
        gates: with ``on``, each gate's alpha is computed from stream and backbone. With ``open``, alpha is 1
            everywhere, the limit of its sigmoid, so all features pass doubled; no deep level reaches the stream then,
            and the convolutions that would compute the gates are not built. For no stream at all, leave the slot empty.
        image_gradient: the map that is fused with the boundary probabilities for the head: Sobel magnitude, Canny edges
            (``canny``, ``released``), or none.
        widths: the channels of the three residual blocks, and those after the last of the three projections.
        stride: the stride of the stream's own resolution.

    Raises:
        WiringError: if there are fewer than five levels.
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
        self.steps = nn.ModuleList(StreamStep(width, narrow) for width, narrow in pairwise(widths))
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
        return self.resize(logits, image.shape[-2:]), torch.sigmoid(self.fuse(joined(edges, image)))


def _image_gradient(name: ImageGradient) -> nn.Module | None:
    if name == "none":
        return None
    return SobelMagnitude() if name == "sobel" else CannyEdges(released=name == "released")


class StreamStep(nn.Module):
    """A step of the stream: a residual block, a projection and a gated convolution.

    Shapes: ``N width h w`` -> ``N narrow h w``. Without a ``gate``, the step is open.
    """

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
    """A gate, which computes alpha between 0 and 1: stream ``N C h w`` and a deep level -> ``N 1 h w``."""

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
        mixed = F.relu(self.mix(self.norm(joined([x, side], x))))
        alpha: Tensor = self.score_norm(self.score(mixed)).sigmoid()
        return alpha


class ResidualBlock(nn.Module):
    """A residual block that keeps the shape.

    Its output is the ReLU of the input plus a branch of 3x3, normalisation, ReLU, 3x3 and normalisation.
    """

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
    """The gradient magnitude of the luminance, between 0 and 1: normalised image ``N 3 H W`` -> ``N 1 H W``.

    A step from black to white at a straight edge has magnitude 1. The frame is no edge. No gradient flows to the image.
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
        return magnitude.to(image.dtype)


class CannyEdges(nn.Module):
    """Canny edges with Gated-SCNN's thresholds: normalised image ``N 3 H W`` -> ``N 1 H W``. No gradient flows back.

    Args:
        released: ``True`` to treat the normalised numbers, truncated and wrapped, as the image's bytes, with 255 for an
            edge, as Gated-SCNN's code does; ``False`` for the bytes before normalisation, with 1 for an edge.
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
