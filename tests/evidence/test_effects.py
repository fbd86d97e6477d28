"""Contrasts and effects against planted differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.evidence import effects, stats
from bench.evidence.evidence import evidence_of
from bench.protocol.columns import ColumnError
from bench.records.files import RecordError
from bench.report.page.findings import findings
from bench.report.tables import effects as effects_table

Plant = Callable[..., Path]
TOLERANCE = 2e-6
"""Of a planted mIoU: pixels are whole."""

A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


def by_label(frame: object) -> dict[str, dict[str, object]]:
    return {row["label"]: row for row in frame.to_dict("records")}


def test_a_factorial_study_has_variant_main_and_interaction_effects_that_equal_the_hand_computation(
    tmp_path: Path, planted_results: Plant
) -> None:
    scores = {A: [0.60, 0.61], B: [0.62, 0.64], C: [0.65, 0.67], D: [0.69, 0.72]}
    rows = by_label(evidence_of(planted_results(tmp_path, scores=scores)).effects)
    found = {label: row["delta"] for label, row in rows.items()}
    assert found == pytest.approx(
        {
            "upsampling=jpu": (0.02 + 0.03) / 2,
            "attention=on": (0.05 + 0.06) / 2,
            "attention=on + upsampling=jpu": (0.09 + 0.11) / 2,
            "attention=on, on average": ((0.05 + 0.07) / 2 + (0.06 + 0.08) / 2) / 2,
            "upsampling=jpu, on average": ((0.02 + 0.04) / 2 + (0.03 + 0.05) / 2) / 2,
            # Seed 0: (69 − 62) − (65 − 60) = 2 points; seed 1: (72 − 64) − (67 − 61) = 2 points.
            "attention=on × upsampling=jpu": 0.02,
        },
        abs=TOLERANCE,
    )


def test_a_study_with_a_margin_says_what_is_equivalent_and_one_without_does_not(
    tmp_path: Path, planted_results: Plant
) -> None:
    scores = {A: [0.60, 0.61, 0.62], B: [0.601, 0.6098, 0.6205], C: [0.65, 0.66, 0.68], D: [0.65, 0.66, 0.68]}
    evidence = evidence_of(planted_results(tmp_path / "with", scores=scores, plan={"margin": 0.01}))
    rows = by_label(evidence.effects)
    assert rows["upsampling=jpu"]["p_equivalent"] < 0.05
    assert rows["attention=on"]["p_equivalent"] > 0.5
    shown = effects_table.effects_table(evidence).printed().set_index("Effect of")["Equivalent"]
    assert shown["upsampling=jpu"].startswith("within ±1.00 (p = 0.0")
    assert shown["attention=on"] == "not shown for ±1.00"
    for p, said_of_it in ((0.049, "within ±1.00 (p = 0.049)"), (0.051, "not shown for ±1.00")):
        assert effects_table.equivalent({"p_equivalent": p}, 0.01) == said_of_it
    said = [each.text for each in findings(evidence) if each.text.startswith("upsampling=jpu: ")]
    assert "not resolved, equivalent within ±1.00" in said[0]
    without = evidence_of(planted_results(tmp_path / "without", scores=scores))
    assert without.effects["p_equivalent"].isna().all()
    assert "Equivalent" not in effects_table.effects_table(without).printed()


def test_a_three_way_interaction_is_how_much_more_a_pair_does_together_beside_a_third(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"a": ["0", "1"], "b": ["0", "1"], "c": ["0", "1"]}
    planted = {"000": 0.50, "001": 0.51, "010": 0.52, "011": 0.55, "100": 0.54, "101": 0.56, "110": 0.58, "111": 0.69}
    scores = {f"a={name[0]}, b={name[1]}, c={name[2]}": [value] for name, value in planted.items()}
    rows = by_label(evidence_of(planted_results(tmp_path, factors=factors, scores=scores)).effects)
    # a × b with c: (69 − 55) − (56 − 51) = 9 points, without: (58 − 52) − (54 − 50) = 2.
    assert rows["a=1 × b=1 × c=1"]["delta"] == pytest.approx(0.07, abs=TOLERANCE)
    assert rows["a=1 × b=1"]["delta"] == pytest.approx((0.09 + 0.02) / 2, abs=TOLERANCE)
    assert (rows["a=1 × b=1 × c=1"]["factors"], rows["a=1 × b=1"]["factors"]) == (3, 2)


def test_the_factor_in_focus_is_compared_at_every_setting_and_equivalence_claimed_of_it_alone(
    tmp_path: Path, planted_results: Plant
) -> None:
    scores = {A: [0.60, 0.61, 0.62], B: [0.601, 0.6098, 0.6205], C: [0.65, 0.66, 0.68], D: [0.651, 0.66, 0.681]}
    plan = {"margin": 0.01, "focus": "upsampling"}
    evidence = evidence_of(planted_results(tmp_path, scores=scores, plan=plan))
    frame = evidence.effects
    simple = by_label(frame[frame["kind"] == "simple effect"])
    assert list(simple) == ["upsampling=jpu at attention=on"]
    assert simple["upsampling=jpu at attention=on"]["delta"] == pytest.approx(0.002 / 3, abs=TOLERANCE)
    asked = frame[frame["p_equivalent"].notna()]
    assert set(asked["label"]) == {
        "upsampling=jpu", "upsampling=jpu at attention=on", "upsampling=jpu, on average",
    }  # fmt: skip
    alone = [
        stats.equivalence(stats.Effect(*row), 0.01)
        for row in asked[["delta", "low", "high", "sd", "n", "p"]].to_numpy()
    ]
    assert list(asked["p_equivalent"]) == pytest.approx(stats.holm(alone))


def test_an_effect_is_the_paired_interval_over_seeds(tmp_path: Path, planted_results: Plant) -> None:
    rows = by_label(evidence_of(planted_results(tmp_path)).effects)
    wanted = stats.paired([0.650, 0.671, 0.659], [0.600, 0.620, 0.610])
    found = rows["attention=on"]
    assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-5)
    assert (found["n"], found["planned"]) == (3, 3)
    assert found["verdict"] == "better"


def test_holm_runs_over_every_comparison_of_the_page(tmp_path: Path, planted_results: Plant) -> None:
    frame = evidence_of(planted_results(tmp_path)).effects
    assert list(frame["p_holm"]) == pytest.approx(stats.holm(list(frame["p"])))
    assert frame["p"].min() * len(frame) == pytest.approx(frame["p_holm"].min())


def test_seeds_are_paired_and_one_without_a_partner_is_left_out(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"attention": ["off", "on"]}
    scores = {"attention=off": [0.60, None, 0.70], "attention=on": ["failed", 0.9, 0.75]}
    row = evidence_of(planted_results(tmp_path, factors=factors, scores=scores)).effects.iloc[0]
    assert (row["n"], row["planned"]) == (1, 3)
    assert row["delta"] == pytest.approx(0.05, abs=TOLERANCE)
    assert (row["verdict"], row["reason"]) == ("not resolved", "one seed")


def test_one_factor_at_a_time_has_no_main_effect_beside_the_variants(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, excluded={D: "not asked"}))
    assert [contrast.kind for contrast in evidence.contrasts] == ["variant", "variant"]


def test_the_weights_of_every_contrast_add_up_to_zero(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"a": ["0", "1", "2"], "b": ["0", "1"], "c": ["0", "1"]}
    names = [f"a={a}, b={b}, c={c}" for a in "012" for b in "01" for c in "01"]
    evidence = evidence_of(planted_results(tmp_path, factors=factors, scores={name: [0.5] for name in names}))
    found = evidence.contrasts
    assert len(found) == 11 + 4 + (2 + 2 + 1) + 2
    assert all(sum(contrast.weights.values()) == pytest.approx(0) for contrast in found)


def test_what_the_study_could_have_resolved_uses_the_pooled_spread_and_the_strictest_step(
    tmp_path: Path, planted_results: Plant
) -> None:
    frame = evidence_of(planted_results(tmp_path)).effects
    found = effects.resolution(frame)
    variances = [row["sd"] ** 2 for row in frame.to_dict("records") if row["kind"] == "variant"]
    assert found is not None
    assert found.n == 3
    assert found.pooled == pytest.approx(stats.resolvable(math.sqrt(sum(variances) / 3), 3, alpha=0.05 / 6))
    each = [row["resolvable"] for row in frame.to_dict("records") if row["kind"] == "variant"]
    assert (found.low, found.high) == (min(each), max(each))
    assert found.low < found.pooled < found.high


def test_what_could_be_resolved_is_of_one_number_of_seeds_and_of_those_with_a_spread(
    tmp_path: Path, planted_results: Plant
) -> None:
    same = [0.60, 0.62, 0.61, 0.63]
    scores = {A: same, B: [0.6004, 0.6203, None, None], C: [0.61, 0.627, 0.625, 0.634], D: same}
    frame = evidence_of(planted_results(tmp_path, scores=scores)).effects
    found, rows = effects.resolution(frame), by_label(frame)
    assert found is not None
    own = rows["attention=on"]["resolvable"]
    assert (found.n, found.low, found.high) == (4, own, own)
    assert found.pooled == pytest.approx(own)


def test_without_a_seed_nothing_is_resolvable(tmp_path: Path, planted_results: Plant) -> None:
    frame = evidence_of(planted_results(tmp_path, scores={name: [None] for name in (A, B, C, D)})).effects
    assert effects.resolution(frame) is None
    assert set(frame["reason"]) == {"no seed in common"}


def test_equal_scores_are_not_resolved_in_spite_of_rounding(tmp_path: Path, planted_results: Plant) -> None:
    same = [0.611, 0.623, 0.637]
    frame = evidence_of(planted_results(tmp_path, scores=dict.fromkeys((A, B, C, D), same))).effects
    assert set(frame["delta"]) == {0.0}
    assert set(frame["reason"]) == {"identical values"}


@pytest.mark.parametrize("name", ["latency_s", "train_s"])
def test_what_has_no_seeds_or_no_better_side_is_not_judged(tmp_path: Path, planted_results: Plant, name: str) -> None:
    planted = evidence_of(planted_results(tmp_path))
    with pytest.raises(RecordError, match="cannot be judged over seeds"):
        effects.effects(planted.results, planted.contrasts, name)


def test_an_unknown_column_is_refused(tmp_path: Path, planted_results: Plant) -> None:
    planted = evidence_of(planted_results(tmp_path))
    with pytest.raises(ColumnError, match="did you mean 'miou'"):
        effects.effects(planted.results, planted.contrasts, "mIou")


def test_an_effect_that_is_not_of_every_setting_says_of_which(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"attention": ["off", "pam", "cam"], "upsampling": ["dilated", "jpu"], "gate": ["off", "on"]}
    names = [f"attention={a}, upsampling={u}, gate={g}" for a in factors["attention"] for u in factors["upsampling"]
             for g in factors["gate"]]  # fmt: skip
    gated = [name for name in names if "gate=on" in name and "attention=cam" not in name]
    scores = {name: [0.6] for name in names if name not in gated}
    evidence = evidence_of(
        planted_results(tmp_path, factors=factors, scores=scores, excluded=dict.fromkeys(gated, "no sense"))
    )
    labels = {each.label: each.kind for each in evidence.contrasts if each.kind != "variant"}
    assert labels == {
        "attention=pam, on average over 2 of 4 settings": "main effect",
        "attention=cam, on average over 2 of 4 settings": "main effect",
        "upsampling=jpu, on average over 4 of 6 settings": "main effect",
        "gate=on, on average over 2 of 6 settings": "main effect",
        "attention=pam × upsampling=jpu, over 1 of 2 settings": "interaction",
        "attention=cam × upsampling=jpu, over 1 of 2 settings": "interaction",
        "upsampling=jpu × gate=on, over 1 of 3 settings": "interaction",
    }


def test_a_level_that_makes_sense_beside_one_other_alone_is_compared_there(
    tmp_path: Path, planted_results: Plant
) -> None:
    """The dual-task loss needs the gates: neither side of its comparison is the baseline."""
    factors = {"gate": ["off", "on"], "dual": ["off", "on"]}
    scores = {
        "gate=off, dual=off": [0.60, 0.61], "gate=on, dual=off": [0.62, 0.63], "gate=on, dual=on": [0.66, 0.65],
    }  # fmt: skip
    excluded = {"gate=off, dual=on": "no boundary head"}
    rows = by_label(evidence_of(planted_results(tmp_path, factors=factors, scores=scores, excluded=excluded)).effects)
    assert rows["dual=on at gate=on"]["delta"] == pytest.approx((0.04 + 0.02) / 2, abs=TOLERANCE)
    assert list(rows) == ["gate=on", "gate=on + dual=on", "dual=on at gate=on"]


def test_a_level_is_compared_with_its_control_at_every_setting_that_has_both(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"attention": ["none", "frozen", "both"], "grid": ["off", "on"]}
    base = {"none": 0.60, "frozen": 0.64, "both": 0.65}
    scores = {
        f"attention={attention}, grid={grid}": [miou + more + (0.01 if (attention, grid) == ("both", "on") else 0)
                                                for more in (0.0, 0.002)]
        for attention, miou in base.items() for grid in factors["grid"]
    }  # fmt: skip
    plan = {"against": {"attention": {"both": "frozen"}}}
    evidence = evidence_of(planted_results(tmp_path, factors=factors, scores=scores, plan=plan))
    rows = by_label(evidence.effects)
    control = rows["attention=both against frozen, on average"]
    assert control["kind"] == "between levels"
    assert control["delta"] == pytest.approx((0.01 + 0.02) / 2, abs=TOLERANCE)
    said = [each.text for each in findings(evidence) if each.kind == "between levels"]
    assert said[0].startswith("attention=both against frozen, on average: mIoU +1.50 points")


def test_two_levels_against_each_other_both_ways_round_are_one_comparison_and_refused(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"attention": ["none", "frozen", "both"]}
    plan = {"against": {"attention": {"both": "frozen", "frozen": "both"}}}
    scores = {f"attention={level}": [0.5, 0.51] for level in factors["attention"]}
    with pytest.raises(RecordError, match="against has two levels of 'attention' both ways round"):
        evidence_of(planted_results(tmp_path, factors=factors, scores=scores, plan=plan))


def test_of_one_factor_a_level_stands_against_its_control_without_a_setting(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors, plan = {"attention": ["none", "frozen", "both"]}, {"against": {"attention": {"both": "frozen"}}}
    scores = {"attention=none": [0.5, 0.51], "attention=frozen": [0.52, 0.53], "attention=both": [0.55, 0.57]}
    rows = by_label(evidence_of(planted_results(tmp_path, factors=factors, scores=scores, plan=plan)).effects)
    assert rows["attention=both against frozen"]["delta"] == pytest.approx(0.035, abs=TOLERANCE)
