"""Components in the plain form of their equations: what the harness's own must equal, and is measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.heads.dual_attention import PositionAttention


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with all ``T x T`` weights at once: query and key ``N D T``, value ``N C T`` -> ``N C T``."""
    weights = torch.softmax(query.transpose(1, 2).bmm(key), dim=-1)
    return value.bmm(weights.transpose(1, 2))


class PlainPositionAttention(PositionAttention):
    """The printed equation: ``gamma`` times the attended features, plus the features."""

    def forward(self, x: Tensor) -> Tensor:
        attended = attend(self.query(x).flatten(2), self.key(x).flatten(2), self.value(x).flatten(2))
        return self.gamma * attended.view_as(x) + x


def encode(x: Tensor, codewords: Tensor, scale: Tensor) -> Tensor:
    """Context encoding with all ``N T M D`` differences at once: x ``N D T``, codewords ``M D`` -> ``N M D``."""
    differences = x.transpose(1, 2).unsqueeze(2) - codewords
    weights = torch.softmax(scale * differences.square().sum(-1), dim=-1)
    return (weights.unsqueeze(-1) * differences).sum(1)
