"""What a record holds for a report to read; what no type names is free and may be missing.

``K`` classes. A field with a default is one that older records lack, or that a recipe may leave out.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bench.records.forms import (
    LARGEST,
    Amount,
    Finite,
    Form,
    Names,
    Samples,
    Seconds,
    Seed,
    Size,
    Stage,
    TimingSetting,
    Whole,
)

Status = Literal["diverged", "done", "excluded", "out_of_memory", "failed", "interrupted", "timed_out"]
Matrix = list[list[Whole]]
Step = Annotated[float, Field(ge=0, le=LARGEST, multiple_of=1)]
LogRatio = Annotated[float, Field(ge=-50, le=50)]
"""Of two times: e to the power of 50 is the largest."""


def _inside(path: str) -> str:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts or "\0" in path:
        raise ValueError(f"it names a file outside its results folder: {reprlib.repr(path)}")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A file below the results folder."""


class Trial(Form):
    stage: Stage
    variant: str
    seed: Seed | None = None
    against: str | None = None
    setting: TimingSetting | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.stage == "quality" and self.seed is None:
            raise ValueError("a quality trial has a seed")
        if self.stage == "speed" and self.setting is None:
            raise ValueError("a speed trial has a setting")
        return self


class Environment(Form):
    bench: dict[str, Any] = Field(default_factory=dict)
    threads: Whole | None = None


class Choices(Form):
    variant: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)


class Outcome(Form):
    status: Status
    reason: str | None = None
    traceback: str | None = None
    wall_s: Amount | None = None


class RecordForm(Form):
    """Any record, apart from what it measured."""

    version: Literal[1]
    key: Annotated[str, Field(min_length=1)]
    trial: Trial
    choices: Choices
    environment: Environment
    outcome: Outcome
    measured: dict[str, Any]


class History(Form):
    iteration: Annotated[list[Step], Field(min_length=1)]
    loss: list[Finite]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.iteration) != len(self.loss):
            raise ValueError(f"{len(self.iteration)} iterations and {len(self.loss)} losses")
        return self


class Sums(Form):
    f: list[list[Amount]]


class Boundary(Form):
    """Sums over images, a row a tolerance and a column a class."""

    tolerance_px: list[Whole]
    sum_over_images: Sums
    sum_over_images_with_class: Sums
    images_with_class: list[Whole]


class NearBoundary(Form):
    intersection: list[Whole]
    prediction: list[Whole]
    label: list[Whole]


class Bands(Form):
    radius_px: list[Whole]
    confusion: list[Matrix]


class Crops(Form):
    excluded_px: list[Whole]
    confusion: list[Matrix]


class Calibration(Form):
    pixels: list[Whole]
    correct: list[Whole]
    confidence: list[Amount]

    @model_validator(mode="after")
    def _of_the_same_bins(self) -> Self:
        if not len(self.pixels) == len(self.correct) == len(self.confidence):
            raise ValueError("pixels, correct and confidence are of different numbers of bins")
        return self


class Quality(Form):
    """``confusion`` is [label][prediction], K x K."""

    classes: Names
    split: str
    images: Whole
    iterations: Whole
    confusion: Matrix
    train_s: Amount
    history: History
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


class Isolation(Form):
    reasons: list[str] = Field(default_factory=list)
    gpu_energy_j: Amount | None = None


class Clock(Form):
    clock: str
    warm_up_calls: Whole


class TrainingMemory(Form):
    peak_bytes: Amount
    input_bytes: Amount
    weight_bytes: Amount
    buffer_bytes: Amount
    gradient_bytes: Amount
    optimiser_bytes: Amount
    saved_bytes: dict[str, Amount]


class Peaks(Form):
    product_flops_per_s: Seconds
    copy_bytes_per_s: Seconds


class Cost(Form):
    input_px: Size
    batch: Annotated[Whole, Field(ge=1)]
    parameters: dict[str, Amount]
    macs: dict[str, Amount]
    uncounted_operators: dict[str, Any]
    latency_s: Samples
    peak_bytes: Amount
    memory_kind: str
    isolated: bool | None = None
    isolation: Isolation = Isolation()
    latency_protocol: Clock | None = None
    training_memory: TrainingMemory | None = None
    peaks: Peaks | None = None
    traffic_bytes: Amount = 0


class Speed(Form):
    latency_s: Samples
    against_s: Samples
    log_ratios: Annotated[list[LogRatio], Field(min_length=1)]
    calls: Whole
    steady: bool
    isolated: bool
    isolation: Isolation = Isolation()
    step_s: dict[str, dict[str, Samples]]


MEASURED: Mapping[str, type[Form]] = {"quality": Quality, "cost": Cost, "speed": Speed}
"""Stage -> what one of its trials measured that is done."""


def _check_square(name: str, matrix: list[list[int]], classes: int) -> None:
    if {len(matrix), *map(len, matrix)} != {classes}:
        raise ValueError(f"{name} is not {classes} x {classes}, a row and a column for each of the classes")


def _check_length(name: str, values: list[Any], wanted: int) -> None:
    if len(values) != wanted:
        raise ValueError(f"{name} has {len(values)} entries where {wanted} belong")
