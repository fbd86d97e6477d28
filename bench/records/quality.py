"""The measurements of a quality trial: the form of its counts in a record, and the columns that follow from them.

A record stores raw counts; every aggregation of them is here, so that any of them can be redone later. ``K`` classes. A
field with a default is one that older records lack, or that a recipe may leave out.
"""

from __future__ import annotations

import reprlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, gt
from pathlib import PurePath
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, Field, PlainSerializer, ValidationInfo, model_validator

from bench.protocol import scores
from bench.protocol.scores import Floats
from bench.records.forms import AS_WRITTEN, LARGEST, Amount, Finite, Form, Names, Whole
from bench.records.measured import Measured, OutputDifference

Matrix = list[list[Whole]]
Step = Annotated[float, Field(ge=0, le=LARGEST, multiple_of=1), PlainSerializer(int)]
ROUNDED = 1 + 1e-9
"""A sum of shares may be larger than their number by this factor, as every addition is rounded."""
Cells = tuple[str, list[int], Floats]
"""A column, some trials' rows and their values in it."""


def _inside(path: str) -> str:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts or "\0" in path:
        raise ValueError(f"it names a file outside its results folder: {reprlib.repr(path)}")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A file below the results folder."""


class LossHistory(Form):
    """The training loss, a value every so many iterations."""

    iteration: Annotated[list[Step], Field(min_length=1)]
    loss: list[Finite]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.iteration) != len(self.loss):
            raise ValueError(f"{len(self.iteration)} iterations and {len(self.loss)} losses")
        return self


class ScoreCurve(Form):
    """The mean IoU on the validation split after some iterations, while the network was trained."""

    iteration: Annotated[list[Step], Field(min_length=1)]
    miou: list[Annotated[float, Field(ge=0, le=1)]]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.iteration) != len(self.miou):
            raise ValueError(f"{len(self.iteration)} iterations and {len(self.miou)} scores")
        return self


class Sums(Form):
    """Sums of a score over images, a row a tolerance and a column a class."""

    f: list[list[Amount]]


class Boundary(Form):
    """Sums over images, a row a tolerance and a column a class."""

    tolerance_px: list[Whole]
    sum_over_images: Sums
    sum_over_images_with_class: Sums
    images_with_class: list[Whole]


class NearBoundary(Form):
    """Pixels near the boundary of each class."""

    intersection: list[Whole]
    prediction: list[Whole]
    label: list[Whole]


class Bands(Form):
    """A confusion matrix for every radius around the boundaries."""

    radius_px: list[Whole]
    confusion: list[Matrix]


class Crops(Form):
    """A confusion matrix for every distance from the vanishing point."""

    excluded_px: list[Whole]
    confusion: list[Matrix]


class Calibration(Form):
    """Pixels, right ones and summed confidence of every bin of confidence."""

    pixels: list[Whole]
    correct: list[Whole]
    confidence: list[Amount]

    @model_validator(mode="after")
    def _of_the_same_bins(self) -> Self:
        if not len(self.pixels) == len(self.correct) == len(self.confidence):
            raise ValueError("pixels, correct and confidence are of different numbers of bins")
        return self


class MeasuredQuality(Measured):
    """The counts of one evaluation; ``confusion`` is [label][prediction], K x K.

    ``artifact`` is the file of the counts of each image, and ``artifact_digest`` the digest of its arrays as
    :func:`bench.records.files.arrays_digest` computes it, which older records lack. ``weights`` is the file of the
    weights that were evaluated, and ``weights_digest`` its SHA-256. ``resumed_after`` are the numbers of iterations
    after which an interrupted training went on. ``processes`` is the number of processes that trained the network
    together, each on a GPU of its own where there are GPUs. ``trained_as`` is the key of the trial that trained the
    network, where this one only tested it, by kept weights. ``difference`` is how the logits of the mode or precision
    that it was tested in differ from those of eager torch, over all forwards, and ``prepared_s`` the seconds of export,
    compilation and first calls, if it was not tested by eager torch in float32.
    """

    classes: Names
    split: str
    images: Annotated[Whole, Field(ge=1)]
    iterations: Whole
    confusion: Matrix
    train_s: Amount
    history: LossHistory
    boundary: Boundary | None = None
    boundary_iou: NearBoundary | None = None
    trimap: Bands | None = None
    distance_crop: Crops | None = None
    calibration: Calibration | None = None
    artifact: Inside = ""
    artifact_digest: str = ""
    pictures: dict[str, Inside] = Field(default_factory=dict)
    weights: Inside = ""
    weights_digest: str = ""
    resumed_after: list[Whole] = Field(default_factory=list)
    processes: Annotated[Whole, Field(ge=1)] = 1
    trained_as: str = ""
    curve: ScoreCurve | None = None
    difference: OutputDifference | None = None
    prepared_s: Amount | None = None

    @property
    def miou(self) -> float:
        """The mean IoU over the images of the split, 0 to 1."""
        return float(scores.mean_iou(np.asarray(self.confusion)))

    @model_validator(mode="after")
    def _agrees_with_itself(self, validation: ValidationInfo) -> Self:
        if validation.context is not AS_WRITTEN:
            self._check_shapes()
            self._check_counts()
        return self

    def _check_shapes(self) -> None:
        matrices = {
            "confusion": [self.confusion],
            "trimap": self.trimap.confusion if self.trimap else [],
            "distance_crop": self.distance_crop.confusion if self.distance_crop else [],
        }
        for name, of_this_name in matrices.items():
            for matrix in of_this_name:
                _check_square(name, matrix, len(self.classes))
        for part, counts in self._per_class():
            _check_length(part, counts, len(self.classes))
        for part, sizes, counts in self._per_size():
            _check_length(part, counts, len(sizes))

    def _check_counts(self) -> None:
        """Compare counts that were taken of the same pixels and images, each in another way."""
        label, right = [*map(sum, self.confusion)], _diagonal(self.confusion)
        pixels = sum(label)
        if not pixels:
            raise ValueError("confusion counts no pixel")
        if self.history.iteration[-1] > self.iterations:
            raise ValueError(f"a loss of iteration {self.history.iteration[-1]:g}, after the last, {self.iterations}")
        if self.curve and self.curve.iteration[-1] > self.iterations:
            raise ValueError(f"a score of iteration {self.curve.iteration[-1]:g}, after the last, {self.iterations}")
        if self.boundary:
            _check_sums(self.boundary, self.images)
        if near := self.boundary_iou:
            _check_most("boundary_iou.intersection", near.intersection, near.label)
            _check_most("boundary_iou.intersection", near.intersection, near.prediction)
            _check_most("boundary_iou.label", near.label, label)
            _check_most("boundary_iou.prediction", near.prediction, [*map(sum, zip(*self.confusion, strict=True))])
        for name, part in (("trimap", self.trimap), ("distance_crop", self.distance_crop)):
            for matrix in part.confusion if part else ():
                _check_most(name, [*map(sum, matrix)], label)
                _check_most(name, _diagonal(matrix), right)
        if bins := self.calibration:
            if (pixels, sum(right)) != (sum(bins.pixels), sum(bins.correct)):
                raise ValueError(
                    f"calibration counts {sum(bins.pixels)} pixels, {sum(bins.correct)} of them right, and confusion "
                    f"{pixels} and {sum(right)}"
                )
            _check_most("calibration.correct", bins.correct, bins.pixels)
            _check_most("calibration.confidence", bins.confidence, [count * ROUNDED for count in bins.pixels])

    def _per_class(self) -> Iterable[tuple[str, list[Any]]]:
        if near := self.boundary_iou:
            yield from (("boundary_iou", counts) for counts in (near.intersection, near.prediction, near.label))
        if edge := self.boundary:
            yield "boundary", edge.images_with_class
            yield from (("boundary", row) for row in (*edge.sum_over_images.f, *edge.sum_over_images_with_class.f))

    def _per_size(self) -> Iterable[tuple[str, list[Whole], list[Any]]]:
        if edge := self.boundary:
            yield "boundary", edge.tolerance_px, edge.sum_over_images.f
            yield "boundary", edge.tolerance_px, edge.sum_over_images_with_class.f
        if self.trimap:
            yield "trimap", self.trimap.radius_px, self.trimap.confusion
        if self.distance_crop:
            yield "distance_crop", self.distance_crop.excluded_px, self.distance_crop.confusion


def _check_square(name: str, matrix: list[list[int]], classes: int) -> None:
    if {len(matrix), *map(len, matrix)} != {classes}:
        raise ValueError(f"{name} is not {classes} x {classes}, a row and a column for each of the classes")


def _diagonal(matrix: list[list[int]]) -> list[int]:
    return [row[index] for index, row in enumerate(matrix)]


def _check_most(name: str, counts: Sequence[float], wholes: Sequence[float]) -> None:
    """Raises ValueError if one of some counts is larger than the count of which it is a part."""
    if any(map(gt, counts, wholes)):
        part, most = next(pair for pair in zip(counts, wholes, strict=True) if pair[0] > pair[1])
        raise ValueError(f"{name} counts {part:g} of {most:g}, more than there are")


def _check_sums(edge: Boundary, images: int) -> None:
    """Raises ValueError if a sum of scores, each at most 1, is larger than the number of images that it is over."""
    most = images * ROUNDED
    _check_most("boundary.images_with_class", edge.images_with_class, [images] * len(edge.images_with_class))
    for row in edge.sum_over_images.f:
        _check_most("boundary.sum_over_images.f", row, [most] * len(row))
    for row in edge.sum_over_images_with_class.f:
        _check_most("boundary.sum_over_images_with_class.f", row, [count * ROUNDED for count in edge.images_with_class])


def _check_length(name: str, values: list[Any], wanted: int) -> None:
    if len(values) != wanted:
        raise ValueError(f"{name} has {len(values)} entries where {wanted} belong")


def quality_columns(trials: Sequence[MeasuredQuality]) -> list[dict[str, float]]:
    """The columns of each of several trials on the same classes; NaN for what one lacks and another has."""
    confusions = np.asarray([trial.confusion for trial in trials], dtype=np.int64)
    ious = scores.iou(confusions)
    columns = {
        "miou": scores.mean_over_classes(ious),
        "miou_absent_zero": scores.mean_over_classes(ious, absent="zero"),
        "fwiou": scores.frequency_weighted_iou(confusions),
        "pixel_accuracy": scores.pixel_accuracy(confusions),
        "mean_accuracy": scores.mean_accuracy(confusions),
        **_optional_columns(trials),
        "final_loss": np.array([_final_loss(trial.history.loss) for trial in trials]),
        "train_s": np.array([trial.train_s for trial in trials], dtype=np.float64),
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _final_loss(losses: Sequence[float]) -> float:
    return statistics.fmean(losses[-max(1, len(losses) // 10) :])


def _optional_columns(trials: Sequence[MeasuredQuality]) -> dict[str, Floats]:
    """Column -> a value for each trial, for boundaries and calibration; NaN where a record lacks the counts."""
    columns: dict[str, Floats] = defaultdict(lambda: np.full(len(trials), np.nan))
    for cells in (_boundary_f(trials), _near_boundaries(trials), _calibration(trials)):
        for name, rows, values in cells:
            columns[name][rows] = values
    return columns


def _boundary_f(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for tolerances, rows, parts in _alike(trials, "boundary", lambda part: part.tolerance_px):
        images = [[[trials[row].images]] for row in rows]
        with_class = [[part.images_with_class] for part in parts]
        for family, sums, count in (
            ("boundary_f", "sum_over_images", images),
            ("boundary_f_present", "sum_over_images_with_class", with_class),
        ):
            means = scores.mean_over_images([getattr(part, sums).f for part in parts], count)
            for tolerance, mean in zip(tolerances, means.T, strict=True):
                yield f"{family}_{tolerance}px", rows, mean


def _near_boundaries(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for _, rows, parts in _alike(trials, "boundary_iou", lambda part: [len(part.label)]):
        counts = ([getattr(part, name) for part in parts] for name in ("intersection", "prediction", "label"))
        yield "boundary_iou", rows, scores.mean_boundary_iou(*counts)
    for key, family, unit in (("trimap", "trimap_miou", "radius_px"), ("distance_crop", "crop_miou", "excluded_px")):
        for sizes, rows, parts in _alike(trials, key, attrgetter(unit)):
            means = scores.mean_iou([part.confusion for part in parts])
            for size, mean in zip(sizes, means.T, strict=True):
                yield f"{family}_{size}px", rows, mean


def _calibration(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for _, rows, parts in _alike(trials, "calibration", lambda part: [len(part.pixels)]):
        bins = ([getattr(part, name) for part in parts] for name in ("pixels", "confidence", "correct"))
        yield "ece", rows, scores.expected_calibration_error(*bins)


def _alike(
    trials: Sequence[MeasuredQuality], key: str, sizes_of: Callable[[Any], Sequence[int]]
) -> Iterator[tuple[Sequence[int], list[int], list[Any]]]:
    """The different sizes of one part of the measurements, each with the rows of the trials that have it so, and their
    parts.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, trial in enumerate(trials):
        if part := getattr(trial, key):
            groups.setdefault(tuple(sizes_of(part)), []).append(row)
    for sizes, rows in groups.items():
        if sizes:
            yield sizes, rows, [getattr(trials[row], key) for row in rows]
