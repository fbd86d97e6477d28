"""Execution: every mode computes what eager does, a training step has three parts, modes are refused in time."""

from __future__ import annotations

import functools
from typing import Any, cast

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data.synthetic import Synthetic
from bench.measure.timing.execution import (
    STEPS_APART,
    Forward,
    TrainingStep,
    deployed_setting,
    forward_call,
    switches_of,
    timed_call,
    timed_recipe,
)
from bench.measure.timing.runtimes.runtime import PreparationError
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from bench.training.step import in_parts, prepare

CPU = torch.device("cpu")
VARIANT = Variant(
    part(ResNet, depth=18, width=8, output_stride=32),
    part(FCNHead, width=8),
    auxiliary=part(FCNHead, width=8),
    losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=("c4",), weight=0.4)),
)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=1, batch=2)


class Casts(TorchDispatchMode):
    """The shapes of all tensors that are cast to another type."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.to, torch.ops.aten._to_copy) and out.dtype != args[0].dtype:
            self.shapes.append(tuple(out.shape))
        return out


def setting(**choices: Any) -> Setting:
    return Setting(**{"height": 32, "width": 48, **choices})


def logits(**choices: Any) -> Tensor:
    out = forward_call(SegModel(VARIANT, 5), setting(**choices), CPU)()
    assert isinstance(out, Tensor)
    return out


def test_a_forward_is_of_the_stated_batch_and_size_without_gradients() -> None:
    out = logits(batch=3)
    assert out.shape == (3, 5, 32, 48)
    assert not out.requires_grad


def test_another_memory_format_computes_the_same() -> None:
    assert torch.allclose(logits(), logits(memory_format="channels_last"), atol=1e-5)
    last = forward_call(SegModel(VARIANT, 5), setting(memory_format="channels_last", precision="bfloat16"), CPU)
    assert isinstance(last, Forward)
    maps = [last.image, *(tensor for tensor in last.network.parameters() if tensor.ndim == 4)]
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in maps)


def test_half_precision_casts_no_weight_in_a_forward_and_computes_what_autocast_does() -> None:
    call = forward_call(SegModel(VARIANT, 5), setting(precision="bfloat16"), CPU)
    plain = SegModel(VARIANT, 5).eval()
    assert isinstance(call, Forward)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(call(), plain(call.image, with_aux=False).logits)
    with Casts() as casts:
        call()
    assert casts.shapes == [tuple(call.image.shape)], "the image alone is cast"


def test_lower_precision_is_really_used() -> None:
    low, full = logits(precision="bfloat16"), logits()
    assert not torch.equal(low.float(), full)
    assert torch.allclose(low.float(), full, atol=0.1 * full.abs().max().item())


def test_compile_hands_the_network_to_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(type(network).__name__) or network)
    assert torch.equal(logits(mode="compile"), logits())
    assert compiled == ["LogitsOnly"]


class Recompiled(nn.Module):
    """A network whose layers are functions of their own to torch.compile, one graph each."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, width, 1) for width in (3, 3, num_classes))

    def forward(self, image: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            torch._dynamo.graph_break()
            image = _numbered(layer, image, index)
        return image


def _numbered(layer: nn.Module, image: Tensor, index: int) -> Tensor:
    torch._dynamo.graph_break()
    return cast(Tensor, layer(image)) + index


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch.compile reads it
@pytest.mark.parametrize(("phase", "batch"), [("inference", 1), ("training", 2)])
def test_a_network_that_torch_would_compile_only_in_part_is_refused(
    phase: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    model = SegModel(Variant(whole=part(Recompiled), losses=(part(SegmentationLoss),)), 5)
    compiled = setting(mode="compile", phase=phase, batch=batch)
    torch.compiler.reset()
    with torch._dynamo.config.patch(cache_size_limit=16):
        timed_call(model, RECIPE, compiled, CPU)()
    torch.compiler.reset()
    with (
        torch._dynamo.config.patch(cache_size_limit=2),
        pytest.raises(PreparationError, match="more than 2 graphs for one function of this network"),
    ):
        timed_call(model, RECIPE, compiled, CPU)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_step_gives_gradients_changes_weights_and_is_told_apart(precision: str) -> None:
    model = SegModel(VARIANT, 5)
    step = TrainingStep(model, RECIPE, setting(width=32, batch=2, phase="training", precision=precision), CPU)
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    step()
    assert all(each.grad is not None for each in model.parameters()), "the auxiliary head is trained too"
    assert any(not torch.equal(each, before[name]) for name, each in model.named_parameters())
    seconds = step.parts()
    assert list(seconds) == ["forward", "backward", "update"]
    assert all(len(each) == STEPS_APART and min(each) > 0 for each in seconds.values())


@pytest.mark.parametrize("changes", [{"clip_norm": 1e-3}, {"accumulate": 2, "momentum": 0.5}], ids=str)
def test_a_timed_step_clips_and_computes_in_parts_as_training_does(changes: dict[str, Any]) -> None:
    recipe = RECIPE.having(batch=4, **changes)
    timed, trained = SegModel(VARIANT, 5), SegModel(VARIANT, 5)
    call = TrainingStep(timed, RECIPE.having(batch=4, **changes), setting(batch=4, phase="training"), CPU)
    step = prepare(trained, recipe, CPU)
    torch.manual_seed(0)  # of dropout
    call()
    torch.manual_seed(0)
    if recipe.accumulate > 1:
        in_parts(step, call.image, call.label)
    else:
        step.backward(step.forward(call.image, call.label))
    step.update()
    assert all(torch.equal(one, other) for one, other in zip(timed.parameters(), trained.parameters(), strict=True))
    unclipped = TrainingStep(SegModel(VARIANT, 5), RECIPE, setting(batch=4, phase="training"), CPU)
    torch.manual_seed(0)
    unclipped()
    weights = zip(timed.parameters(), unclipped.step.model.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in weights)
    assert {name: len(seconds) for name, seconds in call.parts().items()} == dict.fromkeys(
        ("forward", "backward", "update"), STEPS_APART
    )


def test_a_batch_that_the_recipe_cannot_compute_in_its_parts_is_refused() -> None:
    with pytest.raises(ChoiceError, match="batch=3, accumulate=2"):
        timed_recipe(RECIPE.having(batch=4, accumulate=2), setting(batch=3, phase="training"))


def test_a_network_in_use_has_the_precision_of_the_recipe_and_the_memory_format_of_the_device() -> None:
    recipe = RECIPE.having(precision="bfloat16")
    assert deployed_setting(recipe, 32, 48, CPU) == setting(precision="bfloat16")
    on_gpu = deployed_setting(recipe, 32, 48, torch.device("cuda"))
    assert on_gpu == setting(precision="bfloat16", memory_format="channels_last")


@pytest.mark.parametrize(("phase", "benchmark"), [("inference", False), ("training", True)])
def test_cudnn_tries_its_algorithms_in_timed_training_alone(phase: str, benchmark: bool) -> None:
    with switches_of(setting(batch=2, phase=phase), RECIPE, torch.device("cuda")):
        assert torch.backends.cudnn.benchmark == benchmark


def test_a_mode_that_the_device_lacks_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ChoiceError, match="needs a CUDA device"):
        forward_call(SegModel(VARIANT, 5), Setting(height=32, width=32, mode="cuda_graph"), CPU)
