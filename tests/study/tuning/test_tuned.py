"""Ranges, arms and the study at tuned settings: what is refused, which variants get which recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import Among, Factor, LinearRange, LogRange, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone
from bench.records.plan.tuned import Best, Tuned
from bench.run.check import check_cells, facts
from bench.study.audit import summary, unfair_tuning
from bench.study.factors import StudyError
from bench.study.tuning.arms import arms_of, chosen_arms
from bench.study.tuning.best import read_best, write_best
from bench.study.tuning.tuned import at_tuned_settings

HEAD = Factor("head", {"narrow": change(), "wide": change(head=choose(width=16))})
LOSSES = Factor("loss", {"one": change(), "two": change(losses=(part(SegmentationLoss), part(SegmentationLoss)))})
RATES = {"learning_rate": LogRange(1e-4, 1.0)}
FILE = Path("tuned.json")


def a_study(**fields: Any) -> Study:
    values: dict[str, Any] = {
        "name": "tuned",
        "question": "Does a wide head help?",
        "base": Variant(part(ShallowBackbone), part(FCNHead, width=8), losses=(part(SegmentationLoss),)),
        "factors": (HEAD, LOSSES),
        "baseline": {"head": "narrow", "loss": "one"},
        "recipe": Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=10, batch=4),
        "tune": RATES,
        "focus": "head",
    }
    return Study(**values | fields)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LogRange(0, 1), "begins above 0"),
        (lambda: LinearRange(1, 1), "two numbers, low < high"),
        (lambda: LinearRange(0, float("inf")), "two numbers, low < high"),
        (lambda: Among((1,)), "at least two values"),
        (lambda: Among((1, 1)), "each once"),
        (lambda: a_study(tune={"learning_rate": (0, 1)}), "expected LinearRange, LogRange or Among"),
        (lambda: a_study(tune={"learning_rat": LinearRange(0, 1)}), "no field 'learning_rat'.*learning_rate"),
        (lambda: a_study(tune={"test_flip": Among((True, False))}), "says how networks are measured"),
        (lambda: a_study(tune={"learning_rate": LinearRange(-1, 1)}), "tune: learning_rate: .*-1"),
        (lambda: a_study(tune=1), "ranges by field"),
        (lambda: arms_of(a_study(tune={})), "names no field to tune"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused(make: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        make()


def test_a_field_that_a_factor_sets_is_not_tuned() -> None:
    rate = Factor("rate", {"low": change(), "high": change(recipe=choose(learning_rate=0.1))})
    study = a_study(factors=(HEAD, rate), baseline={"head": "narrow", "rate": "low"})
    with pytest.raises(StudyError, match="learning_rate is set by a factor"):
        arms_of(study)


def test_arms_are_the_levels_of_the_focus_or_all_variants() -> None:
    arms = arms_of(a_study())
    assert [(arm.name, arm.cell.name) for arm in arms] == [
        ("head=narrow", "head=narrow,loss=one"), ("head=wide", "head=wide,loss=one"),
    ]  # fmt: skip
    assert [arm.name for arm in arms_of(a_study(focus=None))] == [cell.name for cell in a_study().cells()]
    assert [arm.name for arm in chosen_arms(a_study(), ["head=wide"])] == ["head=wide"]
    with pytest.raises(StudyError, match="the arms of study 'tuned' are head=narrow; head=wide"):
        chosen_arms(a_study(), ["head=huge"])


def best(level: str, rate: float, trials: int = 5) -> Best:
    settings = {"learning_rate": rate} if trials else {}
    return Best(levels={"head": level}, trials=trials, settings=settings, miou=0.5, default_miou=0.4)


def of_arms(*arms: Best) -> Tuned:
    return Tuned(arms=list(arms), as_written=True)


@pytest.mark.parametrize("design", ["factorial", "one_at_a_time"])
def test_every_variant_runs_at_the_default_and_at_the_settings_of_its_arm(design: Any) -> None:
    study = a_study(design=design)
    tuned = at_tuned_settings(study, of_arms(best("narrow", 0.5), best("wide", 0.25)), FILE)
    rates = {cell.name: cell.recipe.learning_rate for cell in tuned.cells()}
    assert len(rates) == 2 * len(study.cells())
    for cell in study.cells():
        expected = {"narrow": 0.5, "wide": 0.25}[cell.levels["head"]]
        assert rates[f"{cell.name},settings=default"] == study.recipe.learning_rate
        assert rates[f"{cell.name},settings=tuned"] == expected
    assert tuned.baseline_name == "head=narrow,loss=one,settings=default"


def test_an_arm_that_was_not_tuned_or_is_best_at_its_defaults_is_left_out_with_the_reason() -> None:
    study = a_study()
    one = at_tuned_settings(study, of_arms(best("narrow", 0.5, trials=0), best("wide", 0.25)), FILE)
    assert {cell.reason for cell in one.excluded()} == {"not tuned"}
    same = at_tuned_settings(study, of_arms(best("narrow", 0.5), best("wide", study.recipe.learning_rate)), FILE)
    assert {cell.reason for cell in same.excluded()} == {"the default settings are the best of the 5 that were tried"}
    assert {cell.levels["head"] for cell in same.excluded()} == {"wide"}


def test_settings_of_other_arms_are_refused() -> None:
    with pytest.raises(StudyError, match="head=wide,loss=one is not in exactly one of its arms"):
        at_tuned_settings(a_study(), of_arms(best("narrow", 0.5)), FILE)


def test_the_file_of_settings_is_read_as_it_was_written(tmp_path: Path) -> None:
    arms = (best("narrow", 0.123456789012345), best("wide", 0.25, trials=0))
    write_best(arms, tmp_path / "tuned.json")
    assert read_best(tmp_path / "tuned.json") == of_arms(*arms)
    (tmp_path / "tuned.json").write_text("{")
    with pytest.raises(StudyError, match="no file of tuned settings"):
        read_best(tmp_path / "tuned.json")


def lines_of(study: Study, tuned: Tuned) -> list[str]:
    """What the audit says of the networks of a study at tuned settings."""
    at_both = at_tuned_settings(study, tuned, FILE)
    audited = facts(at_both, list(check_cells(at_both, lambda cell: 4, 64, 64)), 64, 64)
    return summary(audited, at_both.baseline_name)


def test_arms_that_were_tuned_alike_are_no_confound() -> None:
    tuned = of_arms(best("narrow", 0.5), best("wide", 0.25))
    assert unfair_tuning(tuned) == unfair_tuning(None) == []
    losses = Factor("loss", LOSSES.levels, about=("losses",))
    assert lines_of(a_study(factors=(HEAD, losses)), tuned) == [], "not even the other learning rate of the other arm"


@pytest.mark.parametrize(("narrow", "told"), [(0, "not tuned"), (1, "1 setting tried")])
def test_the_audit_names_arms_for_which_other_numbers_of_settings_were_tried(narrow: int, told: str) -> None:
    lines = lines_of(a_study(), of_arms(best("narrow", 0.5, trials=narrow), best("wide", 0.25)))
    assert lines[0] == f"The arms were not tuned alike: head=narrow {told}, head=wide 5 settings tried."
    compared = "head=wide,loss=one,settings=tuned differs beyond its factors: "
    assert f"{compared}tuning: {told} → 5 settings tried." in lines


def test_the_audit_names_tuned_settings_that_were_edited_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "tuned.json"
    write_best([best("narrow", 0.5, trials=3), best("wide", 0.25)], path)
    assert len(unfair_tuning(read_best(path))) == 1
    path.write_text(path.read_text().replace('"trials": 3', '"trials": 5'))
    edited = read_best(path)
    assert unfair_tuning(edited) == [
        "The tuned settings are not as bench tune wrote them: their file was edited, or has no digest."
    ]
    assert unfair_tuning(edited)[0] in lines_of(a_study(), edited)
