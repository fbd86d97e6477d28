"""Jitter and photometric distortion against computations of one pixel at a time by the standard library."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.synthetic import Synthetic
from bench.network.normalisation import MEAN, STD, standardise
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.augment.colours import draw_factors, recolour

RECIPE = Recipe(data=part(Synthetic), crop_px=(16, 20), iterations=2, batch=6)
JITTER = RECIPE.having(colour_jitter=0.25, hue_jitter=0.25)
DISTORTION = RECIPE.having(photometric_distortion=True)
Colour = tuple[float, float, float]


def images(count: int) -> Tensor:
    """Images of 8 bits, with grey and saturated pixels among them, in 0 … 1; ``N 3 9 11``."""
    numbers = np.random.default_rng(0)
    image = numbers.integers(0, 256, (count, 3, 9, 11)).astype(np.float32)
    image[:, :, 0] = image[:, :1, 0]
    image[:, 0, 1], image[:, 1:, 2], image[:, :, 3, 0], image[:, :, 3, 1] = 0, 255, 0, 255
    return torch.from_numpy(image) / 255


def colours_of(image: Tensor) -> np.ndarray:
    """Back from normalised to 0 … 1."""
    return (image.double().numpy() * np.array(STD)[:, None, None]) + np.array(MEAN)[:, None, None]


def clipped(colour: Colour, change: Callable[[float], float]) -> Colour:
    red, green, blue = (min(max(change(part), 0.0), 1.0) for part in colour)
    return red, green, blue


def grey(colour: Colour) -> float:
    """The luma of ITU-R BT.601."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def hsv_changed(colour: Colour, saturation: float, turn: float) -> Colour:
    hue, old, value = colorsys.rgb_to_hsv(*colour)
    return colorsys.hsv_to_rgb((hue + turn) % 1, min(old * saturation, 1.0), value)


def each_pixel(image: np.ndarray, change: Callable[[Colour], Colour]) -> np.ndarray:
    pixels = image.reshape(3, -1).T
    return np.array([change(tuple(pixel)) for pixel in pixels]).T.reshape(image.shape)


def jittered_slowly(image: np.ndarray, padding: np.ndarray, factors: list[float]) -> np.ndarray:
    """The steps of torchvision's ColorJitter in the order of its name, where padding counts in no mean."""
    brightness, contrast, saturation, turn = factors
    image = each_pixel(image, lambda colour: clipped(colour, lambda part: part * brightness))
    pixels = [tuple(pixel) for pixel in image.reshape(3, -1).T]
    middle = np.mean([grey(pixel) for pixel, outside in zip(pixels, padding.flat, strict=True) if not outside])
    image = each_pixel(image, lambda c: clipped(c, lambda part: contrast * part + (1 - contrast) * middle))
    image = each_pixel(image, lambda c: clipped(c, lambda part: saturation * part + (1 - saturation) * grey(c)))
    return each_pixel(image, lambda colour: hsv_changed(colour, 1.0, turn))


def distorted_slowly(image: np.ndarray, factors: list[float]) -> np.ndarray:
    """The steps of mmsegmentation's PhotoMetricDistortion, in its order."""
    added, first, saturation, turn, last = factors
    image = each_pixel(image, lambda colour: clipped(colour, lambda part: part + added))
    image = each_pixel(image, lambda colour: clipped(colour, lambda part: part * first))
    image = each_pixel(image, lambda colour: hsv_changed(colour, saturation, turn))
    return each_pixel(image, lambda colour: clipped(colour, lambda part: part * last))


@pytest.mark.parametrize("recipe", [JITTER, DISTORTION], ids=["jitter", "distortion"])
def test_colours_are_those_of_a_computation_of_one_pixel_at_a_time(recipe: Recipe) -> None:
    original = images(recipe.batch)
    normal = standardise(original)
    normal[:, :, -2:], normal[1, :, :, :4] = 0, 0
    padding = np.zeros((recipe.batch, 9, 11), bool)
    padding[:, -2:], padding[1, :, :4] = True, True
    for iteration in range(4):
        drawn = draw_factors(recipe, 5, iteration)
        assert drawn is not None
        image = recolour(normal, torch.from_numpy(drawn), recipe)
        for index, factors in enumerate(drawn.astype(float).tolist()):
            plain = original[index].double().numpy()
            outside = padding[index]
            expected = (
                jittered_slowly(plain, outside, factors) if recipe == JITTER else distorted_slowly(plain, factors)
            )
            assert np.allclose(colours_of(image[index])[:, ~outside], expected[:, ~outside], atol=2e-5)
            assert (image[index].numpy()[:, outside] == 0).all()


def test_a_recipe_that_changes_no_colour_draws_no_factor() -> None:
    assert draw_factors(RECIPE, 0, 0) is None


def all_factors(recipe: Recipe, iterations: int = 200) -> np.ndarray:
    drawn = [draw_factors(recipe, 1, iteration) for iteration in range(iterations)]
    return np.concatenate([factors for factors in drawn if factors is not None])


def test_factors_of_the_jitter_come_from_the_whole_range() -> None:
    factors = all_factors(JITTER)
    assert (factors[:, :3] >= 0.75).all()
    assert (factors[:, :3] <= 1.25).all()
    assert (abs(factors[:, 3]) <= 0.25).all()
    assert (abs(factors - factors.mean(0)).max(0) > 0.24).all()
    assert len(np.unique(factors[:, 0])) == len(factors)


def test_factors_of_the_distortion_have_the_bounds_and_probabilities_of_mmsegmentation() -> None:
    added, first, saturation, turn, last = all_factors(DISTORTION, 400).T
    assert (abs(added) <= np.float32(32 / 255)).all()
    steps = np.round(turn * 180)
    assert np.allclose(steps, turn * 180, atol=1e-4)
    assert (steps.min(), steps.max()) == (-18, 17)  # the upper bound is excluded there, too
    for factor in (first, saturation, last):
        assert (factor >= 0.5).all()
        assert (factor <= 1.5).all()
    assert not ((first != 1) & (last != 1)).any()  # one contrast, before or after
    shares = [(added != 0).mean(), (saturation != 1).mean(), (first != 1).mean(), (last != 1).mean()]
    assert np.allclose(shares, [0.5, 0.5, 0.25, 0.25], atol=0.04)


@pytest.mark.parametrize("recipe", [JITTER, DISTORTION], ids=["jitter", "distortion"])
def test_factors_depend_on_seed_iteration_and_image_alone(recipe: Recipe) -> None:
    def drawn(seed: int, iteration: int) -> Any:
        return draw_factors(recipe, seed, iteration)

    first = drawn(2, 7)
    drawn(3, 1)
    assert (drawn(2, 7) == first).all()
    assert (draw_factors(recipe.having(blur=0.5, rotation_deg=5, flip=0.0), 2, 7) == first).all()
    assert not (drawn(2, 8) == first).all()
    assert not (drawn(4, 7) == first).all()
    assert len(np.unique(first, axis=0)) > 3
