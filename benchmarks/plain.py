"""Components and measures in the plain form of their equations, which ours must equal and is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from bench.data.base import IGNORE
from bench.network.heads.dual_attention import PositionAttention

Map = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


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


def boundary_counts(
    prediction: Map, label: Map, num_classes: int, tolerances_px: Sequence[int]
) -> tuple[Counts, Counts, Counts, Counts]:
    """The boundary pixels of one ``H W`` pair, matched class by class and tolerance by tolerance.

    Pixels are matched by a binary dilation with a disk. The counts are: matched pixels of the prediction ``T K``, all
    of its pixels ``K``, matched pixels of the label ``T K``, all of its pixels ``K``.
    """
    void = label == IGNORE
    matched = np.zeros((2, len(tolerances_px), num_classes), dtype=np.int64)
    total = np.zeros((2, num_classes), dtype=np.int64)
    for index in range(num_classes):
        boundaries = [_boundary((maps == index) & ~void) for maps in (prediction, label)]
        total[:, index] = [boundary.sum() for boundary in boundaries]
        for place, radius in enumerate(tolerances_px):
            y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
            disk = y * y + x * x <= radius * radius
            for side in (0, 1):
                near = ndimage.binary_dilation(boundaries[1 - side], disk)
                matched[side, place, index] = (boundaries[side] & near).sum()
    return matched[0], total[0], matched[1], total[1]


def _boundary(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask that differ from the one to the right, below or below right; the frame is repeated."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
