"""Matched boundary pixels, against a direct disk dilation and maps counted by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bench.data.base import IGNORE
from bench.measure.quality.boundary import boundary_pixels, match_boundaries
from benchmarks.plain import boundary_counts

Maps = npt.NDArray[np.uint8]
TOLERANCES = (3, 5, 9, 12)


def patches(generator: np.random.Generator, size: tuple[int, int], values: list[int], largest: int) -> Maps:
    """A map of random rectangles, some of them a pixel wide."""
    maps = np.full(size, generator.choice(values), dtype=np.uint8)
    for _ in range(8):
        top, left = (int(generator.integers(0, side)) for side in size)
        height, width = generator.integers(1, largest, 2)
        maps[top : top + height, left : left + width] = generator.choice(values)
    return maps


def pair(seed: int) -> tuple[Maps, Maps, int]:
    """Prediction, label and number of classes; noise, regions, single rows and columns, void, classes on one side."""
    generator = np.random.default_rng(seed)
    size = tuple(int(side) for side in generator.integers(1, 34, 2))
    if seed % 10 == 0:
        size = (1, size[1]) if seed % 20 else (size[0], 1)
    classes = int(generator.integers(1, 5))
    values = [*range(classes), IGNORE]
    if seed % 3 == 0:
        return generator.integers(0, classes, size, dtype=np.uint8), patches(generator, size, values, 20), classes
    label = patches(generator, size, values, 20)
    shifted = np.roll(label, tuple(generator.integers(-4, 5, 2)), (0, 1))
    return np.where(shifted == IGNORE, 0, shifted).astype(np.uint8), label, classes


def test_counts_are_those_of_a_disk_dilation_on_200_random_maps() -> None:
    for seed in range(200):
        prediction, label, classes = pair(seed)
        ours = match_boundaries(prediction[None], label[None], classes, TOLERANCES)
        plain = boundary_counts(prediction, label, classes, TOLERANCES)
        for name, mine, theirs in zip(ours._fields, ours, plain, strict=True):
            np.testing.assert_array_equal(mine[0], theirs, err_msg=f"{name}, seed {seed}")


def test_images_of_a_batch_do_not_see_each_other() -> None:
    maps = [np.roll(patches(np.random.default_rng(seed), (20, 30), [0, 1, 2, IGNORE], 15), 1, 0) for seed in range(6)]
    prediction, label = np.stack(maps[:3]), np.stack(maps[3:])
    together = match_boundaries(prediction, label, 3, TOLERANCES)
    for index in range(3):
        alone = match_boundaries(prediction[index, None], label[index, None], 3, TOLERANCES)
        for mine, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(mine[index], theirs[0])


def test_a_boundary_lies_where_the_right_lower_or_lower_right_pixel_differs() -> None:
    maps = np.zeros((1, 4, 4), dtype=np.uint8)
    maps[0, 2, 2] = 1
    # (1, 1) differs from its lower right pixel, (1, 2) from its lower, (2, 1) from its right one, (2, 2) from all.
    both = [1 * 4 + 1, 1 * 4 + 2, 2 * 4 + 1, 2 * 4 + 2]
    assert boundary_pixels(maps, 2).tolist() == [*both, *(16 + place for place in both)]


def test_on_the_last_row_and_column_only_the_pixel_that_is_there_counts() -> None:
    maps = np.zeros((1, 3, 3), dtype=np.uint8)
    maps[0, 2, 2] = 1
    assert boundary_pixels(maps, 1).tolist() == [1 * 3 + 1, 1 * 3 + 2, 2 * 3 + 1], "not (2, 2), the corner"


def test_a_margin_is_empty_space_after_each_row_and_plane() -> None:
    maps = np.zeros((2, 2, 3), dtype=np.uint8)
    maps[1, 0, 2] = 1
    # second image, two classes, rows of 3 + 5 and planes of 2 + 5 rows; (0, 1) and (0, 2) are on the boundary
    first, second = 2 * 7 * 8, 3 * 7 * 8
    assert boundary_pixels(maps, 2, 5).tolist() == [first + 1, first + 2, second + 1, second + 2]


def test_distances_are_euclidean_and_a_tolerance_counts_what_lies_on_it() -> None:
    prediction, label = np.zeros((2, 1, 24, 40), dtype=np.uint8)
    prediction[0, 10, 10], label[0, 13, 14] = 1, 1  # 3 down and 4 right: a distance of 5
    counts = match_boundaries(prediction, label, 2, (3, 4, 5))
    # Each boundary is a square of 2 x 2; its four pixels are (2, 3), (2, 4), (3, 3) and (3, 4) from the other's corner.
    assert counts.prediction.tolist() == counts.label.tolist() == [[4, 4]]
    assert counts.matched_prediction.tolist() == counts.matched_label.tolist() == [[[0, 0], [1, 1], [4, 4]]]


def test_void_is_outside_every_class_in_both_maps() -> None:
    label = np.zeros((1, 10, 10), dtype=np.uint8)
    label[0, 4:7, 4:7] = IGNORE
    prediction = np.zeros_like(label)
    prediction[0, 5, 5] = 1
    counts = match_boundaries(prediction, label, 2, (1,))
    assert counts.prediction.tolist() == counts.label.tolist()
    assert counts.prediction[0, 0] > 0
    assert counts.prediction[0, 1] == 0
    assert counts.matched_prediction[0, 0].tolist() == counts.prediction[0].tolist()


@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_maps_without_a_boundary_count_nothing(size: tuple[int, int]) -> None:
    maps = np.zeros((2, *size), dtype=np.uint8)
    counts = match_boundaries(maps, maps, 3, TOLERANCES)
    assert [each.shape for each in counts] == [(2, 4, 3), (2, 3), (2, 4, 3), (2, 3)]
    assert all(each.sum() == 0 for each in counts)


def test_without_tolerances_there_are_totals_only() -> None:
    prediction, label, classes = pair(1)
    counts = match_boundaries(prediction[None], label[None], classes, ())
    assert counts.matched_label.shape == (1, 0, classes)
    assert counts.label.tolist() == match_boundaries(prediction[None], label[None], classes, (3,)).label.tolist()
