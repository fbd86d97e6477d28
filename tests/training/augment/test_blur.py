"""Gaussian blur against SciPy and against a direct sum, and its probabilities and standard deviations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bench.data.synthetic import Synthetic
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.augment.blur import blur, draw_kernels, kernels

RECIPE = Recipe(data=part(Synthetic), crop_px=(16, 20), iterations=2, batch=8, blur=0.5, blur_sigma_px=(0.15, 1.3))


def test_each_image_is_blurred_as_by_scipy() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 17, 13)).astype(np.float32))
    sigmas = np.array([0.0, 0.3, 1.0, 1.3])
    blurred = blur(image, torch.from_numpy(kernels(sigmas, 5)))
    assert torch.equal(blurred[0], image[0])
    for sigma, before, after in zip(sigmas[1:], image[1:], blurred[1:], strict=True):
        expected = gaussian_filter(before.double().numpy(), (0, sigma, sigma), mode="nearest", truncate=4.0)
        assert np.allclose(after.numpy(), expected, atol=1e-5)


def test_a_blur_is_the_weighted_sum_of_all_pixels_around() -> None:
    """A sum over the square around each pixel, with weights of a Gaussian in two dimensions."""
    numbers, sigma, reach = np.random.default_rng(1), 0.9, 4
    image = numbers.normal(size=(8, 7))
    expected = np.zeros_like(image)
    for (row, column), _ in np.ndenumerate(image):
        total = 0.0
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                weight = np.exp(-(down**2 + across**2) / (2 * sigma**2))
                at = min(max(row + down, 0), 7), min(max(column + across, 0), 6)
                expected[row, column] += weight * image[at]
                total += weight
        expected[row, column] /= total
    batch = torch.from_numpy(image).float().expand(1, 3, 8, 7)
    assert np.allclose(
        blur(batch, torch.from_numpy(kernels(np.array([sigma]), reach)))[0, 1].numpy(), expected, atol=1e-5
    )


def sigmas_of(kernel: np.ndarray) -> np.ndarray:
    """The standard deviations of kernels, from the ratio of the middle to its neighbour; 0 for none."""
    reach = kernel.shape[1] // 2
    ratio = kernel[:, reach + 1] / kernel[:, reach]
    return np.where(ratio > 0, np.sqrt(-0.5 / np.log(np.maximum(ratio, 1e-30))), 0.0)


def test_the_asked_share_is_blurred_with_standard_deviations_from_the_whole_range() -> None:
    drawn = [draw_kernels(RECIPE, 0, iteration) for iteration in range(100)]
    kernel = np.concatenate([each for each in drawn if each is not None])
    assert np.allclose(kernel.sum(1), 1, atol=1e-6)
    sigmas = sigmas_of(kernel)
    blurred = sigmas[sigmas > 0]
    assert 0.4 < (sigmas > 0.15).mean() < 0.6
    assert blurred.max() <= 1.3001
    assert blurred.max() > 1.25
    assert blurred.min() < 0.25


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_none_or_all_are_blurred(probability: float) -> None:
    drawn = draw_kernels(RECIPE.having(blur=probability, blur_sigma_px=(0.5, 1.0)), 0, 0)
    assert (drawn is None) == (probability == 0)
    assert drawn is None or (sigmas_of(drawn) >= 0.499).all()


def test_kernels_depend_on_seed_iteration_and_image_alone() -> None:
    first = draw_kernels(RECIPE, 2, 7)
    assert first is not None
    assert np.array_equal(draw_kernels(RECIPE.having(flip=0.0, colour_jitter=0.2), 2, 7), first)
    assert not np.array_equal(draw_kernels(RECIPE, 2, 8), first)
    assert not np.array_equal(draw_kernels(RECIPE, 3, 7), first)
