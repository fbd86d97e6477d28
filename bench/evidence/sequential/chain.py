"""The law of Student's t of the same values as more of them come, one by one, by quadrature.

Let t be the statistic of n normal values with mean 0, and sin a = t / √(n - 1 + t²): a is the angle of the vector of
the values to the plane in which they add up to 0. This direction does not depend on the vector's length, and the next
value moves it independently of its past: the angles are a Markov chain, whatever the spread. With another mean, each
path up to n is more or less likely than with mean 0 by a factor that only its last angle decides, as t is sufficient
for mean / spread among all that does not depend on the unit. **Source**: Hall, Wijsman and Ghosh, 1965; for sums of
values of known spread: Armitage, McPherson and Rowe, 1969.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CELLS = 401
"""Cells between the angles -90° and 90°; boundaries differ by less than 0.2 % from those of 1601 cells."""
NODES = 100
"""Nodes of a Gauss-Legendre quadrature."""

ANGLES: Array = np.linspace(-np.pi / 2, np.pi / 2, CELLS)
SINES: Array = np.sin(ANGLES)
_WIDTH = np.pi / (CELLS - 1)
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)


def first(n: int) -> Array:
    """The chance of every cell after n values of mean 0, at least 2."""
    masses = np.cos(ANGLES) ** (n - 2)
    masses[[0, -1]] /= 2  # half of the outermost cells lies beyond 90°
    return np.asarray(masses / masses.sum())


@functools.lru_cache(maxsize=64)
def step(n: int) -> Array:
    """From the angle after n values of mean 0 (row) to that after n + 1 (column): the chance of each cell."""
    share = _POINTS * np.pi / 2  # sin(share) is the next value over the length of the vector with it
    weights = _WEIGHTS * np.cos(share) ** (n - 1)
    weights /= weights.sum()
    sines = np.sqrt(n / (n + 1)) * SINES[:, None] * np.cos(share) + np.sin(share) / np.sqrt(n + 1)
    place = (np.arcsin(np.clip(sines, -1, 1)) + np.pi / 2) / _WIDTH
    cell = np.minimum(place.astype(np.intp), CELLS - 2)
    part = place - cell
    flat = (np.arange(CELLS)[:, None] * CELLS + cell).ravel()
    left = np.bincount(flat, ((1 - part) * weights).ravel(), CELLS**2)
    right = np.bincount(flat + 1, (part * weights).ravel(), CELLS**2)
    return np.asarray((left + right).reshape(CELLS, CELLS))


def after(masses: Array, n: int, later: int) -> Array:
    """Chances after ``later`` values from those after n; cells run along the last axis."""
    for count in range(n, later):
        masses = masses @ step(count)
    return masses


def lengths(n: int, mean: float) -> tuple[Array, Array]:
    """Nodes for the length of the vector of n values of spread 1, enough for this mean, and their chances at mean 0."""
    longest = np.sqrt(n) * (1 + abs(mean)) + 8
    nodes = (_POINTS + 1) / 2 * longest
    logs = (n - 1) * np.log(nodes) - nodes**2 / 2
    weights = _WEIGHTS * np.exp(logs - logs.max())
    return nodes, weights / weights.sum()


def tilts(n: int, mean: float) -> tuple[Array, Array]:
    """How much likelier an angle (row) and length (column) are with this mean, in spreads, times the length's chance.

    Returns:
        The lengths, and the factors for the chances of the angles at mean 0.
    """
    nodes, weights = lengths(n, mean)
    with np.errstate(divide="ignore"):  # a length may be so unlikely at mean 0 that its chance is 0 in floating point
        logs = np.log(weights)
    return nodes, np.exp(mean * np.sqrt(n) * SINES[:, None] * nodes - n * mean**2 / 2 + logs)


def tilt(n: int, mean: float) -> Array:
    """How much likelier each angle after n values is if their mean is this many spreads rather than 0."""
    return np.asarray(tilts(n, mean)[1].sum(axis=1)) if mean else np.ones(CELLS)


def t_of(angles: Array, n: int) -> Array:
    """Student's t of n values from the angle."""
    return np.asarray(np.sqrt(n - 1) * np.tan(angles))


def angle_of(t: Array, n: int) -> Array:
    """The angle from Student's t of n values."""
    return np.asarray(np.arctan(t / np.sqrt(n - 1)))
