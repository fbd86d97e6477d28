"""Canny against OpenCV, pixel by pixel, and its hysteresis against a labelling of components."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import label as components

from bench.network.shape_streams.canny import _connected, canny, wrapped_bytes

THRESHOLDS = [(10, 100), (50, 200), (0, 150), (5, 20)]


def noise(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def ties(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Few grey values, so that gradients of neighbours and of channels are often equal."""
    return (random.integers(0, 4, (height, width, 3)) * 40).astype(np.uint8)


def regions(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Flat squares with a soft change of brightness across: straight edges, strong and weak."""
    cells = random.integers(0, 200, (-(-height // 8), -(-width // 8), 3))
    flat = np.kron(cells, np.ones((8, 8, 1)))[:height, :width]
    return (flat + 50 * np.linspace(0, 1, width)[None, :, None]).astype(np.uint8)


def waves(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth slopes in every direction, whose maxima form long curves."""
    y, x = np.mgrid[:height, :width]
    phases = random.random((3, 3)) * 6
    channels = [np.sin(x / 3 + a) + np.sin(y / 4 + b) + np.sin((x + y) / 5 + c) for a, b, c in phases]
    return np.stack([(127 + 40 * each).astype(np.uint8) for each in channels], axis=-1)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("make", [noise, ties, regions, waves])
@pytest.mark.parametrize(("low", "high"), THRESHOLDS)
def test_the_map_is_opencvs(
    make: Callable[..., np.ndarray], low: int, high: int, skip_or_fail: Callable[[str], None]
) -> None:
    try:
        import cv2
    except ImportError:
        skip_or_fail("OpenCV is not installed")
        return
    random = np.random.default_rng(low + high)
    found = 0
    for height, width in [(1, 1), (1, 9), (8, 1), (2, 3), (17, 23), (32, 32), (45, 61), (64, 50)]:
        image = make(random, height, width)
        expected = cv2.Canny(image, low, high) > 0
        assert np.array_equal(canny(tensor(image), low, high)[0, 0].numpy(), expected), (height, width)
        found += int(expected.sum())
    assert found > 100


def test_images_of_a_batch_do_not_touch() -> None:
    random = np.random.default_rng(0)
    images = [waves(random, 30, 41), regions(random, 30, 41), noise(random, 30, 41)]
    together = canny(torch.cat([tensor(each) for each in images]))
    for index, each in enumerate(images):
        assert torch.equal(together[index : index + 1], canny(tensor(each)))


def test_a_step_is_one_pixel_wide_on_its_dark_side() -> None:
    """Both sides have the same gradient; it must be larger than the left one's, and no smaller than the right one's."""
    image = torch.zeros(1, 3, 5, 8, dtype=torch.uint8)
    image[..., 4:] = 200
    assert canny(image)[0, 0].int().tolist() == [[0, 0, 0, 1, 0, 0, 0, 0]] * 5


def spiral(size: int) -> np.ndarray:
    """A path one pixel wide from the upper left corner to the centre, with a gap of one pixel between its turns."""
    mask = np.zeros((size, size), dtype=bool)
    y, x, dy, dx = 0, 0, 0, 1
    mask[y, x] = True
    while True:
        for _ in range(2):
            ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
            free = all(0 <= each < size for each in ahead) and not mask[ahead]
            if free and not (all(0 <= each < size for each in beyond) and mask[beyond]):
                break
            dy, dx = dx, -dy
        else:
            return mask
        y, x = ahead
        mask[y, x] = True


@pytest.mark.parametrize("size", [7, 32, 65])
def test_hysteresis_follows_a_path_of_any_length(size: int) -> None:
    weak = torch.from_numpy(spiral(size))[None]
    assert weak.sum() > size * size / 3, "the path fills the image"
    strong = torch.zeros_like(weak)
    strong[0, 0, 0] = True
    assert torch.equal(_connected(weak, strong), weak)
    weak[0, -1, size // 2] = False
    cut = _connected(weak, strong)
    assert torch.equal(cut, by_labelling(weak, strong))
    assert cut.sum() == 3 * size - 3 - size // 2, "two sides, and the third as far as the gap"


def by_labelling(weak: torch.Tensor, strong: torch.Tensor) -> torch.Tensor:
    """What hysteresis keeps, by SciPy's connected components with eight neighbours."""
    kept = []
    for one, seeds in zip(weak.numpy(), strong.numpy(), strict=True):
        labels, _ = components(one, structure=np.ones((3, 3)))
        kept.append(np.isin(labels, np.unique(labels[seeds & one])) & one)
    return torch.from_numpy(np.stack(kept))


@pytest.mark.parametrize("density", [0.2, 0.35, 0.4, 0.45, 0.6])
@pytest.mark.parametrize("shape", [(3, 40, 53), (2, 1, 31), (1, 64, 2), (1, 1, 1)])
def test_hysteresis_keeps_the_components_that_hold_a_seed(density: float, shape: tuple[int, int, int]) -> None:
    """Around 0.4 the components of a random map are the most tangled."""
    generator = torch.Generator().manual_seed(int(100 * density))
    weak = torch.rand(shape, generator=generator) < density
    strong = weak & (torch.rand(shape, generator=generator) < 0.02)
    assert torch.equal(_connected(weak, strong), by_labelling(weak, strong))


def test_bytes_wrap_around_as_a_cast_does_on_x86() -> None:
    numbers = torch.tensor([-2.2, -1.0, -0.9, 0.0, 0.9, 1.0, 2.64, 255.9, 256.0]).view(1, 1, 1, -1)
    assert wrapped_bytes(numbers).flatten().tolist() == [254, 255, 0, 0, 0, 1, 2, 255, 0]


def test_nothing_is_asked_of_the_device() -> None:
    assert canny(torch.zeros(2, 3, 9, 14, dtype=torch.uint8, device="meta")).shape == (2, 1, 9, 14)
