"""Gaussian blur of a batch, with a standard deviation of its own for each image."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.protocol.recipe import Recipe
from bench.training.augment.draws import BLUR, generator

REACH = 4.0
"""The standard deviations after which a kernel ends, as in scipy.ndimage.gaussian_filter and scikit-image."""


def draw_kernels(recipe: Recipe, seed: int, iteration: int) -> np.ndarray | None:
    """The kernels of a batch, ``N 2r+1`` float32 with sum 1; ``None`` for a recipe without blur."""
    if recipe.blur == 0:
        return None
    sigmas = []
    for slot in range(recipe.batch):
        numbers = generator(BLUR, seed, iteration, slot)
        blurred = numbers.random() < recipe.blur
        sigma = numbers.uniform(*recipe.blur_sigma_px)
        sigmas.append(sigma if blurred else 0.0)
    return kernels(np.array(sigmas), _reach(recipe.blur_sigma_px[1]))


def kernels(sigmas: np.ndarray, reach: int) -> np.ndarray:
    """Kernels of Gaussians as wide as the widest, ``N 2·reach+1``; a standard deviation of 0 changes nothing."""
    at = np.abs(np.arange(-reach, reach + 1))
    sigma = sigmas[:, None]
    weights = np.exp(-0.5 * np.square(at / np.maximum(sigma, 1e-6))) * (at <= (REACH * sigma + 0.5).astype(int))
    normal: np.ndarray = weights / weights.sum(1, keepdims=True)
    return normal.astype(np.float32)


def _reach(sigma: float) -> int:
    return math.floor(REACH * sigma + 0.5)


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Images ``N 3 H W`` blurred down and across, each by its kernel ``2r+1`` of ``N 2r+1``; borders are repeated.

    The sum over shifted images is the same whatever the number of threads.
    """
    reach = kernel.shape[1] // 2
    weights = kernel[:, :, None, None, None].unbind(1)
    padded = F.pad(image, (0, 0, reach, reach), mode="replicate")
    down = _summed([padded[:, :, shift : shift + image.shape[2]] for shift in range(2 * reach + 1)], weights)
    padded = F.pad(down, (reach, reach, 0, 0), mode="replicate")
    return _summed([padded[..., shift : shift + image.shape[3]] for shift in range(2 * reach + 1)], weights)


def _summed(shifted: list[Tensor], weights: tuple[Tensor, ...]) -> Tensor:
    total = shifted[0] * weights[0]
    for image, weight in zip(shifted[1:], weights[1:], strict=True):
        total = torch.addcmul(total, image, weight)
    return total
