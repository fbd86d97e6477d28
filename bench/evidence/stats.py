"""Is the difference real? Paired differences over seeds: Student-t intervals, Holm correction, power, verdicts.

The unit is the seed: two variants trained with the same seed share their initial weights and their batches, so their
difference is one observation. With few seeds a percentile bootstrap is too narrow (it covers 74 % at n = 3), so none is
used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, special

ALPHA = 0.05
"""The level of verdicts and intervals: it is two-sided, so intervals cover 95 %."""


POWER = 0.8
"""The chance of resolving the smallest resolvable effect."""


LEAST_ALPHA_OF_TWO = 5e-5
"""The level of a thousand comparisons at 5 %; down to it a resolvable difference of two pairs has six digits."""


NO_SPREAD = 1e-12
"""A standard deviation below this share of the largest value is rounding, not a spread between seeds."""


NAN = float("nan")


Word = Literal["better", "worse", "not resolved"]


@dataclass(frozen=True)
class Effect:
    """A mean difference over seeds, in the unit of the values compared; what n does not allow is NaN.

    Attributes:
        delta: mean of the differences.
        low: lower end of its 95 % interval.
        high: upper end.
        sd: sample standard deviation of the differences (n - 1 in the denominator).
        n: number of seeds.
        p: two-sided p-value of "no difference", not corrected for other comparisons.
    """

    delta: float
    low: float
    high: float
    sd: float
    n: int
    p: float


@dataclass(frozen=True)
class Verdict:
    """The verdict of a comparison, and the reason if it is not resolved."""

    word: Word
    reason: str = ""


def quotient(value: float, other: float) -> float:
    """One value over another; NaN over 0, which a peak of memory may have as its lower bound."""
    return value / other if other else NAN


def effect(differences: Sequence[float], *, alpha: float = ALPHA) -> Effect:
    """The mean of one difference a seed, with its Student-t interval: mean ± t(1 - alpha/2; n - 1) · sd / √n.

    Equal differences have no spread to judge them by: their interval is a point, and p is 1 if they are all zero and
    NaN otherwise.

    Raises:
        ValueError: for a value that is not finite; a missing seed is left out by the caller, on both sides.
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            f"differences must be a flat sequence of finite numbers, got {differences!r}; leave a missing seed out"
        )
    n = len(values)
    if n == 0:
        return Effect(NAN, NAN, NAN, NAN, 0, NAN)
    delta = float(values.mean())
    if n == 1:
        return Effect(delta, NAN, NAN, NAN, 1, NAN)
    sd = float(values.std(ddof=1))
    if sd <= NO_SPREAD * float(np.abs(values).max()):
        return Effect(delta, delta, delta, 0.0, n, 1.0 if delta == 0 else NAN)
    error = sd / math.sqrt(n)
    margin = _critical(n, alpha) * error
    p = 2 * float(special.stdtr(n - 1, -abs(delta) / error))
    return Effect(delta, delta - margin, delta + margin, sd, n, p)


def paired(a: Sequence[float], b: Sequence[float], *, alpha: float = ALPHA) -> Effect:
    """:func:`effect` of ``a - b``, seed by seed in the same order.

    Raises:
        ValueError: for sides of unequal length, or a value that is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"paired values need one partner each, got {len(a)} and {len(b)}; keep the common seeds only")
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return effect(settled(differences.tolist(), [*a, *b]), alpha=alpha)


def paired_by_seed(a: Mapping[int, float], b: Mapping[int, float]) -> Effect:
    """:func:`paired` over the seeds that both sides have.

    Args:
        a: seed -> value.
        b: seed -> value on the other side.
    """
    common = sorted(set(a) & set(b))
    return paired([a[seed] for seed in common], [b[seed] for seed in common])


def settled(differences: Sequence[float], values: Sequence[float]) -> list[float]:
    """Differences without the rounding that subtracting ``values`` left: zero or equal where only rounding says not.

    Otherwise rounding would pass for a spread between seeds, and a tiny spread for strong evidence.
    """
    settled_differences = np.asarray(differences, dtype=float)
    rounding = NO_SPREAD * float(np.abs(np.asarray(values, dtype=float)).max(initial=0.0))
    settled_differences = np.where(np.abs(settled_differences) <= rounding, 0.0, settled_differences)
    if settled_differences.size and settled_differences.max() - settled_differences.min() <= rounding:
        settled_differences = np.full(settled_differences.shape, settled_differences[0])
    settled_values: list[float] = settled_differences.tolist()
    return settled_values


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values, in the order given; NaN stays NaN and does not count as a comparison.

    The k-th smallest of m is multiplied by m - k + 1, capped at 1, and never falls below the one before it.

    Raises:
        ValueError: for a p-value outside 0 … 1.
    """
    for value in p:
        if not (math.isnan(value) or 0 <= value <= 1):
            raise ValueError(f"a p-value lies between 0 and 1, got {value!r}")
    order = sorted((i for i, value in enumerate(p) if not math.isnan(value)), key=lambda i: p[i])
    adjusted = [NAN] * len(p)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted


def power(delta: float, sd: float, n: int, *, alpha: float = ALPHA) -> float:
    """The chance that a true difference ``delta`` is resolved by n pairs whose differences spread by ``sd``.

    P(|T| > t(1 - alpha/2; n - 1)) for T noncentral t with n - 1 degrees of freedom and noncentrality delta · √n / sd,
    computed as the noncentral F of T². NaN for n < 2 or sd = 0.
    """
    if n < 2 or not sd > 0:
        return NAN
    critical, noncentrality = _critical(n, alpha), abs(delta) / sd * math.sqrt(n)
    missed = float(special.ncfdtr(1, n - 1, noncentrality**2, critical**2))
    if math.isnan(missed) and noncentrality > critical:
        return 1.0  # scipy's answer to a chance that underflows
    return 1 - missed


def resolvable(sd: float, n: int, *, alpha: float = ALPHA, chance: float = POWER) -> float:
    """The smallest true difference that n pairs resolve with the given chance: the root of :func:`power` in delta.

    Args:
        sd: standard deviation of the paired differences.
        n: number of pairs.
        alpha: the level of the comparison; for the strictest step of Holm over m comparisons, ``ALPHA / m``.
        chance: the power asked for.

    Returns:
        In the unit of ``sd``; NaN for n < 2 or sd = 0, where nothing can be said. Of two pairs and an alpha below
        :data:`LEAST_ALPHA_OF_TWO`, where scipy's noncentral F loses its digits, the limit for a small alpha: the
        difference whose T exceeds the critical value even if the spread seen is as large as it is with that chance.
    """
    if n < 2 or not sd > 0:
        return NAN
    if n == 2 and alpha < LEAST_ALPHA_OF_TWO:
        # Almost surely T > 0, so T > c if and only if the spread seen, sd |Z|, is below delta √2 / c.
        return _critical(n, alpha) * sd * float(special.ndtri((1 + chance) / 2)) / math.sqrt(n)
    high = sd
    while power(high, sd, n, alpha=alpha) < chance:
        high *= 2
    return float(optimize.brentq(lambda delta: power(delta, sd, n, alpha=alpha) - chance, 0.0, high))


def seeds_needed(
    delta: float, sd: float, *, alpha: float = ALPHA, chance: float = POWER, most: int = 1000
) -> int | None:
    """The smallest n whose :func:`power` for a true difference ``delta`` reaches ``chance``.

    ``None`` for more than ``most``, and where nothing can be said: no difference, or no spread.
    """
    if delta == 0 or not sd > 0 or not power(delta, sd, most, alpha=alpha) >= chance:
        return None
    low, high = 1, most  # power grows with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(delta, sd, middle, alpha=alpha) >= chance else (middle, high)
    return high


def equivalence(compared: Effect, margin: float) -> float:
    """p-value of "the true difference is ``margin`` or more, either way": two one-sided Student-t tests, the larger p.

    Below alpha, the 1 - 2 alpha interval lies within ± ``margin`` and the two sides count as equal. NaN for n < 2 and
    for differences without a spread. **Source**: Schuirmann, 1987.

    Raises:
        ValueError: for a margin that is not above zero.
    """
    if not margin > 0:
        raise ValueError(f"a margin of equivalence is above zero, got {margin!r}")
    if compared.n < 2 or not compared.sd > 0:
        return NAN
    error = compared.sd / math.sqrt(compared.n)
    return float(special.stdtr(compared.n - 1, (abs(compared.delta) - margin) / error))


def pooled_sd(spreads: Iterable[tuple[float, int]]) -> float:
    """One standard deviation for several comparisons, each given as its own and its n.

    The root of their variances' mean, weighted by n - 1; those with n < 2 have none.
    """
    known = [(sd, n) for sd, n in spreads if n >= 2]
    freedom = sum(n - 1 for _, n in known)
    return math.sqrt(sum((n - 1) * sd**2 for sd, n in known) / freedom) if freedom else NAN


def verdict(
    compared: Effect, adjusted_p: float, better: Literal["higher", "lower"], *, alpha: float = ALPHA
) -> Verdict:
    """The verdict on a difference: better, worse or not resolved.

    Args:
        compared: the difference to the other side.
        adjusted_p: its p-value after :func:`holm` over everything that is judged beside it.
        better: which way is good.
        alpha: a verdict needs an adjusted p-value below it.
    """
    if compared.n == 0:
        return Verdict("not resolved", "no seed in common")
    if compared.n == 1:
        return Verdict("not resolved", "one seed")
    if compared.sd == 0:
        same = compared.delta == 0
        return Verdict("not resolved", "identical values" if same else "no spread between seeds to judge by")
    if not adjusted_p < alpha:
        inside = compared.low <= 0 <= compared.high
        return Verdict("not resolved", "" if inside else "not after Holm")
    return Verdict("better" if (compared.delta > 0) == (better == "higher") else "worse")


def judged(effects: Sequence[Effect], better: Sequence[Literal["higher", "lower"]]) -> list[tuple[float, Verdict]]:
    """For each effect: its p-value after Holm's correction over all of them, and its verdict.

    Args:
        effects: everything that is judged side by side.
        better: for each effect, whether higher or lower values are better.
    """
    adjusted = holm([effect.p for effect in effects])
    return [
        (p_holm, verdict(effect, p_holm, direction))
        for effect, p_holm, direction in zip(effects, adjusted, better, strict=True)
    ]


def mean_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """The mean of the values and both ends of its Student-t 95 % interval; NaN where n does not allow it."""
    mean = effect(list(values))
    return mean.delta, mean.low, mean.high


def _critical(n: int, alpha: float) -> float:
    """t(1 - alpha/2; n - 1), from the lower tail, which keeps its digits at a small alpha."""
    return -float(special.stdtrit(n - 1, alpha / 2))


def welch(a: Sequence[float], b: Sequence[float], *, alpha: float = ALPHA) -> Effect:
    """The mean of ``b`` less that of ``a``, two independent samples of whatever spreads (Welch, 1947).

    Degrees of freedom after Welch and Satterthwaite. ``n`` is the smaller sample's size, ``sd`` the spread of a
    difference between one value of each. A point, p 1 or NaN, where neither sample has a spread.
    """
    if not a or not b:
        return Effect(NAN, NAN, NAN, NAN, 0, NAN)
    delta, n = float(np.mean(b) - np.mean(a)), min(len(a), len(b))
    if n == 1:
        return Effect(delta, NAN, NAN, NAN, 1, NAN)
    spreads = [float(np.var(side, ddof=1)) for side in (a, b)]
    largest = max(abs(value) for value in (*a, *b))
    if math.sqrt(sum(spreads)) <= NO_SPREAD * largest:
        delta = 0.0 if abs(delta) <= NO_SPREAD * largest else delta
        return Effect(delta, delta, delta, 0.0, n, 1.0 if delta == 0 else NAN)
    parts = [spread / len(side) for spread, side in zip(spreads, (a, b), strict=True)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
    error = math.sqrt(sum(parts))
    margin = -float(special.stdtrit(freedom, alpha / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(delta) / error))
    return Effect(delta, delta - margin, delta + margin, math.sqrt(sum(spreads)), n, p)
