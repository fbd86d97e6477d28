"""Images and labels that lie in folders as files: finding the pairs, decoding them, refusing what is wrong.

Images ``3 H W`` uint8 RGB, labels ``H W`` uint8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bench.data.base import IGNORE, DataError, Sample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LABEL_SUFFIXES = (".png",)


@dataclass(frozen=True)
class Pair:
    """An image and the label file that belongs to it."""

    image: Path
    label: Path


@dataclass(frozen=True)
class Coding:
    """What the bytes of a label file mean: ``indices`` maps each allowed byte to a class index or ``IGNORE``."""

    indices: Mapping[int, int]
    meaning: str
    """The allowed values in words, for messages."""

    def table(self) -> np.ndarray:
        """256 x int16: class index of each byte, -1 for a byte that is not allowed."""
        table = np.full(256, -1, dtype=np.int16)
        for byte, index in self.indices.items():
            table[byte] = index
        return table


def pair_up(images: Path, labels: Path, what: str) -> list[Pair]:
    """The pairs of two folders, matched by file name without suffix and sorted by it.

    Raises:
        DataError: for a missing folder, an empty one, two images of one name, an image without a label, or a label
            without an image.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError(f"{folder} is missing: the {what} split needs it; get the complete data set")
    by_name, label_of = _by_name(images, IMAGE_SUFFIXES), _by_name(labels, LABEL_SUFFIXES)
    if not by_name:
        raise DataError(
            f"the {what} split is empty: {images} holds no {' or '.join(IMAGE_SUFFIXES)} file; "
            "get the complete data set"
        )
    for name, path in by_name.items():
        if name not in label_of:
            raise DataError(f"{path} has no label: {labels / name}.png is missing; add it or remove the image")
    for name, path in label_of.items():
        if name not in by_name:
            raise DataError(f"{path} has no image of that name in {images}; add it or remove the label")
    return [Pair(path, label_of[name]) for name, path in sorted(by_name.items())]


def read_pair(pair: Pair, coding: Coding) -> Sample:
    """Image and label, decoded.

    Raises:
        DataError: for a file that cannot be read, a label that is not one byte a pixel, a value that is not allowed,
            or sizes that differ.
    """
    image, label = read_image(pair.image), read_label(pair.label, coding)
    if image.shape[1:] != label.shape:
        raise DataError(
            f"{pair.label} is {_size(label)} pixels, its image {pair.image} is {_size(image)}; "
            "resize neither: get the pair as it was published"
        )
    return Sample(image, label, pair.image.stem)


def read_image(path: Path) -> Tensor:
    """``3 H W`` uint8 RGB.

    Raises:
        DataError: for a file that cannot be read.
    """
    pixels = np.array(_decoded(path).convert("RGB"))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def read_label(path: Path, coding: Coding) -> Tensor:
    """``H W`` uint8 class indices, void as ``IGNORE``. A palette's colours are for viewers: only its indices count.

    Raises:
        DataError: for a file that cannot be read, is not one byte a pixel, or holds a value that is not allowed.
    """
    image = _decoded(path)
    if image.mode not in ("L", "P"):
        raise DataError(
            f"{path} is an image of mode {image.mode}; allowed are L and P, one byte a pixel holding the class index; "
            "convert the colours to class indices first"
        )
    values = np.array(image)
    indices = coding.table()[values]
    if (indices < 0).any():
        bad = sorted({int(value) for value in np.unique(values)} - set(coding.indices))
        shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise DataError(
            f"{path} holds the value {shown}; allowed are {coding.meaning}; "
            "convert the labels to these, or use the data set's own class merge"
        )
    return torch.from_numpy(indices.astype(np.uint8))


def void_last(classes: int) -> Coding:
    """Bytes 0 to ``classes`` - 1 are the classes, the next one is void."""
    indices = {index: index for index in range(classes)} | {classes: IGNORE}
    return Coding(indices, f"0 to {classes - 1} (classes) and {classes} (void)")


def _decoded(path: Path) -> Image.Image:
    """The image with all its pixels read, so that a damaged file is named whatever is wrong with it."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    # Pillow's decoders report damage as any of these.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); get the file again") from error


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(folder):
        if path.suffix.lower() in suffixes:
            other = found.setdefault(path.stem, path)
            if other != path:
                raise DataError(f"{other} and {path} have one name; keep one of them")
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Sorted; without the hidden ``._name.png`` that macOS puts into archives."""
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[-1]}x{pixels.shape[-2]}"
