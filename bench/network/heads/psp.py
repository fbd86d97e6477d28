"""Pyramid pooling head: the features together with their means over grids of regions at several scales.

Shapes: last feature map ``N C h w`` -> logits ``N K h w``; ``K`` classes.

**Source**: Zhao et al., Pyramid Scene Parsing Network, 2017, section 3.2, in the form of PyTorch-Encoding that FastFCN
uses.

**Departures**:
- The width is a choice of its own; in the release the head and each pooled map have a quarter of the incoming channels.
- A boundary map, if there is one, is added before the dropout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.network.layers import BoundaryFusion, Resize, conv_norm_relu, joined, need_levels, own_draws
from bench.parts import ChoiceError, Count, Fraction, Level, Levels


class PSPHead(nn.Module):
    """PSPNet's head: features -> logits of the last map's size, without side outputs.

    Training needs at least two images in a batch, because a map that is pooled to 1x1 is normalised.

    Args:
        levels: the levels that the head gets; the last one is read, at any stride.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one.
        width: the channels of each pooled map and before the classifier.
        bins: the numbers of rows and columns of the grids over which the features are pooled.
        dropout: the share of channels that is dropped in training.

    Raises:
        ChoiceError: if there are no bins.
    """

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        width: Count = 512,
        bins: tuple[Count, ...] = (1, 2, 3, 6),
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 1, "place it behind a backbone or a neck")
        if not bins:
            raise ChoiceError("PSPHead(bins=()): expected at least one grid, such as (1, 2, 3, 6)")
        in_channels = levels[-1].channels
        self.pooling = PyramidPooling(in_channels, width, bins)
        with own_draws("entry"):
            self.entry = conv_norm_relu(in_channels + len(bins) * width, width, 3)
        self.fusion = BoundaryFusion(width, boundary)
        self.dropout = nn.Dropout2d(dropout)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.fusion(self.entry(self.pooling(features[-1])), boundary)
        return self.classifier(self.dropout(x)), {}


class PyramidPooling(nn.Module):
    """The input with one map of ``width`` channels for each grid: ``N C h w`` -> ``N C+bins*width h w``."""

    def __init__(self, in_channels: int, width: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.resize = Resize()
        self.branches = nn.ModuleList()
        for index in range(len(self.bins)):
            with own_draws(f"pooled {index}"):
                self.branches.append(conv_norm_relu(in_channels, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        pooled = [branch(F.adaptive_avg_pool2d(x, bins)) for bins, branch in zip(self.bins, self.branches, strict=True)]
        return joined([x, *(self.resize(pooled_map, size) for pooled_map in pooled)], x)
