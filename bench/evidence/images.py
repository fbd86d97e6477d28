"""mIoU of each image against the baseline's, from the confusion matrices that quality trials leave under ``artifacts``.

The unit is the image, *given these trained networks*: an interval says how the difference varies between images, and
nothing about networks trained from other seeds. ``I`` is the number of images, ``K`` of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.evidence import ranks, stats
from bench.protocol.scores import mean_iou
from bench.protocol.words import plural
from bench.records.files import RecordError, arrays_digest, read_arrays
from bench.records.forms import LARGEST
from bench.records.quality import MeasuredQuality
from bench.records.results import Results

COLUMNS = ("variant", "label", "images", "n", "planned", "better", "worse", "median", "shift", "low", "high")
"""The columns of :func:`comparisons`: ``n`` seeds in common, shares of images, and differences of mIoU as fractions."""


SAME = 1e-12
"""A smaller difference is rounding of a mean over seeds."""


def comparisons(
    results: Results, names: Mapping[str, str], scores: Mapping[str, Mapping[int, ImageScores]]
) -> pd.DataFrame:
    """One row a variant whose images can be paired with the baseline's: differences averaged over the common seeds.

    ``shift`` is their Hodges–Lehmann centre, with the interval that inverts Wilcoxon's signed-rank test.

    Args:
        names: variant -> its short name.
        scores: the scores of :func:`scores_by_trial`.
    """
    planned, base = results.planned("quality"), scores.get(results.baseline, {})
    rows = []
    for variant in planned:
        of_variant = scores.get(variant, {})
        common = [seed for seed in of_variant if seed in base and variant in results.comparable]
        if variant == results.baseline or not common:
            continue
        by_seed = [of_variant[seed].by_name - base[seed].by_name for seed in common]
        mean = pd.concat(by_seed, axis="columns").mean(axis="columns", skipna=False).dropna().to_numpy()
        centre = ranks.shift_interval(mean)
        rows.append(
            {
                "variant": variant, "label": names[variant], "images": len(mean), "n": len(common),
                "planned": min(planned[variant], planned[results.baseline]),
                "better": _share(mean > SAME), "worse": _share(mean < -SAME),
                "median": float(np.median(mean)) if len(mean) else stats.NAN,
                "shift": centre.shift, "low": centre.low, "high": centre.high,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def absent(results: Results, scores: Mapping[str, Mapping[int, ImageScores]]) -> str:
    """The reason why no image can be compared, given the scores of :func:`scores_by_trial`; empty if some can."""
    if not scores:
        return "no confusion matrix of an image is here: they lie under artifacts/ of the results folder"
    if results.baseline not in scores:
        return "the baseline's confusion matrices of images are not here"
    others = {variant: by_seed for variant, by_seed in scores.items() if variant != results.baseline}
    if others and not results.comparable & set(others):
        return "no variant is evaluated on the same classes and images as the baseline"
    if not any(set(scores[results.baseline]) & set(by_seed) for by_seed in others.values()):
        return "no variant has images of a seed that the baseline has too"
    return ""


def scores_by_trial(results: Results) -> dict[str, dict[int, ImageScores]]:
    """Variant -> seed -> the scores of its images, of the quality trials whose file of counts is there.

    Raises:
        RecordError: for an artifact that cannot be read, or that contradicts its record.
    """
    scores: dict[str, dict[int, ImageScores]] = {}
    if results.folder is None:
        return scores
    for record, measured in results.done(MeasuredQuality):
        path, trial = results.folder / measured.artifact, record.trial
        if path.is_file() and trial.seed is not None:
            scores.setdefault(trial.variant, {})[trial.seed] = read_image_scores(path, measured)
    return scores


def _share(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(mask.mean()) if mask.size else stats.NAN


class ImageScores(NamedTuple):
    """The scores of one trial, image by image.

    Attributes:
        names: the names of the images, each once.
        miou: a fraction, ``I``; NaN for an image without labelled pixels. Classes in neither its labels nor its
            prediction are left out.
    """

    names: tuple[str, ...]
    miou: npt.NDArray[np.float64]

    @property
    def by_name(self) -> pd.Series[float]:
        """The mIoU of every image by its name."""
        return pd.Series(self.miou, index=self.names)


def read_image_scores(path: Path, measured: MeasuredQuality) -> ImageScores:
    """The scores of a trial's images.

    Args:
        path: the file of the counts of each image.
        measured: the trial's measurements, with which the file must agree.

    Raises:
        RecordError: for a file without a confusion matrix ``K K`` of whole numbers for each image, or with other arrays
            than the record's digest is of, or whose matrices do not add up to the record's.
    """
    arrays = read_arrays(path)
    if measured.artifact_digest and arrays_digest(arrays) != measured.artifact_digest:
        raise RecordError(
            f"{path} was edited after it was written: its arrays are not what its record's digest says; {REMEDY}"
        )
    if problem := _problem(arrays, len(measured.classes)):
        raise RecordError(f"{path} holds no confusion matrices of images ({problem}); {REMEDY}")
    images, confusion = arrays["images"], arrays["confusion"]
    if contradiction := _contradiction(confusion, measured):
        raise RecordError(f"{path} contradicts its record: {contradiction}; {REMEDY}")
    return ImageScores(tuple(str(name) for name in images), mean_iou(confusion))


REMEDY = "restore it, or delete it and its record and run again"


def _problem(arrays: Mapping[str, npt.NDArray[np.generic]], classes: int) -> str:
    """The fault of an artifact's arrays by themselves; empty if there is none."""
    if missing := [name for name in ("images", "confusion") if name not in arrays]:
        return f"it has no {' and no '.join(missing)}"
    images, confusion = arrays["images"], arrays["confusion"]
    if images.ndim != 1 or images.dtype.kind != "U" or len(set(images.tolist())) < len(images):
        return "its images are no list of names, each once"
    if confusion.shape != (len(images), classes, classes):
        return f"they have the shape {confusion.shape}, expected {(len(images), classes, classes)}"
    if confusion.dtype.kind not in "iu" or (confusion.size and not 0 <= confusion.min() <= confusion.max() <= LARGEST):
        return "they are no counts"
    return ""


def _contradiction(confusion: npt.NDArray[np.generic], measured: MeasuredQuality) -> str:
    """The first count in which the matrices of images, ``I K K``, differ from their record; empty if none does."""
    if len(confusion) != measured.images:
        return f"it has {plural(len(confusion), 'image')}, and the record counts {measured.images}"
    sums, recorded = confusion.sum(axis=0).tolist(), measured.confusion
    for label, row in enumerate(sums):
        for prediction, pixels in enumerate(row):
            if pixels != recorded[label][prediction]:
                names = measured.classes[label], measured.classes[prediction]
                return (
                    f"its images have {pixels:,} pixels of {names[0]} predicted as {names[1]}, and the record "
                    f"{recorded[label][prediction]:,}"
                )
    return ""
