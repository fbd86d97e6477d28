"""Two processes train a network to the losses, weights and statistics of one process with the same batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

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
from bench.training.loop import computing, train
from bench.training.parallel.group import TrainingGroup
from bench.training.parallel.share import GroupShare
from tests.training.parallel.workers import CPU, Together, processes

SIZE = 2
DATA = Synthetic(None, height_px=40, width_px=48, train_images=10, val_images=4)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=4, batch=4, learning_rate=0.02)


@pytest.fixture(scope="module")
def together() -> Iterator[Together]:
    with processes(SIZE) as call:
        yield call


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
