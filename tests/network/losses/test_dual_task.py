"""The dual-task term: noise that can be given, magnitudes in closed form, both forms, void, devices."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE
from bench.network.losses.dual_task import DualTaskLoss, central_differences, dual_task, gradient_magnitude
from bench.network.model import Output
from bench.parts import ChoiceError, part

SILENT = math.exp(-1)  # the uniform draw whose Gumbel noise is 0


def draws(height: int = 12, width: int = 14) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, height, width, generator=generator).requires_grad_()
    label = torch.randint(0, 3, (2, height, width), generator=generator, dtype=torch.uint8)
    return logits, label, torch.rand(2, 3, height, width, generator=generator)


def test_as_published_it_is_an_l1_between_relative_values_at_every_pixel() -> None:
    """Two pixels, two classes: odds 3 to 1 at temperature 0.5 are probabilities of 9/10 and 1/10."""
    logits = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log().T.reshape(1, 2, 1, 2)
    label = torch.tensor([[[0, 1]]])
    got = dual_task(logits, label, torch.full((1, 2, 1, 2), SILENT), tau=0.5, derivative=False, exclude_void=False)
    sampled = [math.sqrt(2 * p * p + 1e-6) for p in (0.9, 0.5, 0.1, 0.5)]
    target = [math.sqrt(2 * p * p + 1e-6) for p in (1, 0, 0, 1)]
    pairs = zip(sampled, target, strict=True)
    assert got.item() == pytest.approx(sum(abs(p / max(sampled) - t / max(target)) for p, t in pairs) / 4, rel=1e-5)


def test_the_noise_is_that_of_a_gumbel_distribution() -> None:
    """The class that the noise favours is drawn as often as its probability says."""
    torch.manual_seed(0)
    logits = torch.tensor([0.7, 0.3]).log().view(1, 2, 1, 1).expand(1, 2, 100, 100)
    label = torch.zeros(1, 100, 100, dtype=torch.uint8)
    uniform = torch.rand(1, 2, 100, 100)
    off = dual_task(logits, label, uniform, tau=0.01, derivative=False, exclude_void=False)
    assert off.item() == pytest.approx(0.3, abs=0.02)  # at this temperature a pixel is all right or all wrong


def test_a_ramp_has_its_slope_as_magnitude_and_a_flat_map_none_away_from_the_frame() -> None:
    ramp = 0.25 * torch.arange(20.0).expand(1, 1, 20, 20)
    inner = (..., slice(6, -6), slice(6, -6))
    assert torch.allclose(gradient_magnitude(ramp)[inner], torch.tensor(0.25), atol=1e-4)
    assert torch.allclose(gradient_magnitude(ramp.mT)[inner], torch.tensor(0.25), atol=1e-4)
    flat = gradient_magnitude(torch.ones(1, 1, 20, 20))
    assert torch.allclose(flat[..., 1:-1, 1:-1], torch.tensor(1e-3), atol=1e-6)


def test_differences_are_central_and_zero_beyond_the_frame() -> None:
    x = torch.tensor([[1.0, 4.0, 9.0], [1.0, 4.0, 9.0]]).view(1, 1, 2, 3)
    across, down = central_differences(x)
    assert across[0, 0].tolist() == [[2, 4, -2], [2, 4, -2]]
    assert down[0, 0].tolist() == [[0.5, 2, 4.5], [-0.5, -2, -4.5]]


def test_maps_smaller_than_the_filter_are_smoothed_too() -> None:
    assert torch.allclose(gradient_magnitude(torch.full((1, 1, 1, 1), 3.0)), torch.tensor(1e-3))
    assert gradient_magnitude(torch.rand(2, 3, 2, 3)).isfinite().all()


def test_only_the_form_with_a_derivative_sees_where_pixels_are() -> None:
    logits, label, uniform = draws()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    for derivative in (False, True):
        here, moved = (
            dual_task(a, b, c, tau=0.5, derivative=derivative, exclude_void=False)
            for a, b, c in ((logits, label, uniform), (logits[..., order], label[..., order], uniform[..., order]))
        )
        assert torch.isclose(here, moved, rtol=1e-5) != derivative


def test_without_void_leaving_it_out_changes_nothing() -> None:
    logits, label, uniform = draws()
    for derivative in (False, True):
        counted, left_out = (
            dual_task(logits, label, uniform, tau=0.5, derivative=derivative, exclude_void=exclude)
            for exclude in (False, True)
        )
        assert torch.isclose(counted, left_out, rtol=1e-6)


@pytest.mark.parametrize("form", ["as_published", "as_intended"])
def test_a_confident_right_prediction_costs_nothing_and_a_shifted_one_something(form: str) -> None:
    label = torch.zeros(1, 16, 16, dtype=torch.uint8)
    label[..., 8:] = 1
    right = 200.0 * F.one_hot(label.long(), 3).permute(0, 3, 1, 2)
    loss = part(DualTaskLoss, form=form).build(3)
    assert loss(Output(right, {}, None), label).item() < 1e-4
    assert loss(Output(right.roll(4, 3), {}, None), label).item() > 0.02


def test_void_has_neither_value_nor_gradient_as_intended_and_is_class_0_as_published() -> None:
    logits, label, uniform = draws()
    label[:, 3:7, 4:9] = IGNORE
    void = label == IGNORE
    other = torch.where(void[:, None], uniform.flip(1), uniform)
    for intended in (True, False):
        kind = {"tau": 0.5, "derivative": intended, "exclude_void": intended}
        loss = dual_task(logits, label, uniform, **kind)
        assert torch.equal(loss, dual_task(logits, label, other, **kind)) == intended
        (grad,) = torch.autograd.grad(loss, logits)
        assert grad.movedim(1, -1)[void].eq(0).all()
        assert grad.movedim(1, -1)[~void].ne(0).any(1).all()


def test_a_batch_of_nothing_but_void_has_the_loss_zero_and_the_gradient_zero() -> None:
    logits, label, _ = draws()
    loss = DualTaskLoss(3)(Output(logits, {}, None), torch.full_like(label, IGNORE))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, logits)[0].eq(0).all()


def test_every_call_draws_from_the_seeded_generator() -> None:
    logits, label, _ = draws()
    given, loss = Output(logits, {}, None), part(DualTaskLoss, weight=2).build(3)
    torch.manual_seed(5)
    first, second = loss(given, label), loss(given, label)
    torch.manual_seed(5)
    uniform = torch.rand_like(logits)
    assert not torch.equal(first, second)
    assert torch.equal(first, 2 * dual_task(logits, label, uniform, tau=0.5, derivative=True, exclude_void=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_have_a_finite_loss_in_float32(dtype: torch.dtype) -> None:
    logits, label, _ = draws()
    low = (1000 * logits.detach()).to(dtype).requires_grad_()
    loss = DualTaskLoss(3)(Output(low, {}, None), label)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert torch.autograd.grad(loss, low)[0].isfinite().all()


def test_the_loss_needs_no_value_on_the_host() -> None:
    """On the meta device there are no values to read."""
    logits, label, _ = draws()
    for form in ("as_published", "as_intended"):
        loss = part(DualTaskLoss, form=form).build(3)
        assert loss(Output(logits.to("meta"), {}, None), label.to("meta")).shape == ()


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ChoiceError, match="expected float > 0"):
        part(DualTaskLoss, tau=0.0)
