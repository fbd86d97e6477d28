"""Images and label maps in folders of files: they are paired by name, decoded, and refused if anything is wrong.

Images are ``3 H W`` uint8 RGB, label maps ``H W`` uint8.
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
    """The meaning of a label file's bytes: ``indices`` maps each allowed byte to a class index or ``IGNORE``."""

    indices: Mapping[int, int]
    meaning: str
    """The allowed bytes in words, for messages."""

    def table(self) -> np.ndarray:
        """An array of 256 int16: the class index of each byte, or -1 for a byte that is not allowed."""
        table = np.full(256, -1, dtype=np.int16)
        for byte, index in self.indices.items():
            table[byte] = index
        return table


def pair_up(images: Path, labels: Path, what: str) -> list[Pair]:
    """The pairs in two folders, matched by file name without suffix and sorted by that name.

    Raises:
        DataError: if a folder is missing or empty, if two files have the same name but for the suffix, or if an image
            has no label or a label no image.
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
    """The decoded image and label of a pair.

    Raises:
        DataError: if a file cannot be read, if the label is not one byte a pixel or holds a byte that is not allowed,
            or if the sizes of image and label differ.
    """
    image, label = read_image(pair.image), read_label(pair.label, coding)
    if image.shape[1:] != label.shape:
        raise DataError(
            f"{pair.label} is {_size(label)} pixels, its image {pair.image} is {_size(image)}; "
            "resize neither: get the pair as it was published"
        )
    return Sample(image, label, pair.image.stem)


def read_image(path: Path) -> Tensor:
    """The image in a file, as ``3 H W`` uint8 RGB.

    Raises:
        DataError: if the file cannot be read.
    """
    pixels = np.array(_decoded(path).convert("RGB"))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def read_label(path: Path, coding: Coding) -> Tensor:
    """The label map in a file, as ``H W`` uint8 class indices, with void as ``IGNORE``.

    In an image with a palette, the indices are the labels; the colours are for viewers and have no meaning.

    Raises:
        DataError: if the file cannot be read, is not one byte a pixel, or holds a byte that is not allowed.
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
    """The coding in which the bytes 0 to ``classes`` - 1 are the classes and the byte ``classes`` is void."""
    indices = {index: index for index in range(classes)} | {classes: IGNORE}
    return Coding(indices, f"0 to {classes - 1} (classes) and {classes} (void)")


def _decoded(path: Path) -> Image.Image:
    """The image with all its pixels read, so that any damage shows here and the message names the file."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    # Pillow's decoders report a damaged file by any of these exceptions.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); get the file again") from error


def files_of(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder with one of these suffixes, sorted; none if there is no such folder."""
    return [path for path in _files(folder) if path.suffix.lower() in suffixes] if folder.is_dir() else []


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(folder):
        if path.suffix.lower() in suffixes:
            other = found.setdefault(path.stem, path)
            if other != path:
                raise DataError(f"{other} and {path} have the same name but for the suffix; keep one of them")
    return found


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder, sorted, without hidden ones such as the ``._name.png`` that macOS puts into archives."""
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[-1]}x{pixels.shape[-2]}"
