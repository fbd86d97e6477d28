"""Normalised images: colours in 0 … 1 with ImageNet's mean taken away, divided by its standard deviation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in 0 … 1: pytorch/examples, imagenet/main.py
STD = (0.229, 0.224, 0.225)  # from the same source
LUMA = (0.299, 0.587, 0.114)  # grey of RGB: ITU-R BT.601


def normalise(image: Tensor) -> Tensor:
    """The image ``… 3 H W`` uint8 as float32, normalised by ImageNet's mean and standard deviation, on its device."""
    return standardise(image.float() / 255)


def standardise(image: Tensor) -> Tensor:
    """The image ``… 3 H W`` with colours in 0 … 1, normalised."""
    mean, std = (_by_channel(values, image.device) for values in (MEAN, STD))
    return (image - mean) / std


def renormalisation(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor] | None:
    """The factor and the summand, ``3 1 1``, that turn an image normalised for ImageNet into one for another network.

    They are ``None`` where the network takes ImageNet's normalisation.

    Args:
        mean: the mean of the network's images, with colours in 0 … 1.
        std: their standard deviation.
    """
    if (tuple(mean), tuple(std)) == (MEAN, STD):
        return None
    ours, our_std, theirs, their_std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD, mean, std))
    return our_std / their_std, (ours - theirs) / their_std


def grey_of(image: Tensor) -> Tensor:
    """The luma of an image ``… 3 H W`` with colours in 0 … 1, as ``… 1 H W``."""
    return (image * _by_channel(LUMA, image.device)).sum(-3, keepdim=True)


def _by_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """The values as ``C 1 1``, filled in on the device: a copy from the host would wait for it."""
    return torch.stack([torch.full((1, 1), value, device=device) for value in values])
