"""Loss terms against hand-computed values; void, half precision, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.layers import WiringError
from bench.network.losses.segmentation import (
    AuxiliaryLoss,
    BoundaryLoss,
    SegmentationLoss,
    SemanticEncodingLoss,
    class_counts,
)
from bench.network.model import Output
from bench.parts import ChoiceError, part

LOG2, LOG4 = math.log(2), math.log(4)


def output(logits: Tensor | None = None, *, boundary: Tensor | None = None, **aux: Tensor) -> Output:
    return Output(torch.zeros(1, 2, 1, 1) if logits is None else logits, aux, boundary)


def pixels(*columns: tuple[float, float]) -> Tensor:
    """Logits of two classes for a row of pixels, from odds: a pixel (1, 3) has the probabilities 1/4 and 3/4."""
    return torch.tensor(columns).log().T.reshape(1, 2, 1, len(columns))


def labels(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).reshape(1, 1, -1)


ROW = pixels((1, 1), (1, 3), (5, 3))
ROW_LABELS = labels(0, 0, IGNORE)


def test_the_segmentation_loss_is_the_mean_over_the_pixels_that_are_not_void() -> None:
    loss = part(SegmentationLoss, weight=2).build(2)(output(ROW), ROW_LABELS)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(2 * (LOG2 + LOG4) / 2)


def test_the_mean_is_over_the_batch_not_over_the_means_of_its_images() -> None:
    """Image 1 has one known pixel (log 4), image 2 two (log 2 each)."""
    logits = torch.cat([pixels((1, 3), (1, 1)), pixels((1, 1), (1, 1))])
    label = torch.cat([labels(0, IGNORE), labels(0, 1)])
    assert SegmentationLoss(2)(output(logits), label).item() == pytest.approx((LOG4 + 2 * LOG2) / 3)


def test_class_weights_weigh_pixels_and_the_mean_alike() -> None:
    """Class 0 weighs 1 and has log 2; class 1 weighs 3 and has log(4/3)."""
    loss = SegmentationLoss(2, class_weights=(1.0, 3.0))(output(pixels((1, 1), (1, 3), (9, 1))), labels(0, 1, IGNORE))
    assert loss.item() == pytest.approx((LOG2 + 3 * math.log(4 / 3)) / 4)
    assert SegmentationLoss(2, class_weights=(0.0, 1.0))(output(ROW), ROW_LABELS).item() == 0


def test_labels_may_be_bytes_or_longs() -> None:
    loss = SegmentationLoss(2)
    assert torch.equal(loss(output(ROW), ROW_LABELS), loss(output(ROW), ROW_LABELS.long()))


def test_the_auxiliary_loss_adds_up_the_named_side_outputs() -> None:
    given = output(pam=pixels((1, 1)), cam=pixels((1, 3)), c4=pixels((9, 1)))
    label = labels(0)
    assert part(AuxiliaryLoss).build(2)(given, label).item() == pytest.approx(0.4 * math.log(10 / 9))
    both = part(AuxiliaryLoss, outputs=("pam", "cam"), weight=1).build(2)
    assert both(given, label).item() == pytest.approx(LOG2 + LOG4)


def test_the_boundary_loss_balances_boundary_and_rest() -> None:
    """A row of eight, boundary in the middle: radius 1 makes 2 of 8 boundary, 3 of 4 weights on them."""
    label = labels(0, 0, 0, 0, 1, 1, 1, 1)
    logits = torch.zeros(1, 1, 1, 8)
    logits[..., 3] = math.log(3)  # probability 3/4 on one boundary pixel, 1/2 on all others
    loss = part(BoundaryLoss, radius_px=1).build(2)(output(boundary=logits), label)
    expected = (0.75 * (math.log(4 / 3) + LOG2) + 0.25 * 6 * LOG2) / 8
    assert loss.item() == pytest.approx(20 * expected)


def test_void_pixels_count_neither_as_boundary_nor_as_rest() -> None:
    """Of 0 0 | void void, radius 1: one boundary pixel, one other; the void side of the boundary does not count."""
    label = labels(0, 0, IGNORE, IGNORE)
    logits = torch.tensor([0.0, math.log(3), 7.0, -7.0]).reshape(1, 1, 1, 4)
    loss = BoundaryLoss(2, weight=1.0, radius_px=1)(output(boundary=logits), label)
    assert loss.item() == pytest.approx((0.5 * LOG2 + 0.5 * math.log(4 / 3)) / 2)


def test_an_image_without_boundaries_has_no_boundary_loss() -> None:
    assert BoundaryLoss(2)(output(boundary=torch.randn(1, 1, 3, 5)), torch.zeros(1, 3, 5).byte()).item() == 0


def test_as_published_boundaries_have_a_second_sigmoid_and_count_void_and_the_frame() -> None:
    """Of 0 1 1 1 1 1 | void void, radius 1 and one row: class 0 is void, so 5 pixels touch the frame or another."""
    label = labels(0, 1, 1, 1, 1, 1, IGNORE, IGNORE)
    logits = torch.linspace(-4, 4, 8).view(1, 1, 1, 8)
    loss = part(BoundaryLoss, weight=1, radius_px=1, form="as_published").build(2)(output(boundary=logits), label)
    boundary = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0])  # every pixel of one row touches the frame, void ones do not
    probability = torch.sigmoid(torch.sigmoid(logits.flatten()))
    share = boundary.float().mean()
    terms = torch.where(boundary == 1, (1 - share) * probability.log(), share * (1 - probability).log())
    assert loss.item() == pytest.approx(-terms.mean().item(), rel=1e-5)


PRESENCE = torch.tensor([[0.0, math.log(3), 0.0], [0.0, math.log(3), 5.0]])


def test_the_presence_of_each_class_in_each_image_is_a_binary_cross_entropy() -> None:
    label = torch.tensor([[[0, 0, 1, IGNORE]], [[0, 0, 0, 0]]], dtype=torch.uint8)
    assert class_counts(label, 3).tolist() == [[2, 1, 0], [4, 0, 0]]
    loss = part(SemanticEncodingLoss).build(3)(output(presence=PRESENCE), label)
    first, second = LOG2 + math.log(4 / 3) + LOG2, LOG2 + LOG4 + math.log1p(math.exp(5))
    assert loss.item() == pytest.approx(0.2 * (first + second) / 6)


def test_an_image_of_nothing_but_void_says_nothing_about_presence() -> None:
    presence = PRESENCE.clone().requires_grad_()
    label = torch.tensor([[[0, 0, 1, IGNORE]], [[IGNORE] * 4]], dtype=torch.uint8)
    loss = SemanticEncodingLoss(3, weight=1.0)(output(presence=presence), label)
    assert loss.item() == pytest.approx((2 * LOG2 + math.log(4 / 3)) / 3)
    (grad,) = torch.autograd.grad(loss, presence)
    assert grad.ne(0).any(1).tolist() == [True, False]
    nothing = SemanticEncodingLoss(3)(output(presence=presence), torch.full_like(label, IGNORE))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, presence)[0].eq(0).all()


def test_presence_in_half_precision_and_without_values_on_the_host() -> None:
    label = torch.tensor([[[0, 0, 1, IGNORE]], [[0, 0, 0, 0]]], dtype=torch.uint8)
    term = SemanticEncodingLoss(3)
    loss = term(output(presence=PRESENCE.bfloat16()), label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(term(output(presence=PRESENCE), label).item(), rel=0.02)
    assert term(output(presence=PRESENCE.to("meta")), label.to("meta")).shape == ()


def test_a_head_without_presence_is_refused_with_the_remedy() -> None:
    with pytest.raises(WiringError, match=r"'presence', but the network gave \['c4'\]; take EncNetHead\(presence=True"):
        SemanticEncodingLoss(2)(output(c4=pixels((1, 1))), labels(0))


TERMS = [
    (part(SegmentationLoss), "logits"),
    (part(SegmentationLoss, class_weights=(1.0, 2.0)), "logits"),
    (part(AuxiliaryLoss), "c4"),
    (part(BoundaryLoss), "boundary"),
]
every_term = pytest.mark.parametrize(("term", "reads"), TERMS, ids=[f"{term.cls.__name__}-{i}" for i, (term, _) in
                                                                    enumerate(TERMS)])  # fmt: skip


def map_for(reads: str, channels: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Output]:
    channels = 1 if reads == "boundary" else channels
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 6, 8, generator=generator).to(dtype).requires_grad_()
    return logits, {
        "logits": lambda: output(logits),
        "c4": lambda: output(c4=logits),
        "boundary": lambda: output(boundary=logits),
    }[reads]()


@every_term
def test_a_batch_of_nothing_but_void_has_the_loss_zero_and_the_gradient_zero(term: Any, reads: str) -> None:
    logits, given = map_for(reads)
    loss = term.build(2)(given, torch.full((2, 6, 8), IGNORE, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.eq(0).all()


@every_term
def test_void_pixels_have_no_gradient_and_all_others_have_one(term: Any, reads: str) -> None:
    logits, given = map_for(reads)
    label = torch.zeros(2, 6, 8, dtype=torch.uint8)
    label[:, :, 4:] = 1
    label[:, :2] = IGNORE
    term.build(2)(given, label).backward()
    assert logits.grad is not None
    reached = logits.grad.ne(0).all(1)
    assert torch.equal(reached, label != IGNORE)


@every_term
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_have_a_loss_in_float32(term: Any, reads: str, dtype: torch.dtype) -> None:
    label = torch.zeros(2, 6, 8, dtype=torch.uint8)
    label[:, :, 4:] = 1
    low, given = map_for(reads, dtype=dtype)
    loss = term.build(2)(given, label)
    assert loss.dtype == torch.float32
    _, exact = map_for(reads)
    assert loss.item() == pytest.approx(term.build(2)(exact, label).item(), rel=0.02)
    assert torch.autograd.grad(loss, low)[0].isfinite().all()


@every_term
def test_a_loss_needs_no_value_on_the_host(term: Any, reads: str) -> None:
    """On the meta device there are no values to read."""
    _, given = map_for(reads)
    on_meta = Output(given.logits.to("meta"), {k: v.to("meta") for k, v in given.aux.items()},
                     None if given.boundary is None else given.boundary.to("meta"))  # fmt: skip
    module: nn.Module = term.build(2).to("meta")
    assert module(on_meta, torch.zeros(2, 6, 8, dtype=torch.uint8, device="meta")).shape == ()


def test_a_side_output_that_is_missing_is_refused_with_the_remedy() -> None:
    with pytest.raises(WiringError, match=r"side output 'c4', but the network gave \['cam'\]; fill the auxiliary slot"):
        AuxiliaryLoss(2)(output(cam=pixels((1, 1))), labels(0))


def test_a_side_output_that_is_no_map_is_refused() -> None:
    with pytest.raises(WiringError, match=r"'presence' has the shape \(1, 2\)"):
        AuxiliaryLoss(2, outputs=("presence",))(output(presence=torch.zeros(1, 2)), labels(0))


def test_missing_boundary_logits_are_refused_with_the_remedy() -> None:
    with pytest.raises(WiringError, match="fill the shape_stream slot, or leave this loss out"):
        BoundaryLoss(2)(output(), labels(0))


@pytest.mark.parametrize("outputs", [(), ("c4", "c4")])
def test_no_side_output_or_one_twice_is_refused(outputs: tuple[str, ...]) -> None:
    with pytest.raises(ChoiceError, match="one or more side outputs, each once"):
        AuxiliaryLoss(2, outputs=outputs)


def test_a_number_of_class_weights_other_than_the_classes_is_refused() -> None:
    with pytest.raises(ChoiceError, match="expected 3 weights, one a class, got 2"):
        SegmentationLoss(3, class_weights=(1.0, 2.0))


def test_a_negative_weight_is_refused_before_anything_is_built() -> None:
    for loss in (SegmentationLoss, AuxiliaryLoss, BoundaryLoss, SemanticEncodingLoss):
        with pytest.raises(ChoiceError, match="expected float ≥ 0"):
            part(loss, weight=-1.0)
