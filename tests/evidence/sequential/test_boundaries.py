"""Boundaries of sequential t-tests against simulated values: error, power, mean numbers of seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.evidence.sequential import chain
from bench.evidence.sequential.boundaries import (
    LEVELS,
    Rule,
    boundaries,
    looks_up_to,
    rule_resolving,
    rule_up_to,
)
from bench.evidence.stats import seeds_needed

STUDIES = 20_000
RULE = rule_resolving(1.0, 0.05)


def t_at_looks(rule: Rule, mean: float, seed: int) -> NDArray[np.float64]:
    """Student's t of simulated studies (row) at each look."""
    values = np.random.default_rng(seed).normal(mean, 3.0, (STUDIES, rule.most))
    return np.stack([_t(values[:, :n]) for n in rule.looks], axis=1)


def _t(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.mean(1) / values.std(1, ddof=1) * math.sqrt(values.shape[1]))


def error_of(chance: float) -> float:
    return 4 * math.sqrt(chance * (1 - chance) / STUDIES)


def test_the_chain_of_angles_is_that_of_students_t_at_every_number_of_values() -> None:
    masses = chain.first(3)
    for n in range(3, 12):
        assert masses == pytest.approx(chain.first(n), abs=2e-4)
        masses = chain.after(masses, n, n + 1)
        assert masses.sum() == pytest.approx(1, abs=1e-9)


def test_a_mean_makes_angles_likelier_as_noncentral_t_says() -> None:
    from scipy import special

    n, mean = 7, 0.8
    masses = np.cumsum(chain.first(n) * chain.tilt(n, mean))
    for cell in (180, 220, 300, 350):
        middle = (chain.ANGLES[cell] + chain.ANGLES[cell + 1]) / 2
        t = float(chain.t_of(middle, n))
        assert masses[cell] == pytest.approx(float(special.nctdtr(n - 1, mean * math.sqrt(n), t)), abs=1e-4)


@pytest.mark.parametrize("level", [0.05, 0.05 / 3])
def test_a_level_is_kept_over_all_looks_even_if_no_comparison_stops_for_futility(level: float) -> None:
    rule = rule_resolving(1.0, level)
    bounds = boundaries(rule)
    crossed = np.abs(t_at_looks(rule, 0.0, 1)) >= [bounds.bound(look, level) for look in range(len(rule.looks))]
    assert crossed.any(1).mean() == pytest.approx(level, abs=error_of(level))
    spent = crossed[:, : len(rule.looks) // 2].any(1).mean()  # the share that is spent by a look in the middle
    share = (rule.looks[len(rule.looks) // 2 - 1] / rule.most) ** RULE.exponent
    assert spent == pytest.approx(level * share, abs=error_of(level * share))


@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0, 1.5])
def test_power_and_mean_seeds_are_those_of_simulated_studies(effect: float) -> None:
    bounds = boundaries(RULE)
    t = np.abs(t_at_looks(RULE, effect * 3.0, 2))
    resolved = t >= [bounds.bound(look, 0.05) for look in range(len(RULE.looks))]
    stopped = resolved | (t <= bounds.futile)
    stopped[:, -1] = True
    end = stopped.argmax(1)
    power = resolved[np.arange(STUDIES), end].mean()
    assert bounds.power(effect) == pytest.approx(power, abs=error_of(0.5))
    assert bounds.mean_seeds(effect) == pytest.approx(np.array(RULE.looks)[end].mean(), abs=0.08)


def test_boundaries_of_a_stricter_level_lie_further_out_and_the_level_of_a_t_is_that_of_its_boundary() -> None:
    bounds = boundaries(RULE)
    assert (np.diff(bounds.by_level, axis=1) <= 0).all()
    for look in (0, 4, len(RULE.looks) - 1):
        for level in (1e-6, 0.003, 0.05, 0.7):
            assert bounds.level_of(look, -bounds.bound(look, level)) == pytest.approx(level, rel=1e-2)
        assert bounds.level_of(look, 0.0) == 1.0
        assert bounds.level_of(look, 1e9) == pytest.approx(LEVELS[0])


def test_a_default_rule_has_eighty_percent_power_and_saves_seeds_at_its_effect() -> None:
    for level in (0.05, 0.05 / 3):
        rule = rule_resolving(1.0, level)
        fixed = seeds_needed(1.0, 1.0, alpha=level)
        assert fixed is not None
        assert boundaries(rule).power(1.0) >= 0.8
        assert boundaries(Rule(looks_up_to(rule.most - 1), level)).power(1.0) < 0.8
        assert fixed < rule.most <= 1.35 * fixed
        assert boundaries(rule).mean_seeds(1.0) < 0.85 * fixed
        assert boundaries(rule).mean_seeds(0.0) < 0.62 * fixed


def test_a_given_maximum_is_made_for_the_effect_that_it_resolves_four_times_out_of_five() -> None:
    rule = rule_up_to(8, 0.05)
    assert (rule.looks, rule.effect > 1.3) == ((4, 5, 6, 7, 8), True)
    assert boundaries(rule).power(rule.effect) == pytest.approx(0.8, abs=1e-3)
