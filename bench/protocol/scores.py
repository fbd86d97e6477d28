"""Scores computed from counts: confusion matrices, boundary pixels and calibration bins. This module needs no torch.

``K`` is the number of classes and ``T`` the number of tolerances. A confusion matrix is indexed [label][prediction] and
leaves out void pixels. In shapes, ``…`` stands for any leading axes, over which many scores are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Counts = Sequence[Any] | npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Absent = Literal["left out", "zero"]
"""The treatment of a class with an empty union in a mean over classes: it is left out (Gated-SCNN and this harness), or
counts as 0 (FastFCN)."""


class BoundaryScores(NamedTuple):
    """The shares of matched boundary pixels, precision and recall, and their harmonic mean F."""

    precision: Floats
    recall: Floats
    f: Floats


def iou(confusion: Counts) -> Floats:
    """The intersection over union of each class, ``… K`` from ``… K K``; NaN if the union is empty."""
    matrix = np.asarray(confusion, dtype=np.int64)
    hits = _hits(matrix)
    return _shares(hits, matrix.sum(-2) + matrix.sum(-1) - hits)


def mean_iou(confusion: Counts, absent: Absent = "left out") -> Floats:
    """The mean IoU over the classes, ``…`` from ``… K K``; NaN if all classes are left out."""
    return mean_over_classes(iou(confusion), absent)


def mean_over_classes(values: Counts | Floats, absent: Absent = "left out") -> Floats:
    """The mean of a score over the classes, ``…`` from ``… K``; a NaN is left out or counts as 0, see ``absent``."""
    scores = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(scores)
    return _shares(np.where(known, scores, 0).sum(-1), scores.shape[-1] if absent == "zero" else known.sum(-1))


def frequency_weighted_iou(confusion: Counts) -> Floats:
    """The IoU weighted by each class's share of labelled pixels (Long et al., FCN, 2015); NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return _shares((matrix.sum(-1) * np.nan_to_num(iou(matrix), nan=0.0)).sum(-1), matrix.sum((-2, -1)))


def pixel_accuracy(confusion: Counts) -> Floats:
    """The share of labelled pixels that are predicted correctly; NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return _shares(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def mean_accuracy(confusion: Counts) -> Floats:
    """The mean over classes of the share of correct pixels; a class without a labelled pixel is left out."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return mean_over_classes(_shares(_hits(matrix), matrix.sum(-1)))


def boundary_scores(
    matched_prediction: Counts, prediction: Counts, matched_label: Counts, label: Counts
) -> BoundaryScores:
    """The precision, recall and F of boundary pixels, by the conventions of DAVIS (Perazzi et al., 2016).

    A share of no pixels counts as 1. So a class without a boundary in prediction and label scores 1, and a class with a
    boundary in one of them only scores F = 0.

    Args:
        matched_prediction: the boundary pixels of the prediction that lie near one of the label; ``… T K``.
        prediction: the boundary pixels of the prediction; ``… K``.
        matched_label: the boundary pixels of the label that lie near one of the prediction; ``… T K``.
        label: the boundary pixels of the label; ``… K``.
    """
    precision, recall = (
        np.nan_to_num(_shares(matched, np.expand_dims(np.asarray(total), -2)), nan=1.0)
        for matched, total in ((matched_prediction, prediction), (matched_label, label))
    )
    return BoundaryScores(precision, recall, np.nan_to_num(_shares(2 * precision * recall, precision + recall)))


def mean_over_images(total: Counts, images: Counts) -> Floats:
    """The mean over classes of a score's mean over images, ``…`` from two ``… K``.

    A class without an image is left out; the mean is NaN if no class has an image.

    Args:
        total: the sum of the score over the images, for each class.
        images: the number of images, for each class.
    """
    return mean_over_classes(_shares(total, np.asarray(images)))


def mean_boundary_iou(intersection: Counts, prediction: Counts, label: Counts) -> Floats:
    """The mean over classes of boundary IoU, from pixels near boundaries; a class with an empty union is left out."""
    union = np.asarray(prediction) + np.asarray(label) - np.asarray(intersection)
    return mean_over_classes(_shares(intersection, union))


def expected_calibration_error(pixels: Counts, confidence: Counts, correct: Counts) -> Floats:
    """The mean over pixels of |accuracy − mean confidence| of their bin (Guo et al., 2017, eq. 3); NaN without pixels.

    The last axis of each argument is the bin.

    Args:
        pixels: the number of pixels in each bin.
        confidence: the sum of their confidence.
        correct: the number of them that are predicted correctly.
    """
    gaps = np.abs(np.asarray(correct, dtype=np.float64) - np.asarray(confidence, dtype=np.float64))
    return _shares(gaps.sum(-1), np.sum(pixels, axis=-1))


def _hits(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return matrix.diagonal(axis1=-2, axis2=-1)


def _shares(part: Any, whole: Any) -> Floats:
    """The quotient of part and whole; NaN where the whole is 0."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.asarray(part, dtype=np.float64) / np.where(whole == 0, np.nan, whole)
