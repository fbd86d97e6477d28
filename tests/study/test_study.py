"""Studies: what they compose, and everything that is refused when a study file is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from bench.data.synthetic import Synthetic
from bench.network.model import Variant
from bench.parts import ChoiceError, Level, part
from bench.protocol.recipe import Recipe
from bench.study.factors import Factor, StudyError, adding, change, choose
from bench.study.source import load_study
from bench.study.study import Exclude, Study


class Backbone(nn.Module):
    def __init__(self, *, stride: int = 8) -> None:
        super().__init__()
        self.out_levels = (Level(4, stride),)


class Neck(nn.Module):
    def __init__(self, levels: tuple[Level, ...], *, width: int = 4) -> None:
        super().__init__()


class OtherNeck(Neck):
    pass


class Head(nn.Module):
    def __init__(self, levels: tuple[Level, ...], num_classes: int, boundary: Level | None = None) -> None:
        super().__init__()


class OtherHead(Head):
    pass


class Loss(nn.Module):
    def __init__(self, num_classes: int, *, weight: float = 1.0) -> None:
        super().__init__()


BASE = Variant(part(Backbone), part(Head), losses=(part(Loss),))
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=10, batch=2)
ATTENTION = Factor("attention", {"off": change(), "on": change(head=part(OtherHead))})
UPSAMPLING = Factor("upsampling", {"dilated": change(), "jpu": change(backbone=choose(stride=32), neck=part(Neck))})
LOSS = Factor("extra_loss", {"off": change(), "on": change(losses=adding(part(Loss, weight=2)))})


def against(**levels: str) -> Factor:
    return Factor("upsampling", UPSAMPLING.levels, against=levels)


def study(**fields: Any) -> Study:
    defaults: dict[str, Any] = {
        "name": "s",
        "question": "?",
        "base": BASE,
        "factors": (ATTENTION, UPSAMPLING, LOSS),
        "baseline": {"attention": "off", "upsampling": "dilated", "extra_loss": "off"},
        "recipe": RECIPE,
    }
    return Study(**(defaults | fields))


def test_a_factorial_has_every_combination_in_factor_order() -> None:
    names = [cell.name for cell in study().cells()]
    assert len(names) == len(set(names)) == 8
    assert names[0] == "attention=off,upsampling=dilated,extra_loss=off"
    assert names[-1] == "attention=on,upsampling=jpu,extra_loss=on"


def test_one_at_a_time_has_the_baseline_and_each_single_change() -> None:
    names = [cell.name for cell in study(design="one_at_a_time").cells()]
    assert len(names) == 4
    assert names[0] == study().baseline_name


def test_a_level_may_change_several_parts_and_keeps_what_it_does_not_name() -> None:
    cell = study().cell("upsampling=jpu,extra_loss=on")
    assert cell.variant.backbone == part(Backbone, stride=32)
    assert cell.variant.neck == part(Neck)
    assert cell.variant.head == BASE.head
    assert cell.variant.losses == (part(Loss), part(Loss, weight=2))


def test_a_level_may_change_the_recipe() -> None:
    rate = Factor("rate", {"low": change(), "high": change(recipe=choose(learning_rate=0.1))})
    changed_study = study(factors=(rate,), baseline={"rate": "low"})
    assert changed_study.cell("rate=high").recipe.learning_rate == 0.1


def test_the_order_of_factors_does_not_change_a_cell() -> None:
    wide = Factor("width", {"4": change(), "8": change(neck=choose(width=8))})
    rule = (Exclude({"upsampling": "dilated", "width": "8"}, "no neck to widen"),)
    levels = {"upsampling": "jpu", "width": "4"}
    one = study(factors=(UPSAMPLING, wide), baseline=levels, exclude=rule)
    two = study(factors=(wide, UPSAMPLING), baseline=levels, exclude=rule)
    assert one.cell("width=8").variant == two.cell("width=8").variant


def test_an_excluded_cell_stays_in_the_plan_with_its_reason() -> None:
    changed_study = study(exclude=(Exclude({"attention": "on", "upsampling": "jpu"}, "too slow"),))
    assert [cell.reason for cell in changed_study.excluded()] == ["too slow", "too slow"]
    assert len(changed_study.cells()) == 6
    with pytest.raises(StudyError, match="is excluded from study 's': too slow"):
        changed_study.cell("attention=on,upsampling=jpu")


def test_levels_that_no_two_cells_differ_in_alone_cannot_stand_against_each_other() -> None:
    levels = {**UPSAMPLING.levels, "jpu-wide": change(neck=part(OtherNeck))}
    factors = (ATTENTION, Factor("upsampling", levels, against={"jpu": "jpu-wide"}), LOSS)
    assert study(factors=factors).against == {"upsampling": {"jpu": "jpu-wide"}}
    apart = (
        Exclude({"attention": "on", "upsampling": "jpu"}, "x"),
        Exclude({"attention": "off", "upsampling": "jpu-wide"}, "x"),
    )
    with pytest.raises(StudyError, match="no two cells differ in 'jpu' and 'jpu-wide' alone"):
        study(factors=factors, exclude=apart)


def test_a_cell_is_found_by_the_levels_that_differ_from_the_baseline() -> None:
    assert study().cell("baseline").name == study().baseline_name
    assert study().cell("extra_loss=on").name == "attention=off,upsampling=dilated,extra_loss=on"


MANY = tuple(Factor(f"factor{n}", {"off": change(), "on": change(recipe=choose(batch=n + 1))}) for n in range(40))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: study(baseline={"attention": "off"}), "baseline: no level for upsampling, extra_loss"),
        (lambda: study(baseline={"attention": "of", "upsampling": "jpu", "extra_loss": "on"}), "did you mean 'off'"),
        (lambda: study(factors=(ATTENTION, ATTENTION)), "each name once"),
        (lambda: study(factors=()), "at least one"),
        (lambda: study(seeds=()), "at least one, each once"),
        (lambda: study(seeds=(1, 1)), "at least one, each once"),
        (lambda: study(stages=("latency",)), "allowed: quality, cost, speed"),
        (lambda: study(stages=("speed",)), "the stage 'speed' and speed=Speed"),
        (lambda: against(jpu="dilate"), "against: no level 'dilate'.*did you mean 'dilated'"),
        (lambda: against(jpu="jpu"), "against: level 'jpu' stands against itself"),
        (
            lambda: study(factors=(ATTENTION, against(jpu="dilated"), LOSS)),
            "against: all levels are compared with 'dilated' anyway",
        ),
        (
            lambda: study(factors=(ATTENTION, against(dilated="jpu"), LOSS)),
            "against: all levels are compared with 'dilated' anyway",
        ),
        (lambda: against(dilated="jpu", jpu="dilated"), "'dilated' and 'jpu' are there both ways round"),
        (lambda: study(focus="upsamplin"), "focus: no factor 'upsamplin'.*did you mean 'upsampling'"),
        (lambda: study(exclude=(Exclude({"attenton": "on"}, "x"),)), r"no factor 'attenton'.*did you mean 'attention'"),
        (lambda: study(exclude=(Exclude({"attention": "off"}, "x"),)), r"baseline .* is excluded"),
        (lambda: study().cell("attention=maybe"), "no level 'maybe'; it has off, on"),
        (lambda: study(design="one_at_a_time").cell("attention=on,upsampling=jpu"), "not in the one_at_a_time design"),
        (lambda: Factor("miou", {"a": change(), "b": change()}), "factor 'miou': a name is"),
        (lambda: Factor("setting", {"a": change(), "b": change()}), "factor 'setting': a name is"),
        (lambda: Factor("folder", {"a": change(), "b": change()}), "factor 'folder': a name is"),
        (lambda: Factor("with space", {"a": change(), "b": change()}), "a name is a Python identifier"),
        (lambda: Factor("one", {"a": change()}), "needs at least two"),
        (lambda: Factor("f", {"a": change(), "b,c": change()}), "a level is a word"),
        (lambda: Factor("f" * 101, {"a": change(), "b": change()}), "a name has 100 bytes at most"),
        (lambda: Factor("f", {"a": change(), "✓" * 34: change()}), "a level has 100 bytes at most"),
        (lambda: study(factors=MANY, baseline={factor.name: "off" for factor in MANY}), "has 1,099,511,627,776 comb"),
        (lambda: Factor("f", {"a": change(), "b": part(Head)}), r"expected change\(…\)"),
        (lambda: change(heads=part(Head)), r"cannot change 'heads'.*did you mean 'head'"),
        (lambda: change(recipe=RECIPE), r"write recipe=choose"),
        (lambda: change(head=adding(part(Loss))), r"adding\(\) is for losses"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(make: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        make()


def refused(levels: dict[str, Any], message: str, *more: Factor) -> None:
    factor = Factor("f", {"a": change(), "b": change(**levels)})
    names = {factor.name: "a", **{other.name: next(iter(other.levels)) for other in more}}
    with pytest.raises(StudyError, match=message):
        study(factors=(factor, *more), baseline=names)


def test_a_level_that_changes_nothing_is_refused() -> None:
    refused({}, "f=a and f=b are the same network and recipe")


def test_a_misspelt_choice_in_a_level_names_the_cell() -> None:
    refused({"backbone": choose(strid=8)}, "cell f=b: Backbone has no choice 'strid'.*did you mean 'stride'")


def test_a_choice_of_an_empty_slot_is_refused() -> None:
    refused({"neck": choose(width=8)}, "changes choices of neck, which is None here")


def test_two_factors_that_set_the_same_slot_are_refused() -> None:
    other = Factor("g", {"a": change(), "b": change(head=part(Head))})
    refused({"head": part(OtherHead)}, "factors 'f' and 'g' both set head", other)


def test_a_class_in_place_of_a_part_is_refused() -> None:
    refused({"head": OtherHead}, r"write part\(OtherHead, …\)")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"iterations": 0}, r"Recipe\(iterations=0\): expected int ≥ 1"),
        ({"boundary_px": (5, 3)}, r"Recipe\(boundary_px=\(5, 3\)\): expected different values in ascending order"),
        ({"trimap_px": (3, 3)}, "expected different values in ascending order"),
        ({"distance_crop_px": (0,)}, "distance_crop_px"),
        ({"vanishing_point": (0.5, 1.5)}, "vanishing_point"),
        ({"precision": "fp16"}, "expected one of 'float32', 'tf32', 'bfloat16', 'float16'"),
        ({"scale": (2.0, 0.5)}, r"expected \(smallest, largest\)"),
        ({"batch": 1}, "at least 2 images"),
        ({"data": Synthetic}, "expected Part"),
        ({"crop_px": 64}, "a tuple"),
    ],
)
def test_a_recipe_value_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        Recipe(**({"data": part(Synthetic), "crop_px": (32, 32), "iterations": 10, "batch": 2} | fields))


def test_an_unknown_recipe_field_names_the_nearest() -> None:
    with pytest.raises(ChoiceError, match="no field 'iteration'.*did you mean 'iterations'"):
        RECIPE.having(iteration=3)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no study file"), ("x = 1", "sets no STUDY"), ("STUDY = 3", "sets no STUDY")]
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "a_study.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(path)


def test_an_unknown_size_names_those_there_are() -> None:
    path = Path(__file__).parents[2] / "studies" / "components.py"
    with pytest.raises(StudyError, match=r"no size 'smal'; its SIZES: controls, headline, small.*did you mean 'small'"):
        load_study(path, "smal")


def test_two_files_of_one_name_are_two_studies(tmp_path: Path) -> None:
    for folder, question in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        source = Path(__file__).parents[2].joinpath("studies", "quickstart.py").read_text()
        (tmp_path / folder / "same.py").write_text(source + f"\nSTUDY = STUDY.having(question={question!r})\n")
    assert load_study(tmp_path / "a" / "same.py").question == "first"
    assert load_study(tmp_path / "b" / "same.py").question == "second"


NAMES = [
    "../escaped",
    "/absolute",
    "",
    "a\0b",
    3,
    None,
    ".",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "a\nb",
    " a",
    "a" * 101,
    "✓" * 34,
    "\udcff",
]
SEEDS = [
    tuple(np.arange(2)), np.arange(2), 3, "01", ("0",), (0.0, 1.0), (2**63,), (2**32,), (-1,), (True,), (0, 0), (),
    None, [0, 1], {0, 1},
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_that_is_no_name_of_a_folder_is_refused(name: Any) -> None:
    with pytest.raises(StudyError, match=r"^Study\(name=.*\): expected a text that can name a folder") as refusal:
        study(name=name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("seeds", SEEDS, ids=repr)
def test_seeds_that_are_no_small_whole_numbers_are_refused(seeds: Any) -> None:
    with pytest.raises(StudyError, match="seeds.*expected"):
        study(seeds=seeds)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"question": 3}, "question=3: expected a str"),
        ({"base": part(Synthetic)}, "base=Synthetic.*: expected a Variant"),
        ({"recipe": None}, "recipe=None: expected a Recipe"),
        ({"baseline": "on"}, "baseline='on': expected a Mapping"),
        ({"factors": [1]}, "factors=.*: expected a tuple, each entry a Factor"),
        ({"exclude": (1,)}, "exclude=.*: expected a tuple, each entry a Exclude"),
        ({"published": "x"}, "published='x': expected a tuple"),
        ({"stages": "cost"}, "stages='cost': expected a tuple"),
        ({"stages": ("cost", "cost")}, "each stage once"),
        ({"design": "all"}, "design='all': the words are factorial, one_at_a_time"),
        ({"margin": True}, "margin=True: expected a fraction"),
        ({"focus": 3}, "focus=3: expected the name"),
        ({"speed": 3}, "speed=3: expected Speed"),
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study(**fields)


def test_a_level_alone_in_place_of_a_variant_is_answered_with_its_factor() -> None:
    with pytest.raises(StudyError, match="'jpu' is a level, not a factor; write upsampling=jpu"):
        study().cell("jpu")
