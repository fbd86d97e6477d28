"""Whole networks trained by what a recipe may ask: groups of parameters, half precision, averages; interruptions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.data.synthetic import Synthetic
from bench.network.model import SegModel, Variant
from bench.network.own_losses import own_losses
from bench.network.whole.families import FAMILIES
from bench.network.whole.smp import SMP
from bench.network.whole.without import Without
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.loop import train
from bench.training.optimiser import parameter_groups
from tests.network.whole.small import network
from tests.training.test_keeper import InterruptedTrainingError, MemoryKeeper

pytestmark = pytest.mark.extras

CPU = torch.device("cpu")
DATA = Synthetic(None, height_px=72, width_px=80, train_images=8, val_images=2)
CLASSES = len(DATA.classes)
RECIPE = Recipe(
    data=part(Synthetic), crop_px=(64, 64), iterations=4, batch=2, learning_rate=1e-3, weight_decay=0.05,
    optimiser=part(torch.optim.AdamW), decayed="weights",
)  # fmt: skip
LAYERS = {
    "oneformer": 8, "mask2former": 8, "maskformer": 8, "upernet": 8, "segformer": 8, "dpt": 5, "eomt": 5,
    "eomt-dinov3": 5, "beit": 5,
}  # fmt: skip
"""The layers of the small encoders: patches and a block in each of four stages, or patches and four blocks."""


def built(architecture: str) -> SegModel:
    whole = network(architecture)
    return SegModel(Variant(whole=whole, losses=own_losses(whole)), CLASSES)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_rates_fall_from_layer_to_layer_of_the_encoder(architecture: str) -> None:
    model = built(architecture)
    groups = parameter_groups(model, RECIPE.having(layer_decay=0.5))
    rates = {id(parameter): group["lr"] / RECIPE.learning_rate for group in groups for parameter in group["params"]}
    layers = LAYERS[architecture]
    assert set(rates.values()) == {0.5**behind for behind in range(1, layers + 2)}
    of_name = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    first = [rate for name, rate in of_name.items() if "patch_embeddings" in name and ".stages." not in name]
    assert set(first) <= {0.5 ** (layers + 1)}
    heads = ("decode_head", "auxiliary_head", "class_predictor", "transformer_module", "mask_head", "query", "neck.")
    encoder = ("attention", "attn", "pixel_level_module.encoder")
    assert {rate for name, rate in of_name.items() if any(word in name for word in heads) and not any(
        word in name for word in encoder)} == {0.5}  # fmt: skip


def test_rates_are_the_same_without_modules_that_run_for_nothing() -> None:
    whole = network("upernet")
    less = part(Without, network=whole, everywhere=("network.backbone.swin.layernorm",))
    models = [SegModel(Variant(whole=each, losses=own_losses(each)), CLASSES) for each in (whole, less)]
    groups = [parameter_groups(model, RECIPE.having(layer_decay=0.5)) for model in models]
    assert [{group["lr"] for group in of_model} for of_model in groups] == [
        {RECIPE.learning_rate * 0.5**behind for behind in range(1, LAYERS["upernet"] + 2)}
    ] * 2


def test_rates_fall_from_layer_to_layer_of_an_encoder_of_smp() -> None:
    whole = part(SMP, encoder="resnet18")
    model = SegModel(Variant(whole=whole, losses=own_losses(network("segformer"))), CLASSES)
    groups = parameter_groups(model, RECIPE.having(layer_decay=0.5))
    rates = {id(parameter): group["lr"] / RECIPE.learning_rate for group in groups for parameter in group["params"]}
    of_name = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert of_name["whole.network.segmentation_head.0.weight"] == 0.5
    assert of_name["whole.network.encoder.layer4.1.conv2.weight"] == 0.25
    assert of_name["whole.network.encoder.conv1.weight"] == min(of_name.values())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_norms_biases_and_positions_are_not_decayed(architecture: str) -> None:
    model = built(architecture)
    undecayed = {
        id(parameter)
        for group in parameter_groups(model, RECIPE)
        if group.get("weight_decay") == 0
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        is_kept = parameter.ndim <= 1 or any(
            word in name for word in ("position_embedding", "relative_position", "cls_token")
        )
        assert (id(parameter) in undecayed) == is_kept, name


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("fields", [{"precision": "bfloat16"}, {"ema_decay": 0.9}], ids=str)
def test_trainings_in_half_precision_and_with_averaged_weights_end(architecture: str, fields: dict[str, Any]) -> None:
    model = built(architecture)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recipe = RECIPE.having(iterations=2, **fields)
    exact = train(built(architecture), DATA.split("train"), RECIPE.having(iterations=2), 0, device=CPU)
    history = train(model, DATA.split("train"), recipe, 0, device=CPU)
    np.testing.assert_allclose(history.loss, exact.loss, rtol=0.02)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_training_that_goes_on_ends_with_the_same_bits(architecture: str) -> None:
    """Sampled points, dropped paths and jittered positions are random numbers that go on too."""
    whole = built(architecture)
    expected = train(whole, DATA.split("train"), RECIPE, 0, device=CPU)
    keeper = MemoryKeeper(2)
    with pytest.raises(InterruptedTrainingError):
        train(built(architecture), DATA.split("train"), RECIPE, 0, device=CPU, keeper=keeper)
    other = built(architecture)
    history = train(other, DATA.split("train"), RECIPE, 0, device=CPU, keeper=MemoryKeeper(0, keeper.content))
    assert history.loss == expected.loss
    state = other.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in whole.state_dict().items())
