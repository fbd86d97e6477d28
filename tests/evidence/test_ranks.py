"""Signed ranks against published tables, scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from bench.evidence import ranks
from bench.evidence.ranks import _critical_signed_rank, blocks_needed, ratio_interval, ratio_verdict, shift_interval
from bench.evidence.stats import holm
from bench.measure.timing.turns import MIN_BLOCKS


def test_the_interval_of_a_ratio_equals_the_signed_rank_tables() -> None:
    """c of the exact two-sided 5 % test: n = 6: 1, 10: 9, 20: 53 (Hollander, Wolfe & Chicken, table A.4)."""
    assert [_critical_signed_rank(n, 0.05) for n in (5, 6, 10, 20)] == [0, 1, 9, 53]


def test_the_ratio_is_the_median_of_pairwise_means_and_six_blocks_span_their_range() -> None:
    logs = [math.log(value) for value in (1.0, 1.1, 1.2, 1.3, 1.4, 4.0)]
    found = ratio_interval(logs)
    means = sorted((a + b) / 2 for index, a in enumerate(logs) for b in logs[index:])
    assert found.ratio == pytest.approx(math.exp(means[10]))
    assert (found.low, found.high, found.n) == (pytest.approx(1.0), pytest.approx(4.0), 6)


def test_an_outlier_hardly_moves_a_ratio() -> None:
    calm = [0.01 * (index - 10) for index in range(21)]
    shaken = [*calm[:-1], 5.0]
    assert ratio_interval(shaken).ratio == pytest.approx(ratio_interval(calm).ratio, rel=0.01)
    assert ratio_interval(shaken).high < 1.06


def test_too_few_blocks_give_a_ratio_without_an_interval() -> None:
    found = ratio_interval([0.0] * 5)
    assert (found.ratio, found.n) == (1.0, 5)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(ratio_interval([]).ratio)


def test_a_log_ratio_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        ratio_interval([0.0, float("nan")])


def test_the_interval_of_a_ratio_covers_the_truth_with_outliers_and_correlated_blocks() -> None:
    """Signs are drawn, as the order within a block is; sizes come in bursts, as a neighbour's work does."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        bursts = np.repeat(generator.exponential(size=5) ** 3, 4) * generator.uniform(0.5, 1, 20)
        found = ratio_interval(list(bursts * generator.choice([-1, 1], 20) + math.log(1.3)))
        covered += found.low <= 1.3 <= found.high
    assert 370 <= covered <= 392


def test_a_shift_is_the_median_of_the_pairs_means_with_the_ends_of_the_signed_ranks() -> None:
    # n = 6: P(T = 0) = 1/64 ≤ 0.025 < P(T ≤ 1) = 2/64, so the interval runs from the least to the largest mean.
    found = shift_interval([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    assert (found.low, found.high, found.n) == (1.0, 60.0, 6)
    assert found.shift == 3.5  # the 11th of 21 means: 1, 1.5, 2, 2, 2.5, 2.5, 3, 3, 3, 3.5, 3.5


def test_beyond_the_exact_distribution_the_interval_of_a_shift_goes_on_smoothly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 400)
    exact = shift_interval(values)
    monkeypatch.setattr(ranks, "MOST_EXACT", 399)
    approximate = shift_interval(values)
    assert (approximate.low, approximate.high) == pytest.approx((exact.low, exact.high), abs=1e-4)
    assert approximate.p == pytest.approx(exact.p, rel=0.02)


@pytest.mark.parametrize("n", [6, 9, 20, 120])
def test_the_p_value_equals_scipys_exact_one(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, n)
    assert shift_interval(values).p == pytest.approx(wilcoxon(values, method="exact").pvalue)


def test_the_interval_leaves_zero_out_exactly_where_p_is_below_alpha() -> None:
    generator, seen = np.random.default_rng(1), set()
    for _ in range(300):
        found = shift_interval(generator.normal(0.8, 1, 9))
        outside = found.low > 0 or found.high < 0
        assert outside == (found.p < 0.05)
        seen.add(outside)
    assert seen == {True, False}


def test_values_of_zero_are_evidence_of_nothing() -> None:
    assert shift_interval([0.0] * 8).p == 1.0
    assert shift_interval([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).p > 0.05


def test_a_ratio_is_judged_after_holm() -> None:
    faster, slower = (ratio_interval([sign * (0.2 + 0.01 * at) for at in range(10)]) for sign in (1, -1))
    both = holm([faster.p, slower.p])
    assert faster.p == pytest.approx(2 / 2**10)
    assert ratio_verdict(faster, both[0], 2).word == "better"
    assert ratio_verdict(slower, both[1], 2).word == "worse"
    unclear = ratio_interval([0.1, -0.1, 0.2, -0.15, 0.12, -0.05, 0.3, -0.2, 0.1, -0.1])
    assert (ratio_verdict(unclear, unclear.p, 1).word, ratio_verdict(unclear, unclear.p, 1).reason) == (
        "not resolved",
        "",
    )
    narrowly = ratio_interval([-0.1, -0.02, 0.3, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36, 0.37])
    assert narrowly.p < 0.05
    assert ratio_verdict(narrowly, 8 * narrowly.p, 8).reason == "not after Holm"


def test_a_ratio_of_too_few_blocks_for_so_many_comparisons_says_how_many_it_takes() -> None:
    # All of n log-ratios above 0: p = 2 / 2ⁿ. Of 11 comparisons the strictest step is 0.05 / 11 = 0.0045: 9 blocks.
    assert [blocks_needed(m) for m in (1, 2, 11, 60)] == [6, 7, 9, 12]
    six = ratio_interval([0.2, 0.21, 0.22, 0.23, 0.24, 0.25])
    said = ratio_verdict(six, 11 * six.p, 11)
    assert (said.word, said.reason) == ("not resolved", "6 blocks; 11 comparisons need 9 each")
    assert ratio_verdict(six, six.p, 1).word == "better"
    assert ratio_verdict(ratio_interval([]), math.nan, 1).reason == "no block"


def test_the_fewest_blocks_of_a_comparison_can_be_resolved_among_twenty_five() -> None:
    assert blocks_needed(25) == MIN_BLOCKS


def test_eleven_comparisons_without_a_difference_are_resolved_in_a_twentieth_of_the_studies_at_most() -> None:
    """Signs are a coin's, sizes come in bursts; 5 % and two Monte-Carlo standard errors of 1,000 studies."""
    generator, wrong = np.random.default_rng(2), 0
    for _ in range(1000):
        logs = generator.choice([-1, 1], (11, 10)) * generator.exponential(size=(11, 10)) ** 3
        found = [ratio_interval(each.tolist()) for each in logs]
        adjusted = holm([each.p for each in found])
        wrong += any(ratio_verdict(each, p, 11).word != "not resolved" for each, p in zip(found, adjusted, strict=True))
    assert wrong / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
