"""Scores from counts: confusion matrices, boundary pixels and calibration bins. Plain numpy, no torch.

``K`` classes, ``T`` tolerances; a confusion matrix is [label][prediction], void pixels left out.
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


def iou(confusion: Counts) -> list[float]:
    """Intersection over union a class; NaN where the union is empty."""
    matrix = np.asarray(confusion, dtype=np.int64)
    hits = matrix.diagonal()
    values: list[float] = _shares(hits, matrix.sum(0) + matrix.sum(1) - hits).tolist()
    return values


def mean_iou(confusion: Counts, absent: Absent = "left out") -> float:
    """Mean IoU over the classes; NaN if all of them are left out."""
    return mean_over_classes(iou(confusion), absent)


def mean_ious(confusions: Sequence[Counts]) -> list[float]:
    """:func:`mean_iou` of each of several matrices, ``T K K``."""
    matrices = np.asarray(confusions, dtype=np.int64)
    if not matrices.size:
        return [float("nan")] * len(matrices)
    hits = matrices.diagonal(axis1=1, axis2=2)
    return _means(_shares(hits, matrices.sum(1) + matrices.sum(2) - hits))


def mean_over_classes(values: Sequence[float], absent: Absent = "left out") -> float:
    """Mean of a score over the classes; NaN, that of a class with an empty union, is left out or 0."""
    scores = np.asarray(values, dtype=np.float64)
    return _mean(_or_zero(scores) if absent == "zero" else scores)


def frequency_weighted_iou(confusion: Counts) -> float:
    """IoU weighted with the share of labelled pixels that a class has (Long et al., FCN, 2015); NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    frequency = _shares(matrix.sum(1), matrix.sum())
    return float((frequency * _or_zero(np.asarray(iou(matrix)))).sum())


def pixel_accuracy(confusion: Counts) -> float:
    """Share of labelled pixels that are right; NaN without pixels."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return float(_shares(matrix.trace(), matrix.sum()))


def mean_accuracy(confusion: Counts) -> float:
    """Mean over classes of the share of their pixels that are right; classes without a labelled pixel left out."""
    matrix = np.asarray(confusion, dtype=np.int64)
    return _mean(_shares(matrix.diagonal(), matrix.sum(1)))


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


def mean_over_images(total: Counts, images: Counts) -> float:
    """Mean over classes of a score's mean over images, from its sum and the number of images a class; NaN if none.

    A class without an image is left out.
    """
    return _mean(_shares(total, np.asarray(images)))


def means_over_images(totals: Sequence[Counts], images: Counts) -> list[float]:
    """:func:`mean_over_images` of each of several scores, ``T K``, over the same images."""
    return _means(_shares(totals, np.asarray(images)))


def mean_boundary_iou(intersection: Counts, prediction: Counts, label: Counts) -> float:
    """Mean over classes of boundary IoU from pixels near the boundary; classes with an empty union left out."""
    union = np.asarray(prediction) + np.asarray(label) - np.asarray(intersection)
    return _mean(_shares(intersection, union))


def expected_calibration_error(pixels: Counts, confidence: Counts, correct: Counts) -> float:
    """Mean over pixels of |accuracy − mean confidence| of their bin (Guo et al., 2017, eq. 3); NaN without pixels.

    Args:
        pixels: pixels a bin.
        confidence: sum of their confidence.
        correct: how many of them are right.
    """
    gaps = np.abs(np.asarray(correct, dtype=np.float64) - np.asarray(confidence, dtype=np.float64))
    return float(_shares(gaps.sum(), np.sum(pixels)))


def _shares(part: Any, whole: Any) -> Floats:
    """Part over whole; NaN where the whole is 0."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.asarray(part, dtype=np.float64) / np.where(whole == 0, np.nan, whole)


def _or_zero(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


def _means(rows: Floats) -> list[float]:
    if rows.size and not np.isnan(rows).any():
        means: list[float] = rows.mean(axis=1).tolist()
        return means
    return [_mean(row) for row in rows]


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
