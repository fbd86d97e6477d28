"""Ranges of recipe fields, as a study names them for its tuning: ``tune={"learning_rate": LogRange(1e-3, 1e-1)}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite

from bench.parts import BenchError, nearest, shortened
from bench.protocol.recipe import Recipe
from bench.study.factors import StudyError

Value = bool | int | float | str
"""The value of a tuned field."""
Settings = Mapping[str, Value]
"""Field of the recipe -> its value."""


@dataclass(frozen=True)
class LinearRange:
    """All numbers from ``low`` to ``high``, each as likely; whole numbers if both ends are."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_ends(self, self.low, self.high)

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class LogRange(LinearRange):
    """All numbers from ``low`` to ``high``, each order of magnitude as likely; whole numbers if both ends are."""

    def __post_init__(self) -> None:
        _check_ends(self, self.low, self.high)
        if self.low <= 0:
            raise StudyError(f"{self}: a logarithmic range begins above 0")


@dataclass(frozen=True)
class Among:
    """Some values, such as ``Among(("poly", "cosine"))``."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        fit = isinstance(self.values, tuple) and all(isinstance(value, Value) for value in self.values)
        if not fit or len({repr(value) for value in self.values}) < max(2, len(self.values)):
            raise StudyError(f"Among({shortened(self.values)}): expected a tuple of at least two values, each once")

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.values


Space = LinearRange | Among
"""The values that a tuning may give to one field."""

FIXED = frozenset(
    {
        "data", "split", "reported", "eval_batch", "boundary_px", "trimap_px", "boundary_iou_share", "distance_crop_px",
        "vanishing_point", "cost_px", "latency_samples", "latency_least_s", "training_cost", "window_px",
        "window_stride_px", "test_scales", "test_long_side_px", "test_flip", "averaged", "validated_at",
        "test_mode", "test_precision",
    }
)  # fmt: skip
"""The fields of a recipe that say how a network is measured: arms that differ in them could not be compared."""


def check_tuned_fields(tune: Mapping[str, Space], recipe: Recipe) -> None:
    """Refuse ranges that a recipe cannot take.

    Raises:
        StudyError: for an unknown or fixed field, something that is no range, or an end that the recipe refuses.
    """
    known = [field.name for field in fields(Recipe) if field.name not in FIXED]
    for name, space in tune.items():
        if name in FIXED:
            raise StudyError(f"tune: {name} says how networks are measured, so it is the same for all of them")
        if name not in known:
            raise StudyError(f"tune: the recipe has no field {name!r}; it has {', '.join(known)}{nearest(name, known)}")
        if not isinstance(space, Space):
            raise StudyError(f"tune: {name}: expected LinearRange, LogRange or Among, got {shortened(space)}")
        for value in space.ends:
            try:
                recipe.having(**{name: value})
            except BenchError as problem:
                told = str(problem)
            else:
                continue
            raise StudyError(f"tune: {name}: {told}")


def _check_ends(given: LinearRange, low: float, high: float) -> None:
    if not all(type(end) in (int, float) and isfinite(end) for end in (low, high)) or low >= high:
        raise StudyError(
            f"{type(given).__name__}({shortened(low)}, {shortened(high)}): expected two numbers, low < high"
        )
