"""The stream of scaled, cropped and flipped samples in its plain form, which defines what it computes.

:mod:`~.batches` computes the same for a recipe that asks for no more. The keys of its trials read this form; see
:mod:`bench.training.plain`. Images are ``N 3 H W`` float32, normalised. Labels are ``N H W`` int64 with ``IGNORE`` for
void and padding. :mod:`~.geometry` names the departures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import IGNORE, Sample, Split
from bench.network.layers import resize
from bench.network.normalisation import grey_of, standardise
from bench.training.augment.draws import AUGMENT, drawn_sample, generator
from bench.training.augment.geometry import nearest, offset


def batches(
    split: Split,
    *,
    batch: int,
    crop_px: tuple[int, int],
    scale: tuple[float, float],
    flip: float,
    seed: int,
    colour_jitter: float = 0.0,
    start: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (image, label) batches without end, from iteration ``start`` on.

    A batch depends only on the arguments and on its iteration, not on the batches before, on any global random state or
    on the model. Samples are drawn without replacement within an epoch; an epoch may end inside a batch.

    Args:
        split: the training split.
        batch: the number of images in a batch.
        crop_px: the height and width of every crop.
        scale: the bounds of the scale, which is drawn uniformly.
        flip: the probability of a horizontal flip.
        seed: the seed of the stream.
        colour_jitter: the largest relative change of brightness, contrast and saturation, each drawn on its own.
        start: the first iteration.

    Raises:
        ValueError: if an argument is outside its range.
    """
    wrong = (
        ("split is empty; it needs a sample", len(split) < 1),
        (f"batch is {batch}; it must be 1 or more", batch < 1),
        (f"crop_px is {crop_px}; both sides must be 1 or more", min(crop_px) < 1),
        (f"scale is {scale}; it must be (low, high) with 0 < low ≤ high", not 0 < scale[0] <= scale[1]),
        (f"flip is {flip}; it must be a probability, 0 to 1", not 0 <= flip <= 1),
        (f"colour_jitter is {colour_jitter}; it must be 0 or more and below 1", not 0 <= colour_jitter < 1),
        (f"seed is {seed} and start is {start}; neither may be below 0", min(seed, start) < 0),
    )
    for message, holds in wrong:
        if holds:
            raise ValueError(message)
    return _stream(split, batch, crop_px, scale, flip, colour_jitter, seed, start)


def _stream(
    split: Split,
    batch: int,
    crop_px: tuple[int, int],
    scale: tuple[float, float],
    flip: float,
    colour_jitter: float,
    seed: int,
    start: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    iteration = start
    while True:
        pairs = []
        for slot in range(batch):
            sample = split[drawn_sample(len(split), seed, iteration * batch + slot)]
            numbers = generator(AUGMENT, seed, iteration, slot)
            pairs.append(_augment(sample, numbers, crop_px, scale, flip, colour_jitter))
        yield torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])
        iteration += 1


def _augment(
    sample: Sample,
    generator: np.random.Generator,
    crop_px: tuple[int, int],
    scale: tuple[float, float],
    flip: float,
    colour_jitter: float,
) -> tuple[Tensor, Tensor]:
    # Every number is drawn even if it is not used, so that two recipes that differ in the flip get the same crops.
    factor = float(generator.uniform(*scale))
    place = generator.random(2)
    flipped = bool(generator.random() < flip)
    colour = 1 + colour_jitter * generator.uniform(-1, 1, size=3)

    size = [max(1, round(side / factor)) for side in crop_px]
    top, left = (offset(have, want, at) for have, want, at in zip(sample.label.shape, size, place, strict=True))
    (height, width), (rows, columns) = sample.label.shape, size
    inside = (..., slice(max(top, 0), min(top + rows, height)), slice(max(left, 0), min(left + columns, width)))
    image, label = sample.image[inside].float() / 255, sample.label[inside]
    if colour_jitter:
        image = _recolour(image, colour)
    around = (max(-left, 0), max(left + columns - width, 0), max(-top, 0), max(top + rows - height, 0))
    image = F.pad(standardise(image), around)  # after standardisation, 0 is the mean colour
    label = F.pad(label, around, value=IGNORE)
    image = resize(image[None], crop_px, align_corners=False)[0]
    label = label[nearest(size[0], crop_px[0])][:, nearest(size[1], crop_px[1])].long()
    return (image.flip(-1), label.flip(-1)) if flipped else (image, label)


def _recolour(image: Tensor, factors: np.ndarray) -> Tensor:
    """Change brightness, contrast about the mean grey and saturation about each pixel's grey, clipped to 0 … 1."""
    brightness, contrast, saturation = map(float, factors)
    image = (image * brightness).clamp(0, 1)
    middle = grey_of(image).mean()
    image = (middle + (image - middle) * contrast).clamp(0, 1)
    grey = grey_of(image)
    return (grey + (image - grey) * saturation).clamp(0, 1)
