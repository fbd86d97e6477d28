"""Execution: every mode computes what eager does, a training step has three parts, modes are refused in time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.synthetic import Synthetic
from bench.measure.timing.execution import STEPS_APART, TrainingStep, forward_call
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting

CPU = torch.device("cpu")
VARIANT = Variant(
    part(ResNet, depth=18, width=8, output_stride=32),
    part(FCNHead, width=8),
    auxiliary=part(FCNHead, width=8),
    losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=("c4",), weight=0.4)),
)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=1, batch=2)


def logits(**choices: Any) -> Tensor:
    out = forward_call(SegModel(VARIANT, 5), Setting(**{"height": 32, "width": 48, **choices}), CPU)()
    assert isinstance(out, Tensor)
    return out


def test_a_forward_is_of_the_stated_batch_and_size_without_gradients() -> None:
    out = logits(batch=3)
    assert out.shape == (3, 5, 32, 48)
    assert not out.requires_grad


def test_another_memory_format_computes_the_same() -> None:
    assert torch.allclose(logits(), logits(mode="channels_last"), atol=1e-5)


def test_lower_precision_is_really_used() -> None:
    low, full = logits(precision="bfloat16"), logits()
    assert not torch.equal(low.float(), full)
    assert torch.allclose(low.float(), full, atol=0.1 * full.abs().max().item())


def test_compile_hands_the_network_to_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(type(network).__name__) or network)
    assert torch.equal(logits(mode="compile"), logits())
    assert compiled == ["LogitsOnly"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_step_gives_gradients_changes_weights_and_is_told_apart(precision: str) -> None:
    model = SegModel(VARIANT, 5)
    step = TrainingStep(
        model,
        RECIPE,
        Setting(**{"height": 32, "width": 32, "batch": 2, "phase": "training", "precision": precision}),
        CPU,
    )
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    step.forward()
    step.backward()
    assert all(each.grad is not None for each in model.parameters()), "the auxiliary head is trained too"
    step.update()
    assert all(each.grad is None for each in model.parameters())
    assert any(not torch.equal(each, before[name]) for name, each in model.named_parameters())
    seconds = step.parts()
    assert list(seconds) == ["forward", "backward", "update"]
    assert all(len(each) == STEPS_APART and min(each) > 0 for each in seconds.values())


def test_a_mode_that_the_device_lacks_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ChoiceError, match="needs a CUDA device"):
        forward_call(SegModel(VARIANT, 5), Setting(height=32, width=32, mode="cuda_graph"), CPU)
