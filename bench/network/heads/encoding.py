"""EncNet head: a gate on the channels, computed from the residuals of an image's features to learnt codewords.

Shapes: last feature map ``N C h w`` -> logits ``N K h w``; ``K`` classes, ``T = h * w`` positions, ``D`` channels
inside, ``M`` codewords.

**Source**: Zhang et al., Context Encoding for Semantic Segmentation, 2018, section 3; head of PyTorch-Encoding as in
FastFCN.

**Departures**:
- The entry convolution is 3x3 unless chosen otherwise; FastFCN has 3x3 without and 1x1 with its JPU, which moves 34 of
  the 83 GMACs that it saves from the upsampling to the head.
- Distances to codewords are expanded into products of matrices, so no ``N T M D`` tensor exists.
- The encoding is computed in float32 at least, because half precision cannot hold the distances, sums of D squares.
- A boundary map, if there is one, is added before the dropout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.network.layers import (
    BoundaryFusion,
    WiringError,
    conv_norm_relu,
    joined,
    need_levels,
    own_draws,
    widened,
    without_autocast,
)
from bench.parts import Count, Fraction, Level, Levels


class EncNetHead(nn.Module):
    """EncNet's head: features -> logits of the last map's size, with a side output ``presence``.

    The side output holds the logits that each class is present in the image.

    Args:
        levels: the levels that the head gets; the last one is read, at any stride, and with ``lateral`` the last three.
        num_classes: the number of classes.
        boundary: the level of the boundary map, if there is one.
        width: the channels inside.
        codes: the number of codewords.
        entry_kernel: the size of the first convolution, 3x3 or 1x1.
        lateral: ``True`` if projections of C3 and C4 are joined with the features before the encoding.
        presence: ``True`` for the side output ``presence``, which the semantic encoding loss needs.
        dropout: the share of channels that is dropped in training.

    Raises:
        WiringError: if ``lateral`` is set and the last three levels have unequal strides, or there are fewer.
    """

    def __init__(
        self,
        levels: Levels,
        num_classes: int,
        boundary: Level | None = None,
        *,
        width: Count = 512,
        codes: Count = 32,
        entry_kernel: Literal[1, 3] = 3,
        lateral: bool = False,
        presence: bool = True,
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        need_levels(self, levels, 1, "place it behind a backbone or a neck")
        with own_draws("entry"):
            self.entry = conv_norm_relu(levels[-1].channels, width, entry_kernel)
        self.laterals: Laterals | None = None
        if lateral:
            _check_laterals(self, levels)
            with own_draws("laterals"):
                self.laterals = Laterals(levels[-3:-1], width)
        self.encoding = ContextEncoding(width, codes)
        with own_draws("gate"):
            self.gate = nn.Linear(width, width)
        self.presence: nn.Linear | None = None
        if presence:
            with own_draws("presence"):
                self.presence = nn.Linear(width, num_classes)
        self.fusion = BoundaryFusion(width, boundary)
        self.dropout = nn.Dropout2d(dropout)
        with own_draws("classifier"):
            self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.entry(features[-1])
        if self.laterals is not None:
            x = self.laterals(x, features[-3:-1])
        x, context = self.gated(x)
        logits = self.classifier(self.dropout(self.fusion(x, boundary)))
        aux = {"presence": self.presence(context)} if with_aux and self.presence is not None else {}
        return logits, aux

    def gated(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features with channels amplified by the context, ``N D h w``, and the context itself, ``N D``."""
        context = self.encoding(x)
        gate = torch.sigmoid(self.gate(context))[:, :, None, None]
        return torch.relu(x + x * gate), context


class Laterals(nn.Module):
    """The fusion of the features with projections of two shallower maps: ``N D h w`` -> ``N D h w``."""

    def __init__(self, levels: Levels, width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(conv_norm_relu(level.channels, width, 1) for level in levels)
        self.fuse = conv_norm_relu((1 + len(levels)) * width, width, 3)

    def forward(self, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        shallow = [project(feature) for project, feature in zip(self.project, features, strict=True)]
        fused: Tensor = self.fuse(joined([x, *shallow], x))
        return fused


class ContextEncoding(nn.Module):
    """The context of an image, ``N D h w`` -> ``N D``: the mean over codewords of the normalised residuals."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        with own_draws("encoding"):
            self.entry = conv_norm_relu(channels, channels, 1)
            bound = 1 / math.sqrt(codes * channels)
            self.codewords = nn.Parameter(torch.empty(codes, channels).uniform_(-bound, bound))
            self.scale = nn.Parameter(torch.empty(codes).uniform_(-1, 0))
        self.norm = nn.BatchNorm1d(codes)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.entry(x).flatten(2)
        with without_autocast(x):
            wide = widened(flat)
            residuals = encode(wide, self.codewords.to(wide.dtype), self.scale.to(wide.dtype))
            context: Tensor = torch.relu(self.norm(residuals.to(self.norm.weight.dtype))).mean(1)
        return context.to(flat.dtype)


def encode(x: Tensor, codewords: Tensor, scale: Tensor) -> Tensor:
    """The residuals to each codeword, summed over positions with weights.

    The weight of a position for codeword ``m`` is the softmax over codewords of ``scale[m] * |x - codewords[m]|²``.

    Args:
        x: the features, ``N D T``.
        codewords: the codewords, ``M D``.
        scale: the factors of the squared distances, ``M``; they are negative, so that near codewords get more weight.

    Returns:
        The weighted sums, ``N M D``.
    """
    squares = x.square().sum(1, keepdim=True) + codewords.square().sum(1)[:, None]
    distances = squares - 2 * torch.matmul(codewords, x)
    weights = torch.softmax(scale[:, None] * distances, dim=1)
    return torch.bmm(weights, x.transpose(1, 2)) - weights.sum(2, keepdim=True) * codewords


def _check_laterals(owner: nn.Module, levels: Levels) -> None:
    need_levels(owner, levels, 3, "take a backbone with more stages, or lateral=False")
    strides = [level.stride for level in levels[-3:]]
    if len(set(strides)) > 1:
        raise WiringError(
            f"EncNetHead(lateral=True) joins the last three maps as they are, so they must have one stride, got "
            f"{', '.join(map(str, strides))}; take a backbone with output_stride=8 and no neck, or lateral=False"
        )
