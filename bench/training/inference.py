"""Inference on whole images at native size.

Images are ``N 3 H W`` uint8, and predictions ``N H W`` with at most 255 classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import Sample, Split
from bench.network.model import SegModel
from bench.training.augment import normalise


class Prediction(NamedTuple):
    """The predicted class of every pixel, uint8, and its softmax probability, float32; both are ``N H W``."""

    classes: Tensor
    confidence: Tensor


@torch.inference_mode()
def predict(model: SegModel, images: Tensor) -> Prediction:
    """The most probable class of every pixel, in float32, at one scale and without flipping.

    Args:
        model: the network, in evaluation mode and on the device of ``images``.
        images: the images, ``N 3 H W`` uint8 RGB.

    Raises:
        RuntimeError: if the network is in training mode.
    """
    if model.training:
        raise RuntimeError("predict() needs the network in evaluation mode; call model.eval() first")
    logits: Tensor = model(normalise(images), with_aux=False).logits
    highest, classes = logits.max(1)
    return Prediction(classes.to(torch.uint8), (highest - logits.logsumexp(1)).exp())


def predictions(
    model: SegModel, split: Split, *, batch: int, device: torch.device
) -> Iterator[tuple[Prediction, list[Sample]]]:
    """Yield the predictions over a whole split, in its order, as (predictions ``N H W`` on the device, samples).

    Up to ``batch`` consecutive images of equal size share a forward.
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


def _forward(model: SegModel, samples: list[Sample], device: torch.device) -> Prediction:
    return predict(model, torch.stack([sample.image for sample in samples]).to(device))
