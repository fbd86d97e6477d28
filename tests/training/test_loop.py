"""Training: same seed same numbers, paired batches, one optimiser group a parameter, failures that say so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.model import Output, SegModel, Variant
from bench.network.necks.jpu import JPU
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.augment.plain import batches
from bench.training.late import DivergedError
from bench.training.loop import History, train
from bench.training.optimiser import OptimiserError, check_groups, parameter_groups
from tests.measure.networks import Pixelwise

CPU = torch.device("cpu")


class Loss(nn.Module):
    def __init__(self, num_classes: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return self.scale * F.cross_entropy(output.logits, label, ignore_index=IGNORE)


DATA = Synthetic(None, height_px=32, width_px=32, train_images=8, val_images=4)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=6, batch=4, learning_rate=0.02, head_lr_factor=1.0)
PLAIN = Variant(part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(Loss),))
WITH_NECK = Variant(
    part(ResNet, depth=18, width=8, output_stride=32), part(FCNHead, width=8), part(JPU, width=8), losses=(part(Loss),)
)


def trained(seed: int = 0, variant: Variant = PLAIN, recipe: Recipe = RECIPE) -> tuple[SegModel, History]:
    model = SegModel(variant, len(DATA.classes), seed=seed)
    return model, train(model, DATA.split("train"), recipe, seed, device=CPU)


def test_the_same_seed_gives_the_same_numbers_whatever_the_global_stream() -> None:
    torch.manual_seed(1)
    model, history = trained()
    torch.manual_seed(2)
    again, history_again = trained()
    assert history.loss == history_again.loss
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_another_seed_gives_other_numbers() -> None:
    assert trained(0)[1].loss != trained(1)[1].loss


def test_training_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    trained()
    assert torch.equal(torch.rand(2), expected)


def test_training_lowers_the_loss() -> None:
    loss = trained(recipe=RECIPE.having(iterations=40, learning_rate=0.1))[1].loss
    assert sum(loss[-5:]) < 0.9 * sum(loss[:5])


class Spy(Pixelwise):
    """Remembers what it is asked, to see which batches a training gives."""

    seen: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        Spy.seen = []

    def forward(self, image: Tensor) -> Tensor:
        Spy.seen.append(image.clone())
        return super().forward(image)


def test_two_variants_see_the_same_first_ten_batches() -> None:
    seen = []
    for loss in (part(Loss), part(Loss, scale=0.5)):
        trained(7, Variant(whole=part(Spy), losses=(loss,)), RECIPE.having(iterations=10))
        seen.append(Spy.seen)
    assert len(seen[0]) == 10
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_batches_do_not_depend_on_the_variant_and_shared_parts_start_equal() -> None:
    def stream() -> list[Tensor]:
        made = batches(DATA.split("train"), batch=4, crop_px=(32, 32), scale=(0.5, 2.0), flip=0.5, seed=3)
        return [tensor for _ in range(10) for tensor in next(made)]

    one = SegModel(PLAIN, len(DATA.classes), seed=3)
    first = stream()
    other = SegModel(WITH_NECK, len(DATA.classes), seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first, stream(), strict=True))
    assert one.backbone is not None
    assert other.backbone is not None
    pairs = zip(one.backbone.state_dict().items(), other.backbone.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_the_poly_schedule_ends_near_zero_and_groups_have_their_own_rates() -> None:
    history = trained()[1]
    expected = [0.02 * (1 - i / 6) ** 0.9 for i in range(6)]
    assert history.learning_rate == pytest.approx(expected)
    groups = parameter_groups(SegModel(WITH_NECK, 5), RECIPE.having(head_lr_factor=10.0))
    assert {group["name"]: group["lr"] for group in groups} == pytest.approx(
        {"backbone": 0.02, "neck": 0.2, "head": 0.2}
    )


def test_every_trainable_parameter_is_in_exactly_one_group() -> None:
    model = SegModel(WITH_NECK, 5)
    groups = parameter_groups(model, RECIPE)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_a_frozen_part_is_in_no_group() -> None:
    frozen = Variant(
        part(ResNet, depth=18, width=8), part(FCNHead, width=8), part(JPU, frozen=True), losses=(part(Loss),)
    )
    assert [group["name"] for group in parameter_groups(SegModel(frozen, 5), RECIPE)] == ["backbone", "head"]


def test_a_parameter_outside_every_group_fails_the_trial() -> None:
    model = SegModel(PLAIN, 5)
    model.register_module("stray", nn.Conv2d(1, 1, 1))
    with pytest.raises(OptimiserError, match=r"2 trainable parameters .* stray.weight \(in 0\)"):
        train(model, DATA.split("train"), RECIPE, 0, device=CPU)


def test_a_parameter_in_two_groups_is_refused() -> None:
    model = nn.Conv2d(1, 1, 1)
    params: list[Any] = list(model.parameters())
    with pytest.raises(OptimiserError, match=r"weight \(in 2\)"):
        check_groups(model, [{"params": params}, {"params": params[:1]}])


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    variant = Variant(PLAIN.backbone, PLAIN.head, losses=(part(Loss, scale=1e38),))
    with pytest.raises(DivergedError, match="at iteration"):
        trained(variant=variant)


@pytest.mark.parametrize(
    ("iterations", "words"), [(1, "weights .* not finite after iteration 1: "), (2, "iteration 2")]
)
def test_an_update_that_leaves_weights_that_are_not_finite_ends_the_training_even_if_it_is_the_last(
    iterations: int, words: str
) -> None:
    variant = Variant(PLAIN.backbone, PLAIN.head, losses=(part(Loss, scale=1e6),))
    with pytest.raises(DivergedError, match=words):
        trained(variant=variant, recipe=RECIPE.having(iterations=iterations, learning_rate=3e38))


class Counting(Pixelwise):
    """A pixelwise classifier with buffers of many kinds, one of which becomes infinite at the iteration ``ends``."""

    def __init__(self, num_classes: int, *, ends: int = 3) -> None:
        super().__init__(num_classes)
        self.ends = ends
        self.register_buffer("mask", torch.full((3,), -math.inf))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("empty", torch.zeros(0), persistent=False)
        self.register_buffer("wave", torch.zeros(2, dtype=torch.complex64))
        self.register_buffer("statistic", torch.ones(2, 2), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        self.seen += 1
        if self.seen == self.ends:
            self.statistic[1, 1] = math.nan
            self.wave[0] = complex(0, math.inf)
        return super().forward(image)


def test_buffers_that_are_not_finite_after_the_last_update_end_the_training() -> None:
    variant = Variant(whole=part(Counting, ends=6), losses=(part(Loss),))
    with pytest.raises(DivergedError, match=r"2 tensors .* after iteration 6: whole.statistic, whole.wave; lower"):
        trained(variant=variant)


def test_a_mask_that_was_infinite_before_the_training_may_stay_so() -> None:
    _, history = trained(variant=Variant(whole=part(Counting, ends=7), losses=(part(Loss),)))
    assert len(history.loss) == 6


def test_gradient_clipping_is_off_by_default_and_changes_numbers_when_on() -> None:
    assert RECIPE.clip_norm is None
    assert trained()[1].loss != trained(recipe=RECIPE.having(clip_norm=1e-3))[1].loss


def test_bfloat16_trains_on_the_cpu() -> None:
    model, history = trained(recipe=RECIPE.having(precision="bfloat16"))
    assert len(history.loss) == 6
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_a_long_history_is_thinned_to_means_of_stretches() -> None:
    history = History([float(i) for i in range(1001)], [1.0 - i / 1001 for i in range(1001)])
    stored = history.thinned(500)
    assert len(stored["loss"]) <= 500
    assert stored["iteration"][-1] == 1001
    assert stored["loss"][0] == 1.0
    weights = [b - a for a, b in zip([0.0, *stored["iteration"]], stored["iteration"], strict=False)]
    assert sum(w * x for w, x in zip(weights, stored["loss"], strict=True)) == pytest.approx(sum(history.loss))
