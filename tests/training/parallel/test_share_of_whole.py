"""Two processes train networks with losses of their own to the losses and weights of one. Run by ``nox -s extras``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.synthetic import Synthetic
from bench.network.model import SegModel, Variant
from bench.network.own_losses import own_losses
from bench.network.whole.config import hub_config, merged
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.loop import computing, train
from bench.training.parallel.group import TrainingGroup
from bench.training.parallel.share import GroupShare
from tests.network.whole.small import CONFIGS, network
from tests.training.parallel.workers import CPU, Together

pytestmark = [pytest.mark.extras, pytest.mark.xdist_group("processes of a training")]

DATA = Synthetic(None, height_px=72, width_px=80, train_images=10, val_images=4)
RECIPE = Recipe(data=part(Synthetic), crop_px=(64, 64), iterations=3, batch=4, learning_rate=0.001)
UNDROPPED = hub_config(backbone_config={"drop_path_rate": 0.0})
"""No random numbers in the forward, since each process draws its own there."""
WHOLES = {
    "mask2former": merged(CONFIGS["mask2former"], UNDROPPED),
    "eomt": CONFIGS["eomt"],
    "oneformer": merged(CONFIGS["oneformer"], merged(UNDROPPED, hub_config(dropout=0.0))),
}
CASES = [(name, accumulate) for name in WHOLES for accumulate in (1, 2)]


def trained(group: TrainingGroup | None, name: str, accumulate: int) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a training, and the weights that it ends with."""
    whole = network(name).having(config=WHOLES[name])
    model = SegModel(Variant(whole=whole, losses=own_losses(whole)), len(DATA.classes), seed=1)
    split, recipe = DATA.split("train"), RECIPE.having(accumulate=accumulate)
    if group is None:
        history = train(model, split, recipe, 1, device=CPU)
    else:
        with computing(GroupShare(group)):
            history = train(model, split, recipe, 1, device=CPU)
    return history.loss, model.state_dict()


def trained_in_each(group: TrainingGroup) -> list[tuple[list[float], dict[str, Tensor]]]:
    return [trained(group, *case) for case in CASES]


@pytest.fixture(scope="module")
def shared(together: Together) -> list[Any]:
    """What each process has of each case."""
    pytest.importorskip("transformers")
    return together(trained_in_each)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_loss_and_weight_is_that_of_one_process(case: tuple[str, int], shared: list[Any]) -> None:
    losses, state = trained(None, *case)
    for of_rank in shared:
        loss, own_state = of_rank[CASES.index(case)]
        np.testing.assert_allclose(loss, losses, rtol=1e-4)
        for name, tensor in state.items():
            torch.testing.assert_close(own_state[name], tensor, rtol=1e-3, atol=1e-4)
