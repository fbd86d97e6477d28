"""Image files and label files, decoded or refused: a file is read as it was meant, or the error names it.

Images are ``3 H W`` uint8 RGB, label maps ``H W`` uint8.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from bench.data.base import IGNORE, DataError

ORIENTATION = 0x0112
"""The EXIF tag that says how a viewer turns or mirrors the stored pixels. 1 is upright."""

WITH_ALPHA = ("LA", "PA", "RGBA")
COLOURS = ("1", "L", "P", "RGB", "YCbCr")
"""The modes of 8 bits a channel whose colours are RGB, or become it by a fixed rule. CMYK needs a printer's profile."""

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
"""Formats that may change values a little, which makes other classes of class indices."""

GREY_STEPS = {"L;2": 85, "L;4": 17}
"""The factor by which Pillow spreads grey values of few bits over 0 to 255."""

POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}
"""The beginnings of small text files that stand for content that was not fetched, and the command that fetches it."""


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


def void_last(classes: int) -> Coding:
    """The coding in which the bytes 0 to ``classes`` - 1 are the classes and the byte ``classes`` is void."""
    indices = {index: index for index in range(classes)} | {classes: IGNORE}
    return Coding(indices, f"0 to {classes - 1} (classes) and {classes} (void)")


def read_image(path: Path) -> Tensor:
    """The image in a file, as ``3 H W`` uint8 RGB, upright: an orientation in its EXIF data is applied.

    Raises:
        DataError: if the file cannot be read, holds several pictures, has transparent pixels, or does not hold grey or
            RGB values of 8 bits a channel.
    """
    stored = _decoded(path)
    image = stored.image
    if stored.sixteen_bits or image.mode not in (*COLOURS, *WITH_ALPHA):
        raise DataError(
            f"{path} is an image of {stored.kind}; allowed are grey and RGB of 8 bits a channel; convert it, since "
            "which of its values are black and white is not for a reader to guess"
        )
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise DataError(f"{path} has transparent pixels, whose colour is not known; flatten it onto a background")
    pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def read_label(path: Path, coding: Coding) -> Tensor:
    """The label map in a file, as ``H W`` uint8 class indices, with void as ``IGNORE``.

    In an image with a palette, the indices are the labels; the colours are for viewers and have no meaning.

    Raises:
        DataError: if the file cannot be read, may have lost values by its compression, has an orientation in its EXIF
            data, holds several pictures, is not one value of at most 8 bits a pixel, or holds a value that is not
            allowed.
    """
    stored = _decoded(path)
    if stored.format in LOSSY or stored.image.info.get("compression") == "jpeg":
        raise DataError(
            f"{path} is a {stored.format} file inside, whose compression may change values; labels must be PNG: "
            "get them as they were made"
        )
    if stored.orientation != 1:
        raise DataError(
            f"{path} is a label with the EXIF orientation {stored.orientation}; whether its image stands that way is "
            "not known: turn the label as it belongs, and remove the tag"
        )
    if stored.image.mode not in ("1", "L", "P"):
        raise DataError(
            f"{path} is an image of {stored.kind}; allowed are L and P, one byte a pixel holding the class index; "
            "convert the colours to class indices first"
        )
    values = np.array(stored.image).astype(np.uint8) // GREY_STEPS.get(stored.raw_mode, 1)
    indices = coding.table()[values]
    if (indices < 0).any():
        bad = sorted({int(value) for value in np.unique(values)} - set(coding.indices))
        shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise DataError(
            f"{path} holds the value {shown}; allowed are {coding.meaning}; "
            "convert the labels to these, or use the data set's own class merge"
        )
    return torch.from_numpy(indices.astype(np.uint8))


@dataclass(frozen=True)
class _Stored:
    """A decoded image, upright, and what was known of it before.

    Attributes:
        image: the image, with all its pixels in memory.
        format: the name of the file's format, such as ``PNG``.
        raw_mode: the form of the values in the file, such as ``RGB;16B``, where Pillow tells it.
        orientation: the EXIF orientation that was applied; 1 for none.
    """

    image: Image.Image
    format: str
    raw_mode: str
    orientation: int

    @property
    def sixteen_bits(self) -> bool:
        """True for 16 bits a channel. Pillow decodes those of RGB by leaving out the lower half of each."""
        return bool(re.search(r"(?<!BGR);16", f"{self.image.mode} {self.raw_mode}"))  # BGR;16 is 5, 6 and 5 bits

    @property
    def kind(self) -> str:
        """The kind of values that the file holds, for messages."""
        return f"mode {self.image.mode}" + (" with 16 bits a channel" if self.sixteen_bits else "")


def _decoded(path: Path) -> _Stored:
    """The image with all its pixels read, so that any damage shows here and the message names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, on large, damaged or unusual files: it decodes or raises
            with Image.open(path) as image:
                raw_mode = _raw_mode(image)
                pictures = getattr(image, "n_frames", 1)
                orientation = image.getexif().get(ORIENTATION, 1)
                image.load()
                upright = image if orientation == 1 else ImageOps.exif_transpose(image)
                stored = _Stored(upright, str(image.format), raw_mode, orientation)
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as an image ({_other_content(path)})") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} has more pixels than Pillow reads ({_first_line(error)}); cut it into tiles, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS in the study's file"
        ) from error
    # Pillow's decoders report a damaged file by any of these exceptions.
    except (
        OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError,
        RuntimeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(f"{path} cannot be read as an image ({_first_line(error)}); get the file again") from error
    if pictures > 1 and stored.format != "MPO":  # in a phone's MPO file, the first picture is the photograph
        raise DataError(f"{path} holds {pictures} pictures; keep the one that belongs to the data set")
    return stored


def _raw_mode(image: Image.Image) -> str:
    """The form of the values in the file; an empty string where the decoder does not tell it."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw_mode if isinstance(raw_mode, str) else ""


def _other_content(path: Path) -> str:
    """The content of a file that is no image, in words, with the remedy."""
    with path.open("rb") as file:
        start = file.read(64)
    for beginning, command in POINTERS.items():
        if start.startswith(beginning):
            return f"it only points to its content, which is not here; fetch it: {command}"
    return "the file is empty; get it again" if not start else "its format is not known; get the file again"


def _first_line(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (reason.strip() or type(error).__name__).splitlines()[0]
