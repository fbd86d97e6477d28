"""Watching what autograd saves: nothing of a forward outlives it, and gradients are those without watching."""

from __future__ import annotations

import gc
import weakref

import torch
from torch import Tensor, nn

from bench.measure.cost.activations import watched_saves


def network() -> nn.Module:
    """A ReLU and a softmax save their own outputs, so that the graph saves what it makes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Softmax(1))


def test_nothing_of_a_watched_forward_outlives_it() -> None:
    model, image = network(), torch.rand(1, 3, 8, 8)
    outputs: list[weakref.ref[Tensor]] = []
    for module in model:
        module.register_forward_hook(lambda _, __, output: outputs.append(weakref.ref(output)))
    with watched_saves(model, (image,)) as saved:
        loss = model(image).sum()
    assert sum(saved.values()) > 0
    del loss
    gc.collect()
    assert [output() for output in outputs] == [None] * 4


def test_a_backward_after_a_watched_forward_has_the_same_gradients() -> None:
    image = torch.rand(1, 3, 8, 8)
    gradients = []
    for is_watched in (False, True):
        model = network()
        if is_watched:
            with watched_saves(model, (image,)):
                loss = model(image).square().sum()
        else:
            loss = model(image).square().sum()
        loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, watched in zip(*gradients, strict=True):
        assert plain is not None
        assert watched is not None
        assert torch.equal(plain, watched)
