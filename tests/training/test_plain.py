"""The training loop computes what its plain form does, number by number, however batches are made and losses read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bench.data.base import Split
from bench.data.fed import FedDataset
from bench.data.synthetic import Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.run import stages
from bench.training.late import DivergedError
from bench.training.loop import train
from bench.training.plain import train_plainly

CPU = torch.device("cpu")
DATA = Synthetic(None, height_px=40, width_px=48, train_images=10, val_images=4)
VARIANT = Variant(
    part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
)
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=7, batch=4, learning_rate=0.02)
RECIPES = {
    "sgd": {},
    "adamw": {"optimiser": part(torch.optim.AdamW), "learning_rate": 1e-3},
    "clipped": {"clip_norm": 0.5},
    "averaged": {"ema_decay": 0.9},
    "accumulated": {"accumulate": 2},
    "warmed up": {"warmup_iterations": 3},
    "bfloat16": {"precision": "bfloat16"},
    "one iteration": {"iterations": 1},
    "augmented": {
        "short_side_px": 48, "largest_class_share": 0.5, "rotation_deg": 10, "colour_jitter": 0.25, "hue_jitter": 0.25,
        "blur": 0.5,
    },
    "distorted": {"long_side_px": 64, "photometric_distortion": True},
}  # fmt: skip


def outcome(form: Any, recipe: Recipe, split: Split, **options: Any) -> tuple[Any, ...]:
    """All numbers of a training, and those of which its listener was told."""
    told: list[tuple[int, int, float]] = []
    model = SegModel(VARIANT, len(DATA.classes), seed=1)
    history = form(model, split, recipe, 1, device=CPU, progress=lambda *news: told.append(news), **options)
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return history.loss, history.learning_rate, told, weights


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
def test_every_number_is_that_of_the_plain_form(changes: dict[str, Any]) -> None:
    recipe, split = RECIPE.having(**changes), DATA.split("train")
    expected = outcome(train_plainly, recipe, split)
    assert len(expected[0]) == len(expected[2]) == recipe.iterations
    assert outcome(train, recipe, split) == expected
    assert outcome(train, recipe, FedDataset(DATA, 1).split("train"), read_every=3) == expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_threads_that_make_batches_change_no_number(workers: int, threads: int) -> None:
    torch.set_num_threads(threads)
    expected = outcome(train_plainly, RECIPE, DATA.split("train"))
    assert outcome(train, RECIPE, FedDataset(DATA, workers).split("train")) == expected


class Doomed(nn.Module):
    """A loss that is not a number from iteration 4 on and, if asked for, an error at iteration 6."""

    def __init__(self, num_classes: int, *, raises: bool = False) -> None:
        super().__init__()
        self.calls, self.raises = 0, raises

    def forward(self, output: Any, label: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.raises and self.calls == 6:
            raise ValueError("no number to work with")
        loss: torch.Tensor = output.logits.mean()
        return loss * float("nan") if self.calls >= 4 else loss


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("read_every", [1, 2, 3, 4, 100])
def test_the_iteration_of_a_divergence_is_named_though_losses_are_read_late(read_every: int, raises: bool) -> None:
    variant = Variant(
        part(ResNet, depth=18, width=8, output_stride=8), part(FCNHead, width=8), losses=(part(Doomed, raises=raises),)
    )
    for form, options in ((train_plainly, {}), (train, {"read_every": read_every})):
        with pytest.raises(DivergedError, match="the loss is nan at iteration 4; lower"):
            form(SegModel(variant, len(DATA.classes), seed=1), DATA.split("train"), RECIPE, 1, device=CPU, **options)


def test_an_error_of_a_step_is_told_as_it_is_where_no_loss_diverged() -> None:
    def stop(done: int, total: int, loss: float) -> None:
        raise TimeoutError("time was up")

    with pytest.raises(TimeoutError, match="time was up"):
        train(SegModel(VARIANT, 9, seed=1), DATA.split("train"), RECIPE, 1, device=CPU, progress=stop)


def test_keys_read_the_plain_form_since_the_form_that_is_run_is_the_one_that_was_compared() -> None:
    (proof,) = stages.PROVEN
    digest = stages._keys().reader.own_code(proof)
    assert digest == proof.digest, (
        f"bench/training/loop.py has changed where only it computes. If the other tests of this file pass, write the "
        f"digest {digest} into PROVEN of bench/run/stages.py, and keys stay; else the change belongs into plain.py too"
    )
