"""Inference on whole images at native size.

Images are ``N 3 H W`` uint8, and predictions ``N H W`` with at most 255 classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import Sample, Split
from bench.network.model import SegModel
from bench.network.normalisation import normalise


class Prediction(NamedTuple):
    """The predictions for a batch of images.

    Attributes:
        classes: the predicted class of every pixel, ``N H W`` uint8.
        confidence: the softmax probability of the predicted class, ``N H W`` float32.
        finite: ``True`` where all logits of an image are finite numbers, ``N`` bool. An image with another has no
            predictions: its classes and confidences mean nothing.
    """

    classes: Tensor
    confidence: Tensor
    finite: Tensor


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
    finite = logits.amin((1, 2, 3)).isfinite() & highest.amax((1, 2)).isfinite()  # both pass NaN on
    return Prediction(classes.to(torch.uint8), (highest - logits.logsumexp(1)).exp(), finite)


def predictions(
    model: SegModel, split: Split, *, batch: int, device: torch.device
) -> Iterator[tuple[Prediction, list[Sample]]]:
    """Yield the predictions over a whole split, in its order, as (predictions ``N H W`` on the device, samples).

    Up to ``batch`` consecutive images of equal size share a forward. On a GPU, the host does not wait for it.
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
    return predict(model, stacked([sample.image for sample in samples], device).to(device, non_blocking=True))


def stacked(maps: Sequence[Tensor], device: torch.device) -> Tensor:
    """The maps as one tensor on the host; for a GPU in pinned memory, from which a copy need not be waited for."""
    if device.type != "cuda":
        return torch.stack(list(maps))
    host = torch.empty((len(maps), *maps[0].shape), dtype=maps[0].dtype, pin_memory=True)
    return torch.stack(list(maps), out=host)
