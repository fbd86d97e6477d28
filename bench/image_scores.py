"""mIoU of every image, from the counts that a quality trial leaves under ``artifacts``. Plain numpy; no torch.

``I`` images, ``K`` classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.store import RecordError, read_arrays

LARGEST = 2**53
"""Counts of pixels below it are exact in any sum that is made of them."""


class ImageScores(NamedTuple):
    """What one trial scored, image by image.

    Attributes:
        names: of the images, each once.
        miou: a fraction, ``I``; NaN for an image without labelled pixels. Classes in neither its labels nor its
            prediction are left out.
    """

    names: tuple[str, ...]
    miou: npt.NDArray[np.float64]


def read_image_scores(path: Path, classes: int) -> ImageScores:
    """The scores of a trial's images.

    Raises:
        RecordError: for a file without a confusion matrix ``K K`` of whole numbers for each image.
    """
    arrays = read_arrays(path, ["images", "confusion"])
    images, confusion = arrays["images"], arrays["confusion"]
    if wrong := _problem(images, confusion, classes):
        raise RecordError(
            f"{path} holds no confusion matrices of images ({wrong}); delete it, its record, and run again"
        )
    counts = confusion.astype(np.int64)
    hits = counts.diagonal(axis1=1, axis2=2)
    union = counts.sum(1) + counts.sum(2) - hits
    there = union > 0
    seen = there.sum(1)
    total = np.where(there, hits / np.where(there, union, 1), 0.0).sum(1)
    miou = np.where(seen > 0, total / np.where(seen > 0, seen, 1), np.nan)
    return ImageScores(tuple(str(name) for name in images), miou)


def _problem(images: npt.NDArray[np.generic], confusion: npt.NDArray[np.generic], classes: int) -> str:
    """What is wrong with the arrays; empty for nothing."""
    if images.ndim != 1 or images.dtype.kind != "U" or len(set(images.tolist())) < len(images):
        return "its images are no list of names, each once"
    if confusion.shape != (len(images), classes, classes):
        return f"they have the shape {confusion.shape}, expected {(len(images), classes, classes)}"
    if confusion.dtype.kind not in "iu" or (confusion.size and not 0 <= confusion.min() <= confusion.max() <= LARGEST):
        return "they are no counts"
    return ""
