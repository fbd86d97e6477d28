"""Corrupted images: each kind against a direct computation, what stays as it is, reproducibility."""

from __future__ import annotations

import colorsys
import io
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.data import Corrupted, Synthetic
from bench.data.composed.corrupted import AMOUNTS, Corruption, Severity, corrupt
from bench.parts import part

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
KINDS: tuple[Corruption, ...] = get_args(Corruption)


@pytest.fixture
def image() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 24, 36), dtype=torch.uint8, generator=generator)


def changed(image: Tensor, corruption: Corruption, severity: Severity = 3, name: str = "a") -> np.ndarray:
    got = corrupt(image, corruption, severity, name)
    assert got.dtype == torch.uint8
    assert got.shape == image.shape
    return got.permute(1, 2, 0).numpy().astype(np.float64) / 255


def plain(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy().astype(np.float64) / 255


@pytest.mark.parametrize("corruption", KINDS)
def test_an_image_is_corrupted_in_one_way_at_all_times_and_is_not_written_into(
    image: Tensor, corruption: Corruption
) -> None:
    before = image.clone()
    assert np.array_equal(changed(image, corruption), changed(image, corruption))
    assert torch.equal(image, before)
    distances = [np.abs(changed(image, corruption, severity) - plain(image)).mean() for severity in SEVERITIES]
    assert distances == sorted(distances)
    assert distances[0] > 0


@pytest.mark.parametrize("corruption", ["gaussian noise", "shot noise", "impulse noise"])
def test_noise_belongs_to_the_image(image: Tensor, corruption: Corruption) -> None:
    assert not np.array_equal(changed(image, corruption, name="a"), changed(image, corruption, name="b"))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_its_distribution(severity: Severity) -> None:
    grey = torch.full((3, 400, 400), 128, dtype=torch.uint8)
    deviation = AMOUNTS["gaussian noise"][severity - 1]
    inside = np.clip(128 / 255 + np.random.default_rng(0).normal(0, deviation, 480_000), 0, 1)
    assert changed(grey, "gaussian noise", severity).std() == pytest.approx(inside.std(), rel=0.01)
    photons = AMOUNTS["shot noise"][severity - 1]
    counted = np.clip(np.random.default_rng(0).poisson(128 / 255 * photons, 480_000) / photons, 0, 1)
    assert changed(grey, "shot noise", severity).std() == pytest.approx(counted.std(), rel=0.01)
    struck = changed(grey, "impulse noise", severity)
    share = AMOUNTS["impulse noise"][severity - 1]
    assert (struck == 0).mean() == pytest.approx(share / 2, rel=0.05)
    assert (struck == 1).mean() == pytest.approx(share / 2, rel=0.05)
    assert np.isclose(struck, 128 / 255).mean() == pytest.approx(1 - share, rel=0.01)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_the_average_under_a_gaussian_bell(image: Tensor, severity: Severity) -> None:
    deviation = AMOUNTS["gaussian blur"][severity - 1]
    reach = int(4 * deviation + 0.5)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    bell /= bell.sum()
    padded = np.pad(plain(image), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    rows = sum(weight * padded[k : k + 24] for k, weight in enumerate(bell))
    expected = sum(weight * rows[:, k : k + 36] for k, weight in enumerate(bell))
    np.testing.assert_allclose(changed(image, "gaussian blur", severity), expected, atol=0.51 / 255)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_raises_the_value_of_a_colour_and_contrast_draws_it_to_the_mean(
    image: Tensor, severity: Severity
) -> None:
    image[:, 0, 0] = 0
    added, factor = AMOUNTS["brightness"][severity - 1], AMOUNTS["contrast"][severity - 1]
    lit, faded, mean = (
        changed(image, "brightness", severity),
        changed(image, "contrast", severity),
        plain(image).mean((0, 1)),
    )
    for y, x in [(0, 0), (3, 5), (11, 20), (23, 35)]:
        red, green, blue = plain(image)[y, x]
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + added))
        np.testing.assert_allclose(lit[y, x], expected, atol=0.51 / 255)
        np.testing.assert_allclose(faded[y, x], (plain(image)[y, x] - mean) * factor + mean, atol=0.51 / 255)


def test_pixels_and_compression_are_pillows(image: Tensor) -> None:
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=15)
    assert np.array_equal(changed(image, "jpeg", 3) * 255, np.asarray(Image.open(file), dtype=np.float64))
    small = picture.resize((int(36 * 0.4), int(24 * 0.4)), Image.Resampling.BOX)
    coarse = small.resize((36, 24), Image.Resampling.BOX)
    assert np.array_equal(changed(image, "pixelate", 3) * 255, np.asarray(coarse, dtype=np.float64))


def test_training_images_and_labels_stay() -> None:
    dataset, clean = part(Corrupted, data=part(Synthetic), corruption="contrast").build(None), Synthetic(None)
    assert torch.equal(dataset.split("train")[0].image, clean.split("train")[0].image)
    got, expected = dataset.split("val")[0], clean.split("val")[0]
    assert torch.equal(got.label, expected.label)
    assert torch.equal(got.image, corrupt(expected.image, "contrast", 3, expected.name))
    dataset.check()
    assert dataset.fingerprint() != clean.fingerprint()
    assert dataset.fingerprint() != part(Corrupted, data=part(Synthetic), corruption="jpeg").build(None).fingerprint()
