"""Inference on whole images at native size. Image ``N 3 H W`` uint8, prediction ``N H W`` class indices."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.data.augment import normalise
from bench.data.base import Sample, Split
from bench.model import SegModel


@torch.inference_mode()
def predict(model: SegModel, images: Tensor) -> Tensor:
    """The class of every pixel; float32, no flip, one scale, the network in evaluation mode.

    Args:
        model: in evaluation mode, on the device of ``images``.
        images: ``N 3 H W`` uint8 RGB.
    """
    if model.training:
        raise RuntimeError("predict() needs the network in evaluation mode; call model.eval() first")
    logits: Tensor = model(normalise(images), with_aux=False).logits
    return logits.argmax(1)


def predictions(
    model: SegModel, split: Split, *, batch: int, device: torch.device
) -> Iterator[tuple[Tensor, list[Sample]]]:
    """Predictions over a whole split, in its order: (``N H W`` classes on the device, the samples).

    Consecutive images of equal size share a forward, ``batch`` at most.
    """
    pending: list[Sample] = []
    for index in range(len(split)):
        sample = split[index]
        if pending and (len(pending) == batch or sample.image.shape != pending[0].image.shape):
            yield _forward(model, pending, device), pending
            pending = []
        pending.append(sample)
    if pending:
        yield _forward(model, pending, device), pending


def _forward(model: SegModel, samples: list[Sample], device: torch.device) -> Tensor:
    return predict(model, torch.stack([sample.image for sample in samples]).to(device))
