"""Looks at several comparisons: errors over families of them, and what ends a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.evidence.sequential.boundaries import Rule, rule_resolving
from bench.evidence.sequential.looking import Following
from bench.evidence.stats import holm

STUDIES = 900
THREE = rule_resolving(1.0, 0.05 / 3)


def followed(rule: Rule, values: np.ndarray) -> Following:
    """The comparisons of a simulated study: values of each seed (row) and comparison."""
    differences = [dict(enumerate(column)) for column in values.T.tolist()]
    following = Following(rule, len(differences), 0.05)
    for n in rule.looks:
        following.look(differences, range(n))
        if not following.open:
            break
    return following


def values_of(rng: np.random.Generator, effects: list[float]) -> np.ndarray:
    """Differences to one baseline, whose spread is 1."""
    scores = rng.normal(0, math.sqrt(0.5), (THREE.most, len(effects) + 1))
    return np.asarray(scores[:, 1:] - scores[:, :1] + effects)


@pytest.mark.parametrize("effects", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
def test_of_three_comparisons_a_null_one_is_resolved_in_a_twentieth_of_the_studies_at_most(
    effects: list[float],
) -> None:
    rng = np.random.default_rng(21)
    null = [number for number, effect in enumerate(effects) if not effect]
    wrong = covered = 0
    for study in range(STUDIES):
        following = followed(THREE, values_of(rng, effects))
        adjusted = holm([comparison.p for comparison in following.comparisons])
        wrong += any(adjusted[number] < 0.05 for number in null)
        estimates = [following.estimate(number) for number in range(3)] if study < STUDIES // 3 else []
        covered += sum(one.low <= effect <= one.high for one, effect in zip(estimates, effects, strict=False))
    assert wrong / STUDIES <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / STUDIES)
    assert covered / (STUDIES // 3 * 3) == pytest.approx(0.95, abs=0.025)


def test_a_clear_difference_is_resolved_at_the_first_look_and_its_later_values_do_not_count() -> None:
    clear = [1.0, 1.1, 0.9, 1.05, *[-5.0] * 30][: THREE.most]
    noise = [0.5, -0.4, 0.9, -0.2, 0.6, -0.1, 0.8, 1.5, -0.9, *[0.3] * 30][: THREE.most]
    following = followed(THREE, np.array([clear, noise, noise]).T)
    first, *others = following.comparisons
    assert (first.stand, first.looks, len(first.values)) == ("resolved", 1, 4)
    assert first.p < 0.05 / 3
    estimate = following.estimate(0)
    assert (estimate.n, estimate.delta) == (4, pytest.approx(1.0125))
    assert 0 < estimate.low < 1.0125 < estimate.high
    assert {other.stand for other in others} <= {"futile", "at the maximum"}


def test_the_interval_of_the_only_comparison_has_zero_in_it_unless_its_p_value_is_below_the_level() -> None:
    rng, rule = np.random.default_rng(22), rule_resolving(1.0, 0.05)
    for _ in range(60):
        following = followed(rule, values_of(rng, [0.7])[: rule.most])
        estimate = following.estimate(0)
        assert (following.comparisons[0].p < 0.05) == (not estimate.low <= 0 <= estimate.high)


def test_no_difference_at_all_is_futile_and_one_without_a_spread_ends_without_a_verdict() -> None:
    none = [0.2, -0.2, 0.1, -0.1]
    following = Following(THREE, 2, 0.05)
    following.look([dict(enumerate(none)), dict.fromkeys(range(4), 0.25)], range(4))
    assert [one.stand for one in following.comparisons] == ["futile", "no spread"]
    assert math.isnan(following.comparisons[1].p)
    assert following.estimate(1).low == following.estimate(1).high == 0.25


def test_a_comparison_that_lacks_a_seed_is_looked_at_with_the_values_that_it_has() -> None:
    values = {seed: 0.5 + 0.4 * (-1) ** seed for seed in range(8)}
    following = Following(THREE, 2, 0.05)
    without_one = {seed: value for seed, value in values.items() if seed != 2}
    following.look([values, without_one], range(4))
    assert [one.looks for one in following.comparisons] == [1, 0], "three values are too few for the first look"
    assert [one.stand for one in following.comparisons] == ["open", "open"]
    following.look([values, without_one], range(5))
    assert [(one.looks, len(one.values)) for one in following.comparisons] == [(2, 5), (1, 4)]
    failing = Following(THREE, 1, 0.05)
    failing.look([{0: 0.5}], range(4))
    assert failing.comparisons[0].stand == "without values", "its trials fail: more seeds would not help"


def test_while_a_comparison_is_open_its_interval_holds_at_all_looks_and_is_wider() -> None:
    values = dict(enumerate([0.9, 0.1, 0.7, 0.3]))
    following = Following(THREE, 1, 0.05)
    following.look([values], range(4))
    assert following.comparisons[0].stand == "open"
    still_open = following.estimate(0)
    following.comparisons[0].stand = "at the maximum"
    assert still_open.high - still_open.low > following.estimate(0).high - following.estimate(0).low
    assert math.isnan(followed(THREE, np.array([[0.1] * THREE.most]).T).equivalence(0, 0.5)), "no spread"
