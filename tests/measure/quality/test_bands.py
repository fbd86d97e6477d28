"""Bands along boundaries, against brute force and hand-computed counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE, MOST_CLASSES
from bench.measure.quality.bands import boundary_iou_counts, near_other_label


def brute_force(maps: Tensor, radius: int, frame: bool) -> Tensor:
    """Pixel by pixel: whether a square around it holds another label, or leaves the image."""
    near = torch.zeros_like(maps, dtype=torch.bool)
    height, width = maps.shape[-2:]
    for n in range(len(maps)):
        for y in range(height):
            for x in range(width):
                square = maps[n, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
                leaves = min(y, x, height - 1 - y, width - 1 - x) < radius
                near[n, y, x] = bool((square != maps[n, y, x]).any()) or (frame and leaves)
    return near


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("radius", [1, 2, 5, 30])
def test_a_band_is_where_a_square_holds_another_label(radius: int, frame: bool) -> None:
    generator = torch.Generator().manual_seed(radius)
    coarse = torch.randint(0, 3, (2, 3, 4), generator=generator, dtype=torch.uint8)
    maps = coarse.repeat_interleave(5, 1).repeat_interleave(4, 2)
    maps[0, 4, 7] = IGNORE
    assert torch.equal(near_other_label(maps, radius, frame=frame), brute_force(maps, radius, frame))


def test_boundary_iou_counts_by_hand() -> None:
    # 10 x 20 with a diagonal of 22.4: 9 % of it is 2 px. Class 1 fills the left 8 columns, the prediction has 10.
    label = torch.zeros(1, 10, 20, dtype=torch.uint8)
    guess = label.clone()
    label[..., :8] = 1
    guess[..., :10] = 1
    intersection, predicted, labelled = boundary_iou_counts(guess, label, 2, 0.09)[0].tolist()
    # Inside, 2 px from its contour, class 1 has 6 rows of 4 (label) and 6 (prediction) columns; class 0 8 and 6.
    assert labelled == [10 * 12 - 6 * 8, 10 * 8 - 6 * 4]
    assert predicted == [10 * 10 - 6 * 6, 10 * 10 - 6 * 6]
    # Class 1: 4 rows of 8 columns along the frame, and two columns at the left end of the 6 rows between; the columns
    # 6 and 7, near the label's contour, are inside the prediction. Class 0: 4 rows of 10, and two columns at the right.
    assert intersection == [4 * 10 + 6 * 2, 4 * 8 + 6 * 2]


def test_void_counts_on_neither_side() -> None:
    label = torch.zeros(1, 6, 6, dtype=torch.uint8)
    label[0, :3] = IGNORE
    counts = boundary_iou_counts(torch.ones_like(label), label, 2, 0.01)
    assert counts[0, 1].tolist() == [0, 14], "the frame and the void's outline around 3 rows of 6, without the 4 inside"
    assert counts[0, 2].tolist() == [14, 0]


def test_the_radius_is_one_pixel_at_least() -> None:
    label = torch.zeros(1, 5, 5, dtype=torch.uint8)
    assert boundary_iou_counts(label, label, 1, 0.0)[0].tolist() == [[16], [16], [16]]


def test_as_many_classes_are_counted_as_data_may_have() -> None:
    label = torch.tensor([[[0, MOST_CLASSES - 1, IGNORE, MOST_CLASSES - 2]]], dtype=torch.uint8)
    counts = boundary_iou_counts(label.where(label != IGNORE, 0), label, MOST_CLASSES, 0.1)[0]
    assert counts[:, [0, MOST_CLASSES - 2, MOST_CLASSES - 1]].tolist() == [[1, 1, 1]] * 3
    assert counts.sum() == 9
