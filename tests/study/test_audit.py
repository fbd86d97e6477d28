"""Confounds are found: FastFCN's entry convolution, a loss that comes along, a recipe that changes with a factor."""

from __future__ import annotations

import pytest

from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss, SemanticEncodingLoss
from bench.network.model import Variant
from bench.network.necks.jpu import JPU
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.records.plan.audit import Audit
from bench.run.check import check_cells, facts
from bench.study.audit import differences, summary, undeclared_share
from bench.study.factors import Factor, StudyError, adding, change, choose
from bench.study.study import Study

PX = (512, 512)
UNDILATED = choose(output_stride=32)
RECIPE = Recipe(data=part(Synthetic), crop_px=(64, 64), iterations=10, batch=2)


def study(*factors: Factor, base: Variant | None = None) -> Study:
    plain = Variant(part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead), losses=(part(SegmentationLoss),))
    baseline = {factor.name: next(iter(factor.levels)) for factor in factors}
    return Study("audited", "What differs?", base or plain, factors, baseline, RECIPE, seeds=(0,))


def audited(of_study: Study, px: tuple[int, int] = (64, 64), classes: int = 59) -> Audit:
    return facts(of_study, list(check_cells(of_study, lambda cell: classes, *px)), *px)


def as_published(about: tuple[str, ...] | None = ("backbone", "neck")) -> Study:
    """FastFCN's own comparison: with JPU, EncNet's entry convolution is 1x1, without it 3x3."""
    encnet = Variant(
        part(ResNet, depth=50, stem="deep", output_stride=8), part(EncNetHead), losses=(part(SegmentationLoss),)
    )
    jpu = change(backbone=UNDILATED, neck=part(JPU), head=choose(entry_kernel=1))
    return study(Factor("upsampling", {"dilated": change(), "jpu": jpu}, about), base=encnet)


def test_fastfcns_entry_convolution_is_caught_with_its_share_of_the_saving() -> None:
    listed = differences(audited(as_published(), PX), "upsampling=jpu", "upsampling=dilated")
    undeclared = [entry for entry in listed if entry.kind == "undeclared"]
    assert [(entry.where, entry.what) for entry in undeclared] == [("head", "EncNetHead: entry_kernel 3 → 1")]
    positions, width = (PX[0] // 8) * (PX[1] // 8), 512
    assert undeclared[0].macs == -positions * 2048 * width * 8  # eight of nine taps
    assert undeclared[0].parameters == -2048 * width * 8
    total = sum(entry.macs for entry in listed)
    assert total == pytest.approx(-83e9, rel=0.01)
    assert undeclared_share(listed) == pytest.approx(34 / 83, abs=0.01)
    (sentence,) = summary(audited(as_published(), PX), "upsampling=dilated")
    assert sentence == (
        "upsampling=jpu differs beyond its factors: head: EncNetHead: entry_kernel 3 → 1. 34.4 of 82.7 GMACs saved "
        "(42%) are undeclared."
    )


def test_a_factor_that_changes_several_things_must_say_what_it_is_about() -> None:
    given = audited(as_published(about=None))
    assert (
        "upsampling changes backbone, neck and head: name what it is about" in summary(given, "upsampling=dilated")[0]
    )
    listed = differences(given, "upsampling=jpu", "upsampling=dilated")
    assert {entry.where for entry in listed if entry.kind == "undeclared"} == {"backbone", "neck", "head"}
    with pytest.raises(StudyError, match="is about 'nekc', which no level changes; .*did you mean 'neck'"):
        as_published(about=("nekc",))


def test_what_a_neighbour_brings_about_is_not_called_undeclared() -> None:
    audited_study = study(Factor("stride", {"8": change(), "32": change(backbone=UNDILATED)}))
    listed = differences(audited(audited_study), "stride=32", "stride=8")
    assert [(entry.where, entry.kind) for entry in listed] == [("backbone", "declared"), ("head", "follows")]
    assert listed[1].parameters == 0
    assert listed[1].macs < 0
    assert undeclared_share(listed) == 0
    assert summary(audited(audited_study), "stride=8") == []


def test_losses_and_settings_that_come_along_are_named() -> None:
    audited_study = study(
        Factor(
            "head",
            {
                "fcn": change(),
                "encnet": change(
                    head=part(EncNetHead, width=8),
                    losses=adding(part(SemanticEncodingLoss)),
                    recipe=choose(learning_rate=0.02, head_lr_factor=1.0),
                    align_corners=False,
                ),
            },
            about=("head",),
        )
    )
    undeclared = [
        (difference.where, difference.what)
        for difference in differences(audited(audited_study), "head=encnet", "head=fcn")
        if difference.kind == "undeclared"
    ]
    assert undeclared == [
        ("losses", "with SemanticEncodingLoss(weight=0.2)"),
        ("recipe.learning_rate", "0.01 → 0.02"),
        ("recipe.head_lr_factor", "10.0 → 1.0"),
        ("learning rate of backbone", "0.01 → 0.02"),
        ("learning rate of head", "0.1 → 0.02"),
        ("align_corners", "True → False"),
    ]


def test_a_part_that_is_frozen_differs_in_what_is_trained() -> None:
    necks = {"jpu": part(JPU, width=8), "jpu-frozen": part(JPU, width=8, frozen=True)}
    levels = {name: change(backbone=UNDILATED, neck=neck) for name, neck in necks.items()}
    given = audited(study(Factor("neck", levels, about=("backbone", "neck"))))
    (difference,) = differences(given, "neck=jpu-frozen", "neck=jpu")
    assert (difference.where, difference.kind, difference.what) == ("neck", "declared", "JPU: frozen False → True")
    slots = {name: given.variants[f"neck={name}"].slots["neck"] for name in necks}
    assert slots["jpu"].trainable == slots["jpu"].parameters == slots["jpu-frozen"].parameters
    assert slots["jpu-frozen"].trainable == 0


def test_a_variant_does_not_differ_from_itself() -> None:
    assert differences(audited(as_published()), "upsampling=jpu", "upsampling=jpu") == []


def test_a_part_of_the_recipe_is_told_by_what_was_chosen_for_it() -> None:
    levels = {"large": change(), "small": change(recipe=choose(data=part(Synthetic, train_images=8)))}
    (difference,) = differences(audited(study(Factor("data", levels, about=("recipe",)))), "data=small", "data=large")
    assert (difference.where, difference.kind) == ("recipe.data", "declared")
    assert difference.what == "Synthetic: train_images 512 → 8"


def test_what_else_differs_from_a_control_is_named_though_neither_is_the_baseline() -> None:
    """Against the frozen module the trained one has another learning rate, too: no difference of its training alone."""
    levels = {
        "dilated": change(),
        "frozen": change(backbone=UNDILATED, neck=part(JPU, width=8, frozen=True)),
        "jpu": change(backbone=UNDILATED, neck=part(JPU, width=8), recipe=choose(learning_rate=0.02)),
    }
    audited_study = study(Factor("upsampling", levels, ("backbone", "neck"), against={"jpu": "frozen"}))
    assert audited_study.against == {"upsampling": {"jpu": "frozen"}}
    sentences = summary(audited(audited_study), audited_study.baseline_name, audited_study.against)
    assert sentences[-1].startswith(
        "upsampling=jpu against frozen differs beyond its factor: recipe.learning_rate: 0.01 → 0.02"
    )
