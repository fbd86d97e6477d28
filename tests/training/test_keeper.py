"""The state of a training: one that goes on from it ends as one that was never interrupted, bit for bit."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.fed import FedDataset
from bench.network.heads.fcn import FCNHead
from bench.network.model import SegModel, Variant
from bench.parts import Level, Levels, part
from bench.protocol.recipe import Recipe
from bench.training.keeper import State
from bench.training.loop import History, train
from tests.training.test_loop import DATA, PLAIN, RECIPE

CPU = torch.device("cpu")


class Remembering(nn.Module):
    """A head whose output depends on all that a training may remember outside of its parameters."""

    def __init__(self, levels: Levels, num_classes: int, boundary: Level | None = None) -> None:
        super().__init__()
        self.inner = FCNHead(levels, num_classes, boundary, width=8)
        self.forwards = 0
        self.last = torch.zeros(1)
        self.register_buffer("hidden", torch.zeros(1), persistent=False)

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if self.training:
            self.forwards += 1
            self.hidden = self.hidden + 1
            self.last = self.last + random.random() + float(np.random.random())
        logits, others = self.inner(features, boundary, with_aux=with_aux)
        return logits * (1 + 1e-2 * (self.forwards + self.hidden + self.last)), others


class InterruptedTrainingError(Exception):
    pass


class MemoryKeeper:
    """Keeps the state after one iteration as the bytes of a file, and interrupts the training there."""

    def __init__(self, after: int, content: bytes = b"") -> None:
        self.interrupt_after, self.content, self.first = after, content, 0

    def resume(self, state: State) -> None:
        self.state = state
        if self.content:
            self.first = state.restore(torch.load(io.BytesIO(self.content), weights_only=True))

    def after(self, done: int, total: int) -> None:
        if done == self.interrupt_after:
            file = io.BytesIO()
            torch.save(self.state.taken(done), file)
            self.content = file.getvalue()
            raise InterruptedTrainingError

    def earlier_s(self) -> float:
        return 7.0 if self.first else 0.0

    def finish(self, model: nn.Module) -> None:
        raise NotImplementedError


def ends(
    variant: Variant, recipe: Recipe, interruptions: tuple[int, ...], workers: int = 0, read_every: int | None = None
) -> tuple[dict[str, Tensor], History]:
    """The weights and the history of a training that is interrupted after some iterations, each time in a new model."""
    split = FedDataset(DATA, workers).split("train")
    content = b""
    history = History()
    for after in (*interruptions, 0):
        random.seed(3)
        np.random.seed(3)
        model = SegModel(variant, len(DATA.classes), seed=0)
        keeper = MemoryKeeper(after, content)
        try:
            history = train(model, split, recipe, 0, device=CPU, keeper=keeper, read_every=read_every)
        except InterruptedTrainingError:
            content = keeper.content
            random.seed(99)  # another process
            torch.manual_seed(99)
    return model.state_dict(), history


REMEMBERING = replace(PLAIN, head=part(Remembering))


@pytest.mark.parametrize(
    ("variant", "recipe"),
    [
        pytest.param(PLAIN, RECIPE, id="SGD and poly"),
        pytest.param(
            PLAIN,
            RECIPE.having(
                optimiser=part(torch.optim.AdamW), schedule="cosine", warmup_iterations=2, ema_decay=0.9, clip_norm=1.0
            ),
            id="AdamW, warm-up, cosine, average and clipping",
        ),
        pytest.param(PLAIN, RECIPE.having(accumulate=2, schedule="step", step_at=(0.5,)), id="accumulation and steps"),
        pytest.param(PLAIN, RECIPE.having(frozen="norms", precision="bfloat16"), id="frozen norms in bfloat16"),
    ],
)
@pytest.mark.parametrize("interruptions", [(1,), (2, 5), (6,)])
def test_a_training_that_goes_on_ends_with_the_same_bits(
    variant: Variant, recipe: Recipe, interruptions: tuple[int, ...]
) -> None:
    weights, history = ends(variant, recipe, ())
    again, history_again = ends(variant, recipe, interruptions)
    assert history_again.loss == history.loss
    assert history_again.learning_rate == history.learning_rate
    assert history_again.train_s > 7 > history.train_s
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
    assert weights.keys() == again.keys()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_it_does_so_for_any_number_of_threads_and_with_losses_that_are_read_late(workers: int) -> None:
    weights, history = ends(PLAIN, RECIPE, ())
    again, history_again = ends(PLAIN, RECIPE, (2, 5), workers, read_every=4)
    assert history_again.loss == history.loss
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())


def test_what_components_remember_and_other_generators_go_on_too() -> None:
    weights, history = ends(REMEMBERING, RECIPE, ())
    again, history_again = ends(REMEMBERING, RECIPE, (2, 3))
    assert history_again.loss == history.loss
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
