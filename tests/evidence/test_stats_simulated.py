"""Thousands of simulated studies: intervals cover, corrected verdicts err rarely, planted effects come back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.evidence.evidence import evidence_of
from bench.evidence.stats import ALPHA, effect, equivalence, holm, power, seeds_needed
from bench.report.page.findings import findings

STUDIES = 10_000
TRUTH = 0.7


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("varying", [0.0, 2.0], ids=["one effect", "an effect that varies by seed"])
def test_intervals_of_a_difference_cover_the_truth_as_often_as_said(n: int, varying: float) -> None:
    rng = np.random.default_rng(n)
    seeds = rng.normal(0, 5, (STUDIES, n))  # what a seed does to both sides
    effects = TRUTH + varying * rng.normal(0, 1, (STUDIES, n))
    differences = (seeds + effects + rng.normal(0, 1, (STUDIES, n))) - (seeds + rng.normal(0, 1, (STUDIES, n)))
    covered = sum(found.low <= TRUTH <= found.high for found in map(effect, differences))
    assert 0.94 <= covered / STUDIES <= 0.96


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_a_main_effect_that_varies_by_seed_cover_its_mean(n: int) -> None:
    """A 2 x 2 design, a contrast a seed: attention's mean over both levels of the other factor."""
    rng = np.random.default_rng(100 + n)
    attention = TRUTH + rng.normal(0, 1, (STUDIES, n, 1))
    cells = rng.normal(0, 5, (STUDIES, n, 1, 1)) + rng.normal(0, 1, (STUDIES, n, 2, 2))
    cells[:, :, 1, :] += attention
    contrasts = cells[:, :, 1, :].mean(-1) - cells[:, :, 0, :].mean(-1)
    covered = sum(found.low <= TRUTH <= found.high for found in map(effect, contrasts))
    assert 0.94 <= covered / STUDIES <= 0.96


def test_of_eight_null_factors_holm_lets_one_through_in_a_twentieth_of_the_studies_at_most() -> None:
    rng = np.random.default_rng(200)
    variants = rng.normal(0, 1, (STUDIES, 8, 3)) - rng.normal(0, 1, (STUDIES, 1, 3))  # against one baseline
    wrong = sum(min(holm([effect(each).p for each in study])) < ALPHA for study in variants)
    error = math.sqrt(ALPHA * (1 - ALPHA) / STUDIES)
    assert wrong / STUDIES <= ALPHA + 2 * error


def test_equivalence_is_claimed_wrongly_in_a_twentieth_of_the_studies_at_the_margin() -> None:
    rng = np.random.default_rng(300)
    claims = [equivalence(effect(each), 1.0) < ALPHA for each in rng.normal(1.0, 0.2, (STUDIES, 5))]
    assert np.mean(claims) == pytest.approx(ALPHA, abs=2 * math.sqrt(ALPHA * (1 - ALPHA) / STUDIES))


def test_the_seeds_needed_resolve_as_often_as_asked() -> None:
    n = seeds_needed(1.0, 1.5)
    assert n is not None
    assert power(1.0, 1.5, n - 1) < 0.8 <= power(1.0, 1.5, n)
    rng = np.random.default_rng(400)
    resolved = [effect(each).p < ALPHA for each in rng.normal(1.0, 1.5, (STUDIES, n))]
    assert np.mean(resolved) == pytest.approx(power(1.0, 1.5, n), abs=0.01)


def test_planted_effects_of_a_two_to_the_third_design_come_back_interactions_included(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    """In points: attention +5, upsampling 0, gate -3, attention x gate +4, all three +2; noise of a tenth a seed."""
    rng = np.random.default_rng(1)  # all eight intervals hold the truth in two of three draws
    factors = {"attention": ("off", "on"), "upsampling": ("dilated", "jpu"), "gate": ("off", "on")}
    seeds, scores = rng.normal(0, 0.02, 5), {}
    for levels in itertools.product(*factors.values()):
        attention, jpu, gate = (factors[name].index(level) for name, level in zip(factors, levels, strict=True))
        planted = 0.5 + 0.05 * attention - 0.03 * gate + (0.04 + 0.02 * jpu) * attention * gate
        name = ", ".join(f"{factor}={level}" for factor, level in zip(factors, levels, strict=True))
        scores[name] = list(planted + seeds + rng.normal(0, 0.001, 5))
    table = evidence_of(planted_results(tmp_path, factors=factors, scores=scores)).effects.set_index("label")
    expected = {
        "attention=on, on average": 0.05 + (0.04 + 0.02 / 2) / 2,
        "upsampling=jpu, on average": 0.02 / 4,
        "gate=on, on average": -0.03 + (0.04 + 0.02 / 2) / 2,
        "attention=on × gate=on": 0.04 + 0.02 / 2,
        "attention=on × upsampling=jpu": 0.02 / 2,
        "upsampling=jpu × gate=on": 0.02 / 2,
        "attention=on × upsampling=jpu × gate=on": 0.02,
        "upsampling=jpu": 0.0,
    }
    for label, truth in expected.items():
        row = table.loc[label]
        assert row["low"] <= truth <= row["high"], label
        assert row["verdict"] == ("not resolved" if truth == 0 else "better" if truth > 0 else "worse"), label


def test_every_effect_of_a_two_to_the_third_design_is_unbiased_and_covered_as_often_as_said(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    """The report's own contrasts over 10,000 studies of three seeds, attention's effect varying by seed; in points.

    Attention +5, gate -3, attention x gate +4, all three +2.
    """
    levels = np.array(list(itertools.product((0, 1), repeat=3)))
    attention, jpu, gate = levels.T
    truth = 5 * attention - 3 * gate + (4 + 2 * jpu) * attention * gate
    names = [f"attention={a}, upsampling={u}, gate={g}" for a, u, g in levels]
    factors = dict.fromkeys(("attention", "upsampling", "gate"), ("0", "1"))
    wanted = evidence_of(planted_results(tmp_path, factors=factors, scores={name: [0.5] for name in names})).contrasts
    rng = np.random.default_rng(600)
    seeds = rng.normal(0, 2, (STUDIES, 3, 1)) + rng.normal(0, 1, (STUDIES, 3, 1)) * attention
    scores = truth + seeds + rng.normal(0, 0.5, (STUDIES, 3, 8))
    assert [each.kind for each in wanted] == ["variant"] * 7 + ["main effect"] * 3 + ["interaction"] * 4
    for contrast in wanted[7:]:
        weights = np.array([contrast.weights.get(name, 0.0) for name in names])
        found = [effect(each) for each in scores @ weights]
        covered = np.mean([each.low <= truth @ weights <= each.high for each in found])
        assert 0.94 <= covered <= 0.96, contrast.label
        assert np.mean([each.delta for each in found]) == pytest.approx(truth @ weights, abs=0.05), contrast.label
    expected = {"attention=1 × gate=1": 5.0, "attention=1 × upsampling=1": 1.0, "attention=1, on average": 7.5}
    by_label = {each.label: sum(w * truth[names.index(name)] for name, w in each.weights.items()) for each in wanted}
    assert {label: by_label[label] for label in expected} == pytest.approx(expected)


CONTROL = {
    "attention": ("off", "on"),
    "upsampling": ("jpu", "none"),
    "gate": ("off", "on"),
    "draw": ("first", "second"),
}


def planted_control(rng: np.random.Generator) -> dict[str, list[float]]:
    """Five seeds of a 2 x 2 x 2 x 2 design in mIoU: attention +20 points, none for jpu -15, gate +5, another draw 0."""
    seeds, scores = rng.normal(0, 0.02, 5), {}
    for levels in itertools.product(*CONTROL.values()):
        attention, none, gate, _ = (CONTROL[name].index(level) for name, level in zip(CONTROL, levels, strict=True))
        name = ", ".join(f"{factor}={level}" for factor, level in zip(CONTROL, levels, strict=True))
        truth = 0.5 + 0.20 * attention - 0.15 * none + 0.05 * gate
        scores[name] = list(truth + seeds + rng.normal(0, 0.004, 5))
    return scores


def test_the_findings_say_what_was_planted_in_a_control_and_nothing_of_its_null_factor(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    evidence = evidence_of(planted_results(tmp_path, factors=CONTROL, scores=planted_control(np.random.default_rng(1))))
    found = {each.text.split(":")[0]: each for each in findings(evidence) if each.kind == "main effect"}
    assert {label: each.verdict for label, each in found.items()} == {
        "attention=on, on average": "better",
        "upsampling=none, on average": "worse",
        "gate=on, on average": "better",
        "draw=second, on average": "not resolved",
    }
    assert "not resolved" in found["draw=second, on average"].text
    interactions = [each.verdict for each in findings(evidence) if each.kind == "interaction"]
    assert interactions == ["not resolved"] * (6 + 4)


def test_a_null_factor_is_resolved_in_a_twentieth_of_the_controls_at_most_and_each_effect_in_nearly_all() -> None:
    rng = np.random.default_rng(500)
    names, n = ("attention", "upsampling", "gate", "draw"), 2000
    grid = np.array(list(itertools.product((0, 1), repeat=4)))
    truth = 0.5 + grid @ [0.20, -0.15, 0.05, 0.0]
    scores = truth + rng.normal(0, 0.02, (n, 5, 1)) + rng.normal(0, 0.004, (n, 5, 16))
    contrasts = scores @ ((2 * grid - 1) / 8)
    resolved = np.array([[p < ALPHA for p in holm([effect(each).p for each in study.T])] for study in contrasts])
    rate = dict(zip(names, resolved.mean(0), strict=True))
    assert min(rate["attention"], rate["upsampling"], rate["gate"]) > 0.99
    assert rate["draw"] <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / n)
