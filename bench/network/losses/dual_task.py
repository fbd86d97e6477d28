"""Gated-SCNN's dual-task term, which compares the boundaries of a sampled segmentation with those of the label.

Shapes: logits and uniform draws ``N K H W``, label ``N H W``; ``K`` classes.

**Source**: Takikawa et al., Gated-SCNN, 2019, equations 5 and 6, and a description of the release; no code of it is
used.

**Departures**:
- ``as_published`` has no spatial derivative: the release's helpers return their input, so the term is an L1 distance
  between a noisy softmax and the one-hot label at every pixel, with void pixels as class 0 with logits of 0.
- ``as_intended`` smooths and differentiates, as the unreached code of those helpers does, and leaves void pixels out.
- In both forms, magnitudes are divided by the largest as in the release, not by the square root of 2. An offset under
  the root keeps all magnitudes above the paper's threshold, so both of its sets of pixels are the whole image and one
  mean suffices.
- The paper's temperature is 1; the release's is 0.5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.layers import without_autocast
from bench.network.losses.boundaries import PublishedForm
from bench.network.losses.segmentation import widened
from bench.network.model import Output
from bench.parts import NonNegative, Positive

RADIUS_PX = 4  # radius of the triangle filter, as released

OFFSET = 1e-6  # offset under the root of the squared magnitude, as released

UNIFORM_OFFSET = 1e-10  # keeps the logarithms of the Gumbel noise finite, as released


class DualTaskLoss(nn.Module):
    """The mean difference of two gradient magnitudes, see :func:`dual_task`. Each call draws from torch's generator.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        tau: the temperature of the Gumbel softmax; the release has 0.5, the paper 1.
        form: ``as_intended`` with a spatial derivative and without void pixels, or ``as_published``, the reverse.
    """

    def __init__(
        self, num_classes: int, *, weight: NonNegative = 1.0, tau: Positive = 0.5, form: PublishedForm = "as_intended"
    ) -> None:
        super().__init__()
        self.weight = weight
        self.tau = tau
        self.form: PublishedForm = form

    def forward(self, output: Output, label: Tensor) -> Tensor:
        logits = widened(output.logits)
        intended = self.form == "as_intended"
        return self.weight * dual_task(
            logits, label, torch.rand_like(logits), tau=self.tau, derivative=intended, exclude_void=intended
        )


def dual_task(
    logits: Tensor, label: Tensor, uniform: Tensor, *, tau: float, derivative: bool, exclude_void: bool
) -> Tensor:
    """The mean absolute difference between the magnitudes of a sampled segmentation and of the one-hot label.

    Args:
        logits: the class logits, ``N K H W``.
        label: the labels, ``N H W``.
        uniform: random numbers between 0 and 1, ``N K H W``, from which the Gumbel noise is computed.
        tau: the temperature of the softmax.
        derivative: ``True`` for the magnitude of the spatial gradient, ``False`` for that of the value itself.
        exclude_void: ``True`` to leave void pixels out (the term is 0 if there are no others), ``False`` to treat them
            as class 0 with logits of 0.
    """
    logits = widened(logits)
    known = (label != IGNORE)[:, None]
    index = label.long().where(label != IGNORE, 0)
    target = F.one_hot(index, logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)
    noise = -torch.log(UNIFORM_OFFSET - torch.log(uniform + UNIFORM_OFFSET))
    sampled = torch.softmax((logits * known + noise) / tau, dim=1)
    if not exclude_void:
        return (relative_magnitude(sampled, derivative) - relative_magnitude(target, derivative)).abs().mean()
    # Void pixels get the same values on both sides, so that they add no difference through the filter.
    sampled = sampled.where(known, target)
    difference = (relative_magnitude(sampled, derivative, known) - relative_magnitude(target, derivative, known)).abs()
    return difference.sum() / (known.sum() * logits.shape[1]).clamp(min=1)


def relative_magnitude(x: Tensor, derivative: bool, known: Tensor | None = None) -> Tensor:
    """The magnitudes as a share of the largest in the whole batch; 0 at pixels that are not ``known``."""
    magnitude = gradient_magnitude(x) if derivative else torch.sqrt(2 * x.square() + OFFSET)
    if known is not None:
        magnitude = magnitude * known
    # Every magnitude is at least the root of the offset, so the bound only matters for a batch that is all void.
    return magnitude / magnitude.max().clamp(min=OFFSET**0.5)


def gradient_magnitude(x: Tensor) -> Tensor:
    """The gradient magnitude of smoothed maps, which are zero beyond the frame: ``N C H W`` -> ``N C H W``."""
    across, down = central_differences(smooth(x))
    return torch.sqrt(across.square() + down.square() + OFFSET)


def central_differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives to the right and downwards, each of the shape of ``x``."""
    padded = F.pad(x, (1, 1, 1, 1))
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return across, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def smooth(x: Tensor) -> Tensor:
    """The map after a triangle filter along both axes; beyond the frame it is mirrored, outermost pixels repeated.

    Autocast, which would convolve in half precision, is off.
    """
    ramp = torch.arange(1, RADIUS_PX + 2, dtype=x.dtype, device=x.device)
    kernel = torch.cat([ramp, ramp[:-1].flip(0)]) / (RADIUS_PX + 1) ** 2
    for axis in (-1, -2):
        flat = _mirror(x, axis).transpose(axis, -1)
        rows = flat.reshape(-1, 1, flat.shape[-1])
        with without_autocast(x):
            smoothed = F.conv1d(rows, kernel.view(1, 1, -1)).view(*flat.shape[:-1], -1)
        x = smoothed.transpose(axis, -1)
    return x


def _mirror(x: Tensor, axis: int) -> Tensor:
    size = x.shape[axis]
    # Maps smaller than the filter are mirrored repeatedly.
    places = torch.arange(-RADIUS_PX, size + RADIUS_PX, device=x.device) % (2 * size)
    return x.index_select(axis, torch.minimum(places, 2 * size - 1 - places))
