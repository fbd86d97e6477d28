"""Boundary bands against exact distance transforms and hand-drawn maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from bench.data.base import IGNORE
from bench.network.losses.boundaries import boundary_band, boundary_target, class_boundaries


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


def published_by_distance(label: np.ndarray, classes: int, radius: int) -> np.ndarray:
    """The release's targets from their description, ``classes H W``: plane k is class k + 1, padded by one."""
    planes = [np.pad(label == index + 1, 1) for index in range(classes)]
    distances = [distance_transform_edt(plane) + distance_transform_edt(~plane) for plane in planes]
    return np.stack([(d > 0) & (d <= radius) for d in distances])[:, 1:-1, 1:-1]


@pytest.mark.parametrize("radius", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_published_targets_are_those_of_padded_distance_transforms_with_the_one_hot_off_by_one(
    radius: int, seed: int
) -> None:
    coarse = np.random.default_rng(seed).choice([0, 1, 3, 4, IGNORE], size=(4, 5))
    coarse[0, 0] = 0  # nothing else marks the corner
    label = np.kron(coarse, np.ones((11, 13), dtype=np.uint8)).astype(np.uint8)
    expected = published_by_distance(label, 5, radius)
    given = torch.from_numpy(label)[None]
    assert np.array_equal(class_boundaries(given, 5, radius, form="as_published")[0].numpy(), expected)
    assert np.array_equal(boundary_target(given, radius, form="as_published")[0].numpy(), expected.any(axis=0))
    assert expected[-1].any() == (radius > 2), "the corner of the empty plane"


def test_the_published_form_loses_the_outline_of_class_zero_against_void_and_frames_every_other_class() -> None:
    road = torch.zeros(1, 9, 12, dtype=torch.uint8)
    road[..., 6:] = IGNORE
    assert boundary_target(road)[0, 0].int().tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert not boundary_target(road, form="as_published").any()
    other = torch.full_like(road, 4)
    assert not boundary_target(other).any()
    assert boundary_target(other, form="as_published").sum() == 9 * 12 - 5 * 8


def test_the_boundaries_of_all_classes_together_are_the_target() -> None:
    label = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2, 2, IGNORE, IGNORE, IGNORE]]).expand(1, 4, 12)
    planes = class_boundaries(label, 3, 1)
    assert planes[0, :, 0].int().tolist() == [
        [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0],
    ]
    assert torch.equal(planes.any(dim=1), boundary_target(label, 1))
