"""Gated-SCNN's cross-entropies against hand-computed values, in both forms; void, half precision, devices."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.network.layers import WiringError
from bench.network.losses.gscnn import BoundaryRestrictedLoss, ClassWeightedLoss, class_weights, weighted_cross_entropy
from bench.network.model import Output
from bench.parts import ChoiceError, part

LOG2, LOG4 = math.log(2), math.log(4)

# Two images of four pixels: odds (1, 1) cost log 2 for either class, (1, 3) cost log 4 for class 0.
ODDS = torch.tensor([[(1, 1), (1, 3), (1, 1), (1, 1)], [(1, 3), (1, 3), (1, 1), (1, 1)]], dtype=torch.float32)
LOGITS = ODDS.log().movedim(-1, 1).unsqueeze(2)
LABEL = torch.tensor([[[0, 0, 1, IGNORE]], [[0, 0, 0, 0]]], dtype=torch.uint8)
FIRST = (4 / 3 * LOG2 + 4 / 3 * LOG4 + 5 / 3 * LOG2) / (13 / 3)  # frequencies 2/3, 1/3 weigh 4/3, 5/3
SECOND = (LOG4 + LOG2) / 2  # one class: weight 1


def output(logits: Tensor = LOGITS, boundary: Tensor | None = None) -> Output:
    return Output(logits, {}, boundary)


def test_a_class_weighs_more_the_rarer_it_is_and_an_absent_one_weighs_one() -> None:
    label = torch.tensor([[[0, 0, 0, 1], [0, 0, 0, IGNORE]]], dtype=torch.uint8)
    assert torch.allclose(class_weights(label, 3, 1.0, "image"), torch.tensor([[8 / 7, 13 / 7, 1.0]]))
    assert torch.allclose(class_weights(label, 3, 0.5, "image"), torch.tensor([[15 / 14, 10 / 7, 1.0]]))


def test_frequencies_are_of_each_image_or_of_the_batch() -> None:
    images = class_weights(LABEL, 2, 1.0, "image")
    assert torch.allclose(images, torch.tensor([[4 / 3, 5 / 3], [1.0, 1.0]]))
    assert torch.allclose(class_weights(LABEL, 2, 1.0, "batch"), torch.tensor([[8 / 7, 13 / 7]] * 2))


@pytest.mark.parametrize(
    ("form", "expected"), [("as_published", FIRST + SECOND), ("as_intended", (FIRST + SECOND) / 2)]
)
def test_images_are_weighted_means_that_are_summed_or_averaged(form: Any, expected: float) -> None:
    loss = part(ClassWeightedLoss, form=form, weight=2).build(2)
    assert loss(output(), LABEL).item() == pytest.approx(2 * expected)


def test_an_image_of_nothing_but_void_is_nan_as_published_and_left_out_as_intended() -> None:
    label = LABEL.clone()
    label[0] = IGNORE
    assert ClassWeightedLoss(2)(output(), label).item() == pytest.approx(SECOND)
    logits = LOGITS.clone().requires_grad_()
    loss = ClassWeightedLoss(2, form="as_published")(output(logits), label)
    assert loss.isnan()
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad[0].eq(0).all()
    assert grad[1].ne(0).all()


def test_only_pixels_that_the_network_takes_for_a_boundary_count() -> None:
    """Above 0.8: pixels 0 and 2 of image 1, pixel 1 of image 2; frequencies are of those."""
    probability = torch.tensor([[0.9, 0.8, 0.81, 0.99], [0.1, 0.9, 0.5, 0.79]])
    boundary = torch.logit(probability).view(2, 1, 1, 4).requires_grad_()
    logits = LOGITS.clone().requires_grad_()
    loss = BoundaryRestrictedLoss(2, form="as_published")(output(logits, boundary), LABEL)
    assert loss.item() == pytest.approx(LOG2 + LOG4)
    loss.backward()
    assert boundary.grad is None
    assert logits.grad is not None
    assert logits.grad.ne(0).all(1).int().tolist() == [[[1, 0, 1, 0]], [[0, 1, 0, 0]]]
    alike = BoundaryRestrictedLoss(2, frequencies="none")(output(LOGITS, boundary), LABEL)
    assert alike.item() == pytest.approx((2 * LOG2 + LOG4) / 3)


@pytest.mark.parametrize("frequencies", ["image", "batch", "none"])
def test_without_a_boundary_the_restricted_loss_is_nan_as_published_and_zero_as_intended(frequencies: Any) -> None:
    boundary = torch.full((2, 1, 1, 4), -1.0)
    for form, check in (("as_published", torch.isnan), ("as_intended", lambda loss: loss == 0)):
        logits = LOGITS.clone().requires_grad_()
        term = part(BoundaryRestrictedLoss, frequencies=frequencies, form=form).build(2)
        loss = term(output(logits, boundary), LABEL)
        assert check(loss)
        assert torch.autograd.grad(loss, logits)[0].eq(0).all()


TERMS = [
    *(part(ClassWeightedLoss, frequencies=each) for each in ("image", "batch")),
    *(part(BoundaryRestrictedLoss, frequencies=each, threshold=0.3) for each in ("image", "batch", "none")),
]
every_term = pytest.mark.parametrize("term", TERMS, ids=str)


def draws(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Output, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 8, generator=generator).to(dtype).requires_grad_()
    label = torch.randint(0, 3, (2, 6, 8), generator=generator, dtype=torch.uint8)
    label[:, :2] = IGNORE
    return logits, output(logits, torch.randn(2, 1, 6, 8, generator=generator).to(dtype)), label


@every_term
def test_a_batch_of_nothing_but_void_has_the_loss_zero_and_void_never_a_gradient(term: Any) -> None:
    logits, given, label = draws()
    loss = term.build(3)(given, torch.full_like(label, IGNORE))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, logits)[0].eq(0).all()
    (grad,) = torch.autograd.grad(term.build(3)(given, label), logits)
    assert grad[:, :, :2].eq(0).all()
    assert grad.isfinite().all()
    assert grad.ne(0).any()


@every_term
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_have_a_loss_in_float32(term: Any, dtype: torch.dtype) -> None:
    low, given, label = draws(dtype)
    wide = Output(given.logits.detach().float(), {}, given.boundary.float())
    loss = term.build(3)(given, label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(term.build(3)(wide, label).item(), rel=1e-5)
    assert torch.autograd.grad(loss, low)[0].isfinite().all()


@every_term
@pytest.mark.parametrize("form", ["as_published", "as_intended"])
def test_a_loss_needs_no_value_on_the_host(term: Any, form: Any) -> None:
    """On the meta device there are no values to read."""
    _, given, label = draws()
    assert given.boundary is not None
    on_meta = Output(given.logits.to("meta"), {}, given.boundary.to("meta"))
    assert term.having(form=form).build(3).to("meta")(on_meta, label.to("meta")).shape == ()


def test_large_logits_stay_finite() -> None:
    large = (LOGITS * 5e4).half()  # half precision ends at 65504
    assert large.abs().max() > 5e4
    assert weighted_cross_entropy(large, LABEL).isfinite()


def test_missing_boundary_logits_and_choices_out_of_range_are_refused() -> None:
    with pytest.raises(WiringError, match="BoundaryRestrictedLoss reads boundary logits.*fill the shape_stream slot"):
        BoundaryRestrictedLoss(2)(output(), LABEL)
    with pytest.raises(ChoiceError, match="expected float ≥ 0 and ≤ 1"):
        part(BoundaryRestrictedLoss, threshold=1.5)
    with pytest.raises(ChoiceError, match="'as_published', 'as_intended'|'as_intended', 'as_published'"):
        part(ClassWeightedLoss, form="as_printed")
