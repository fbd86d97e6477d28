"""Recipe: how a variant is trained and tested, as plain values. A factor may change these too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Annotated, Any, Literal

from bench.parts import (
    ChoiceError,
    Count,
    Fraction,
    NonNegative,
    Part,
    Positive,
    Range,
    choices_of,
    mismatch,
    nearest,
    plain,
)

Precision = Literal["float32", "bfloat16", "float16"]
Pixels = Annotated[int, Range(ge=16)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Data, schedule, optimiser, protocol. The last iteration is what is reported; no checkpoint is chosen by a score.

    Attributes:
        data: the data set as a Part, such as ``part(CamVid)``.
        crop_px: height and width of a training crop.
        iterations: optimiser steps.
        batch: images a step.
        learning_rate: of the backbone, before the poly schedule.
        head_lr_factor: times ``learning_rate`` for everything but the backbone.
        momentum: of SGD.
        weight_decay: of SGD, on every parameter.
        poly_power: the rate at iteration i of n is multiplied by ``(1 - i / n) ** poly_power``.
        clip_norm: largest gradient norm, ``None`` for no clipping.
        scale: bounds of the random scale of training images.
        flip: probability of a horizontal flip.
        precision: of forward and loss in training, by autocast on CUDA and CPU; weights stay float32.
        eval_batch: images a forward in evaluation, where sizes allow.
        reported: which weights are evaluated: those after the last iteration, never the best of several.
        boundary_px: tolerances of boundary F, ascending.
        trimap_px: how far the band reaches, on both sides of a boundary, that a further mIoU is counted in; ascending.
        boundary_iou_share: how far boundary IoU's band reaches into a region, as a share of the image's diagonal.
        distance_crop_px: what is cut off each side for Gated-SCNN's distance-based evaluation; ascending, none by
            default.
        vanishing_point: centre of those crops, as shares of height and width.
        split: what is evaluated, whole images at native size. ``test`` is for a final study (``--final``).
        cost_px: height and width of the input that cost is measured at; ``None`` is the first evaluated image's.
        latency_samples: timed forwards, at least.
        latency_least_s: for how long, at least, forwards are timed.
        training_cost: whether cost includes the peak memory of a training step. The step needs what training needs, so
            leave it out where a network is only measured.
    """

    data: Part[Any]
    crop_px: tuple[Pixels, Pixels]
    iterations: Count
    batch: Count
    learning_rate: Positive = 0.01
    head_lr_factor: Positive = 10.0
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 1e-4
    poly_power: NonNegative = 0.9
    clip_norm: Positive | None = None
    scale: tuple[Positive, Positive] = (0.5, 2.0)
    flip: Fraction = 0.5
    precision: Precision = "float32"
    eval_batch: Count = 1
    reported: Literal["last iteration"] = "last iteration"
    boundary_px: tuple[Count, ...] = (3, 5, 9, 12)  # Takikawa et al., Gated-SCNN, 2019, table 2
    trimap_px: tuple[Count, ...] = (3, 9)
    boundary_iou_share: Fraction = 0.02  # Cheng et al., Boundary IoU, 2021, section 4.3
    distance_crop_px: tuple[Count, ...] = ()  # Gated-SCNN, 2019, figure 5: 100 to 400 of 1024x2048
    vanishing_point: tuple[Fraction, Fraction] = (0.5, 0.5)
    split: Literal["val", "test"] = "val"
    cost_px: tuple[Pixels, Pixels] | None = None
    latency_samples: Count = 50
    training_cost: bool = True
    latency_least_s: NonNegative = 1.0

    def __post_init__(self) -> None:
        for name, (annotation, _) in choices_of(Recipe).items():
            problem = mismatch(getattr(self, name), annotation)
            if problem:
                raise ChoiceError(f"Recipe({name}={getattr(self, name)!r}): {problem}")
        if self.scale[0] > self.scale[1]:
            raise ChoiceError(f"Recipe(scale={self.scale}): expected (smallest, largest)")
        for name in ("boundary_px", "trimap_px", "distance_crop_px"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)):
                raise ChoiceError(f"Recipe({name}={values}): expected different values in ascending order")
        if self.batch < 2:
            raise ChoiceError("Recipe(batch=1): batch normalisation of pooled features needs at least 2 images a step")

    def having(self, **changes: Any) -> Recipe:
        """The same recipe with some fields changed.

        Raises:
            ChoiceError: for an unknown field or a value that is not allowed.
        """
        known = [each.name for each in dataclass_fields(self)]
        for name in changes:
            if name not in known:
                raise ChoiceError(f"Recipe has no field {name!r}; it has {', '.join(known)}{nearest(name, known)}")
        return replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON-ready data."""
        return {each.name: plain(getattr(self, each.name)) for each in dataclass_fields(self)}
