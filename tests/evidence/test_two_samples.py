"""Welch's test and a ratio of two independent samples, against scipy, a textbook's ranks and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.evidence import stats
from bench.evidence.ranks import MOST_EXACT_PAIRS, ratio_of_samples
from bench.evidence.stats import welch


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 7).tolist(), rng.normal(0.5, 3, 4).tolist()
    expected = scipy_stats.ttest_ind(b, a, equal_var=False)
    found = welch(a, b)
    interval = expected.confidence_interval()
    assert (found.delta, found.p) == pytest.approx((np.mean(b) - np.mean(a), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.n == 4


@pytest.mark.parametrize(
    ("a", "b", "n", "p"),
    [
        ([], [1.0], 0, math.nan),
        ([1.0], [2.0, 3.0], 1, math.nan),
        ([0.3] * 3, [0.3] * 2, 2, 1.0),
        ([1.0] * 2, [2.0] * 2, 2, math.nan),
    ],
)
def test_welch_says_what_too_few_values_or_no_spread_allow(a: list[float], b: list[float], n: int, p: float) -> None:
    found = welch(a, b)
    assert found.n == n
    assert found.p == pytest.approx(p, nan_ok=True)


def test_a_ratio_of_samples_has_the_textbooks_interval() -> None:
    """Five values each: P(U <= 2) = 4/252 and P(U <= 3) = 7/252, so the third smallest and largest of 25 shifts."""
    a, b = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([3.0, 5.0, 9.0, 17.0, 33.0])
    ratios = np.sort((b[:, None] / a[None, :]).ravel())
    found = ratio_of_samples(a.tolist(), b.tolist())
    assert found.ratio == pytest.approx(ratios[12])
    assert (found.low, found.high) == pytest.approx((ratios[2], ratios[-3]))
    few = ratio_of_samples([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert few.ratio == pytest.approx(2)
    assert math.isnan(few.low)


@pytest.mark.parametrize(("n", "m"), [(9, 12), (25, 25)])
def test_a_p_value_is_below_alpha_if_and_only_if_the_interval_leaves_1_out(n: int, m: int) -> None:
    """The exact distribution and the approximate one, of samples moved past the edge a pair of values at a time."""
    generator = np.random.default_rng(0)
    a, b = (generator.normal(0, 1, size) for size in (n, m))
    shifts = np.sort(np.subtract.outer(a, b).ravel())
    sides = set()
    for shift in (shifts[1:] + shifts[:-1]) / 2:  # each turns one more pair around
        found = ratio_of_samples(np.exp(a).tolist(), np.exp(b + shift).tolist())
        assert (found.p < stats.ALPHA) == (not found.low <= 1 <= found.high)
        sides.add((found.p < stats.ALPHA, found.ratio > 1))
    assert len(sides) == 4


@pytest.mark.parametrize(("n", "m"), [(8, 12), (30, 25)])
def test_a_ratio_of_samples_covers_the_truth(n: int, m: int) -> None:
    """Exact below 400 pairs, approximate above: 95 % of 600 intervals, give or take 4 standard errors."""
    generator, covered = np.random.default_rng(n), 0
    for _ in range(600):
        found = ratio_of_samples(
            np.exp(generator.normal(0, 0.1, n)).tolist(), np.exp(generator.normal(0.2, 0.1, m)).tolist()
        )
        covered += found.low <= math.exp(0.2) <= found.high
    assert covered / 600 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 600))
    assert stats.ALPHA == 0.05


@pytest.mark.parametrize(("n", "m"), [(6, 6), (8, 5), (30, 25)])
def test_the_p_value_of_a_ratio_equals_the_rank_sum_test(n: int, m: int) -> None:
    generator = np.random.default_rng(n)
    a, b = (np.exp(generator.normal(at, 0.3, size)).tolist() for at, size in ((0.0, n), (0.25, m)))
    method = "exact" if n * m <= MOST_EXACT_PAIRS else "asymptotic"
    expected = scipy_stats.mannwhitneyu(a, b, method=method).pvalue
    assert ratio_of_samples(a, b).p == pytest.approx(expected, rel=1e-9 if method == "exact" else 0.05)
