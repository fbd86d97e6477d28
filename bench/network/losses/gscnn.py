"""Gated-SCNN's two cross-entropies: one weighted by each image's class frequencies, one near predicted boundaries only.

Shapes: logits ``N K H W``, boundary logits ``N 1 H W``, label ``N H W``; ``K`` classes. It is unknown which state of
the release's code gave the paper's numbers, so both forms are here.

**Source**: Takikawa et al., Gated-SCNN, 2019, section 3.3, and a description of the release; no code of it is used.

**Departures** of ``as_intended``: images are averaged instead of summed, and an image without a pixel that counts is
left out; there ``as_published`` is NaN, with a gradient of 0.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.losses.boundaries import PublishedForm
from bench.network.losses.segmentation import boundary_logits, class_counts, cross_entropy, widened
from bench.network.model import Output
from bench.parts import Fraction, NonNegative

Frequencies = Literal["image", "batch"]


class ClassWeightedLoss(nn.Module):
    """A cross-entropy in which rarer classes have larger weights, see :func:`weighted_cross_entropy`.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        upper_bound: the largest amount that is added to the weight of 1, for the rarest class; the release has 1.
        frequencies: the pixels in which class frequencies are counted: those of each ``image``, or of the ``batch``.
        form: ``as_intended`` for the mean over images, ``as_published`` for their sum.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        weight: NonNegative = 1.0,
        upper_bound: NonNegative = 1.0,
        frequencies: Frequencies = "image",
        form: PublishedForm = "as_intended",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.upper_bound = upper_bound
        self.frequencies: Frequencies = frequencies
        self.form: PublishedForm = form

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return self.weight * weighted_cross_entropy(
            output.logits, label, upper_bound=self.upper_bound, frequencies=self.frequencies, form=self.form
        )


class BoundaryRestrictedLoss(nn.Module):
    """The cross-entropy of the logits over the pixels that the network itself predicts to be a boundary.

    No gradient flows to the boundary logits.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        threshold: the boundary probability above which a pixel counts; Gated-SCNN has 0.8.
        upper_bound: the largest amount that is added to the weight of 1, for the rarest class; the release has 1.
        frequencies: the pixels, among those that count, in which class frequencies are counted: those of each
            ``image`` or of the ``batch``. With ``none`` all classes weigh alike, and the mean is over the batch's
            pixels.
        form: ``as_intended`` or ``as_published``, which differ for images without a pixel that counts, and in taking
            the mean or the sum over images.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        weight: NonNegative = 1.0,
        threshold: Fraction = 0.8,
        upper_bound: NonNegative = 1.0,
        frequencies: Literal["image", "batch", "none"] = "image",
        form: PublishedForm = "as_intended",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.threshold = threshold
        self.upper_bound = upper_bound
        self.frequencies: Literal["image", "batch", "none"] = frequencies
        self.form: PublishedForm = form

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted term.

        Raises:
            WiringError: if the network has no boundary logits.
        """
        probability = torch.sigmoid(widened(boundary_logits(self, output).detach()))
        near = label.masked_fill(probability <= self.threshold, IGNORE)
        if self.frequencies == "none":
            loss = cross_entropy(output.logits, near)
            if self.form == "as_published":
                loss = loss.where((near != IGNORE).any(), torch.nan)
            return self.weight * loss
        return self.weight * weighted_cross_entropy(
            output.logits, near, upper_bound=self.upper_bound, frequencies=self.frequencies, form=self.form
        )


def weighted_cross_entropy(
    logits: Tensor,
    label: Tensor,
    *,
    upper_bound: float = 1.0,
    frequencies: Frequencies = "image",
    form: PublishedForm = "as_intended",
) -> Tensor:
    """The mean over images (as intended) or their sum (as published) of each image's weighted cross-entropy.

    The cross-entropy of an image is the weighted mean over its pixels that are not void.
    """
    logits = widened(logits)
    weights = class_weights(label, logits.shape[1], upper_bound, frequencies).to(logits.dtype)
    known = label != IGNORE
    index = label.long().where(known, 0)
    pixel_weights = weights.gather(1, index.flatten(1)).view_as(index) * known
    totals = (F.cross_entropy(logits, index, reduction="none") * pixel_weights).sum((1, 2))
    shares = pixel_weights.sum((1, 2))
    means = totals / shares.where(shares > 0, 1)
    if form == "as_published":
        return means.where(shares > 0, torch.nan).sum()
    return means.sum() / (shares > 0).sum().clamp(min=1)


def class_weights(label: Tensor, num_classes: int, upper_bound: float, frequencies: Frequencies) -> Tensor:
    """The class weights, ``N K``: ``1 + upper_bound * (1 - frequency)`` for present classes, 1 for absent ones."""
    counts = class_counts(label, num_classes)
    if frequencies == "batch":
        counts = counts.sum(0, keepdim=True).expand_as(counts)
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    return torch.where(counts > 0, 1 + upper_bound * (1 - share), 1)
