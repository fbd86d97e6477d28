"""Does an execution mode compute what eager torch does? The logits of both for one image, compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Deviation:
    """The difference of the logits of a mode from those of eager torch in float32, for the same image and weights.

    Attributes:
        max_abs: the largest difference of a logit.
        largest: the largest absolute logit of eager torch, which it is to be seen beside.
        changed: the share of pixels whose class is another one, from 0 to 1.
    """

    max_abs: float
    largest: float
    changed: float


def difference(logits: Tensor, eager: Tensor) -> Deviation:
    """The difference of logits ``N K H W`` from those of eager torch.

    A logit that is not finite, where that of eager torch is, has the largest difference that a float32 can have.
    """
    logits, eager = logits.detach().float().cpu(), eager.detach().float().cpu()
    apart = torch.nan_to_num((logits - eager).abs(), nan=torch.finfo(torch.float32).max)
    changed = logits.argmax(1) != eager.argmax(1)
    return Deviation(float(apart.max()), float(eager.abs().max()), float(changed.float().mean()))
