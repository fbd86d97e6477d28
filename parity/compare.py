"""The comparison of our values with stored ones of the originals: differences, tolerances and verdicts.

A value passes if it is within ``max(20 * f64_maxabs_diff, 1e-4 * f64_rms)`` of the stored one: 20 times the float32
rounding error of the original itself, or 1e-4 of the value's root mean square. NaN equals NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from parity.golden import Case

NOISE_FACTOR, RMS_SHARE, MEAN_SHARE = 20, 1e-4, 1e-5

STATS = ("sum", "mean", "std", "min", "max", "sum of magnitudes")

Status = Literal["pass", "fail"]


@dataclass(frozen=True)
class Check:
    """One comparison of values.

    Attributes:
        what: the key of the values.
        error: the largest absolute difference.
        relative: the error divided by the reference's root mean square; NaN if that is within the tolerance.
        tolerance: the largest allowed difference.
        problem: the reason why values cannot be compared, or the place of the difference; empty if there is neither.
    """

    what: str
    error: float = math.nan
    relative: float = math.nan
    tolerance: float = math.nan
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.error <= self.tolerance

    @property
    def strain(self) -> float:
        """The difference as a share of the tolerance; infinite if the values cannot be compared."""
        if self.problem or math.isnan(self.error):
            return math.inf
        return self.error / self.tolerance if self.tolerance else math.inf if self.error else 0.0


@dataclass(frozen=True)
class Verdict:
    """The verdict on a case; ``notes`` are departures, dropped keys and reasons."""

    case: str
    status: Status
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


def judge(case: Case, checks: Iterable[Check], notes: Iterable[str] = ()) -> Verdict:
    """The verdict, which is a pass if there are checks and all of them pass."""
    checks = tuple(checks)
    passed = bool(checks) and all(check.passed for check in checks)
    return Verdict(case.name, "pass" if passed else "fail", checks, tuple(notes))


def check_outputs(case: Case, ours: Mapping[str, Tensor]) -> list[Check]:
    """The checks of all outputs that the case stores: their stored elements, and statistics of the whole output."""
    checks = []
    for key, spec in case.facts["outputs"].items():
        if key not in ours:
            checks.append(Check(key, problem="not computed here"))
            continue
        tensor = ours[key].detach()
        if list(tensor.shape) != spec["shape"]:
            checks.append(Check(key, problem=f"shape {list(tensor.shape)}, expected {spec['shape']}"))
            continue
        tolerance = max(NOISE_FACTOR * spec["f64_maxabs_diff"], RMS_SHARE * spec["f64_rms"])
        stored = case.array(key).reshape(-1)
        checks.append(check_values(key, tensor.reshape(-1)[:: spec["step"]], stored, tolerance, spec["f64_rms"]))
        checks.append(_check_stats(key, tensor, spec, tolerance))
        if f"{key}__cstats" in case.arrays:
            stored = case.array(f"{key}__cstats").double()
            # The statistics are stored in float32, so a mean is known to a few parts in ten million.
            slack = tolerance + 1e-6 * float(stored.nan_to_num().abs().max())
            checks.append(check_values(f"{key} by channel", channel_stats(tensor), stored, slack, spec["f64_rms"]))
    return checks


def check_values(what: str, ours: Tensor, stored: Tensor, tolerance: float, rms: float) -> Check:
    """The check of two tensors of one shape by their largest difference; NaN equals NaN only."""
    ours, stored = ours.detach().double(), stored.double()
    if ours.shape != stored.shape:
        return Check(what, problem=f"shape {list(ours.shape)}, expected {list(stored.shape)}")
    difference = (ours - stored).abs()
    tolerance = 0.0 if math.isnan(tolerance) else tolerance  # the stated value is NaN, which only NaN equals
    difference = torch.where((ours == stored) | (ours.isnan() & stored.isnan()), 0.0, difference)
    error = float(difference.nan_to_num(nan=math.inf).max()) if difference.numel() else 0.0
    # A reference that consists of rounding errors, such as the gradient of a shift that cancels, has no relative error.
    return Check(what, error, error / rms if rms > tolerance else math.nan, tolerance)


def check_alike(what: str, ours: Tensor, stored: Tensor) -> Check:
    """The check of values without an estimate of noise, which must be within 1e-4 of the stored root mean square."""
    rms = float(stored.double().nan_to_num().square().mean().sqrt())
    return check_values(what, ours, stored, RMS_SHARE * rms, rms)


def check_mean(what: str, ours: Tensor, stated: float) -> Check:
    """The check of a mean or a sum over many elements, whose rounding errors cancel: it must be within 1e-5."""
    stored = torch.tensor(stated, dtype=torch.float64)
    return check_values(what, ours, stored, MEAN_SHARE * abs(stated), abs(stated))


def check_equal(what: str, ours: Tensor, stored: Tensor) -> Check:
    """The check of maps of classes, edges or bytes, in which no element may differ."""
    return check_values(what, ours, stored, 0.0, 1.0)


def check_count(what: str, ours: int, stated: int) -> Check:
    """The check of a number of parameters."""
    return Check(what, abs(ours - stated), abs(ours - stated) / max(stated, 1), 0.0)


def _check_stats(key: str, tensor: Tensor, spec: Mapping[str, Any], tolerance: float) -> Check:
    """The checks of a tensor's statistics. Sums grow with the number of elements, so their errors are divided by it."""
    count = max(tensor.numel(), 1)
    scale = torch.tensor([count, 1, 1, 1, 1, count], dtype=torch.float64)
    ours, stored = whole_stats(tensor) / scale, torch.tensor(spec["stats"], dtype=torch.float64) / scale
    check = check_values(f"{key} statistics", ours, stored, tolerance, spec["f64_rms"])
    if check.passed:
        return check
    worst = int((ours - stored).abs().nan_to_num(nan=math.inf).argmax())
    return Check(f"{key} {STATS[worst]}", check.error, check.relative, check.tolerance)


def whole_stats(tensor: Tensor) -> Tensor:
    """The sum, mean, population standard deviation, minimum, maximum and sum of magnitudes, in float64."""
    wide = tensor.detach().double().reshape(-1)
    mean = wide.mean()
    deviation = (wide - mean).square().mean().sqrt()
    return torch.stack([wide.sum(), mean, deviation, wide.min(), wide.max(), wide.abs().sum()])


def channel_stats(tensor: Tensor) -> Tensor:
    """The mean and the population standard deviation of every channel, ``N C 2``."""
    wide = tensor.detach().double().reshape(*tensor.shape[:2], -1)
    mean = wide.mean(-1)
    return torch.stack([mean, (wide - mean.unsqueeze(-1)).square().mean(-1).sqrt()], -1)
