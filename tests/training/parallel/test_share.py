"""Two processes train a network to the losses, weights and statistics of one process with the same batch."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.losses.dual_task import DualTaskLoss
from bench.network.losses.gscnn import BoundaryRestrictedLoss, ClassWeightedLoss
from bench.network.losses.hard_pixels import OHEMLoss
from bench.network.losses.regions import DiceLoss, LovaszLoss
from bench.network.losses.segmentation import AuxiliaryLoss, BoundaryLoss, SegmentationLoss, SemanticEncodingLoss
from bench.network.model import SegModel, Variant
from bench.network.necks.jpu import JPU
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.keeper import State
from bench.training.loop import computing, train
from bench.training.parallel.group import TrainingGroup
from bench.training.parallel.keepers import GivingKeeper, TakingKeeper
from bench.training.parallel.share import GroupShare
from tests.training.parallel.workers import CPU, Together

pytestmark = pytest.mark.xdist_group("processes of a training")

DATA = Synthetic(None, height_px=40, width_px=48, train_images=10, val_images=4)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=4, batch=4, learning_rate=0.02)


BACKBONE = part(ResNet, depth=18, width=4, output_stride=8)
VARIANTS = {
    "means over pixels and hard pixels": Variant(
        BACKBONE,
        part(FCNHead, width=4, dropout=0.0),
        auxiliary=part(FCNHead, width=4, dropout=0.0),
        losses=(part(SegmentationLoss), part(AuxiliaryLoss), part(OHEMLoss, least_pixels=100)),
    ),
    "regions of all images, and a head that no loss reads": Variant(
        part(ResNet, depth=18, width=4, output_stride=32),
        part(EncNetHead, width=8, codes=4, dropout=0.0),
        neck=part(JPU, width=4, dilations=(1, 2)),
        losses=(part(DiceLoss), part(LovaszLoss)),
    ),
    "classes of each image, and side outputs": Variant(
        BACKBONE,
        part(EncNetHead, width=8, codes=4, dropout=0.0),
        losses=(part(SegmentationLoss), part(SemanticEncodingLoss)),
    ),
    "boundaries, and a loss that draws numbers": Variant(
        BACKBONE,
        part(FCNHead, width=4, dropout=0.0),
        shape_stream=part(GatedShapeStream, widths=(4, 4, 4, 4), stride=2),
        losses=(
            part(BoundaryLoss),
            part(ClassWeightedLoss, frequencies="batch"),
            part(BoundaryRestrictedLoss, threshold=0.5),
            part(DualTaskLoss),
        ),
    ),
}
CHANGES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "in two parts": {"accumulate": 2},
    "clipped and averaged": {"clip_norm": 0.5, "ema_decay": 0.9},
    "colours and blur": {"colour_jitter": 0.25, "hue_jitter": 0.25, "blur": 0.5, "rotation_deg": 10.0},
}
DROPPING = Variant(BACKBONE, part(FCNHead, width=4, dropout=0.5), losses=(part(SegmentationLoss),))
CASES = [(name, "sgd") for name in VARIANTS] + [(next(iter(VARIANTS)), name) for name in list(CHANGES)[1:]]


def trained(group: TrainingGroup | None, variant: Variant, recipe: Recipe) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a training in float64, and the weights and statistics that it ends with."""
    model = SegModel(variant, len(DATA.classes), seed=1).double()
    model.register_forward_pre_hook(lambda _, given: (given[0].double(), *given[1:]))
    split = DATA.split("train")
    if group is None:
        history = train(model, split, recipe, 1, device=CPU)
    else:
        with computing(GroupShare(group)):
            history = train(model, split, recipe, 1, device=CPU)
    return history.loss, model.state_dict()


def trained_in_each(group: TrainingGroup, cases: list[tuple[str, str]]) -> list[tuple[list[float], dict[str, Tensor]]]:
    return [trained(group, VARIANTS[name], RECIPE.having(**CHANGES[change])) for name, change in cases]


@pytest.fixture(scope="module")
def shared(together: Together) -> list[list[tuple[list[float], dict[str, Tensor]]]]:
    """What each process has of each case."""
    return together(trained_in_each, CASES)


@pytest.mark.parametrize("case", CASES, ids=" by ".join)
def test_every_loss_weight_and_statistic_is_that_of_one_process(case: tuple[str, str], shared: Any) -> None:
    losses, state = trained(None, VARIANTS[case[0]], RECIPE.having(**CHANGES[case[1]]))
    for of_rank in shared:
        own_losses, own_state = of_rank[CASES.index(case)]
        np.testing.assert_allclose(own_losses, losses, rtol=1e-9)
        for name, tensor in state.items():
            torch.testing.assert_close(
                own_state[name], tensor, rtol=1e-7, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}"
            )


class Kept:
    """A keeper that holds the state after some iterations, or gives a training one that it was given."""

    def __init__(self, after: int, given: dict[str, Any] | None = None) -> None:
        self.first, self.state, self.given, self.kept_after = 0, {}, given, after

    def resume(self, state: State) -> None:
        self.of = state
        self.first = 0 if self.given is None else state.restore(self.given)

    def after(self, done: int, total: int) -> None:
        if done == self.kept_after:
            content = io.BytesIO()
            torch.save(self.of.taken(done), content)
            self.state = torch.load(io.BytesIO(content.getvalue()), weights_only=True)

    def earlier_s(self) -> float:
        return 0.0

    def finish(self, model: nn.Module) -> None:
        raise AssertionError("it is called by measure_quality alone")


def trained_twice(group: TrainingGroup) -> list[tuple[list[float], dict[str, Tensor]]]:
    """A training from its beginning, and one from the state that process 0 kept of it."""
    outcomes, given = [], None
    for _ in range(2):
        kept = Kept(2, given)
        keeper = GivingKeeper(kept) if group.rank == 0 else TakingKeeper()
        model = SegModel(DROPPING, len(DATA.classes), seed=1)
        with computing(GroupShare(group)):
            history = train(model, DATA.split("train"), RECIPE.having(ema_decay=0.9), 1, device=CPU, keeper=keeper)
        assert keeper.first == (0 if not outcomes else 2)
        outcomes.append((history.loss, model.state_dict()))
        given = kept.state
    return outcomes


def test_all_processes_go_on_from_the_state_that_the_first_kept_bit_for_bit(together: Together) -> None:
    for (losses, state), (losses_again, state_again) in together(trained_twice):
        assert losses_again == losses
        torch.testing.assert_close(state_again, state, rtol=0, atol=0)


def test_each_process_and_iteration_has_random_numbers_of_its_own_and_losses_draw_the_same() -> None:
    drawn, outside = [], []
    for rank, iteration, part_of_batch in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        share = GroupShare(TrainingGroup(rank, 2))
        share.seed, share.iteration, share.part = 3, iteration, part_of_batch
        torch.manual_seed(3)
        with share.own_random_numbers(CPU):
            drawn.append(torch.rand(4))
        with share.own_random_numbers(CPU):
            assert torch.equal(torch.rand(4), drawn[-1])
        outside.append(torch.rand(4))
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 4
    assert all(torch.equal(numbers, outside[0]) for numbers in outside)
