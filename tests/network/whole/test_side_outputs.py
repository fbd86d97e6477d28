"""Side outputs of a whole network: they reach its losses in training, and evaluation has none. Libraries that lack."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from bench.data.control import ControlScenes
from bench.network.layers import WiringError
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.own_losses import own_losses, unread_entries
from bench.network.whole.config import hub_config
from bench.network.whole.hub import class_of
from bench.network.whole.huggingface import HuggingFace
from bench.network.whole.without import Without
from bench.network.wiring import watch
from bench.parts import BenchError, ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.run.stages import key_of
from bench.study.cells import Cell

RECIPE = Recipe(data=part(ControlScenes), crop_px=(64, 64), iterations=2, batch=2)


class WithSides(nn.Module):
    """A network of one convolution, whose first features are a side output."""

    has_side_outputs = True

    def __init__(self, num_classes: int, *, as_dict: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 1)
        self.as_dict = as_dict

    def forward(self, image: Tensor, *, with_aux: bool = False) -> object:
        logits: Tensor = self.conv(image[..., ::2, ::2])
        sides = {"half": logits, "vector": logits.mean((2, 3))}
        return (logits, sides if self.as_dict else list(sides.values())) if with_aux else logits


def built(**choices: bool) -> SegModel:
    return SegModel(Variant(whole=part(WithSides, **choices), losses=(part(SegmentationLoss),)), 4)


def test_side_outputs_of_a_whole_network_are_as_it_returns_them() -> None:
    model = built().train()
    output = model(torch.randn(2, 3, 8, 12))
    assert output.logits.shape == (2, 4, 8, 12)
    assert {name: tuple(side.shape) for name, side in output.aux.items()} == {"half": (2, 4, 4, 6), "vector": (2, 4)}


def test_evaluation_has_no_side_outputs() -> None:
    assert built().eval()(torch.randn(2, 3, 8, 12)).aux == {}
    assert built().train()(torch.randn(2, 3, 8, 12), with_aux=False).aux == {}


def test_side_outputs_of_another_form_are_refused_with_the_remedy() -> None:
    model = built(as_dict=False).train()
    watch(model)
    with pytest.raises(WiringError, match=r"the network WithSides returns a tuple .*return logits, \{\}"):
        model(torch.randn(2, 3, 8, 12))


def test_the_network_and_the_loss_of_the_documentation_are_trained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "whole_models.md").read_text(encoding="utf-8")
    example = page.partition("```python\nclass Mine")[2].partition("```")[0]
    names = {"nn": nn, "Variant": Variant, "part": part, "SegmentationLoss": SegmentationLoss}
    exec("class Mine" + example.replace("Variant(whole", "variant = Variant(whole"), names)
    model = SegModel(cast(Variant, names["variant"]), 4).train()
    output = model(torch.randn(2, 3, 8, 12))
    terms = [loss.build(4)(output, torch.zeros(2, 8, 12, dtype=torch.long)) for loss in model.variant.losses]
    torch.stack(terms).sum().backward()
    assert terms[1].item() > 0
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.eval()(torch.randn(2, 3, 8, 12)).aux == {}


def test_own_losses_have_the_weights_of_the_configuration() -> None:
    config = hub_config(mask_weight=3.0, train_num_points=100, importance_sample_ratio=0.5)
    (loss,) = own_losses(part(HuggingFace, architecture="mask2former", config=config))
    choices = dict(loss.choices)
    assert (choices["mask_weight"], choices["points"], choices["criterion"]) == (3.0, 100, "points")
    assert (choices["oversample_ratio"], choices["importance_sample_ratio"]) == (3.0, 0.5)
    (loss,) = own_losses(part(HuggingFace, architecture="maskformer"))
    assert (dict(loss.choices)["mask_weight"], dict(loss.choices)["criterion"]) == (20.0, "pixels")
    config = hub_config(auxiliary_loss_weight=0.2)
    assert own_losses(part(HuggingFace, architecture="upernet", config=config))[1] == part(
        AuxiliaryLoss, outputs=("auxiliary",), weight=0.2
    )
    assert own_losses(part(HuggingFace, architecture="upernet", config=hub_config(use_auxiliary_head=False))) == (
        part(SegmentationLoss),
    )


def test_entries_that_only_own_losses_would_read_are_named() -> None:
    plain = part(HuggingFace, architecture="mask2former", config=hub_config(hidden_dim=64, train_num_points=100))
    weighed = plain.having(config=hub_config(hidden_dim=64, train_num_points=100, class_weight=7.0, mask_weight=5.0))
    assert unread_entries(plain, own_losses(plain)) == unread_entries(weighed, own_losses(weighed)) == []
    assert unread_entries(weighed, own_losses(plain)) == ["class_weight"]
    assert unread_entries(part(Without, network=weighed), own_losses(plain)) == ["class_weight"]
    assert unread_entries(None, own_losses(plain)) == unread_entries(part(WithSides), (part(SegmentationLoss),)) == []
    of_pixels = part(HuggingFace, architecture="upernet", config=hub_config(auxiliary_loss_weight=0.2))
    assert unread_entries(of_pixels, (part(SegmentationLoss),)) == ["auxiliary_loss_weight"]


def test_own_losses_are_those_of_networks_that_are_known() -> None:
    with pytest.raises(ChoiceError, match="expected a part of HuggingFace"):
        own_losses(part(WithSides))


def test_an_architecture_that_is_not_known_is_refused_when_the_study_is_imported() -> None:
    with pytest.raises(ChoiceError, match=r"architecture='segformr'\): expected one of"):
        part(HuggingFace, architecture="segformr")


def test_without_transformers_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("transformers") is not None:
        monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BenchError, match=r"pip install 'segbench\[transformers\]'$"):
        HuggingFace(3, architecture="segformer")


def test_an_older_transformers_without_a_network_is_told_in_one_line() -> None:
    with pytest.raises(BenchError, match=r"transformers 4\.50 has no EomtConfig: pip install --upgrade"):
        class_of(SimpleNamespace(__version__="4.50"), "EomtConfig")


@pytest.mark.parametrize("architecture", ["segformer", "mask2former", "maskformer", "oneformer"])
def test_the_key_of_a_trial_holds_the_version_of_transformers_and_not_the_whole_package(architecture: str) -> None:
    whole = part(HuggingFace, architecture=architecture)
    cell = Cell({}, Variant(whole=whole, losses=own_losses(whole)), RECIPE)
    key = key_of(cell, "quality", 0, "data")
    assert "transformers" in key.versions
    assert "ray" not in key.versions
    assert key.notes == ()
