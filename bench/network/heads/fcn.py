"""Fully convolutional head: one 3x3 convolution, then the classifier.

Shapes: last feature map ``N C h w`` -> logits ``N K h w``; ``K`` classes.

**Source**: Long et al., Fully Convolutional Networks, 2015, in the form of PyTorch-Encoding that DANet and FastFCN use
both as baseline and, on C4, as auxiliary head.

**Departures**:
- The width is a choice of its own; the releases take a quarter of the incoming channels (512 of 2048, 256 of 1024).
- A boundary map, if there is one, is added before the dropout, so that both are regularised alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.network.layers import BoundaryFusion, conv_norm_relu, need_levels, own_draws
from bench.parts import Count, Fraction, Level, Levels


class FCNHead(nn.Module):
    """The FCN head: features -> logits of the last map's size, without side outputs.

    Args:
        levels: the levels that the head gets; the last one is read, at any stride.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one.
        width: the channels between the two convolutions; the auxiliary head of the papers has 256.
        dropout: the share of channels that is dropped in training.
    """

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        width: Count = 512,
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 1, "place it behind a backbone or a neck")
        with own_draws("entry"):
            self.entry = conv_norm_relu(levels[-1].channels, width, 3)
        self.fusion = BoundaryFusion(width, boundary)
        self.dropout = nn.Dropout2d(dropout)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.fusion(self.entry(features[-1]), boundary)
        return self.classifier(self.dropout(x)), {}
