"""Dual attention head: position attention and channel attention, side by side, summed.

Shapes: last feature map ``N C h w`` -> logits ``N K h w``; ``K`` classes, ``T = h * w`` positions.

**Source**: Fu et al., Dual Attention Network for Scene Segmentation, 2019, section 3; head and weights layout of the
training release of September 2018.

**Departures**:
- Position attention goes over blocks of queries and recomputes them in the backward pass: no ``T x T`` map exists.
- The energies of both attentions are computed in float32 at least, also under autocast: they are not scaled.
- ``channel_sign="paper"`` is the printed equation; the released code attends to the least similar channels.
- With one attention off, the other's features are the fused ones, and one classifier serves; with both off, this is the
  FCN head, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.network.layers import (
    BoundaryFusion,
    conv_norm_relu,
    need_levels,
    need_stride,
    own_draws,
    widened,
    without_autocast,
)
from bench.parts import ChoiceError, Count, Fraction, Level, Levels

BLOCKS = 24
"""Position attention goes over at least so many blocks of queries: few enough to keep the products large."""

BLOCK_ELEMENTS = 2**24
"""Most attention weights held at once (64 MiB in float32), whatever batch and image size are."""

Gamma = Literal["trainable", "frozen"]
Sign = Literal["released", "paper"]


class DualAttentionHead(nn.Module):
    """Features -> logits of the last map's size; side outputs ``pam`` and ``cam``, the logits of each branch.

    Args:
        levels: what the head is given; the last level is read.
        num_classes: K.
        boundary: level of the boundary map, if there is one.
        position: whether there is a position attention branch.
        channel: whether there is a channel attention branch.
        width: channels inside; the paper takes a quarter of the incoming ones.
        reduction: how many times fewer channels queries and keys have.
        gamma: the weight of the attended features, 0 at first; frozen there, everything is computed but the attention
            has no effect, which tells it apart from the convolutions that come with it.
        channel_sign: what a channel attends to: the least similar ones (``released``) or the most similar (``paper``).
        branch_logits: whether both branches, where there are two, have logits of their own for auxiliary losses: three
            cross-entropies as in the paper's full model, or one as in its single-branch ablation.
        dropout: share of channels dropped in training, ahead of each classifier.

    Raises:
        ChoiceError: for a width that the reduction does not divide.
        WiringError: for a map at stride 2 or 4, whose pairs of positions are too many.
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
        # Every submodule has draws of its own: what two of the four combinations share starts out alike.
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
        fused = self.entry(x) if self.entry is not None else torch.stack(list(branches.values())).sum(0)
        logits = self.classifier(self.dropout(self.fusion(fused, boundary)))
        aux: dict[str, Tensor] = {}
        if with_aux:
            aux = {name: each(self.dropout(branches[name])) for name, each in self.branch_classifiers.items()}
        return logits, aux


class Branch(nn.Module):
    """3x3 convolution to ``width`` channels, an attention, 3x3 convolution: ``N C h w`` -> ``N width h w``."""

    def __init__(self, in_channels: int, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.entry = conv_norm_relu(in_channels, width, 3)
        self.exit = conv_norm_relu(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.exit(self.attention(self.entry(x)))
        return out


class PositionAttention(nn.Module):
    """Each position becomes itself plus gamma times a mean over all positions, weighted by similarity; keeps the shape.

    The energies are not scaled, as in the paper.
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
        return attended.view_as(x) + x


class ChannelAttention(nn.Module):
    """Each channel becomes itself plus gamma times a mean over all channels, weighted by similarity; keeps the shape.

    The energies are sums of T products of features, beyond half precision, so they are computed in float32 at least.
    """

    def __init__(self, gamma: Gamma, sign: Sign) -> None:
        super().__init__()
        self.sign = -1 if sign == "released" else 1
        self.gamma = _gamma(gamma)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        with without_autocast(x):
            wide = widened(flat)
            attention = torch.softmax(self.sign * torch.bmm(wide, wide.transpose(1, 2)), dim=-1)
        attended = torch.bmm(attention.to(flat.dtype), flat)
        return self.gamma * attended.view_as(x) + x


def _gamma(kind: Gamma) -> nn.Parameter:
    return nn.Parameter(torch.zeros(1), requires_grad=kind == "trainable")


def attend(query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
    """``gamma * value @ softmax(queryᵀ @ key)ᵀ`` without ever holding all of the softmax.

    Args:
        query, key: ``N D T``.
        value: ``N C T``.
        gamma: one element. It comes in here because its gradient is a by-product of the softmax's: the attended values
            need not be kept for it.

    Returns:
        ``N C T``.
    """
    # A tracer sees into plain operations only, and without gradients nothing has to be recomputed.
    if torch.is_grad_enabled() and not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # untyped in torch
        attended: Tensor = _Attend.apply(query, key, value, gamma)  # type: ignore[no-untyped-call]  # untyped in torch
        return attended
    return _attend(query, key, value, gamma)


def _attend(query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
    blocks = [value.bmm(_weights(each, key).transpose(1, 2)) for each in query.split(_block(query), dim=2)]
    return gamma * torch.cat(blocks, dim=2)


def _weights(query: Tensor, key: Tensor) -> Tensor:
    """Attention of a block of queries, ``N block T``; energies and softmax in float32 at least."""
    with without_autocast(query):
        energy = widened(query).transpose(1, 2).bmm(widened(key))
        return torch.softmax(energy, dim=-1).to(query.dtype)


def _block(query: Tensor) -> int:
    """How many queries are looked at together."""
    batch, _, positions = query.shape
    return max(1, min(-(-positions // BLOCKS), BLOCK_ELEMENTS // (batch * positions)))


class _Attend(torch.autograd.Function):
    """:func:`_attend` whose backward pass computes each block of attention again instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, gamma: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value, gamma)
        return _attend(query, key, value, gamma)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        query, key, value, gamma = ctx.saved_tensors
        wide = torch.promote_types(query.dtype, torch.float32)
        grad_key, grad_value = torch.zeros_like(key, dtype=wide), torch.zeros_like(value, dtype=wide)
        grad_query, grad_gamma, block = [], torch.zeros_like(gamma), _block(query)
        for part, upstream in zip(query.split(block, dim=2), grad.split(block, dim=2), strict=True):
            weights = _weights(part, key)
            _add_product(grad_value, (gamma * upstream).to(value.dtype), weights)
            energy = upstream.to(value.dtype).transpose(1, 2).bmm(value).to(wide).mul_(weights)
            # A query's upstream gradient times what it has attended to.
            share = energy.sum(-1, keepdim=True)
            grad_gamma += share.sum()
            # Softmax: d energy = weights * (d weights - sum(weights * d weights)); in place, to hold two blocks.
            energy = energy.addcmul_(weights.to(wide), share, value=-1).mul_(gamma).to(query.dtype)
            del weights
            grad_query.append(key.bmm(energy.transpose(1, 2)))
            _add_product(grad_key, part, energy)
            del energy  # the next block makes two of its size
        return torch.cat(grad_query, dim=2), grad_key.to(key.dtype), grad_value.to(value.dtype), grad_gamma


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """``total += left @ right``; the sum over blocks is kept in the precision of ``total``."""
    if total.dtype == left.dtype:
        torch.baddbmm(total, left, right, out=total)
    else:
        total += left.bmm(right)
