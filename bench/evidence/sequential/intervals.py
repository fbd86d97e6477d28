"""Intervals and p-values for a mean whose seeds stopped by a rule.

Student's t of the values less a mean, (average - mean) / error, has another law where the rule, looking at the t of
mean 0, chose when to stop. The law depends on mean / spread alone, so it is computed for every such ratio, by
quadrature over the angle at which a comparison ends and the length of its values (see
:mod:`bench.evidence.sequential.chain`). A mean is judged by the law for its own ratio, with the spread of the values
about that mean for the true one. **Source**: Chuang and Lai, 2000 (hybrid resampling, here with quadrature for
resampling).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import interpolate, special

from bench.evidence.sequential import chain
from bench.evidence.sequential.boundaries import Rule, boundaries
from bench.evidence.sequential.chain import Array

RATIOS: Array = np.concatenate([np.arange(0, 1.5, 0.05), np.arange(1.5, 3, 0.125), np.arange(3, 6.1, 0.5)])
"""Means over spreads at which the law is computed; beyond the last, all stop at the first look."""
SCORES: Array = np.linspace(-7, 7, 281)
"""Normal scores at which the law is computed: the score of a t is that of its chance in Student's law."""
_LEAST = 1e-14


@dataclass(frozen=True)
class Law:
    """The law of Student's t at the end of a comparison that a rule stopped.

    Attributes:
        corrected: mean over spread, score of t in Student's law -> its score in this law.
    """

    corrected: interpolate.RegularGridInterpolator

    def score(self, average: Array, sd: Array, n: Array, mean: Array) -> Array:
        """How far values lie above what a true mean leads one to expect, as a normal score; of arrays that broadcast.

        Args:
            average: the average of the values.
            sd: their standard deviation, above 0.
            n: their number.
            mean: the mean to be judged.
        """
        t = (average - mean) / sd * np.sqrt(n)
        score = special.ndtri(np.clip(special.stdtr(n - 1, t), _LEAST, 1 - _LEAST))
        return self._corrected(_ratio(average, sd, n, mean), score)

    def _corrected(self, ratio: Array, score: Array) -> Array:
        clipped = np.clip(ratio, -RATIOS[-1], RATIOS[-1]), np.clip(score, SCORES[0], SCORES[-1])
        return np.asarray(self.corrected(np.stack(clipped, axis=-1)))

    def equivalence(self, average: float, sd: float, n: int, margin: float) -> float:
        """p-value of "the true mean is ``margin`` or more, either way": two one-sided tests, the larger p."""
        average_, sd_, n_ = (np.full(2, value, dtype=float) for value in (average, sd, n))
        from_below, from_above = self.score(average_, sd_, n_, np.array([-margin, margin]))
        return float(special.ndtr(max(-from_below, from_above)))

    def interval(self, average: float, sd: float, n: int, level: float) -> tuple[float, float]:
        """The means whose score is not too far from 0, at a two-sided level such as 0.05."""
        low, high = self.intervals(np.array([average]), np.array([sd]), np.array([n]), level)
        return float(low[0]), float(high[0])

    def intervals(self, average: Array, sd: Array, n: Array, level: float) -> tuple[Array, Array]:
        """:meth:`interval` of many comparisons."""
        counts, place = np.unique(n, return_inverse=True)
        t = special.stdtrit(counts[:, None] - 1.0, special.ndtr(_TRIED))[place]
        means = average[:, None] - t * (sd / np.sqrt(n))[:, None]  # falls with the score
        ratio = _ratio(average[:, None], sd[:, None], n[:, None], means)
        scores = self._corrected(ratio, np.broadcast_to(_TRIED, means.shape))
        limit = -float(special.ndtri(level / 2))
        return _first_at(scores[:, ::-1], means[:, ::-1], limit), _first_at(-scores, means, limit)


_TRIED: Array = np.linspace(-6, 6, 161)
"""The scores of t in Student's law that the means which are tried have."""


def _ratio(average: Array, sd: Array, n: Array, mean: Array) -> Array:
    """A mean over the spread of the values about it."""
    return np.asarray(mean / np.sqrt((n - 1) / n * sd**2 + (average - mean) ** 2))


def _first_at(scores: Array, means: Array, limit: float) -> Array:
    """For each row the mean at which the score first falls to the limit, interpolated."""
    index = np.argmax(scores <= limit, axis=1)
    after, before = index[:, None], np.maximum(index - 1, 0)[:, None]
    high, low = np.take_along_axis(scores, before, 1), np.take_along_axis(scores, after, 1)
    part = np.where(high > low, (high - limit) / np.where(high > low, high - low, 1), 0)
    start, end = np.take_along_axis(means, before, 1), np.take_along_axis(means, after, 1)
    return np.asarray((start + np.clip(part, 0, 1) * (end - start))[:, 0])


@functools.lru_cache(maxsize=32)
def law(rule: Rule) -> Law:
    """Compute the law of t at the end under a rule."""
    bounds = boundaries(rule)
    ends = bounds.resolved + bounds.ended
    positive = np.array([_scores(rule, ends, ratio) for ratio in RATIOS])
    negative = -positive[:0:-1, ::-1]
    ratios = np.concatenate([-RATIOS[:0:-1], RATIOS])
    return Law(interpolate.RegularGridInterpolator((ratios, SCORES), np.concatenate([negative, positive])))


def _scores(rule: Rule, ends: Array, ratio: float) -> Array:
    """The corrected score at each of :data:`SCORES`, if the mean is ``ratio`` spreads."""
    chances = np.zeros(len(SCORES) + 1)
    width = SCORES[1] - SCORES[0]
    for n, masses in zip(rule.looks, ends, strict=True):
        used = (masses > 0) & (np.abs(chain.SINES) < 1)
        lengths, factors = chain.tilts(n, ratio)
        cosines = np.sqrt(1 - chain.SINES[used] ** 2)[:, None]
        t = np.sqrt(n - 1) * (chain.SINES[used][:, None] - ratio * np.sqrt(n) / lengths) / cosines
        score = special.ndtri(np.clip(special.stdtr(n - 1.0, t), _LEAST, 1 - _LEAST))
        place = np.clip((score - SCORES[0]) / width, 0, len(SCORES) - 1 - 1e-9)
        cell, weights = place.astype(np.intp), masses[used][:, None] * factors[used]
        part = place - cell
        chances += np.bincount((cell + 1).ravel(), ((1 - part) * weights).ravel(), len(chances))
        chances += np.bincount(np.minimum(cell + 2, len(SCORES)).ravel(), (part * weights).ravel(), len(chances))
    sums = np.cumsum(chances)
    middle = (sums[1:] + sums[:-1]) / 2 / sums[-1]  # half of what lies at a score counts as below it
    return np.asarray(special.ndtri(np.clip(middle, _LEAST, 1 - _LEAST)))
