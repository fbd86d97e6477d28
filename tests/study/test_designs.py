"""Designs: the combinations that each runs, nested factors, rules, and the aliases of fractions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import Cumulative, Exclude, Factor, Fractional, LeaveOneOut, Listed, Recipe, Require, Study, Variant, part
from bench.data import Synthetic
from bench.evidence.evidence import Evidence, evidence_of
from bench.network import FCNHead, SegmentationLoss, ShallowBackbone
from bench.report.page.findings import findings
from bench.report.page.methods import methods
from bench.study.designs import word_of
from bench.study.factors import StudyError, change, choose
from bench.study.fractions import aliases_in_words, broken_in_words, effects, fraction, is_fraction

TWO = {"off": change(), "on": change(recipe=choose(flip=0.25))}
FIELDS = ("flip", "momentum", "weight_decay", "poly_power", "warmup_start", "blur", "boundary_iou_share")


def factor(name: str, field: str, levels: tuple[str, ...] = ("off", "on"), **more: Any) -> Factor:
    """A factor that gives the recipe's ``field`` another value at each of its levels but the first."""
    changes = {level: change(recipe=choose(**{field: 0.1 * (index + 1)})) for index, level in enumerate(levels[1:])}
    return Factor(name, {levels[0]: change(), **changes}, **more)


def study(*factors: Factor, **fields: Any) -> Study:
    return Study(
        **{
            "name": "designs",
            "question": "Which cells are run?",
            "base": Variant(part(ShallowBackbone), part(FCNHead, width=16), losses=(part(SegmentationLoss),)),
            "factors": factors,
            "baseline": {each.name: next(iter(each.levels)) for each in factors},
            "recipe": Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=2, batch=2),
            **fields,
        }
    )


A, B, C = factor("a", FIELDS[0]), factor("b", FIELDS[1]), factor("c", FIELDS[2])
MANY = factor("m", FIELDS[3], ("none", "some", "all"))


def on(made: Study) -> list[str]:
    """The factors of each cell that are not at the baseline, such as ``ab``."""
    return [
        "".join(name for name, level in cell.levels.items() if level != made.baseline[name]) for cell in made.cells()
    ]


@pytest.mark.parametrize(
    ("design", "cells"),
    [
        ("one_at_a_time", ["", "a", "b", "c"]),
        ("add_one_in", ["", "a", "b", "c"]),
        ("leave_one_out", ["", "abc", "bc", "ac", "ab"]),
        (LeaveOneOut({"a": "on", "b": "on"}), ["", "ab", "b", "a"]),
        ("cumulative", ["", "a", "ab", "abc"]),
        (Cumulative(({"c": "on"}, {"a": "on", "b": "on"})), ["", "c", "abc"]),
        (Listed(({"c": "on"}, {"a": "on", "c": "on"}, {"c": "on"})), ["", "c", "ac"]),
        (Fractional(3), ["", "ac", "bc", "ab"]),
        (Fractional(4), ["", "c", "b", "bc", "a", "ac", "ab", "abc"]),
    ],
    ids=str,
)
def test_a_design_runs_its_cells_once_each_the_baseline_among_them(design: Any, cells: list[str]) -> None:
    assert sorted(on(study(A, B, C, design=design))) == sorted(cells)


def test_a_step_may_change_a_level_again() -> None:
    made = study(A, MANY, design=Cumulative(({"m": "some"}, {"a": "on"}, {"m": "all"})))
    assert [cell.name for cell in made.cells()] == ["a=off,m=none", "a=off,m=some", "a=on,m=some", "a=on,m=all"]


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ("cumulativ", "did you mean 'cumulative'"),
        (3, "or a LeaveOneOut, Cumulative, Listed or Fractional"),
        ("leave_one_out", r"m has more than two levels; say which of them with design=LeaveOneOut\(full="),
        ("cumulative", r"say which of them with design=Cumulative\(steps="),
        (Fractional(3), "m has more than two levels; Fractional takes two-level factors alone"),
        (Fractional(2), "a resolution is a whole number from 3 on"),
        (Listed(({"z": "on"},)), "design: no factor 'z'"),
        (Cumulative(({"a": "onn"},)), "design: factor 'a' has no level 'onn'"),
        (LeaveOneOut(["a"]), "expected levels by factor"),  # type: ignore[arg-type]
        (LeaveOneOut({}), "it names no cell beside the baseline"),
        (Cumulative(()), "it names no cell beside the baseline"),
        (Listed(()), "it names no cell beside the baseline; a comparison needs at least two"),
    ],
    ids=str,
)
def test_a_design_that_cannot_be_is_refused_with_the_remedy(design: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study(A, B, MANY, design=design)


def test_a_nested_factor_varies_only_where_it_exists() -> None:
    kind = factor("kind", FIELDS[4], ("soft", "hard"), within={"a": "on"})
    made = study(A, kind)
    assert [cell.name for cell in made.cells()] == ["a=off,kind=soft", "a=on,kind=soft", "a=on,kind=hard"]
    assert [(left_out.name, left_out.reason) for left_out in made.excluded()] == [
        ("a=off,kind=hard", "kind exists at a=on alone")
    ]
    with pytest.raises(StudyError, match="kind does not exist in every cell, and a fraction .* is not balanced"):
        study(A, kind, B, C, design=Fractional(3))
    assert on(study(A, kind, design=Fractional(3))) == on(study(A, kind)), "of so few factors all cells are run"
    without = study(A, kind, B, design="leave_one_out")
    assert on(without) == ["", "akindb", "b", "ab", "akind"], "kind goes with a, which it is nested in"
    with pytest.raises(StudyError, match="a factor cannot be nested in itself"):
        factor("kind", FIELDS[4], within={"kind": "on"})
    with pytest.raises(StudyError, match="factor 'kind', within: no factor 'z'"):
        study(A, factor("kind", FIELDS[4], within={"z": "on"}))


def test_levels_that_need_others_are_excluded_without_them_with_the_reason() -> None:
    rule = Require({"a": "on"}, {"b": "on"}, "a reads what b makes")
    made = study(A, B, require=(rule,), exclude=(Exclude({"a": "on", "b": "on"}, "too large"),))
    assert on(made) == ["", "b"]
    assert [left_out.reason for left_out in made.excluded()] == ["a reads what b makes", "too large"]
    with pytest.raises(StudyError, match="the levels that they need"):
        Require({"a": "on"}, {}, "why")
    with pytest.raises(StudyError, match="require: no factor 'z'"):
        study(A, B, require=(Require({"a": "on"}, {"z": "on"}, "why"),))


@pytest.mark.parametrize(("count", "resolution"), [(5, 3), (6, 3), (7, 3), (5, 4), (6, 4), (7, 4), (5, 5), (6, 5)])
def test_a_fraction_has_its_resolution_and_every_two_factors_vary_independently(count: int, resolution: int) -> None:
    factors = [factor(f"f{index}", FIELDS[index]) for index in range(count)]
    made = study(*factors, design=Fractional(resolution))
    cells = [cell.levels for cell in made.cells()]
    assert len(cells) <= 2**count / 2 or resolution == count
    signs = {each.name: np.array([levels[each.name] == "on" for levels in cells]) * 2 - 1 for each in factors}
    for size in range(1, resolution):  # no product of fewer columns than the resolution is constant
        for chosen in itertools.combinations(signs.values(), size):
            assert abs(np.prod(chosen, axis=0).sum()) < len(cells)
    for one, other in itertools.combinations(signs.values(), 2):
        assert one @ other == one.sum() == other.sum() == 0
    assert is_fraction(cells, made.baseline) == (len(cells) < 2**count)


@pytest.mark.parametrize(
    ("resolution", "runs"),
    [(3, (4, 8, 8, 8, 8, 16)), (4, (8, 8, 16, 16, 16, 16)), (5, (8, 16, 16, 32, 64, 64))],
)
def test_fractions_of_three_to_eight_factors_are_the_smallest_there_are(resolution: int, runs: tuple[int, ...]) -> None:
    """Source: Montgomery, Design and Analysis of Experiments, table 8.14; 2^k where no fraction has the resolution."""
    factors = [factor(f"f{index}", field) for index, field in enumerate((*FIELDS, "learning_rate"))]
    counts = [len(study(*factors[:count], design=Fractional(resolution)).cells()) for count in range(3, 9)]
    assert tuple(counts) == runs


@pytest.mark.parametrize(
    ("resolution", "reached"),
    [(3, (3, 4, 3, 3, 3, 4)), (4, (None, 4, 5, 4, 4, 4)), (5, (None, None, 5, 6, 7, 5))],
)
def test_a_fraction_has_the_highest_resolution_of_its_size(resolution: int, reached: tuple[int | None, ...]) -> None:
    """Source: Montgomery, Design and Analysis of Experiments, table 8.14, for three to eight factors."""
    chosen = [fraction(count, resolution) for count in range(3, 9)]
    assert tuple(each.resolution for each in chosen if each is not None) == reached


def test_a_fraction_of_more_cells_than_a_study_may_have_is_refused() -> None:
    factors = [factor(f"f{index}", "flip") for index in range(40)]
    with pytest.raises(StudyError, match=r"40 factors of that resolution has more than 16,384 cells"):
        study(*factors, design=Fractional(20))


def test_a_balanced_design_whose_effects_mix_in_part_is_no_fraction() -> None:
    """The design of Plackett and Burman, 1946, of five factors in twelve cells."""
    row = "++-+++---+-"
    rows = [*(row[-shift:] + row[:-shift] for shift in range(11)), "-" * 11]
    names = [f"f{index}" for index in range(5)]
    cells = [{name: {"-": "off", "+": "on"}[sign] for name, sign in zip(names, each, strict=False)} for each in rows]
    for one, other in itertools.combinations(names, 2):
        assert {(cell[one], cell[other]) for cell in cells} == set(itertools.product(("off", "on"), repeat=2))
        assert sum(cell[one] == cell[other] for cell in cells) == 6
    assert not is_fraction(cells, dict.fromkeys(names, "off"))
    assert effects(cells, dict.fromkeys(names, "off")) == []


def test_a_fraction_without_a_cell_says_that_it_is_not_balanced() -> None:
    made = study(A, B, C, design=Fractional(3), exclude=(Exclude({"a": "on", "b": "on"}, "too large"),))
    cells, excluded = ([cell.levels for cell in chosen] for chosen in (made.cells(), made.excluded()))
    assert broken_in_words(cells, excluded, made.baseline).startswith("Without 1 excluded cell the fraction is not")
    whole = study(A, B, C, exclude=(Exclude({"a": "on", "b": "on"}, "too large"),))
    cells, excluded = ([cell.levels for cell in chosen] for chosen in (whole.cells(), whole.excluded()))
    assert broken_in_words(cells, excluded, whole.baseline) == ""


def test_aliases_are_printed_by_the_plan_of_a_fraction_and_of_no_other_design() -> None:
    def told(design: Any) -> list[str]:
        made = study(A, B, C, design=design)
        return aliases_in_words([cell.levels for cell in made.cells()], made.baseline)

    assert told(Fractional(3)) == ["a = −b × c", "b = −a × c", "c = −a × b"]
    assert [told(design) for design in ("factorial", "one_at_a_time", "leave_one_out", "cumulative")] == [[]] * 4


def planted(folder: Path, plant: Callable[..., Path], made: Study, gain: Callable[[Any], float]) -> Evidence:
    """The evidence of five seeds of each cell of a study, whose mIoU is 0.5 and a gain, with the noise of its seed."""
    levels = {each.name: tuple(each.levels) for each in made.factors}
    rng, scores = np.random.default_rng(1), {}
    seeds = rng.normal(0, 0.02, 5)
    for cell in made.cells():
        scores[cell.name.replace(",", ", ")] = list(0.5 + gain(cell.levels) + seeds + rng.normal(0, 0.0005, 5))
    everything = (zip(levels, combination, strict=True) for combination in itertools.product(*levels.values()))
    names = [", ".join(f"{name}={level}" for name, level in chosen) for chosen in everything]
    left_out = {name: "not in the design" for name in names if name not in scores}
    plan = {"design": word_of(made.design, made.factors)}
    return evidence_of(plant(folder, factors=levels, scores=scores, excluded=left_out, plan=plan))


def test_each_step_is_compared_with_the_one_before_and_with_the_baseline(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    """In points: m=some +2, m=all +5, a +1, b +3; the second step sets two factors, the third sets m again."""
    design = Cumulative(({"m": "some"}, {"a": "on", "b": "on"}, {"m": "all"}))
    made = study(A, B, MANY, design=design)
    gains = {"some": 0.02, "all": 0.05, "none": 0.0}

    def gain(levels: Any) -> float:
        return gains[levels["m"]] + 0.01 * (levels["a"] == "on") + 0.03 * (levels["b"] == "on")

    evidence = planted(tmp_path, planted_results, made, gain)
    points = {row["label"]: (row["kind"], round(row["delta"], 2)) for row in evidence.effects.to_dict("records")}
    assert points == {
        "m=some": ("variant", 0.02),
        "a=on + b=on + m=some": ("variant", 0.06),
        "a=on + b=on + m=all": ("variant", 0.09),
        "a=on + b=on after m=some": ("step", 0.04),
        "m=all after a=on + b=on + m=some": ("step", 0.03),
    }
    text = [finding.text for finding in findings(evidence)]
    assert any(sentence.startswith("m=all after a=on + b=on + m=some: mIoU +") for sentence in text)
    assert "each step against the one before" in methods(evidence)


def test_an_effect_that_pairs_of_a_fraction_give_too_is_there_once(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    """Four factors in eight cells, of which c is the product of the first two: the last one varies alone."""
    last = factor("d", FIELDS[3])
    half = [dict(zip("abd", levels, strict=True)) for levels in itertools.product(("off", "on"), repeat=3)]
    cells = tuple({**levels, "c": "on" if levels["a"] != levels["b"] else "off"} for levels in half)
    made = study(A, B, C, last, design=Listed(cells))
    evidence = planted(tmp_path, planted_results, made, lambda levels: 0.04 * (levels["d"] == "on"))
    effects = evidence.effects[evidence.effects["kind"] == "main effect"]
    assert sorted(label[0] for label in effects["label"]) == ["a", "b", "c", "d"]


def test_effects_of_a_fraction_name_the_levels_that_its_cells_have(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    cells = ({"a": "on", "m": "all"}, {"a": "on", "b": "on"}, {"m": "all", "b": "on"})
    made = study(A, B, MANY, design=Listed(cells))
    evidence = planted(tmp_path, planted_results, made, lambda levels: 0.04 * (levels["m"] == "all"))
    effects = evidence.effects[evidence.effects["kind"] == "main effect"].set_index("label")
    row = effects.loc["m=all, on average, not told from the opposite of a=on × b=on"]
    assert row["low"] <= 0.04 <= row["high"]


def test_effects_of_a_fraction_come_back_and_name_what_they_cannot_be_told_from(
    tmp_path: Path, planted_results: Callable[..., Path]
) -> None:
    """Five factors in eight cells. In points: f0 +4, f1 -2, f0 × f1 +3, which the fraction gives to others too."""
    factors = [factor(f"f{index}", FIELDS[index]) for index in range(5)]
    made = study(*factors, design=Fractional(3))

    def gain(levels: Any) -> float:
        first, second = (levels[name] == "on" for name in ("f0", "f1"))
        return 0.04 * first - 0.02 * second + 0.03 * first * second

    table = planted(tmp_path, planted_results, made, gain).effects
    effects = table[table["kind"] == "main effect"].set_index("label")
    assert len(effects) == 5
    found = {label.partition("=")[0]: row for label, row in effects.iterrows() if isinstance(label, str)}
    assert all("not told from" in str(label) for label in effects.index)
    # The interaction's half, 1.5 points, is in the main effects of both factors, and whole in the alias of f0 × f1.
    assert found["f0"]["low"] <= 0.055 <= found["f0"]["high"]
    assert found["f1"]["low"] <= -0.005 <= found["f1"]["high"]
    alias = next(row for label, row in effects.iterrows() if "f0=on × f1=on" in str(label))
    sign = -1 if "opposite of f0=on × f1=on" in str(alias.name) else 1
    assert alias["low"] <= sign * 0.015 <= alias["high"]
