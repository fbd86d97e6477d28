"""Scale, crop, class limit, rotation and flip against pixel by pixel computations, and labels that are always exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.base import IGNORE, Sample
from bench.data.synthetic import Synthetic
from bench.network.normalisation import MEAN, STD, normalise
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.augment.geometry import TRIES, Draw, cut, draw, placed, placed_label

RECIPE = Recipe(data=part(Synthetic), crop_px=(16, 20), iterations=2, batch=2, scale=(1.0, 1.0), flip=0.0)


def noise(height: int, width: int, classes: int = 200, seed: int = 0) -> Sample:
    numbers = np.random.default_rng(seed)
    image = torch.from_numpy(numbers.integers(0, 256, (3, height, width), dtype=np.uint8))
    label = torch.from_numpy(numbers.integers(0, classes, (height, width), dtype=np.uint8))
    label[numbers.random((height, width)) < 0.1] = IGNORE
    return Sample(image, label, "noise")


def drawn(*places: tuple[float, float], scale: float = 1.0, flipped: bool = False, angle_deg: float = 0.0) -> Draw:
    return Draw(scale, np.array(places or [(0.5, 0.5)]), flipped, angle_deg)


def crop(sample: Sample, recipe: Recipe, drawn: Draw) -> tuple[Tensor, Tensor]:
    """The image and the label of a crop, interpolated from the bytes that were cut out for it."""
    image, label, place = cut(sample, recipe, drawn)
    return placed(normalise(image), place, recipe.crop_px), placed_label(label, place, recipe.crop_px).long()


def slow_crop(
    sample: Sample, crop_px: tuple[int, int], scale: float, place: tuple[float, float], angle_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """A crop computed pixel by pixel in float64: where each comes from, its nearest label, its four colours' mean."""
    means, stds = np.array(MEAN)[:, None, None], np.array(STD)[:, None, None]
    colours = (sample.image.numpy() / 255 - means) / stds
    labels = sample.label.numpy()
    size = labels.shape
    window = [max(1, round(side / scale)) for side in crop_px]
    start = [
        math.floor(at * (abs(have - want) + 1)) + min(0, have - want)
        for have, want, at in zip(size, window, place, strict=True)
    ]
    image, label = np.zeros((3, *crop_px)), np.full(crop_px, IGNORE)
    turn = np.exp(-1j * math.radians(angle_deg))  # a pixel of the rotated image comes from a clockwise turn of it
    for row in range(crop_px[0]):
        for column in range(crop_px[1]):
            y = start[0] + (row + 0.5) * window[0] / crop_px[0]
            x = start[1] + (column + 0.5) * window[1] / crop_px[1]
            around = complex(x - size[1] / 2, size[0] / 2 - y) * turn
            if angle_deg:
                y, x = size[0] / 2 - around.imag, size[1] / 2 + around.real
            if 0 <= math.floor(y) < size[0] and 0 <= math.floor(x) < size[1]:
                label[row, column] = labels[math.floor(y), math.floor(x)]
            if not angle_deg:  # the rectangle is cut out before it is resized, so nothing outside it counts
                y = min(max(y - 0.5, start[0]), start[0] + window[0] - 1) + 0.5
                x = min(max(x - 0.5, start[1]), start[1] + window[1] - 1) + 0.5
            for down in (0, 1):
                for across in (0, 1):
                    at_y, at_x = math.floor(y - 0.5) + down, math.floor(x - 0.5) + across
                    if 0 <= at_y < size[0] and 0 <= at_x < size[1]:
                        weight = (1 - abs(y - 0.5 - at_y)) * (1 - abs(x - 0.5 - at_x))
                        image[:, row, column] += weight * colours[:, at_y, at_x]
    return image, label


@pytest.mark.parametrize("angle_deg", [0.0, 7.3, -10.0, 45.0, 180.0])
@pytest.mark.parametrize(("size", "scale"), [((30, 41), 1.0), ((30, 41), 1.7), ((50, 64), 0.55), ((9, 40), 0.8)])
def test_a_crop_is_that_of_a_pixel_by_pixel_computation(size: tuple[int, int], scale: float, angle_deg: float) -> None:
    sample, place = noise(*size), (0.3, 0.81)
    image, label = crop(sample, RECIPE, drawn(place, scale=scale, angle_deg=angle_deg))
    slow_image, slow_label = slow_crop(sample, RECIPE.crop_px, scale, place, angle_deg)
    assert np.allclose(image.numpy(), slow_image, atol=2e-5)
    assert (label.numpy() == slow_label).all()
    assert label.dtype == torch.int64
    flipped_image, flipped_label = crop(sample, RECIPE, drawn(place, scale=scale, angle_deg=angle_deg, flipped=True))
    assert torch.equal(flipped_image, image.flip(-1))
    assert torch.equal(flipped_label, label.flip(-1))


@pytest.mark.parametrize(
    ("sides", "size", "factor"),
    [
        ({"short_side_px": 48}, (24, 30), 2),
        ({"short_side_px": 48}, (30, 24), 2),
        ({"long_side_px": 90}, (24, 30), 3),
        ({"long_side_px": 90}, (30, 24), 3),
        ({"short_side_px": 48, "long_side_px": 90}, (24, 30), 2),  # the long side would allow 3
        ({"short_side_px": 72, "long_side_px": 60}, (24, 30), None),
        ({"short_side_px": 60, "long_side_px": 60}, (24, 30), 2),  # the short side would allow 2.5
    ],
)
def test_the_sides_asked_for_scale_the_whole_image(
    sides: dict[str, int], size: tuple[int, int], factor: int | None
) -> None:
    if factor is None:
        with pytest.raises(ValueError, match="cannot be longer"):
            RECIPE.having(**sides)
        return
    sample = noise(*size)
    recipe = RECIPE.having(**sides, crop_px=(factor * size[0], factor * size[1]))
    image, label = crop(sample, recipe, drawn())
    assert (label.numpy() == sample.label.numpy().repeat(factor, 0).repeat(factor, 1)).all()
    assert np.allclose(image.numpy(), slow_crop(sample, recipe.crop_px, factor, (0, 0), 0)[0], atol=2e-5)


@pytest.mark.parametrize("size", [(20, 20), (20, 31)])
def test_a_quarter_turn_is_that_of_numpy(size: tuple[int, int]) -> None:
    sample = noise(*size)
    recipe = RECIPE.having(crop_px=(20, 20))
    middle = (size[1] - 20 + 1) // 2
    _, label = crop(sample, recipe, drawn((0.0, middle / (size[1] - 20 + 1)), angle_deg=90.0))
    turned = np.rot90(sample.label.numpy())  # counter-clockwise
    if size[0] == size[1]:
        assert (label.numpy() == turned).all()
    else:
        assert (label != IGNORE).any()
        assert set(label.unique().tolist()) <= {*sample.label.unique().tolist(), IGNORE}


def test_a_whole_turn_changes_no_label_and_hardly_a_colour() -> None:
    sample = noise(24, 28)
    plain_image, plain_label = crop(sample, RECIPE, drawn())
    image, label = crop(sample, RECIPE, drawn(angle_deg=360.0))
    assert torch.equal(label, plain_label)
    assert torch.allclose(image, plain_image, atol=1e-4)


def test_what_a_rotation_brings_in_is_void_and_of_the_mean_colour() -> None:
    sample = Sample(torch.full((3, 24, 24), 255, dtype=torch.uint8), torch.zeros(24, 24, dtype=torch.uint8), "white")
    image, label = crop(sample, RECIPE.having(crop_px=(24, 24)), drawn(angle_deg=45.0))
    assert set(label.unique().tolist()) == {0, IGNORE}
    assert (label[[0, 0, -1, -1], [0, -1, 0, -1]] == IGNORE).all()
    assert (image[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    assert abs(float((label == 0).float().mean()) - 2 * (math.sqrt(2) - 1)) < 0.03  # the octagon of two squares


def test_a_crop_without_a_pixel_of_the_turned_image_is_all_padding() -> None:
    sample = noise(16, 400)
    image, label = crop(sample, RECIPE, drawn((0.5, 0.0), angle_deg=90.0))
    assert (label == IGNORE).all()
    assert (image == 0).all()


def mmsegmentation_takes(label: np.ndarray, largest_share: float) -> bool:
    """The condition of mmsegmentation's RandomCrop, mmseg/datasets/transforms/transforms.py, in its words."""
    labels, counts = np.unique(label, return_counts=True)
    counts = counts[labels != IGNORE]
    return bool(len(counts) > 1 and np.max(counts) / np.sum(counts) < largest_share)


@pytest.mark.parametrize("largest_share", [0.3, 0.5, 0.75, 0.99])
def test_the_first_place_whose_classes_are_mixed_enough_is_taken_or_else_the_last(largest_share: float) -> None:
    """As in mmsegmentation: ten places are looked at, and the eleventh is taken as it is."""
    label = torch.zeros(60, 80, dtype=torch.uint8)
    label[40:, 50:], label[45:, 60:], label[:8] = 1, 2, IGNORE
    sample = Sample(noise(60, 80).image, label, "corner")
    recipe = RECIPE.having(largest_class_share=largest_share)
    chosen = set()
    for iteration in range(60):
        numbers = draw(recipe, 3, iteration, 0)
        assert len(numbers.places) == TRIES + 1
        starts = [(int(down * (60 - 16 + 1)), int(across * (80 - 20 + 1))) for down, across in numbers.places]
        crops = [label.numpy()[top : top + 16, left : left + 20] for top, left in starts]
        takes = [mmsegmentation_takes(each, largest_share) for each in crops[:TRIES]]
        first = takes.index(True) if any(takes) else TRIES
        assert (crop(sample, recipe, numbers)[1].numpy() == crops[first]).all()
        chosen.add(first)
    assert (chosen == {TRIES}) if largest_share < 1 / 3 else len(chosen) > 3


def test_without_a_limit_one_place_is_drawn_and_a_limit_keeps_the_first() -> None:
    for slot in range(5):
        plain = draw(RECIPE, 1, 2, slot)
        limited = draw(RECIPE.having(largest_class_share=0.75, rotation_deg=10), 1, 2, slot)
        assert plain.places.shape == (1, 2)
        assert (limited.places[0] == plain.places[0]).all()
        assert (limited.scale, limited.flipped, plain.angle_deg) == (plain.scale, plain.flipped, 0.0)


def test_angles_come_from_the_whole_range() -> None:
    angles = np.array([draw(RECIPE.having(rotation_deg=10), 0, step, 0).angle_deg for step in range(300)])
    assert -10 <= angles.min() < -9.5
    assert 9.5 < angles.max() <= 10
    assert abs(angles.mean()) < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"largest_class_share": 0.0}, "> 0 and ≤ 1"),
        ({"largest_class_share": 1.1}, "> 0 and ≤ 1"),
        ({"rotation_deg": 181.0}, "≤ 180"),
        ({"colour_jitter": 1.5}, "≤ 1"),
        ({"hue_jitter": 0.6}, "≤ 0.5"),
        ({"blur": 2.0}, "≤ 1"),
        ({"blur_sigma_px": (1.0, 0.5)}, r"expected \(smallest, largest\)"),
        ({"short_side_px": 8}, "≥ 16"),
        ({"short_side_px": 64, "long_side_px": 32}, "cannot be longer"),
        ({"short_side_px": 16, "crop_px": (33, 33), "scale": (0.5, 2.0)}, "no crop could be filled.* 32 .*needs 33"),
        ({"long_side_px": 64, "crop_px": (32, 100)}, "no crop could be filled.* 64 .*needs 100"),
        ({"photometric_distortion": True, "hue_jitter": 0.1}, "leave colour_jitter and hue_jitter at 0"),
    ],
)
def test_choices_that_cannot_hold_together_are_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        RECIPE.having(**changes)
    assert "\n" not in str(error.value)
