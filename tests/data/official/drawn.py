"""Images and labels drawn at random into the true layout of a data set, and assertions about what is read of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data.base import DataError, Split
from bench.data.paired import PairedFiles

Array = np.ndarray


class Drawer:
    """Draws files of random pixels; all of one drawer differ from each other."""

    def __init__(self, seed: int = 0, size: tuple[int, int] = (7, 9)) -> None:
        self._random = np.random.default_rng(seed)
        self._size = size

    def image(self, path: Path) -> None:
        """Writes an RGB image."""
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self._random.integers(0, 256, (*self._size, 3), dtype=np.uint8)).save(path)

    def label(self, path: Path, values: Sequence[int], *, palette: bool = False) -> None:
        """Writes a label file of bytes among ``values``; the first pixels hold each of them, as far as they reach."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = self._random.choice(np.array(values, dtype=np.uint8), self._size)
        shuffled = self._random.permutation(np.array(values, dtype=np.uint8))[: pixels.size]
        pixels.ravel()[: len(shuffled)] = shuffled
        image = Image.fromarray(pixels)
        if palette:
            image.putpalette([(place * 7 + channel) % 256 for place in range(256) for channel in range(3)])
        image.save(path)


def rgb(path: Path) -> Array:
    """The image in a file, ``3 H W``, read by Pillow alone."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def stored(path: Path) -> Array:
    """The bytes of a label file, ``H W``; of a file with a palette, its indices."""
    with Image.open(path) as image:
        assert image.mode in ("L", "P")
        return np.asarray(image)


def assert_equal(split: Split, expected: Sequence[tuple[Path, Array]]) -> None:
    """The split holds exactly these images with exactly these labels, in this order."""
    assert [split[index].name for index in range(len(split))] == [image.stem for image, _ in expected]
    for index, (image, label) in enumerate(expected):
        assert np.array_equal(split[index].image.numpy(), rgb(image))
        assert np.array_equal(split[index].label.numpy(), label)


def assert_command_reads(data: str, summary: str) -> None:
    """The command ``bench data check`` reads the data set that ``data`` names, and prints a summary."""
    result = CliRunner().invoke(app, ["data", "check", data])
    assert result.exit_code == 0, result.output
    assert summary in result.output


def saved(pixels: Array) -> Callable[[Path], None]:
    """Writes other pixels into a file."""
    return lambda path: Image.fromarray(pixels).save(path)


def assert_refused(build: Callable[[], PairedFiles], message: str) -> None:
    """The data set is refused in one line, when it is built or when its train and val splits are checked."""
    with pytest.raises(DataError, match=message) as error:
        build().check(splits=("train", "val"))
    assert "\n" not in str(error.value)
