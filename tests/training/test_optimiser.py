"""Optimisers, groups, schedules and averages: against torch and against direct computations, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.model import Output, SegModel, Variant
from bench.parts import ChoiceError, Level, part
from bench.protocol.recipe import Recipe
from bench.training.augment.batches import Batch, finish
from bench.training.augment.plain import batches
from bench.training.loop import train
from bench.training.optimiser import OptimiserError, layers_of, parameter_groups, slot_of
from bench.training.schedule import factor
from tests.measure.networks import Pixelwise

CPU = torch.device("cpu")
DATA = Synthetic(None, height_px=16, width_px=16, train_images=8, val_images=4)
CLASSES = len(DATA.classes)


class Tower(nn.Module):
    """A backbone with a stem, a list of two blocks and a norm, and with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.out_levels = (Level(4, 1),)
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
        self.norm = nn.GroupNorm(1, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.norm(self.blocks(self.stem(image) + self.pos_embed).tanh())]


class Head(nn.Module):
    def __init__(self, levels: tuple[Level, ...], num_classes: int, boundary: Level | None = None) -> None:
        super().__init__()
        self.classify = nn.Conv2d(levels[-1].channels, num_classes, 1)

    def forward(
        self, features: list[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.classify(features[-1]), {}


class EvenLoss(nn.Module):
    """The mean over all pixels, void ones as class 0, so that halves of a batch weigh alike."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return F.cross_entropy(output.logits, label.clamp(max=CLASSES - 1).long())


VARIANT = Variant(part(Tower), part(Head), losses=(part(EvenLoss),))
RECIPE = Recipe(
    data=part(Synthetic), crop_px=(16, 16), iterations=8, batch=4, learning_rate=0.02, head_lr_factor=3.0,
    weight_decay=0.05,
)  # fmt: skip


def of_double_precision(variant: Variant = VARIANT) -> SegModel:
    return SegModel(variant, CLASSES, seed=0).double()


def trained(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> SegModel:
    """A network trained in float64 by the loop."""

    def finished(batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
        image, label = finish(batch, recipe)
        return image.double(), label

    monkeypatch.setattr("bench.training.loop.finish", finished)
    model = of_double_precision()
    train(model, DATA.split("train"), recipe, 0, device=CPU)
    return model


def in_double_precision(recipe: Recipe) -> Any:
    stream = batches(
        DATA.split("train"),
        batch=recipe.batch,
        crop_px=recipe.crop_px,
        scale=recipe.scale,
        flip=recipe.flip,
        seed=0,
    )
    return ((image.double(), label) for image, label in stream)


def trained_directly(
    recipe: Recipe, optimiser: torch.optim.Optimizer, model: SegModel, rates: list[list[float]]
) -> list[dict[str, Tensor]]:
    """The weights after every step of a plain loop, with the rate of each group written in by hand."""
    states = []
    for step, (image, label) in zip(range(recipe.iterations), in_double_precision(recipe), strict=False):
        for group, rate in zip(optimiser.param_groups, rates[step], strict=True):
            group["lr"] = rate
        optimiser.zero_grad()
        F.cross_entropy(model(image).logits, label.clamp(max=CLASSES - 1).long()).backward()
        optimiser.step()
        states.append({name: value.detach().clone() for name, value in model.named_parameters()})
    return states


def assert_equal(model: SegModel, expected: dict[str, Tensor]) -> None:
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), expected[name], rtol=1e-12, atol=1e-14, msg=name)


def test_adamw_with_warm_up_and_poly_equals_a_loop_with_torch_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.having(
        optimiser=part(torch.optim.AdamW, betas=(0.8, 0.99)), warmup_iterations=3, warmup_start=0.1, poly_power=0.9
    )
    model = of_double_precision()
    assert model.backbone is not None
    assert model.head is not None
    groups = [
        {"params": list(model.backbone.parameters()), "lr": 0.02},
        {"params": list(model.head.parameters()), "lr": 0.06},
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.8, 0.99), weight_decay=0.05)
    factors = [0.1, 0.4, 0.7, *((1 - step / 5) ** 0.9 for step in range(5))]
    expected = trained_directly(recipe, optimiser, model, [[0.02 * f, 0.06 * f] for f in factors])
    assert_equal(trained(recipe, monkeypatch), expected[-1])


def test_the_decay_by_layers_and_what_is_not_decayed_equal_a_loop_over_single_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = RECIPE.having(optimiser=part(torch.optim.AdamW), layer_decay=0.5, decayed="weights", schedule="constant")
    model = of_double_precision()
    depth = {"stem": 0, "pos_embed": 0, "blocks.0": 1, "blocks.1": 2, "norm": 3}
    groups, rates = [], []
    for name, parameter in model.named_parameters():
        place = next((layer for start, layer in depth.items() if name.startswith(f"backbone.{start}")), None)
        rates.append(0.06 if place is None else 0.02 * 0.5 ** (4 - place))
        decayed = name.endswith("weight") and "norm" not in name
        groups.append({"params": [parameter], "weight_decay": 0.05 if decayed else 0.0})
    expected = trained_directly(recipe, torch.optim.AdamW(groups), model, [rates] * 8)
    assert_equal(trained(recipe, monkeypatch), expected[-1])


def test_the_average_of_the_weights_equals_its_recurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.having(ema_decay=0.75, schedule="constant", weight_decay=0.0, momentum=0.0)
    model = of_double_precision()
    groups = parameter_groups(model, recipe)
    states = trained_directly(recipe, torch.optim.SGD(groups), model, [[0.02, 0.06]] * 8)
    average = states[0]
    for state in states[1:]:
        average = {name: 0.75 * average[name] + 0.25 * state[name] for name in state}
    assert_equal(trained(recipe, monkeypatch), average)


def test_a_gradient_in_parts_is_that_of_the_whole_batch_without_batch_normalisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, halves = (trained(RECIPE.having(accumulate=parts), monkeypatch) for parts in (1, 2))
    assert_equal(halves, {name: value.detach() for name, value in whole.named_parameters()})


@pytest.mark.parametrize(
    ("recipe", "scheduler"),
    [
        (RECIPE, lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 8, 0.9)),
        (RECIPE.having(schedule="cosine"), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8)),
        (
            RECIPE.having(schedule="cosine", least_learning_rate=0.005),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8, eta_min=0.005),
        ),
        (
            RECIPE.having(schedule="step", step_at=(0.25, 0.75), step_factor=0.1),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 6], 0.1),
        ),
        (RECIPE.having(schedule="constant"), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
        (
            RECIPE.having(warmup_iterations=4, warmup_start=0.25, poly_power=1.0),
            lambda o: torch.optim.lr_scheduler.SequentialLR(
                o,
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 4),
                    torch.optim.lr_scheduler.PolynomialLR(o, 4, 1.0),
                ],
                [4],
            ),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_a_schedule_is_that_of_torch(recipe: Recipe, scheduler: Any) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    schedule = scheduler(optimiser)
    for iteration in range(8):
        assert 0.02 * factor(iteration, recipe, 0.02) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        schedule.step()


def test_a_rate_below_the_least_one_stays_as_it_is() -> None:
    recipe = RECIPE.having(least_learning_rate=0.01)
    assert factor(7, recipe, 0.001) == 1.0
    assert factor(8, recipe, 0.02) == 0.5


def test_frozen_norms_keep_weights_and_statistics_and_the_rest_is_trained() -> None:
    variant = Variant(
        part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(EvenLoss),)
    )
    before = SegModel(variant, CLASSES, seed=0)
    states = {}
    for frozen in ("nothing", "norms", "backbone"):
        model = SegModel(variant, CLASSES, seed=0)
        train(model, DATA.split("train"), RECIPE.having(iterations=2, frozen=frozen), 0, device=CPU)
        states[frozen] = model.state_dict()
    changed = {
        frozen: {name for name, value in before.state_dict().items() if not torch.equal(value, state[name])}
        for frozen, state in states.items()
    }
    norms = {
        f"{name}.{tensor}"
        for name, module in before.named_modules() if isinstance(module, nn.BatchNorm2d) and name.startswith("backbone")
        for tensor in module.state_dict()
    }  # fmt: skip
    assert norms
    assert changed["norms"] == changed["nothing"] - norms
    assert changed["backbone"] == {name for name in changed["nothing"] if not name.startswith("backbone")}


def test_a_network_without_a_backbone_cannot_freeze_one() -> None:
    model = SegModel(Variant(whole=part(Pixelwise), losses=(part(EvenLoss),)), CLASSES)
    with pytest.raises(OptimiserError, match="without a backbone"):
        parameter_groups(model, RECIPE.having(frozen="backbone"))


def test_the_layers_of_a_resnet_are_its_stem_and_its_blocks() -> None:
    layers = layers_of(ResNet(depth=18, width=8, output_stride=8))
    blocks = [layer for layer in layers if sum(parameter.ndim == 4 for parameter in layer) >= 2]
    assert len(blocks) == 8
    assert sum(map(len, layers)) == len(list(ResNet(depth=18, width=8, output_stride=8).parameters()))


class Wrapper(nn.Module):
    """A network of another library in a module that only adapts it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.ModuleDict({"model": Tower()})


def test_a_wrapped_network_has_the_layers_of_the_network() -> None:
    backbone = Wrapper()
    names = {id(parameter): name for name, parameter in backbone.network["model"].named_parameters()}
    layers = [[names[id(parameter)] for parameter in layer] for layer in layers_of(backbone)]
    assert layers == [
        ["pos_embed", "stem.weight", "stem.bias"],
        ["blocks.0.weight", "blocks.0.bias"],
        ["blocks.1.weight", "blocks.1.bias"],
        ["norm.weight", "norm.bias"],
    ]


class Tied(Tower):
    """Two blocks that share a weight."""

    def __init__(self) -> None:
        super().__init__()
        first, second = self.blocks
        second.weight = first.weight


def test_a_weight_that_two_layers_share_belongs_to_the_first_of_them() -> None:
    model = SegModel(Variant(part(Tied), part(Head), losses=(part(EvenLoss),)), CLASSES)
    groups = parameter_groups(model, RECIPE.having(layer_decay=0.5))
    shared = next(
        group for group in groups if any(p is model.get_parameter("backbone.blocks.1.weight") for p in group["params"])
    )
    assert shared["name"] == "backbone layer 1"
    torch.optim.SGD(groups)  # which refuses a parameter that is in two groups


class ConvNormAct(nn.Module):
    """A convolution with its normalisation, as other libraries have them in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)


class ScaleNorm(nn.Module):
    """A normalisation of another library, which derives from none of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 4, 1, 1))


class Named(nn.Module):
    """A backbone with modules that are called norms, of which one also holds a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.out_levels = (Level(4, 1),)
        self.stem, self.scale = ConvNormAct(), ScaleNorm()

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.stem.bn(self.stem.conv(image)) * self.scale.weight]


def test_a_module_that_is_called_a_norm_is_one_only_if_it_holds_nothing_else() -> None:
    model = SegModel(Variant(part(Named), part(Head), losses=(part(EvenLoss),)), CLASSES).train()
    groups = parameter_groups(model, RECIPE.having(frozen="norms"))
    assert model.backbone is not None
    trained = {name for name, parameter in model.backbone.named_parameters() if parameter.requires_grad}
    assert trained == {"stem.conv.weight", "stem.conv.bias"}
    assert {name for name, module in model.backbone.named_modules() if not module.training} == {"stem.bn", "scale"}
    assert sum(len(group["params"]) for group in groups) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [("LBFGS", "several times a step"), ("SparseAdam", "no weight decay"), ("Muon", "2D parameters")],
)
def test_an_optimiser_that_cannot_be_used_is_refused(name: str, reason: str) -> None:
    optimiser = getattr(torch.optim, name, None)
    if optimiser is None:
        pytest.skip(f"this version of torch has no {name}")
    recipe = RECIPE.having(optimiser=part(optimiser))
    with pytest.raises(OptimiserError, match=reason):
        train(SegModel(VARIANT, CLASSES), DATA.split("train"), recipe, 0, device=CPU)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adagrad", "RMSprop", "SGD"])
def test_every_usual_optimiser_of_torch_trains(name: str) -> None:
    recipe = RECIPE.having(optimiser=part(getattr(torch.optim, name)), iterations=2, layer_decay=0.9, decayed="weights")
    history = train(SegModel(VARIANT, CLASSES), DATA.split("train"), recipe, 0, device=CPU)
    assert all(math.isfinite(loss) for loss in history.loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "step"}, "step_at"),
        ({"step_at": (0.5,)}, "step_at"),
        ({"schedule": "step", "step_at": (0.5, 0.5)}, "ascending"),
        ({"warmup_iterations": 8}, "shorter than the 8 iterations"),
        ({"ema_decay": 1.0}, "below 1"),
        ({"layer_decay": 0.0}, "above 0"),
        ({"accumulate": 3}, "equal and of 2 images"),
        ({"accumulate": 4}, "equal and of 2 images"),
        ({"optimiser": torch.optim.AdamW}, "optimiser"),
    ],
)
def test_a_recipe_refuses_what_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        RECIPE.having(**changes)


def test_every_group_tells_its_slot() -> None:
    groups = parameter_groups(SegModel(VARIANT, CLASSES), RECIPE.having(layer_decay=0.5, decayed="weights"))
    assert len(groups) > 4
    assert {slot_of(group) for group in groups} == {"backbone", "head"}


def test_the_rate_and_the_decay_of_an_optimiser_are_the_recipe_s() -> None:
    with pytest.raises(ChoiceError, match="AdamW has no choice 'lr'"):
        part(torch.optim.AdamW, lr=1e-3)
    assert dict(part(torch.optim.AdamW, betas=(0.9, 0.98)).choices)["betas"] == (0.9, 0.98)
