"""Scores from counts: confusion matrices, boundary pixels and calibration bins. Plain numpy, no torch.

``K`` classes, ``T`` tolerances; a confusion matrix is [label][prediction], void pixels left out. Scores can be taken of
many at once: ``…`` stands for what they are many of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Counts = Sequence[Any] | npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Absent = Literal["left out", "zero"]
"""What a class with an empty union is in a mean over classes: not in it (Gated-SCNN, this harness), or 0 (FastFCN)."""


class BoundaryScores(NamedTuple):
    """Shares of matched boundary pixels and their harmonic mean."""

    precision: Floats
    recall: Floats
    f: Floats


def iou(confusion: Counts) -> Floats:
    """Intersection over union a class, ``… K`` of ``… K K``; NaN where the union is empty."""
    matrix = np.asarray(confusion, dtype=np.int64)
    hits = _hits(matrix)
    return _shares(hits, matrix.sum(-2) + matrix.sum(-1) - hits)


def mean_iou(confusion: Counts, absent: Absent = "left out") -> Floats:
    """Mean IoU over the classes, ``…`` of ``… K K``; NaN if all of them are left out."""
    return mean_over_classes(iou(confusion), absent)


def mean_over_classes(values: Counts | Floats, absent: Absent = "left out") -> Floats:
    """Mean of a score over the classes, ``…`` of ``… K``; NaN, a class with an empty union's, is left out or 0."""
    scores = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(scores)
    return _shares(np.where(known, scores, 0).sum(-1), scores.shape[-1] if absent == "zero" else known.sum(-1))


def frequency_weighted_iou(confusion: Counts) -> Floats:
    """IoU weighted with the share of labelled pixels that a class has (Long et al., FCN, 2015); NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return _shares((matrix.sum(-1) * np.nan_to_num(iou(matrix), nan=0.0)).sum(-1), matrix.sum((-2, -1)))


def pixel_accuracy(confusion: Counts) -> Floats:
    """Share of labelled pixels that are right; NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return _shares(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def mean_accuracy(confusion: Counts) -> Floats:
    """Mean over classes of the share of their pixels that are right; classes without a labelled pixel left out."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return mean_over_classes(_shares(_hits(matrix), matrix.sum(-1)))


def boundary_scores(
    matched_prediction: Counts, prediction: Counts, matched_label: Counts, label: Counts
) -> BoundaryScores:
    """Precision, recall and F of boundary pixels, by the conventions of DAVIS (Perazzi et al., 2016).

    The share of nothing is 1, so a class without a boundary on either side scores 1, and one on a single side F = 0.

    Args:
        matched_prediction: boundary pixels of the prediction that one of the label is near; ``… T K``.
        prediction: boundary pixels of the prediction; ``… K``.
        matched_label: boundary pixels of the label that one of the prediction is near; ``… T K``.
        label: boundary pixels of the label; ``… K``.
    """
    precision, recall = (
        np.nan_to_num(_shares(matched, np.expand_dims(np.asarray(total), -2)), nan=1.0)
        for matched, total in ((matched_prediction, prediction), (matched_label, label))
    )
    return BoundaryScores(precision, recall, np.nan_to_num(_shares(2 * precision * recall, precision + recall)))


def mean_over_images(total: Counts, images: Counts) -> Floats:
    """Mean over classes of a score's mean over images, from its sum and the number of images a class; NaN if none.

    A class without an image is left out; ``…`` of two ``… K``.
    """
    return mean_over_classes(_shares(total, np.asarray(images)))


def mean_boundary_iou(intersection: Counts, prediction: Counts, label: Counts) -> Floats:
    """Mean over classes of boundary IoU from pixels near the boundary; classes with an empty union left out."""
    union = np.asarray(prediction) + np.asarray(label) - np.asarray(intersection)
    return mean_over_classes(_shares(intersection, union))


def expected_calibration_error(pixels: Counts, confidence: Counts, correct: Counts) -> Floats:
    """Mean over pixels of |accuracy − mean confidence| of their bin (Guo et al., 2017, eq. 3); NaN without pixels.

    All of them are by bin, the last axis.

    Args:
        pixels: pixels a bin.
        confidence: sum of their confidence.
        correct: how many of them are right.
    """
    gaps = np.abs(np.asarray(correct, dtype=np.float64) - np.asarray(confidence, dtype=np.float64))
    return _shares(gaps.sum(-1), np.sum(pixels, axis=-1))


def _hits(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return matrix.diagonal(axis1=-2, axis2=-1)


def _shares(part: Any, whole: Any) -> Floats:
    """Part over whole; NaN where the whole is 0."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.asarray(part, dtype=np.float64) / np.where(whole == 0, np.nan, whole)
