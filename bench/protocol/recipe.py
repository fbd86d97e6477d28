"""Recipe: the plain values that say how a variant is trained and tested. A factor may change them too."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
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

Precision = Literal["float32", "tf32", "bfloat16", "float16"]
TimedPrecision = Literal[Precision, "int8_static", "int8_dynamic"]
"""The precisions of a timing: those of a recipe, and 8-bit integers in a network that is quantised after training. The
ranges of its feature maps are taken from images beforehand (``int8_static``) or found in each forward
(``int8_dynamic``)."""
Mode = Literal[
    "eager", "compile", "compile_max_autotune", "cuda_graph", "aot_inductor", "onnxruntime", "openvino", "tensorrt"
]
"""The ways to execute a network: ``eager`` runs PyTorch as usual; ``compile`` uses torch.compile, and
``compile_max_autotune`` lets it try more kernels; ``cuda_graph`` captures one graph and replays it; ``aot_inductor``
compiles an exported graph ahead of time; ``onnxruntime``, ``openvino`` and ``tensorrt`` run it outside of torch.
:mod:`bench.protocol.modes` says where each runs, and in which precisions."""
Kernels = Literal["fastest", "default", "deterministic"]
Pixels = Annotated[int, Range(ge=16)]
Averaging = Literal["probabilities", "logits", "exponentials"]
Iterations = Annotated[int, Range(ge=0)]
Share = Annotated[float, Range(gt=0, le=1)]
Angle = Annotated[float, Range(ge=0, le=180)]
HalfTurn = Annotated[float, Range(ge=0, le=0.5)]


def check_precision(precision: TimedPrecision, device_type: str) -> None:
    """Refuse a precision that a device does not have, before anything is computed.

    Raises:
        ChoiceError: for ``tf32`` on a device other than CUDA; the message names the remedy.
    """
    if precision == "tf32" and device_type != "cuda":
        raise ChoiceError(f"precision 'tf32' needs a CUDA device, this is {device_type!r}; use float32 or bfloat16")


OUTSIDE_QUALITY = frozenset({"cost_px", "latency_samples", "latency_least_s", "training_cost", "validated_at"})
"""The recipe's fields that have no part in training and evaluation: a quality does not depend on them."""


class _Object:
    """An object, which is equal to itself alone: 1, 1.0 and True are others here."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Object) and self.value is other.value


@functools.lru_cache(100_000)
def _problem(name: str, held: _Object) -> str | None:
    """The reason why a field cannot have a value. The recipes of a study share most values, so each is checked once."""
    return mismatch(held.value, _annotations()[name])


@functools.cache
def _annotations() -> dict[str, Any]:
    return {name: annotation for name, (annotation, _) in choices_of(Recipe).items()}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The data, the training schedule, the optimiser and the evaluation protocol of a study.

    The weights after the last iteration are evaluated; no checkpoint is ever chosen by its score.

    Attributes:
        data: the data set as a Part, such as ``part(CamVid)``.
        crop_px: the height and the width of a training crop.
        iterations: the number of optimiser steps.
        batch: the number of images in each step.
        learning_rate: the backbone's learning rate, before the poly schedule.
        head_lr_factor: the factor by which the learning rate of all other slots exceeds the backbone's.
        momentum: the momentum of SGD.
        weight_decay: the optimiser's weight decay; see ``decayed``.
        poly_power: the rate at iteration i of n is multiplied by ``(1 - i / n) ** poly_power``.
        clip_norm: the largest norm of the gradient; ``None`` for no clipping.
        scale: the smallest and the largest random scale of training images.
        flip: the probability of a horizontal flip.
        precision: the precision of products and convolutions: ``float32`` is IEEE float32 on every device; ``tf32``
            rounds their operands to TF32, on CUDA alone; ``bfloat16`` and ``float16`` are autocast of forward and loss
            in training, where weights stay float32.
        kernels: the choice of kernels: ``fastest`` has cuDNN try all of its algorithms in training; ``default`` leaves
            the choice to cuDNN; ``deterministic`` takes deterministic forms, where torch has them. See
            :mod:`bench.network.numerics`.
        compiled: ``True`` to train the network compiled by torch.compile.
        eval_batch: the number of images in a forward of the evaluation, where their sizes are equal.
        reported: the weights that are evaluated: those after the last iteration, never the best of several.
        boundary_px: the tolerances of the boundary F-score, in pixels, ascending.
        trimap_px: the half widths, in pixels, of the bands along boundaries in which an mIoU is computed; ascending.
        boundary_iou_share: the width of the band of boundary IoU, as a share of the image's diagonal.
        distance_crop_px: the numbers of pixels cut off each side in Gated-SCNN's evaluation by distance; ascending,
            none by default.
        vanishing_point: the centre of those crops, as shares of height and width.
        split: the split that is evaluated, at the native size of its images. A final study (``--final``) uses ``test``.
        cost_px: the height and the width of the input at which cost is measured; ``None`` takes those of the first
            evaluated image.
        latency_samples: the least number of timed forwards.
        latency_least_s: the least time, in seconds, for which forwards are timed, and so each peak of the device.
        training_cost: ``True`` to measure the peak memory of a training step too. That step needs as much memory as
            training does, so choose ``False`` for networks that are only measured.
        optimiser: the optimiser as a Part, such as ``part(torch.optim.AdamW)`` with its own settings; ``None`` is SGD
            with ``momentum``. Learning rate and weight decay are those of the recipe.
        schedule: the fall of the rate after the warm-up: ``poly``; ``cosine`` along half a wave; ``step`` multiplies it
            by ``step_factor`` at each of ``step_at``; ``constant`` lets it be.
        step_at: the places of those steps, as shares of the schedule, ascending.
        step_factor: the factor of each step.
        warmup_iterations: the iterations over which the rate rises from ``warmup_start`` times itself; the schedule
            runs over those that are left.
        warmup_start: the factor of the learning rate at the first iteration of a warm-up.
        least_learning_rate: the rate at which a schedule ends.
        layer_decay: the factor by which the rate of each layer of the backbone is below that of the next one.
        decayed: ``all`` parameters have the weight decay, or the ``weights`` alone: not norms, biases and position
            embeddings.
        frozen: the part of the backbone that keeps its weights: ``nothing``, its ``norms`` (with their statistics), or
            all of it.
        ema_decay: the decay of an exponential moving average of the weights, which is evaluated in place of the last
            ones; 0 for none. Running statistics are the last ones.
        accumulate: the number of parts in which the gradient of a batch is computed, so that less memory is needed.
            Batch normalisation then sees the parts: another training than that of the whole batch.
        validated_at: the shares of the schedule after which the network is tested on the validation split, such as
            ``(0.25, 0.5, 0.75)``: a curve to look at. Nothing is chosen by it, and no result depends on it.
        window_px: the height and width of windows that slide over an image in testing; ``None`` for the whole image.
        window_stride_px: the distance from one window to the next.
        test_scales: the scales at which an image is tested, such as ``(0.75, 1.0, 1.25)``; ``()`` for its own size.
        test_long_side_px: the length to which the longer side of an image is resized in testing, before a scale;
            ``None`` for its own. Scores are resized back, and evaluated at the image's own size.
        test_flip: ``True`` to test the mirrored image too.
        averaged: the convention by which the scores of windows, scales and flips are averaged; see
            :mod:`bench.training.protocols`.
        test_mode: the execution mode in which the network is tested; see :mod:`bench.protocol.modes`.
        test_precision: the precision in which the network is tested; ``None`` is float32, or TF32 with ``precision``.
        short_side_px: the length to which the shorter side of a training image is resized before the random scale;
            ``None`` for its own. With ``long_side_px`` too, neither side becomes longer than asked for.
        long_side_px: likewise for the longer side.
        largest_class_share: the share of a crop's labelled pixels that no class may reach. Another place is drawn up to
            ten times; 1 for no limit.
        rotation_deg: the largest angle by which an image is rotated about its middle, either way.
        colour_jitter: the largest relative change of brightness, contrast and saturation, each drawn on its own.
        hue_jitter: the largest turn of the hue, as a share of the colour circle.
        photometric_distortion: ``True`` for the random brightness, contrast, saturation and hue of mmsegmentation.
        blur: the probability of a Gaussian blur.
        blur_sigma_px: the smallest and the largest standard deviation of that blur, in pixels of the crop.
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
    kernels: Kernels = field(default="fastest", metadata={"neutral": "fastest"})
    compiled: bool = field(default=False, metadata={"neutral": False})
    optimiser: Part[Any] | None = field(default=None, metadata={"neutral": None})
    schedule: Literal["poly", "cosine", "step", "constant"] = field(default="poly", metadata={"neutral": "poly"})
    step_at: tuple[Fraction, ...] = field(default=(), metadata={"neutral": ()})
    step_factor: Fraction = field(default=0.1, metadata={"neutral": 0.1})
    warmup_iterations: Iterations = field(default=0, metadata={"neutral": 0})
    warmup_start: Fraction = field(default=1e-6, metadata={"neutral": 1e-6})
    least_learning_rate: NonNegative = field(default=0.0, metadata={"neutral": 0.0})
    layer_decay: Fraction = field(default=1.0, metadata={"neutral": 1.0})
    decayed: Literal["all", "weights"] = field(default="all", metadata={"neutral": "all"})
    frozen: Literal["nothing", "norms", "backbone"] = field(default="nothing", metadata={"neutral": "nothing"})
    ema_decay: Fraction = field(default=0.0, metadata={"neutral": 0.0})
    accumulate: Count = field(default=1, metadata={"neutral": 1})
    validated_at: tuple[Fraction, ...] = field(default=(), metadata={"neutral": ()})
    window_px: tuple[Pixels, Pixels] | None = field(default=None, metadata={"neutral": None})
    window_stride_px: tuple[Count, Count] | None = field(default=None, metadata={"neutral": None})
    test_scales: tuple[Positive, ...] = field(default=(), metadata={"neutral": ()})
    test_long_side_px: Count | None = field(default=None, metadata={"neutral": None})
    test_flip: bool = field(default=False, metadata={"neutral": False})
    averaged: Averaging = field(default="probabilities", metadata={"neutral": "probabilities"})
    test_mode: Mode = field(default="eager", metadata={"neutral": "eager"})
    test_precision: TimedPrecision | None = field(default=None, metadata={"neutral": None})
    short_side_px: Pixels | None = field(default=None, metadata={"neutral": None})
    long_side_px: Pixels | None = field(default=None, metadata={"neutral": None})
    largest_class_share: Share = field(default=1.0, metadata={"neutral": 1.0})
    rotation_deg: Angle = field(default=0.0, metadata={"neutral": 0.0})
    colour_jitter: Fraction = field(default=0.0, metadata={"neutral": 0.0})
    hue_jitter: HalfTurn = field(default=0.0, metadata={"neutral": 0.0})
    photometric_distortion: bool = field(default=False, metadata={"neutral": False})
    blur: Fraction = field(default=0.0, metadata={"neutral": 0.0})
    blur_sigma_px: tuple[NonNegative, NonNegative] = field(default=(0.0, 1.0), metadata={"neutral": (0.0, 1.0)})

    def __post_init__(self) -> None:
        for name in _annotations():
            problem = _problem(name, _Object(getattr(self, name)))
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
        if (self.window_px is None) != (self.window_stride_px is None):
            raise ChoiceError(
                f"Recipe(window_px={self.window_px}, window_stride_px={self.window_stride_px}): a window needs a "
                "stride, and a stride a window"
            )
        if (
            self.window_px
            and self.window_stride_px
            and any(step > side for step, side in zip(self.window_stride_px, self.window_px, strict=True))
        ):
            raise ChoiceError(
                f"Recipe(window_px={self.window_px}, window_stride_px={self.window_stride_px}): with strides longer "
                "than the window, some pixels would be in no window"
            )
        if len(set(self.test_scales)) < len(self.test_scales):
            raise ChoiceError(f"Recipe(test_scales={self.test_scales}): expected every scale once")
        if list(self.step_at) != sorted(set(self.step_at)):
            raise ChoiceError(f"Recipe(step_at={self.step_at}): expected different shares in ascending order")
        if list(self.validated_at) != sorted(set(self.validated_at) - {0, 1}):
            raise ChoiceError(
                f"Recipe(validated_at={self.validated_at}): expected different shares above 0 and below 1 in ascending "
                "order; the end of the schedule is always tested"
            )
        if bool(self.step_at) != (self.schedule == "step"):
            raise ChoiceError(
                f"Recipe(schedule={self.schedule!r}, step_at={self.step_at}): the step schedule, and no other, needs "
                "step_at, such as (0.7, 0.9)"
            )
        if self.warmup_iterations >= self.iterations:
            raise ChoiceError(
                f"Recipe(warmup_iterations={self.warmup_iterations}): the warm-up must be shorter than the "
                f"{self.iterations} iterations of the training"
            )
        if self.ema_decay == 1 or self.layer_decay == 0:
            raise ChoiceError(
                f"Recipe(ema_decay={self.ema_decay:g}, layer_decay={self.layer_decay:g}): with these, nothing is "
                "learnt; an average needs a decay below 1, layers one above 0"
            )
        if self.batch % self.accumulate or self.batch < 2 * self.accumulate:
            raise ChoiceError(
                f"Recipe(batch={self.batch}, accumulate={self.accumulate}): the parts must be equal and of 2 images at "
                "least"
            )
        self._check_augmentation()

    def _check_augmentation(self) -> None:
        """Raise :class:`ChoiceError` for choices of the augmentation that cannot hold together."""
        short, long, largest = self.short_side_px, self.long_side_px, self.scale[1]
        if short is not None and long is not None and short > long:
            raise ChoiceError(
                f"Recipe(short_side_px={short}, long_side_px={long}): the shorter side cannot be longer than the longer"
            )
        for name, side, wanted in (("short", short, min(self.crop_px)), ("long", long, max(self.crop_px))):
            if side is not None and round(side * largest) < wanted:
                raise ChoiceError(
                    f"Recipe({name}_side_px={side}, crop_px={self.crop_px}): no crop could be filled, since the {name} "
                    f"side has {side * largest:g} pixels at the largest scale, and the crop needs {wanted}"
                )
        if self.photometric_distortion and (self.colour_jitter or self.hue_jitter):
            raise ChoiceError(
                "Recipe(photometric_distortion=True): it changes brightness, contrast, saturation and hue itself, so "
                "leave colour_jitter and hue_jitter at 0"
            )
        if self.blur_sigma_px[0] > self.blur_sigma_px[1]:
            raise ChoiceError(f"Recipe(blur_sigma_px={self.blur_sigma_px}): expected (smallest, largest)")

    def check(self, device_type: str) -> None:
        """Refuse a recipe that the device cannot run, before any trial.

        Raises:
            ChoiceError: for TF32 on a device other than CUDA.
        """
        check_precision(self.precision, device_type)

    def having(self, **changes: Any) -> Recipe:
        """The same recipe with some fields changed.

        Raises:
            ChoiceError: for an unknown field or a value that is not allowed.
        """
        known = [attribute.name for attribute in dataclass_fields(self)]
        for name in changes:
            if name not in known:
                raise ChoiceError(f"Recipe has no field {name!r}; it has {', '.join(known)}{nearest(name, known)}")
        return replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON-ready data."""
        return {attribute.name: plain(getattr(self, attribute.name)) for attribute in dataclass_fields(self)}
