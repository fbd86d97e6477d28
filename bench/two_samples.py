"""Two independent samples: where nothing pairs one value with another."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from bench import signed_ranks, stats
from bench.stats import NAN

MOST_EXACT = 400
"""Pairs of values up to which rank sums have their exact distribution."""


def welch(a: Sequence[float], b: Sequence[float], *, alpha: float = stats.ALPHA) -> stats.Effect:
    """The mean of ``b`` less that of ``a``, two independent samples of whatever spreads (Welch, 1947).

    Degrees of freedom after Welch and Satterthwaite. ``n`` is the smaller sample's size, ``sd`` the spread of a
    difference between one value of each. A point, p 1 or NaN, where neither sample has a spread.
    """
    if not a or not b:
        return stats.Effect(NAN, NAN, NAN, NAN, 0, NAN)
    delta, n = float(np.mean(b) - np.mean(a)), min(len(a), len(b))
    if n == 1:
        return stats.Effect(delta, NAN, NAN, NAN, 1, NAN)
    spreads = [float(np.var(side, ddof=1)) for side in (a, b)]
    largest = max(abs(value) for value in (*a, *b))
    if math.sqrt(sum(spreads)) <= stats.NO_SPREAD * largest:
        delta = 0.0 if abs(delta) <= stats.NO_SPREAD * largest else delta
        return stats.Effect(delta, delta, delta, 0.0, n, 1.0 if delta == 0 else NAN)
    parts = [spread / len(side) for spread, side in zip(spreads, (a, b), strict=True)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
    error = math.sqrt(sum(parts))
    margin = -float(special.stdtrit(freedom, alpha / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(delta) / error))
    return stats.Effect(delta, delta - margin, delta + margin, math.sqrt(sum(spreads)), n, p)


def ratio_of_samples(a: Sequence[float], b: Sequence[float], *, alpha: float = stats.ALPHA) -> signed_ranks.Ratio:
    """How many times ``a`` ``b`` is: Hodges–Lehmann's estimate of two samples' shift, of logarithms, and the interval
    that inverts the rank-sum test (Hollander, Wolfe & Chicken, Nonparametric Statistical Methods, 4.2 and 4.3).

    Exact for up to :data:`MOST_EXACT` pairs of values, with a normal approximation beyond. ``n`` is the smaller
    sample's size.
    """
    shifts = np.sort(np.subtract.outer(np.log(b), np.log(a)).ravel())
    ratio, n = float(np.exp(np.median(shifts))), min(len(a), len(b))
    p = min(1.0, 2 * _at_most(len(a), len(b), min(int((shifts <= 0).sum()), int((shifts >= 0).sum()))))
    rank = _critical(len(a), len(b), alpha)
    if rank == 0:
        return signed_ranks.Ratio(ratio, NAN, NAN, n, p)
    return signed_ranks.Ratio(ratio, float(np.exp(shifts[rank - 1])), float(np.exp(shifts[-rank])), n, p)


def _critical(n: int, m: int, alpha: float) -> int:
    """The largest c with P(U < c) <= alpha / 2, U the number of pairs in which the first sample's value is larger."""
    if n * m > MOST_EXACT:
        return max(0, math.floor(n * m / 2 + special.ndtri(alpha / 2) * _sd(n, m)))
    return int(np.searchsorted(_distribution(n, m), alpha / 2, side="right"))


def _at_most(n: int, m: int, u: int) -> float:
    """P(U <= u)."""
    if n * m > MOST_EXACT:
        return float(special.ndtr((u + 1 - n * m / 2) / _sd(n, m)))
    return float(_distribution(n, m)[u])


def _sd(n: int, m: int) -> float:
    """Standard deviation of U."""
    return math.sqrt(n * m * (n + m + 1) / 12)


@functools.cache
def _distribution(n: int, m: int) -> npt.NDArray[np.float64]:
    """P(U <= u) for every u from 0."""
    ways = np.zeros((n + 1, n * (n + m) + 1))
    ways[0, 0] = 1
    for rank in range(1, n + m + 1):
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    of_u = ways[n, n * (n + 1) // 2 :]
    shares: npt.NDArray[np.float64] = np.cumsum(of_u) / of_u.sum()
    return shares
