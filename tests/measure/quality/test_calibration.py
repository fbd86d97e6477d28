"""Calibration counts, by hand."""

from __future__ import annotations

import pytest
import torch

from bench.data.base import IGNORE
from bench.measure.quality.confusion import BINS, UNIT, calibration_counts
from bench.protocol.scores import expected_calibration_error


def test_pixels_are_counted_in_the_bin_of_their_confidence_and_void_in_none() -> None:
    confidence = torch.tensor([[[0.5, 0.51, 1.0, 1.0, 0.9]]])
    label = torch.tensor([[[0, 1, 1, 1, IGNORE]]], dtype=torch.uint8)
    guess = torch.tensor([[[0, 0, 1, 1, 1]]], dtype=torch.uint8)
    pixels, correct, total = calibration_counts(guess, confidence, label).tolist()
    assert {index: count for index, count in enumerate(pixels) if count} == {7: 2, BINS - 1: 2}  # 7/15 < 0.5 < 8/15
    assert (correct[7], correct[BINS - 1]) == (1, 2)
    assert total[7] * UNIT == pytest.approx(1.01, abs=1e-6)
    assert total[BINS - 1] * UNIT == 2


def test_the_upper_edge_of_a_bin_belongs_to_it() -> None:
    guess = torch.zeros(1, 1, 1, dtype=torch.uint8)
    pixels = calibration_counts(guess, torch.full((1, 1, 1), 1 / 15), guess)[0]
    assert pixels.tolist() == [1] + [0] * (BINS - 1)


def test_error_is_the_mean_gap_between_accuracy_and_confidence() -> None:
    # Four pixels: two at 0.9 of which one is right (gap 0.4), two at 0.6 of which one is right (gap 0.1).
    assert expected_calibration_error([2, 0, 2], [1.8, 0, 1.2], [1, 0, 1]) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)


def test_a_large_map_is_summed_without_rounding_errors_that_add_up() -> None:
    confidence = torch.full((1, 512, 512), 0.7)
    guess = torch.zeros(1, 512, 512, dtype=torch.uint8)
    total = int(calibration_counts(guess, confidence, guess)[2].sum()) * UNIT
    assert total == pytest.approx(0.7 * 512 * 512, rel=1e-7)
