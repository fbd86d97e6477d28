"""A training whose network remembers what no file can hold never goes on from a state that lacks it."""

from __future__ import annotations

import collections
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.run.keeping.state import FileKeeper
from bench.training.loop import train

RECIPE = Recipe(
    data=part(Synthetic, height_px=32, width_px=32, train_images=4, val_images=2), crop_px=(16, 16), iterations=6,
    batch=2, learning_rate=0.05,
)  # fmt: skip
CPU = torch.device("cpu")


class Counter:
    def __init__(self) -> None:
        self.calls = 0


MADE: dict[str, Any] = {
    "number": lambda: 0,
    "tensor": lambda: torch.zeros(1),
    "list of tensors": lambda: [torch.zeros(1)],
    "array": lambda: np.zeros(1),
    "number of numpy": lambda: np.int64(0),
    "queue": lambda: collections.deque([0]),
    "set": set,
    "ordered mapping": lambda: collections.OrderedDict(calls=0),
    "generator of torch": lambda: torch.Generator().manual_seed(0),
    "generator of numpy": lambda: np.random.default_rng(0),
    "iterator": lambda: iter(range(100)),
    "object": Counter,
    "variable of the class": lambda: None,
}


class Remembering(nn.Module):
    """A network whose logits grow with each of its calls in training, which it counts in an attribute of some kind."""

    calls = 0

    def __init__(self, num_classes: int, *, kind: str) -> None:
        super().__init__()
        self.kind, self.memory = kind, MADE[kind]()
        self.layer = nn.Conv2d(3, num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image) * (1 + 0.05 * self.count()) if self.training else self.layer(image)

    def count(self) -> float:
        memory = self.memory
        if self.kind in ("number", "tensor", "number of numpy"):
            self.memory = memory + 1
            return float(self.memory)
        if self.kind in ("list of tensors", "array"):
            memory[0] += 1
            return float(memory[0])
        if self.kind in ("queue", "set"):
            memory.append(len(memory)) if self.kind == "queue" else memory.add(len(memory))
            return len(memory)
        if self.kind == "ordered mapping":
            memory["calls"] += 1
            return float(memory["calls"])
        if self.kind == "generator of torch":
            return torch.rand(1, generator=memory).item()
        if self.kind == "generator of numpy":
            return float(memory.random())
        if self.kind == "iterator":
            return float(next(memory))
        owner = memory if self.kind == "object" else Remembering
        owner.calls += 1
        return owner.calls


def trained(kind: str, keeper: FileKeeper | None = None, stop: int | None = None) -> dict[str, Tensor]:
    Remembering.calls = 0  # as in another process
    model = SegModel(Variant(whole=part(Remembering, kind=kind), losses=(part(SegmentationLoss),)), 9, seed=1)

    def progress(done: int, total: int, loss: float) -> None:
        if done == stop:
            raise KeyboardInterrupt

    train(model, RECIPE.data.build(None).split("train"), RECIPE, 0, device=CPU, progress=progress, keeper=keeper)
    return model.state_dict()


@pytest.mark.parametrize("kind", MADE)
def test_a_training_goes_on_as_if_undisturbed_or_begins_anew(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, Remembering.__module__, sys.modules[__name__])
    expected = trained(kind)
    with pytest.raises(KeyboardInterrupt):
        trained(kind, FileKeeper(tmp_path / "state", 0.0, RECIPE.iterations), stop=4)
    is_kept = kind in ("number", "tensor", "list of tensors")
    assert (tmp_path / "state").exists() == is_kept
    assert ("is not kept: no file can hold" in caplog.text) != is_kept
    again = trained(kind, FileKeeper(tmp_path / "state", 0.0, RECIPE.iterations))
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())
