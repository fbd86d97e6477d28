"""Cross-entropy over the hard pixels of a batch: those whose class the network holds for unlikely (OHEM).

Shapes and conventions are those of :mod:`bench.network.losses.segmentation`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.losses.segmentation import widened
from bench.network.model import Output
from bench.parts import Count, Fraction, NonNegative


class OHEMLoss(nn.Module):
    """The mean cross-entropy over the pixels whose class has a probability below a threshold, or over the hardest ones.

    If fewer pixels than ``least_pixels`` an image lie below the threshold, the hardest ``least_pixels`` times the
    number of images count instead; with equal probabilities it may be more. Which pixels count has no gradient.

    **Source**: Shrivastava et al., Training Region-based Object Detectors with Online Hard Example Mining, 2016, in the
    form that semantic segmentation uses (threshold 0.7 and 100,000 pixels in mmsegmentation's ``OHEMPixelSampler``).

    **Departures**: mmsegmentation divides by the number of all pixels, here it is that of the pixels that count.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        threshold: the probability of its class below which a pixel is hard.
        least_pixels: the least number of pixels that count, for each image of the batch.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        weight: NonNegative = 1.0,
        threshold: Fraction = 0.7,
        least_pixels: Count = 100_000,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.threshold = threshold
        self.least_pixels = least_pixels

    def forward(self, output: Output, label: Tensor) -> Tensor:
        logits, label = widened(output.logits), label.long()
        losses = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none").flatten()
        known = (label != IGNORE).flatten()
        with torch.no_grad():
            probability = torch.exp(-losses).where(known, torch.inf)
            hardest_first = probability.sort().values
            place = (known.sum().clamp(max=self.least_pixels * len(label)) - 1).clamp(min=0)
            limit = hardest_first.gather(0, place[None])[0]
            hard = known & ((probability < self.threshold) | (probability <= limit))
        return self.weight * losses.where(hard, 0).sum() / hard.sum().clamp(min=1)
