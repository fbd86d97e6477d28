"""Dual attention head: the sum of position attention and channel attention, computed side by side.

Shapes: last feature map ``N C h w`` -> logits ``N K h w``; ``K`` classes, ``T = h * w`` positions.

**Source**: Fu et al., Dual Attention Network for Scene Segmentation, 2019, section 3; head and weights layout of the
training release of September 2018.

**Departures**:
- Position attention holds no ``T x T`` map (:mod:`bench.network.heads.position_attention`).
- The energies of both attentions are computed in float32 at least, also under autocast, because they are not scaled.
- ``channel_sign="paper"`` is the printed equation; the released code attends to the least similar channels.
- With one attention off, the other's features are used alone, with one classifier. With both off, this is the FCN head,
  tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.network.heads.position_attention import attend
from bench.network.layers import (
    BoundaryFusion,
    conv_norm_relu,
    need_levels,
    need_stride,
    own_draws,
    products,
    summed,
    wide_operand,
    without_autocast,
)
from bench.parts import ChoiceError, Count, Fraction, Level, Levels

Gamma = Literal["trainable", "frozen"]
Sign = Literal["released", "paper"]


class DualAttentionHead(nn.Module):
    """DANet's head: features -> logits of the last map's size, with side outputs ``pam`` and ``cam`` of the branches.

    Args:
        levels: the levels that the head gets; the last one is read.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one.
        position: ``True`` for a branch with position attention.
        channel: ``True`` for a branch with channel attention.
        width: the channels inside; the paper uses a quarter of the incoming ones.
        reduction: the factor by which queries and keys have fewer channels.
        gamma: the weight of the attended features, which starts at 0. If it is ``frozen`` there, everything is computed
            but the attention has no effect, which separates its effect from that of the convolutions that come with it.
        channel_sign: the channels to which a channel attends: the least similar (``released``) or the most similar
            ones (``paper``).
        branch_logits: ``True`` if each of two branches has logits of its own for auxiliary losses, which gives three
            cross-entropies as in the paper's full model; ``False`` for one, as in its single-branch ablation.
        dropout: the share of channels before each classifier that is dropped in training.

    Raises:
        ChoiceError: if the reduction does not divide the width.
        WiringError: if the map is at stride 2 or 4, where there are too many pairs of positions.
    """

    zero_gradient: ClassVar[dict[str, str]] = {
        "attention.key.bias": "the softmax over keys does not see a shift that all of them share",
    }

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        position: bool = True,
        channel: bool = True,
        width: Count = 512,
        reduction: Count = 8,
        gamma: Gamma = "trainable",
        channel_sign: Sign = "released",
        branch_logits: bool = True,
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 1, "place it behind a backbone or a neck")
        need_stride(self, levels[-1], (8, 16, 32), "take a backbone or a neck that ends there")
        in_channels = levels[-1].channels
        # Each submodule has its own initial draws, so tensors that two of the four combinations share start out equal.
        self.branches = nn.ModuleDict()
        if position:
            with own_draws("position"):
                self.branches["pam"] = Branch(in_channels, width, PositionAttention(width, reduction, gamma))
        if channel:
            with own_draws("channel"):
                self.branches["cam"] = Branch(in_channels, width, ChannelAttention(gamma, channel_sign))
        self.entry: nn.Module | None = None
        if not self.branches:
            with own_draws("entry"):
                self.entry = conv_norm_relu(in_channels, width, 3)
        self.fusion = BoundaryFusion(width, boundary)
        self.dropout = nn.Dropout2d(dropout)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1)
        self.branch_classifiers = nn.ModuleDict()
        if branch_logits and len(self.branches) == 2:
            for name in self.branches:
                with own_draws(f"{name} classifier"):
                    self.branch_classifiers[name] = nn.Conv2d(width, num_classes, 1)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = features[-1]
        branches = {name: branch(x) for name, branch in self.branches.items()}
        fused = self.entry(x) if self.entry is not None else summed(list(branches.values()))
        logits = self.classifier(self.dropout(self.fusion(fused, boundary)))
        aux: dict[str, Tensor] = {}
        if with_aux:
            aux = {
                name: classifier(self.dropout(branches[name])) for name, classifier in self.branch_classifiers.items()
            }
        return logits, aux


class Branch(nn.Module):
    """A 3x3 convolution to ``width`` channels, an attention and a 3x3 convolution: ``N C h w`` -> ``N width h w``."""

    def __init__(self, in_channels: int, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.entry = conv_norm_relu(in_channels, width, 3)
        self.exit = conv_norm_relu(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.exit(self.attention(self.entry(x)))
        return out


class PositionAttention(nn.Module):
    """Position attention, which keeps the shape.

    To each position, gamma times the mean over all positions, weighted by similarity, is added. The energies are not
    scaled, as in the paper.
    """

    zero_gradient_at_first: ClassVar[dict[str, str]] = dict.fromkeys(
        ("query.weight", "query.bias", "key.weight", "value.weight", "value.bias"),
        "while gamma is 0 nothing of the attended features reaches the output",
    )

    def __init__(self, channels: int, reduction: int, gamma: Gamma) -> None:
        super().__init__()
        if channels % reduction:
            raise ChoiceError(
                f"position attention: expected a width that reduction={reduction} divides, got width={channels}; "
                "change one of the two"
            )
        self.query = nn.Conv2d(channels, channels // reduction, 1)
        self.key = nn.Conv2d(channels, channels // reduction, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = _gamma(gamma)

    def forward(self, x: Tensor) -> Tensor:
        attended = attend(self.query(x).flatten(2), self.key(x).flatten(2), self.value(x).flatten(2), self.gamma)
        return added(x, attended)


class ChannelAttention(nn.Module):
    """Channel attention, which keeps the shape.

    To each channel, gamma times the mean over all channels, weighted by similarity, is added. The energies are sums of
    T products of features, which half precision cannot hold, so they are computed in float32 at least.
    """

    def __init__(self, gamma: Gamma, sign: Sign) -> None:
        super().__init__()
        self.sign = -1 if sign == "released" else 1
        self.gamma = _gamma(gamma)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        with without_autocast(x):
            wide = wide_operand(flat)
            attention = torch.softmax(self.sign * products(wide, wide.transpose(1, 2)), dim=-1)
        attended = torch.bmm(attention.to(flat.dtype), flat)
        return added(x, self.gamma * attended)


def added(x: Tensor, attended: Tensor) -> Tensor:
    """The features with the weighted attended ones, ``N C T``, in the type and the memory format of the features ``x``.

    A trainable gamma in float32 makes a sum in float32 of features in half precision, which is rounded once. The sum
    has the memory format of its first operand.
    """
    return (x + attended.view_as(x)).to(x.dtype)


def _gamma(kind: Gamma) -> nn.Parameter:
    return nn.Parameter(torch.zeros(1), requires_grad=kind == "trainable")
