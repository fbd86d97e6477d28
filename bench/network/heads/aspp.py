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
- With a boundary map, the convolution that joins the branches has more inputs, so its initial weights differ from those
  without one.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.network.layers import Resize, WiringError, conv_norm_relu, joined, need_levels, own_draws
from bench.parts import Count, Fraction, Level, Levels


class DeepLabV3Head(nn.Module):
    """DeepLabV3's head: features -> logits of the last map's size, without side outputs.

    Training needs at least two images in a batch, because the map that is pooled to 1x1 is normalised.

    Args:
        levels: the levels that the head gets; the last one is read, at any stride.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one; it becomes an additional branch.
        width: the channels of each branch, of their projection and before the classifier.
        rates: the dilations of the 3x3 branches; 12, 24, 36 at output stride 8, half of that at 16.
        projection: ``True`` if a 1x1 convolution joins the branches before the 3x3, as in FastFCN; ``False`` if the 3x3
            joins them itself, as in mmsegmentation.
        pyramid_dropout: the share of the projection's channels that is dropped in training.
        dropout: the share of channels before the classifier that is dropped in training.
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
        """The projection of all branches, ``N C h w`` -> ``N width h w``; without a projection, their concatenation."""
        image, *others = self.aspp(x, boundary)
        # The pooled image comes last, as in FastFCN, because converted checkpoints rely on this order.
        projected: Tensor = self.project(joined([*others, image], x))
        return projected


class DeepLabV3PlusHead(nn.Module):
    """DeepLabV3+'s head: features -> logits of C2's size, without side outputs; C2 is the fourth map from the end.

    Training needs at least two images in a batch, because the map that is pooled to 1x1 is normalised.

    Args:
        levels: the levels that the head gets; the last one and C2 are read. C2 is the release's ``mod2`` (stride 2) in
            a WiderResNet, and ``layer1`` (stride 4) in a ResNet.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one; it becomes an additional branch.
        width: the channels of each branch, of their projection and before the classifier.
        rates: the dilations of the 3x3 branches; 12, 24, 36 at output stride 8, half of that at 16.
        low_width: the channels to which the low-level map is projected.

    Raises:
        WiringError: if there are fewer than four levels, or if the low-level map is coarser than the last one.
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
        high = self.project(joined(self.aspp(features[-1], boundary), features[-1]))
        return self.classifier(self.refine(joined([low, self.resize(high, low.shape[-2:])], low))), {}


class ASPP(nn.Module):
    """The pyramid: ``N C h w`` -> a list of maps ``N width h w``, one for each branch.

    The branches are the mean over the image, the boundary map if there is one, a 1x1 convolution, and a 3x3 convolution
    at each rate.
    """

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
