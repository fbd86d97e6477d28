"""Loss terms that compare whole regions, class by class, as the scores do: Dice and Lovász-Softmax.

Shapes and conventions are those of :mod:`bench.network.losses.segmentation`. Both look at all pixels of the batch
together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.losses.segmentation import widened
from bench.network.model import Output
from bench.parts import NonNegative


class DiceLoss(nn.Module):
    """One minus the soft Dice coefficient, averaged over the classes that occur in the labels.

    With probabilities p and labels y, which are 1 for the class and else 0, the coefficient of a class is
    ``(2 Σ p y + smooth) / (Σ p² + Σ y² + smooth)``.

    **Source**: Milletari, Navab, Ahmadi, V-Net, 2016, section 3, for several classes by the softmax.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        smooth: the number that is added above and below the line, so that rare classes change slowly.
    """

    def __init__(self, num_classes: int, *, weight: NonNegative = 1.0, smooth: NonNegative = 1.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = weight
        self.smooth = smooth

    def forward(self, output: Output, label: Tensor) -> Tensor:
        probability, target = _flat(output.logits, label, self.num_classes)
        overlap = (probability * target).sum(1)
        total = (probability**2).sum(1) + target.sum(1)
        coefficient = (2 * overlap + self.smooth) / (total + self.smooth).clamp(min=1e-12)
        return self.weight * _mean_of_present(1 - coefficient, target)


class LovaszLoss(nn.Module):
    """The Lovász extension of the Jaccard loss at the errors of each class, averaged over the classes in the labels.

    It is the convex surrogate of ``1 - IoU`` of a class over the whole batch, so that it follows the mean IoU closely.

    **Source**: Berman, Rannen Triki, Blaschko, The Lovász-Softmax loss, 2018, sections 2 and 3.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
    """

    def __init__(self, num_classes: int, *, weight: NonNegative = 1.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = weight

    def forward(self, output: Output, label: Tensor) -> Tensor:
        probability, target = _flat(output.logits, label, self.num_classes)
        # Void pixels have an error of 0, which stands last and counts nothing, so they need not be taken out.
        errors, order = (target - probability).abs().sort(dim=1, descending=True)
        inside = target.gather(1, order)
        region = target.sum(1, keepdim=True)
        lost = 1 - (region - inside.cumsum(1)) / (region + (1 - inside).cumsum(1)).clamp(min=1)
        steps = torch.diff(lost, dim=1, prepend=torch.zeros_like(lost[:, :1]))
        return self.weight * _mean_of_present((errors * steps).sum(1), target)


def _flat(logits: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The probabilities and the one-hot labels of all pixels, ``K P``; both are 0 where the label is void."""
    known = (label != IGNORE).flatten()
    probability = widened(logits).softmax(1).transpose(0, 1).flatten(1).where(known, 0)
    index = label.long().flatten().where(known, 0)
    # F.one_hot would hold eight bytes for each class of each pixel.
    target = torch.zeros_like(probability).scatter_(0, index[None], known[None].to(probability.dtype))
    return probability, target


def _mean_of_present(terms: Tensor, target: Tensor) -> Tensor:
    """The mean over the classes that have a pixel; 0 with a gradient of 0 if there is none."""
    present = target.sum(1) > 0
    return terms.where(present, 0).sum() / present.sum().clamp(min=1)
