"""Scores from counts, against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.protocol import scores

# class 0: hit 1, union 2 + 2 - 1; class 1: hit 2, union 3; class 2: hit 0, union 1; class 3 occurs nowhere
MATRIX = [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
EMPTY = [[0, 0], [0, 0]]


def test_iou_from_counts_by_hand() -> None:
    values = scores.iou(MATRIX)
    assert values[:3] == pytest.approx([1 / 3, 2 / 3, 0.0])
    assert math.isnan(values[3])


def test_an_absent_class_is_left_out_of_the_mean_or_counts_as_zero() -> None:
    assert scores.mean_iou(MATRIX) == pytest.approx(1 / 3)
    assert scores.mean_iou(MATRIX, absent="zero") == pytest.approx(1 / 4)
    assert math.isnan(scores.mean_iou(EMPTY))
    assert scores.mean_iou(EMPTY, absent="zero") == 0


def test_frequency_weights_and_accuracies_by_hand() -> None:
    assert scores.frequency_weighted_iou(MATRIX) == pytest.approx((2 * 1 / 3 + 2 * 2 / 3 + 0) / 5)
    assert scores.pixel_accuracy(MATRIX) == pytest.approx(3 / 5)
    assert scores.mean_accuracy(MATRIX) == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_scores_of_no_pixels_are_nan() -> None:
    assert math.isnan(scores.pixel_accuracy(EMPTY))
    assert math.isnan(scores.mean_accuracy(EMPTY))
    assert math.isnan(scores.frequency_weighted_iou(EMPTY))
    assert math.isnan(scores.expected_calibration_error([0, 0], [0.0, 0.0], [0, 0]))


def test_boundary_scores_where_a_class_is_on_both_sides_one_or_none() -> None:
    # classes: on both sides, in the prediction only, in the label only, in neither
    boundary = scores.boundary_scores([[6, 0, 0, 0]], [8, 5, 0, 0], [[3, 0, 0, 0]], [6, 0, 4, 0])
    assert boundary.precision.tolist() == [[0.75, 0, 1, 1]]
    assert boundary.recall.tolist() == [[0.5, 1, 0, 1]]
    assert boundary.f.tolist() == [[pytest.approx(2 * 0.75 * 0.5 / 1.25), 0, 0, 1]]


def test_nothing_matched_on_both_sides_scores_zero() -> None:
    assert scores.boundary_scores([[0]], [8], [[0]], [6]).f.tolist() == [[0]]


def test_boundary_scores_of_many_images_and_tolerances_keep_their_shape() -> None:
    matched, total = np.ones((5, 4, 3), dtype=np.int64), np.full((5, 3), 2)
    assert scores.boundary_scores(matched, total, matched, total).f.tolist() == np.full((5, 4, 3), 0.5).tolist()


def test_a_class_without_images_is_left_out_of_the_mean_over_classes() -> None:
    assert scores.mean_over_images([1.5, 0.0, 1.0], [2, 0, 4]) == pytest.approx((0.75 + 0.25) / 2)
    assert math.isnan(scores.mean_over_images([0.0], [0]))


def test_boundary_iou_is_the_mean_over_classes_with_a_union() -> None:
    assert scores.mean_boundary_iou([2, 0, 0], [4, 0, 3], [2, 0, 0]) == pytest.approx((2 / 4 + 0) / 2)


def test_iou_equals_the_computation_by_hand() -> None:
    # Class 0: 3 hits, 1 missed, 2 false. Class 1: 4 hits, 2 missed, 1 false.
    assert scores.iou([[3, 1], [2, 4]]).tolist() == [3 / 6, 4 / 7]
    assert scores.mean_iou([[3, 1], [2, 4]]) == pytest.approx((1 / 2 + 4 / 7) / 2)


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    assert math.isnan(scores.iou([[2, 0, 2], [0, 0, 0], [0, 0, 4]])[1])
    assert scores.mean_iou([[2, 0, 2], [0, 0, 0], [0, 0, 4]]) == pytest.approx((2 / 4 + 4 / 6) / 2)
    assert math.isnan(scores.mean_iou([[0, 0], [0, 0]]))
