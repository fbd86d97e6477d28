"""Confusion matrices, against hand-computed counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.base import IGNORE
from bench.measure.quality.confusion import check_pairs, confusion, histogram, pair_counts


def test_counts_are_label_by_prediction_and_void_is_left_out() -> None:
    label = torch.tensor([[[0, 0, 1], [2, IGNORE, 1]]], dtype=torch.uint8)
    guess = torch.tensor([[[0, 1, 1], [0, 2, 1]]], dtype=torch.uint8)
    assert confusion(guess, label, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


@pytest.mark.parametrize("num_classes", [2, 31, 32, 150, 255])
def test_counts_of_many_classes_are_those_of_numpy(num_classes: int) -> None:
    generator = np.random.default_rng(num_classes)
    guess, label = generator.integers(0, num_classes, (2, 3, 17, 23), dtype=np.uint8)
    label[generator.random(label.shape) < 0.1] = IGNORE
    expected = np.zeros((num_classes, num_classes), dtype=np.int64)
    known = label != IGNORE
    np.add.at(expected, (label[known], guess[known]), 1)
    assert (confusion(torch.from_numpy(guess), torch.from_numpy(label), num_classes).numpy() == expected).all()


def test_every_image_has_counts_of_its_own_and_a_row_for_void() -> None:
    label = torch.tensor([[[0, 1]], [[IGNORE, 1]]], dtype=torch.uint8)
    guess = torch.tensor([[[0, 0]], [[1, 1]]], dtype=torch.uint8)
    pairs = pair_counts(guess, label, 2)
    assert pairs.shape == (2, 256, 3)
    assert pairs[:, :2, :2].tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]
    assert pairs[1, IGNORE].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("label", "guess", "what"), [(3, 0, "label 3"), (254, 0, "label 254"), (0, 3, "prediction 3 or above")]
)
def test_a_value_outside_the_classes_is_refused(label: int, guess: int, what: str) -> None:
    maps = (torch.full((1, 2, 2), value, dtype=torch.uint8) for value in (guess, label))
    with pytest.raises(ValueError, match=f"{what} with 3 classes; allowed: 0 … 2"):
        confusion(*maps, 3)


def test_a_prediction_of_any_value_may_lie_where_the_label_is_void() -> None:
    guess = torch.tensor([[[200]]], dtype=torch.uint8)
    check_pairs(pair_counts(guess, torch.full_like(guess, IGNORE), 3).sum(0))


def test_maps_of_another_type_or_shape_are_refused() -> None:
    maps = torch.zeros(1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"prediction torch.int64 \(1, 2, 2\) and label torch.uint8"):
        pair_counts(maps.long(), maps, 3)
    with pytest.raises(ValueError, match="of one shape"):
        pair_counts(maps[:, :1], maps, 3)


def test_more_classes_than_a_byte_holds_are_refused() -> None:
    maps = torch.zeros(1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="256 classes; a uint8 map has room for 255 beside void"):
        pair_counts(maps, maps, 256)


def test_a_weighted_histogram_sums_its_weights() -> None:
    values, weights = torch.tensor([0, 2, 2, 1]), torch.tensor([5, 1, 2, 2**40])
    assert histogram(values, 4, weights).tolist() == [5, 2**40, 3, 0]
    assert histogram(values, 4).tolist() == [1, 1, 2, 0]
