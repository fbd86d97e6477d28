"""Atrous spatial pyramid pooling: DeepLabV3, and DeepLabV3+ with the low-level decoder that Gated-SCNN uses.

Shapes: last feature map ``N C h w`` and, for DeepLabV3+, the low-level map C2 ``N L a b``; logits ``N K h w`` of
DeepLabV3, ``N K a b`` of DeepLabV3+; ``K`` classes. A boundary map is a branch of its own.

**Source**: Chen et al., Rethinking Atrous Convolution, 2017, section 3.3, in the form of PyTorch-Encoding that FastFCN
uses; Chen et al., Encoder-Decoder with Atrous Separable Convolution, 2018, section 3.1, and Takikawa et al.,
Gated-SCNN, 2019, section 3.1, written from the papers and a description.

**Departures**:
- The width is a choice of its own; FastFCN takes an eighth of the incoming channels (256 of 2048), mmsegmentation 512.
- As in Gated-SCNN, DeepLabV3+ has plain convolutions, no normalisation or ReLU after either projection, no dropout and
  a classifier without bias.
- With a boundary map what joins the branches has more inputs, so its initial weights are not those that it has without.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.network.layers import Resize, WiringError, conv_norm_relu, need_levels, own_draws
from bench.parts import Count, Fraction, Level, Levels


class DeepLabV3Head(nn.Module):
    """Features -> logits of the last map's size, no side outputs.

    A single image cannot be trained on: the normalisation of the map pooled to 1x1 needs two.

    Args:
        levels: what the head is given; the last level is read, at whatever stride.
        num_classes: K.
        boundary: level of the boundary map, if there is one; it becomes one more branch.
        width: channels of each branch, of their projection and ahead of the classifier.
        rates: dilations of the 3x3 branches; 12, 24, 36 at output stride 8, half of that at 16.
        projection: whether a 1x1 convolution joins the branches ahead of the 3x3, as in FastFCN; in mmsegmentation the
            3x3 joins them itself.
        pyramid_dropout: share of the projection's channels dropped in training.
        dropout: share of channels dropped in training ahead of the classifier.
    """

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        width: Count = 256,
        rates: tuple[Count, ...] = (12, 24, 36),
        projection: bool = True,
        pyramid_dropout: Fraction = 0.5,
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 1, "place it behind a backbone or a neck")
        self.aspp = ASPP(levels[-1].channels, width, rates, boundary)
        self.project: nn.Module = nn.Identity()
        self.pyramid_dropout = nn.Dropout2d(pyramid_dropout if projection else 0.0)
        if projection:
            with own_draws("project"):
                self.project = conv_norm_relu(self.aspp.out_channels, width, 1)
        with own_draws("entry"):
            self.entry = conv_norm_relu(width if projection else self.aspp.out_channels, width, 3)
        self.dropout = nn.Dropout2d(dropout)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.pyramid_dropout(self.context(features[-1], boundary))
        return self.classifier(self.dropout(self.entry(x))), {}

    def context(self, x: Tensor, boundary: Tensor | None = None) -> Tensor:
        """All branches in one map: ``N C h w`` -> ``N width h w``, or side by side without a projection."""
        image, *others = self.aspp(x, boundary)
        # The image comes last in FastFCN, which a converted checkpoint relies on.
        projected: Tensor = self.project(torch.cat([*others, image], dim=1))
        return projected


class DeepLabV3PlusHead(nn.Module):
    """Features -> logits of C2's size, no side outputs; C2 is the fourth map from the end.

    A single image cannot be trained on: the normalisation of the map pooled to 1x1 needs two.

    Args:
        levels: what the head is given; the last one and C2 are read. C2 is the release's ``mod2`` (stride 2) in a
            WiderResNet, ``layer1`` (stride 4) in a ResNet.
        num_classes: K.
        boundary: level of the boundary map, if there is one; it becomes one more branch.
        width: channels of each branch, of their projection and ahead of the classifier.
        rates: dilations of the 3x3 branches; 12, 24, 36 at output stride 8, half of that at 16.
        low_width: channels that the low-level map is brought to.

    Raises:
        WiringError: for fewer than four levels, or a low-level map that is coarser than the last one.
    """

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        width: Count = 256,
        rates: tuple[Count, ...] = (12, 24, 36),
        low_width: Count = 48,
    ) -> None:
        super().__init__()
        need_levels(
            self, levels, 4, "take a backbone with levels C1 … C5, or DeepLabV3Head, which reads the last alone"
        )
        low, last = levels[-4], levels[-1]
        if low.stride > last.stride:
            raise WiringError(
                f"DeepLabV3PlusHead refines the last map (stride {last.stride}) by the fourth from the end, which must "
                f"not be coarser, got stride {low.stride}; order the levels shallow to deep"
            )
        self.resize = Resize()
        self.aspp = ASPP(last.channels, width, rates, boundary)
        with own_draws("project"):
            self.project = nn.Conv2d(self.aspp.out_channels, width, 1, bias=False)
        with own_draws("low"):
            self.low = nn.Conv2d(low.channels, low_width, 1, bias=False)
        with own_draws("refine"):
            self.refine = nn.Sequential(
                conv_norm_relu(low_width + width, width, 3), conv_norm_relu(width, width, 3)
            ).apply(_kaiming)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1, bias=False).apply(_kaiming)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        low = self.low(features[-4])
        high = self.project(torch.cat(self.aspp(features[-1], boundary), dim=1))
        return self.classifier(self.refine(torch.cat([low, self.resize(high, low.shape[-2:])], dim=1))), {}


class ASPP(nn.Module):
    """``N C h w`` -> maps ``N width h w``: the image's mean, the boundary if there is one, 1x1, 3x3 at each rate."""

    def __init__(self, in_channels: int, width: int, rates: Sequence[int], boundary: Level | None) -> None:
        super().__init__()
        self.resize = Resize()
        with own_draws("image"):
            self.image = conv_norm_relu(in_channels, width, 1)
        self.boundary: nn.Module | None = None
        if boundary is not None:
            with own_draws("boundary"):
                self.boundary = conv_norm_relu(boundary.channels, width, 1)
        self.branches = nn.ModuleList()
        for index, rate in enumerate((0, *rates)):
            with own_draws(f"branch {index}"):
                branch = conv_norm_relu(in_channels, width, 3, dilation=rate) if rate else None
                self.branches.append(branch or conv_norm_relu(in_channels, width, 1))
        self.out_channels = width * (1 + (boundary is not None) + len(self.branches))

    def forward(self, x: Tensor, boundary: Tensor | None = None) -> list[Tensor]:
        size = x.shape[-2:]
        maps = [self.image(x.mean((2, 3), keepdim=True)).expand(-1, -1, *size)]
        if self.boundary is not None:
            if boundary is None:
                raise WiringError(
                    "ASPP was built for a boundary map, got none; pass one, or build it with boundary=None"
                )
            maps.append(self.boundary(self.resize(boundary, size)))
        return maps + [branch(x) for branch in self.branches]


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
