"""OHEM, Dice and Lovász against direct computations from their definitions, and on void, equal and extreme inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.losses.hard_pixels import OHEMLoss
from bench.network.losses.regions import DiceLoss, LovaszLoss
from bench.network.model import Output

K = 3
LOSSES: tuple[Any, ...] = (OHEMLoss(K, least_pixels=5), DiceLoss(K), LovaszLoss(K))


def scene(seed: int, void: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, K, 3, 4, generator=generator, dtype=torch.float64)
    label = torch.randint(0, K, (2, 3, 4), generator=generator)
    if void:
        label[torch.rand(label.shape, generator=generator) < 0.2] = IGNORE
    return logits, label.to(torch.uint8)


def value(loss: nn.Module, logits: Tensor, label: Tensor) -> float:
    return float(loss(Output(logits, {}, None), label))


def pixels(logits: Tensor, label: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of all pixels that are not void."""
    probability = logits.softmax(1).permute(0, 2, 3, 1).reshape(-1, K).numpy()
    truth = label.reshape(-1).numpy()
    return probability[truth != IGNORE], truth[truth != IGNORE]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("threshold", "least"), [(0.7, 1), (0.05, 4), (0.0, 1), (1.0, 1), (0.3, 1000)])
def test_ohem_is_the_mean_over_the_pixels_that_are_hard(seed: int, threshold: float, least: int) -> None:
    logits, label = scene(seed)
    probability, truth = pixels(logits, label)
    own = probability[np.arange(len(truth)), truth]
    below = own[own < threshold]
    hardest = np.sort(own)[: min(2 * least, len(own))]
    expected = -np.log(below if len(below) > len(hardest) else hardest).mean()
    assert value(OHEMLoss(K, threshold=threshold, least_pixels=least), logits, label) == pytest.approx(expected)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_dice_is_one_minus_the_mean_coefficient_of_the_classes_there(seed: int, smooth: float) -> None:
    logits, label = scene(seed)
    probability, truth = pixels(logits, label)
    terms = []
    for index in sorted(set(truth.tolist())):
        p, y = probability[:, index], (truth == index).astype(float)
        terms.append(1 - (2 * (p * y).sum() + smooth) / ((p**2).sum() + (y**2).sum() + smooth))
    assert value(DiceLoss(K, smooth=smooth), logits, label) == pytest.approx(np.mean(terms))


def jaccard_loss(mispredicted: set[int], region: set[int]) -> float:
    """The Jaccard loss as a function of the set of mispredicted pixels: Berman et al., 2018, equation 7."""
    return len(mispredicted) / len(region | mispredicted) if mispredicted else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_is_the_extension_of_the_jaccard_loss_by_its_definition(seed: int) -> None:
    logits, label = scene(seed)
    probability, truth = pixels(logits, label)
    terms = []
    for index in sorted(set(truth.tolist())):
        region = set(np.flatnonzero(truth == index).tolist())
        errors = np.abs((truth == index) - probability[:, index])
        order = np.argsort(-errors)
        chain = [set(order[:count].tolist()) for count in range(len(order) + 1)]
        gains = [
            jaccard_loss(after, region) - jaccard_loss(before, region) for before, after in itertools.pairwise(chain)
        ]
        terms.append(sum(errors[pixel] * gain for pixel, gain in zip(order, gains, strict=True)))
    assert value(LovaszLoss(K), logits, label) == pytest.approx(np.mean(terms))


def test_lovasz_at_a_hard_prediction_is_one_minus_the_iou() -> None:
    logits, label = scene(0, void=False)
    guess = logits.argmax(1)
    hard = 1000.0 * torch.nn.functional.one_hot(guess, K).permute(0, 3, 1, 2).double()
    inside = [((guess == k) & (label == k)).sum() / ((guess == k) | (label == k)).sum() for k in range(K)]
    assert value(LovaszLoss(K), hard, label) == pytest.approx(float(1 - sum(inside) / K))


@pytest.mark.parametrize("loss", LOSSES)
def test_void_pixels_count_nothing_and_a_void_batch_is_zero_with_a_gradient_of_zero(loss: nn.Module) -> None:
    logits, label = scene(1)
    other = logits.clone()
    other[(label == IGNORE)[:, None].expand_as(logits)] = 50.0
    assert value(loss, other, label) == pytest.approx(value(loss, logits, label))
    logits.requires_grad_()
    void = loss(Output(logits, {}, None), torch.full_like(label, IGNORE))
    void.backward()
    assert float(void.detach()) == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_logits_in_any_precision_give_finite_terms_and_gradients(loss: nn.Module, dtype: torch.dtype) -> None:
    logits, label = scene(2)
    logits = (30 * logits).to(dtype).requires_grad_()
    term = loss(Output(logits, {}, None), label)
    term.backward()
    assert term.dtype == torch.float32
    assert torch.isfinite(term)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_label_outside_the_classes_is_an_error(loss: nn.Module) -> None:
    logits, label = scene(4)
    label[0, 0, 0] = K
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        value(loss, logits, label)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_against_the_gradient_makes_the_term_smaller(loss: nn.Module) -> None:
    logits, label = scene(3)
    logits.requires_grad_()
    term = loss(Output(logits, {}, None), label)
    term.backward()
    assert logits.grad is not None
    assert value(loss, (logits - 0.1 * logits.grad).detach(), label) < float(term.detach())
