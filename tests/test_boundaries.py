"""Boundary bands against exact distance transforms and hand-drawn maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from bench.boundaries import boundary_band
from bench.data.base import IGNORE


def band_by_distance(label: np.ndarray, radius: int) -> np.ndarray:
    """The definition: some class lies within the radius, on its other side; distances by SciPy, one class at a time."""
    band = np.zeros(label.shape, dtype=bool)
    for each in np.unique(label):
        inside = label == each
        if each == IGNORE or inside.all():
            continue
        distance = distance_transform_edt(inside) + distance_transform_edt(~inside)
        band |= (distance > 0) & (distance <= radius)
    return band


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_band_is_that_of_exact_distance_transforms(radius: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    coarse = random.choice([0, 1, 2, IGNORE], size=(4, 6))
    label = np.kron(coarse, np.ones((17, 15), dtype=np.uint8)).astype(np.uint8)
    speckles = random.random(label.shape) < 0.002
    label[speckles] = 3
    band = boundary_band(torch.from_numpy(label)[None], radius)[0].numpy()
    assert band.any()
    assert not band.all()
    assert np.array_equal(band, band_by_distance(label, radius))


def test_a_straight_boundary_is_two_pixels_wide_on_each_side() -> None:
    label = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]], dtype=torch.uint8)
    assert boundary_band(label, 2).int().tolist() == [[[0, 0, 1, 1, 1, 1, 0, 0]]]


def test_class_zero_and_void_have_outlines_like_any_other_label() -> None:
    label = torch.tensor([[[0, 0, 0, IGNORE, IGNORE, IGNORE]]], dtype=torch.uint8)
    assert boundary_band(label, 1).int().tolist() == [[[0, 0, 1, 1, 0, 0]]]


def test_the_frame_is_a_boundary_only_on_request_and_not_for_void() -> None:
    label = torch.zeros(1, 7, 7, dtype=torch.uint8)
    assert not boundary_band(label, 2).any()
    framed = boundary_band(label, 2, frame=True)
    assert framed[0, 2:-2, 2:-2].logical_not().all()
    assert framed.sum() == 49 - 9
    assert not boundary_band(torch.full_like(label, IGNORE), 2, frame=True).any()


def test_images_of_a_batch_do_not_touch_and_a_map_smaller_than_the_radius_works() -> None:
    label = torch.stack([torch.zeros(3, 3), torch.ones(3, 3)]).long()
    assert not boundary_band(label, 5).any()
    label[1, 0, 0] = 0
    assert boundary_band(label, 5)[1].all()
    assert not boundary_band(label, 5)[0].any()
