"""The positive control: its cue lies beyond what each network sees, and its report gives the answers that are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data.control import HEIGHT_PX, LAMPS_PX, SKY_PX, WIDTH_PX
from bench.evidence import effects as compare
from bench.evidence.evidence import evidence_of
from bench.network.backbones.shallow import STRIDES, ShallowBackbone
from bench.network.model import SegModel
from bench.study.source import load_study

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies" / "positive_control.py")
RESULTS = ROOT / "results" / "positive_control"


def attentive(name: str) -> SegModel:
    """A variant's network with random weights and, if it has attention, with that switched on."""
    torch.manual_seed(0)
    model = SegModel(STUDY.cell(name).variant, 7).eval()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 0.5)
    return model


def sees_the_sky(name: str) -> bool:
    """Whether a lamp's logits have a gradient with respect to the sky."""
    model = attentive(name)
    image = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX, requires_grad=True)
    model(image).logits[:, :, LAMPS_PX:].square().sum().backward()
    assert image.grad is not None
    assert image.grad[:, :, LAMPS_PX:].abs().sum() > 0
    return bool((image.grad[:, :, :SKY_PX] != 0).any())


def receptive_rows(name: str) -> range:
    """The theoretical receptive field of the first row of lamps: rows of the image that it depends on.

    By the gradient of a network without a negative weight, in which no two paths can cancel and no unit is dead.
    """
    model = attentive(name).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    image = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX, dtype=torch.float64, requires_grad=True)
    model(image).logits[:, :, LAMPS_PX].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    return range(min(rows), max(rows) + 1)


def test_a_value_of_the_backbone_depends_on_one_block_of_pixels() -> None:
    """Its windows never overlap: the theoretical receptive field of C5 is its stride."""
    backbone = ShallowBackbone().eval()
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    backbone(image)[-1][0, :, 2, 1].sum().backward()
    assert image.grad is not None
    seen = image.grad.abs().sum((0, 1)) > 0
    stride = STRIDES[-1]
    assert seen[2 * stride : 3 * stride, stride : 2 * stride].any()
    seen[2 * stride : 3 * stride, stride : 2 * stride] = False
    assert not seen.any()


@pytest.mark.parametrize("name", [cell.name for cell in STUDY.cells()])
def test_the_theoretical_receptive_field_of_a_lamp_reaches_the_sky_with_attention_alone(name: str) -> None:
    rows = receptive_rows(name)
    assert LAMPS_PX in rows
    if "attention=on" in name:
        assert rows.start == 0
    else:
        assert rows.start > SKY_PX


@pytest.mark.parametrize("name", [cell.name for cell in STUDY.cells()])
def test_a_lamp_is_told_of_the_sky_by_attention_alone(name: str) -> None:
    assert sees_the_sky(name) == ("attention=on" in name)


@pytest.mark.parametrize("name", [cell.name for cell in STUDY.cells()])
def test_another_sky_changes_the_logits_of_lamps_with_attention_alone(name: str) -> None:
    """Unlike a gradient, this would also find what is not differentiated, such as edges of the image."""
    model = attentive(name)
    light = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX)
    dark = light.clone()
    dark[:, :, :SKY_PX] -= 1
    with torch.no_grad():
        lamps = [model(image).logits[:, :, LAMPS_PX:] for image in (light, dark)]
    assert torch.equal(*lamps) != ("attention=on" in name)


def test_the_recipe_was_chosen_with_other_seeds_than_are_reported() -> None:
    assert max(STUDY.seeds) < 100


def test_the_committed_records_give_the_known_answers() -> None:
    evidence = evidence_of(RESULTS)
    effects = evidence.effects.set_index("label")
    assert effects["verdict"].to_dict() == {
        "attention=on": "better",
        "upsampling=none": "worse",
        "gate=on": "better",
        "draw=second": "not resolved",
    }
    assert (effects["n"] == len(STUDY.seeds)).all()
    assert not any(record.environment.dirty for record in evidence.results.records)


def test_the_committed_records_say_that_the_gate_sharpens_boundaries() -> None:
    evidence = evidence_of(RESULTS)
    effects = compare.effects(evidence.results, evidence.contrasts, "boundary_f_3px")
    row = effects.set_index("label").loc["gate=on"]
    assert row["verdict"] == "better"
    assert row["low"] > 0.05


def test_three_effects_come_back_over_other_seeds_and_a_null_factor_may_be_resolved_by_chance() -> None:
    effects = evidence_of(RESULTS.with_name("positive_control-seeds-8-15")).effects.set_index("label")
    assert effects["verdict"].to_dict() == {
        "attention=on": "better",
        "upsampling=none": "worse",
        "gate=on": "better",
        "draw=second": "better",
    }
    by_chance = effects.loc["draw=second"]
    assert 0.01 < by_chance["p_holm"] < 0.05
    assert abs(by_chance["delta"]) < 0.01 < effects.drop("draw=second")["delta"].abs().min()


def test_the_committed_records_show_each_effect_in_the_class_that_needs_it() -> None:
    ious = evidence_of(RESULTS).results.class_iou().groupby(["variant", "class"])["iou"].mean().unstack()
    gain = ious - ious.loc[STUDY.baseline_name]
    rows = {name: gain.loc[STUDY.cell(name).name] for name in ("attention=on", "gate=on", "upsampling=none")}
    assert set(rows["attention=on"].nlargest(2).index) == {"lit", "unlit"}
    assert rows["gate=on"].idxmax() == "fence"
    assert set(rows["upsampling=none"].nsmallest(2).index) == {"red", "blue"}


def test_without_attention_lamps_are_guessed_and_with_it_they_are_known() -> None:
    """Two classes with as many pixels each: by the toss of a coin both have an IoU of 1/3, less if one is preferred."""
    ious = evidence_of(RESULTS).results.class_iou()
    lamps = ious[ious["class"].isin(["lit", "unlit"])].groupby(["variant", "seed"])["iou"].mean()
    for variant, each in lamps.groupby("variant"):
        if "attention=on" in str(variant):
            assert each.min() > 0.9
        else:
            assert each.max() < 0.35
