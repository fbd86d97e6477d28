"""Quality of predictions: one confusion matrix over a split, from which every score is derived later.

``K`` classes; label ``N H W`` with void :data:`~bench.data.base.IGNORE`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.data.base import IGNORE, Split
from bench.inference import predictions
from bench.model import SegModel


def confusion(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Pixel counts [label][prediction], ``K K`` int64 on the device of ``prediction``; void pixels are left out.

    Raises:
        ValueError: for a label or prediction outside the classes.
    """
    known = label != IGNORE
    truth, guess = label[known].long(), prediction[known].long()
    for what, values in (("label", truth), ("prediction", guess)):
        if values.numel() and int(values.max()) >= num_classes:
            raise ValueError(f"{what} {int(values.max())} with {num_classes} classes; allowed: 0 … {num_classes - 1}")
    counts = torch.bincount(truth * num_classes + guess, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)


def evaluate(
    model: SegModel,
    split: Split,
    *,
    batch: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The confusion matrix of ``model`` over a whole split at native size, ``K K`` int64 on the CPU."""
    model.to(device).eval()
    total = torch.zeros(model.num_classes, model.num_classes, dtype=torch.int64, device=device)
    done = 0
    for guess, samples in predictions(model, split, batch=batch, device=device):
        label = torch.stack([sample.label for sample in samples]).to(device)
        total += confusion(guess, label, model.num_classes)
        done += len(samples)
        if progress is not None:
            progress(done, len(split))
    return total.cpu()
