"""A step has the fused optimiser of a GPU, may be compiled, and averages weights as torch does."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench.data.synthetic import Synthetic
from bench.network.backbones.shallow import ShallowBackbone
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.average import MovingAverage
from bench.training.keeper import State
from bench.training.loop import train
from bench.training.optimiser import optimiser_of
from bench.training.step import CompileError, prepare

CPU = torch.device("cpu")
DATA = Synthetic(None, height_px=40, width_px=48, train_images=10, val_images=4)
VARIANT = Variant(part(ShallowBackbone), part(FCNHead, width=8, dropout=0.0), losses=(part(SegmentationLoss),))
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=3, batch=2, learning_rate=0.02)


def network() -> SegModel:
    return SegModel(VARIANT, len(DATA.classes), seed=1)


@pytest.mark.parametrize(
    ("chosen", "fused"),
    [
        (None, True),
        (part(torch.optim.SGD, momentum=0.9), True),
        (part(torch.optim.Adam), True),
        (part(torch.optim.AdamW), True),
        (part(torch.optim.AdamW, fused=False), False),
        (part(torch.optim.AdamW, foreach=True), None),
    ],
    ids=str,
)
def test_an_optimiser_on_a_gpu_is_fused_unless_the_recipe_chooses_another_form(chosen: Any, fused: bool | None) -> None:
    recipe = RECIPE.having(optimiser=chosen)
    with FakeTensorMode():
        weights = [nn.Parameter(torch.empty(2, 2, device="cuda"))]
        optimiser = optimiser_of(recipe, [{"params": weights, "lr": 0.1}])
    assert optimiser.defaults["fused"] is fused
    on_cpu = optimiser_of(recipe, [{"params": [nn.Parameter(torch.empty(2, 2))], "lr": 0.1}])
    assert on_cpu.defaults["fused"] is (False if fused is False else None)


def test_the_average_of_weights_is_that_of_torch() -> None:
    model = network()
    ours, theirs = MovingAverage(model, 0.9), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        with torch.no_grad():
            for tensor in (*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())):
                tensor.add_(torch.randn(tensor.shape, generator=generator))
        ours.update(model)
        theirs.update_parameters(model)
        expected = theirs.module.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.module.state_dict().items())


class Halves:
    """A keeper that ends a training after some iterations, or goes on from what another one kept."""

    def __init__(self, kept: dict[str, Any] | None, last: int) -> None:
        self.kept, self.last, self.first = kept, last, 0

    def resume(self, state: State) -> None:
        self.state = state
        if self.kept is not None:
            self.first = state.restore(self.kept)

    def after(self, done: int, total: int) -> None:
        if done == self.last:
            self.kept = self.state.taken(done)
            raise KeyboardInterrupt

    def earlier_s(self) -> float:
        return 0.0

    def finish(self, model: nn.Module) -> None:
        raise NotImplementedError


@pytest.fixture
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile traces the network as usual, and does not generate code."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))


@pytest.mark.usefixtures("quick_compiler")
def test_a_compiled_network_is_trained_as_it_is_uncompiled_and_keeps_its_names() -> None:
    eager, compiled = network(), network()
    names = list(compiled.state_dict())
    expected = train(eager, DATA.split("train"), RECIPE, 1, device=CPU)
    history = train(compiled, DATA.split("train"), RECIPE.having(compiled=True), 1, device=CPU)
    assert history.loss == pytest.approx(expected.loss, rel=1e-4)
    assert list(compiled.state_dict()) == names
    assert all(
        torch.allclose(tensor, compiled.state_dict()[name], rtol=1e-3, atol=1e-5)
        for name, tensor in eager.state_dict().items()
    )


@pytest.mark.usefixtures("quick_compiler")
def test_a_compiled_training_goes_on_where_it_was_interrupted() -> None:
    recipe = RECIPE.having(compiled=True, ema_decay=0.5)
    whole, halves, keeper = network(), network(), Halves(None, 2)
    expected = train(whole, DATA.split("train"), recipe, 1, device=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(halves, DATA.split("train"), recipe, 1, device=CPU, keeper=keeper)
    history = train(network(), DATA.split("train"), recipe, 1, device=CPU, keeper=Halves(keeper.kept, 0))
    assert history.loss == expected.loss


def test_a_network_that_cannot_be_compiled_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(graph: Any, inputs: Any) -> Any:
        raise ValueError("no such operator\nin this compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=refusing))
    step = prepare(network(), RECIPE.having(compiled=True), CPU)
    with pytest.raises(CompileError, match=r"take Recipe\(compiled=False\)") as caught:
        step.forward(torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long))
    assert "\n" not in str(caught.value)
