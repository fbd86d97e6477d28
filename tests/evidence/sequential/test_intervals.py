"""Intervals after several looks against simulated values: they cover the truth as often as said, at every truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.evidence.sequential.boundaries import boundaries, rule_resolving
from bench.evidence.sequential.intervals import law

STUDIES = 6_000
RULE = rule_resolving(1.0, 0.05)
LAW = law(RULE)


def simulated(effect: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and number of values of simulated studies at their end."""
    values = np.random.default_rng(seed).normal(effect, 1.0, (STUDIES, RULE.most))
    bounds = boundaries(RULE)
    averages = np.stack([values[:, :n].mean(1) for n in RULE.looks], axis=1)
    spreads = np.stack([values[:, :n].std(1, ddof=1) for n in RULE.looks], axis=1)
    t = np.abs(averages / spreads * np.sqrt(RULE.looks))
    stopped = (t >= [bounds.bound(look, 0.05) for look in range(len(RULE.looks))]) | (t <= bounds.futile)
    stopped[:, -1] = True
    end, rows = stopped.argmax(1), np.arange(STUDIES)
    return averages[rows, end], spreads[rows, end], np.array(RULE.looks, dtype=float)[end]


@pytest.mark.parametrize("effect", [0.0, 0.25, 0.5, 1.0, 2.0])
def test_intervals_cover_the_truth_and_miss_it_as_often_above_as_below(effect: float) -> None:
    low, high = LAW.intervals(*simulated(effect, 11), 0.05)
    error = math.sqrt(0.05 * 0.95 / STUDIES)
    assert np.mean((low <= effect) & (effect <= high)) == pytest.approx(0.95, abs=0.005 + 3 * error)
    assert np.mean(low > effect) == pytest.approx(0.025, abs=0.006 + 3 * error)
    assert np.mean(high < effect) == pytest.approx(0.025, abs=0.006 + 3 * error)


def test_the_law_without_a_mean_is_symmetric_and_of_a_large_one_that_of_students_t() -> None:
    scores = np.linspace(-2.5, 2.5, 11)
    null = LAW.corrected(np.stack([np.zeros(11), scores], axis=1))
    assert null == pytest.approx(-null[::-1], abs=1e-9)
    large = LAW.corrected(np.stack([np.full(11, 6.0), scores], axis=1))
    assert large == pytest.approx(scores, abs=0.05)


def test_equivalence_is_claimed_as_rarely_as_said_at_the_margin_and_often_within_it() -> None:
    at_margin = [LAW.equivalence(*each, 0.7) for each in zip(*simulated(0.7, 12), strict=True)]
    assert np.mean(np.array(at_margin[:2000]) < 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    within = [LAW.equivalence(*each, 2.0) for each in zip(*simulated(0.0, 13), strict=True)]
    assert np.mean(np.array(within[:500]) < 0.05) > 0.5
