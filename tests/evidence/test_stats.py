"""Statistics against closed forms, hand-computed values and one seeded simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy import special

from bench.evidence.stats import (
    ALPHA,
    LEAST_ALPHA_OF_TWO,
    Effect,
    effect,
    equivalence,
    holm,
    paired,
    pooled_sd,
    power,
    resolvable,
    seeds_needed,
    verdict,
)


def test_a_paired_difference_of_three_seeds_equals_the_computation_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, error 1/√3; t(0.975; 2) = 4.302653; T = 2√3.
    found = paired([2, 4, 6], [1, 2, 3])
    assert (found.delta, found.sd, found.n) == (2, 1, 3)
    assert found.low == pytest.approx(2 - 4.302652730 / math.sqrt(3))
    assert found.high == pytest.approx(2 + 4.302652730 / math.sqrt(3))
    # The t distribution with 2 degrees of freedom has the tail 1/2 - T / (2 √(2 + T²)).
    assert found.p == pytest.approx(1 - 2 * math.sqrt(3) / math.sqrt(14))


def test_a_paired_difference_of_two_seeds_follows_the_cauchy_distribution() -> None:
    found = paired([1.0, 3.0], [0.0, 0.0])
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(2.0))
    assert found.high - found.delta == pytest.approx(math.tan(math.pi * 0.475))


def test_pairing_removes_what_a_seed_does_to_both_sides() -> None:
    found = paired([0.30, 0.60, 0.91], [0.20, 0.50, 0.80])
    assert found.sd == pytest.approx(0.01 / math.sqrt(3))
    assert found.p < 0.01


def test_one_seed_gives_a_difference_without_an_interval() -> None:
    found = paired([0.5], [0.4])
    assert found.delta == pytest.approx(0.1)
    assert found.n == 1
    assert all(math.isnan(value) for value in (found.low, found.high, found.sd, found.p))
    assert verdict(found, found.p, "higher").reason == "one seed"


def test_no_seed_gives_no_difference() -> None:
    found = effect([])
    assert found.n == 0
    assert math.isnan(found.delta)
    assert verdict(found, found.p, "higher").word == "not resolved"


def test_identical_sides_are_not_resolved() -> None:
    found = paired([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert found == Effect(0.0, 0.0, 0.0, 0.0, 3, 1.0)
    assert verdict(found, 1.0, "higher").reason == "identical values"


def test_a_difference_without_spread_is_no_evidence_even_when_rounding_hides_it() -> None:
    found = paired([0.1 + 0.2, 0.7, 1.1], [0.2, 0.6, 1.0])
    assert found.delta == pytest.approx(0.1)
    assert found.sd == 0
    assert math.isnan(found.p)
    said = verdict(found, found.p, "higher")
    assert (said.word, said.reason) == ("not resolved", "no spread between seeds to judge by")


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 1; keep the common seeds"):
        paired([1.0, 2.0], [1.0])


def test_a_missing_value_is_refused_not_averaged_away() -> None:
    with pytest.raises(ValueError, match="leave a missing seed out"):
        effect([1.0, float("nan")])


def test_holm_equals_the_example_worked_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then never falling: .04 .06 .06 .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_caps_at_one_and_leaves_a_missing_p_out_of_the_count() -> None:
    adjusted = holm([0.9, float("nan"), 0.6])
    assert adjusted[0] == adjusted[2] == 1
    assert math.isnan(adjusted[1])
    assert holm([0.03, float("nan")])[0] == pytest.approx(0.03)
    assert holm([]) == []


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ValueError, match=r"got 1\.2"):
        holm([1.2])


def test_the_power_of_no_difference_is_alpha() -> None:
    for n in (2, 3, 10):
        assert power(0.0, 1.0, n) == pytest.approx(0.05, abs=1e-9)
        assert power(0.0, 1.0, n, alpha=0.01) == pytest.approx(0.01, abs=1e-9)


def test_the_smallest_resolvable_effect_equals_the_tabled_sample_size() -> None:
    # Textbook: a paired t-test at alpha .05 reaches power .80 with n = 34 for a difference of half a deviation.
    assert power(0.5, 1.0, 33) < 0.8 < power(0.5, 1.0, 34)
    assert 0.49 < resolvable(1.0, 34) < 0.5


def test_the_smallest_resolvable_effect_tends_to_the_normal_formula() -> None:
    n = 2000
    assert resolvable(2.0, n) == pytest.approx((1.959964 + 0.841621) * 2.0 / math.sqrt(n), rel=2e-3)


def test_the_smallest_resolvable_effect_grows_with_spread_and_comparisons_and_falls_with_seeds() -> None:
    assert resolvable(2.0, 3) == pytest.approx(2 * resolvable(1.0, 3))
    assert resolvable(1.0, 5) < resolvable(1.0, 3) < resolvable(1.0, 2)
    assert resolvable(1.0, 3, alpha=0.05 / 7) > resolvable(1.0, 3)
    assert math.isnan(resolvable(1.0, 1))
    assert math.isnan(resolvable(0.0, 3))


def test_the_smallest_resolvable_effect_is_resolved_as_often_as_said() -> None:
    generator = np.random.default_rng(20)
    smallest = resolvable(1.0, 3)
    resolved = [effect(list(smallest + generator.standard_normal(3))).p < 0.05 for _ in range(2000)]
    # 4 standard errors of a share of .8 over 2000 draws.
    assert np.mean(resolved) == pytest.approx(0.8, abs=0.036)


def test_the_interval_covers_the_truth_as_often_as_said_at_three_seeds() -> None:
    generator = np.random.default_rng(7)
    truth, trials = 0.4, 2000
    found = [effect(list(truth + generator.standard_normal(3))) for _ in range(trials)]
    covered = np.mean([each.low <= truth <= each.high for each in found])
    # 4 standard errors of a share of .95 over 2000 draws.
    assert covered == pytest.approx(0.95, abs=0.02)


def test_equivalence_is_the_larger_of_two_one_sided_tests_worked_by_hand() -> None:
    # n = 3, mean 0.2, error 0.1: T = (1 - 0.2) / 0.1 = 8 and 12; P(T > 8; 2) = (1 - 8 / √66) / 2.
    found = Effect(0.2, math.nan, math.nan, 0.1 * math.sqrt(3), 3, math.nan)
    assert equivalence(found, 1.0) == pytest.approx((1 - 8 / math.sqrt(66)) / 2)
    assert equivalence(found, 0.1) > 0.5
    assert math.isnan(equivalence(effect([0.2]), 1.0))
    assert math.isnan(equivalence(effect([0.2, 0.2]), 1.0))
    with pytest.raises(ValueError, match="above zero, got 0"):
        equivalence(found, 0)


@pytest.mark.parametrize(
    "differences", [[0.4, 0.1, 0.3, 0.2], [-0.4, -0.1, -0.3, -0.2], [1.1, -0.9, 0.2], [-3.0, -2.0]]
)
def test_equivalence_is_the_larger_p_of_scipys_two_one_sided_tests(differences: list[float]) -> None:
    sides = [scipy.stats.ttest_1samp(differences, -0.5, alternative="greater"),
             scipy.stats.ttest_1samp(differences, 0.5, alternative="less")]  # fmt: skip
    assert equivalence(effect(differences), 0.5) == pytest.approx(max(side.pvalue for side in sides))


def test_no_number_of_seeds_is_named_for_nothing_to_resolve() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1.0, 0.0) is None
    assert seeds_needed(0.001, 1.0) is None
    assert seeds_needed(100.0, 1.0) == 2


@pytest.mark.parametrize(("delta", "sd", "alpha"), [(1.2577, 1.0, 0.005), (1.2066, 1.0, 0.05)])
def test_seeds_are_named_where_the_chance_of_missing_a_difference_underflows(
    delta: float, sd: float, alpha: float
) -> None:
    """Against the definition: the mean over the chi-squared variance of the chance that a normal mean is resolved."""

    def reference(n: int) -> float:
        critical, shift = float(special.stdtrit(n - 1, 1 - alpha / 2)), delta / sd * math.sqrt(n)
        spread = np.sqrt(special.chdtri(n - 1, (np.arange(20_000) + 0.5) / 20_000) / (n - 1))
        return float(np.mean(special.ndtr(shift - critical * spread) + special.ndtr(-shift - critical * spread)))

    n = seeds_needed(delta, sd, alpha=alpha)
    assert n == next(n for n in range(2, 1001) if reference(n) >= 0.8)
    for seeds in (n, 10, 100, 1000):
        assert power(delta, sd, seeds, alpha=alpha) == pytest.approx(reference(seeds), abs=2e-4)


def test_pooling_weighs_variances_by_their_degrees_of_freedom() -> None:
    one = (float("nan"), 1)
    assert pooled_sd([(2.0, 3), (5.0, 2), one]) == pytest.approx(math.sqrt((2 * 4 + 25) / 3))
    assert math.isnan(pooled_sd([one]))


@pytest.mark.parametrize(
    ("sign", "better", "word"),
    [(1, "higher", "better"), (-1, "higher", "worse"), (1, "lower", "worse"), (-1, "lower", "better")],
)
def test_a_verdict_knows_which_way_is_good(sign: int, better: str, word: str) -> None:
    found = effect([sign * value for value in (1.0, 1.01, 1.02)])
    assert verdict(found, found.p, better).word == word


def test_a_verdict_goes_by_the_corrected_p_value() -> None:
    found = effect([1.0, 1.5, 2.0])
    assert found.p < 0.05 < 2 * found.p
    assert verdict(found, found.p, "higher").word == "better"
    said = verdict(found, 2 * found.p, "higher")
    assert (said.word, said.reason) == ("not resolved", "not after Holm")


def test_two_seeds_and_ten_thousand_comparisons_have_a_smallest_resolvable_difference() -> None:
    """By simulation: T of two values exceeds its critical value four times in five; no jump at the limit's edge."""
    values = np.random.default_rng(0).normal(0.0, 1.0, (200_000, 2))
    for comparisons in (10, 10_000):
        alpha = ALPHA / comparisons
        delta = resolvable(1.0, 2, alpha=alpha)
        means, spreads = values.mean(1) + delta, values.std(1, ddof=1)
        critical = -special.stdtrit(1, alpha / 2)
        assert np.mean(np.abs(means) > critical * spreads / math.sqrt(2)) == pytest.approx(0.8, abs=0.004)
    around = [
        resolvable(1.0, 2, alpha=LEAST_ALPHA_OF_TWO * side) * LEAST_ALPHA_OF_TWO * side for side in (0.999, 1.001)
    ]
    assert around[0] == pytest.approx(around[1], rel=1e-6)
