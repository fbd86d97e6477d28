"""The measurements of finished trials as records hold them, typed; keys that no type names are free.

``K`` classes. A field with a default is one that older records lack, or that a recipe may leave out.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from bench.records.forms import (
    LARGEST,
    Amount,
    Counted,
    Finite,
    Form,
    Names,
    Samples,
    Seconds,
    Size,
    Stage,
    Whole,
)

Matrix = list[list[Whole]]
Step = Annotated[float, Field(ge=0, le=LARGEST, multiple_of=1), PlainSerializer(int)]
LogRatio = Annotated[float, Field(ge=-50, le=50)]
"""The logarithm of the ratio of two times, from -50 to 50."""


def _inside(path: str) -> str:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts or "\0" in path:
        raise ValueError(f"it names a file outside its results folder: {reprlib.repr(path)}")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A file below the results folder."""


class Isolation(Form):
    """The reasons why a timing did not have the machine to itself, and the energy that it took."""

    reasons: list[str] = Field(default_factory=list)
    gpu_energy_j: Amount | None = None


NOTHING_KNOWN = Isolation()


class Measured(Form):
    """The measurements of a trial of any stage; a trial that is not done may hold anything here.

    Attributes:
        isolated: whether a timing had the machine to itself; ``None`` where that is not known, or nothing was timed.
        isolation: the reasons why it had not, and the energy.
    """

    isolated: bool | None = None
    isolation: Isolation = Field(default_factory=lambda: NOTHING_KNOWN)


class LossHistory(Form):
    """The training loss, a value every so many iterations."""

    iteration: Annotated[list[Step], Field(min_length=1)]
    loss: list[Finite]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.iteration) != len(self.loss):
            raise ValueError(f"{len(self.iteration)} iterations and {len(self.loss)} losses")
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
    """The counts of one evaluation; ``confusion`` is [label][prediction], K x K."""

    classes: Names
    split: str
    images: Whole
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
    pictures: dict[str, Inside] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_all_classes(self) -> Self:
        matrices = {"confusion": [self.confusion]}
        for part, of in (("trimap", self.trimap), ("distance_crop", self.distance_crop)):
            matrices[part] = of.confusion if of else []
        for name, found in matrices.items():
            for matrix in found:
                _check_square(name, matrix, len(self.classes))
        for part, near in self._per_class():
            _check_length(part, near, len(self.classes))
        for part, sizes, counts in self._per_size():
            _check_length(part, counts, len(sizes))
        return self

    def _per_class(self) -> Iterable[tuple[str, list[Any]]]:
        if near := self.boundary_iou:
            yield from (("boundary_iou", each) for each in (near.intersection, near.prediction, near.label))
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


class Clock(Form):
    """The clock that latencies were taken with."""

    clock: str
    warm_up_calls: Whole
    steady: bool | None = None


class TrainingMemory(Form):
    """The memory of one training step, in bytes."""

    peak_bytes: Counted
    input_bytes: Counted
    weight_bytes: Counted
    buffer_bytes: Counted
    gradient_bytes: Counted
    optimiser_bytes: Counted
    saved_bytes: dict[str, Counted]


class Peaks(Form):
    """The largest rates that the device reaches."""

    product_flops_per_s: Seconds
    copy_bytes_per_s: Seconds


class MeasuredCost(Measured):
    """The parameters, MACs, memory and latencies of one network."""

    input_px: Size
    batch: Annotated[Whole, Field(ge=1)]
    parameters: dict[str, Counted]
    macs: dict[str, Counted]
    uncounted_operators: dict[str, Any]
    latency_s: Samples
    peak_bytes: Counted
    memory_kind: str
    latency_protocol: Clock | None = None
    training_memory: TrainingMemory | None = None
    peaks: Peaks | None = None
    traffic_bytes: Counted | None = None


class MeasuredSpeed(Measured):
    """The times of two networks that were timed in turns."""

    latency_s: Samples
    against_s: Samples
    log_ratios: Annotated[list[LogRatio], Field(min_length=1)]
    calls: Whole
    steady: bool
    isolated: bool
    step_s: dict[str, dict[str, Samples]]


MEASURED: Mapping[Stage, type[Measured]] = {
    "quality": MeasuredQuality, "cost": MeasuredCost, "speed": MeasuredSpeed,
}  # fmt: skip
"""Stage -> the form of the measurements of its finished trials."""


def _check_square(name: str, matrix: list[list[int]], classes: int) -> None:
    if {len(matrix), *map(len, matrix)} != {classes}:
        raise ValueError(f"{name} is not {classes} x {classes}, a row and a column for each of the classes")


def _check_length(name: str, values: list[Any], wanted: int) -> None:
    if len(values) != wanted:
        raise ValueError(f"{name} has {len(values)} entries where {wanted} belong")
