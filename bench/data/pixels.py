"""Image files and label files, decoded or refused: a file is read as it was meant, or the error names it.

Images are ``3 H W`` uint8 RGB, label maps ``H W`` uint8.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
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

POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}
"""The beginnings of small text files that stand for content that was not fetched, and the command that fetches it."""


Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Coding:
    """The meaning of a label file's values: of its bytes or, where ``colours`` are given, of its colours.

    Attributes:
        indices: the class index, or ``IGNORE``, of each allowed byte.
        meaning: the allowed values in words, for messages.
        colours: the class index, or ``IGNORE``, of each allowed colour.
    """

    indices: Mapping[int, int]
    meaning: str
    colours: Mapping[Colour, int] = field(default_factory=dict)

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
    if coding.colours:
        return _read_colours(path, stored, coding)
    if stored.image.mode not in ("1", "L", "P"):
        raise DataError(
            f"{path} is an image of {stored.kind}; allowed are L and P, one byte a pixel holding the class index; "
            "convert the colours to class indices first"
        )
    values = _values(path, stored)
    indices = coding.table()[values]
    if (indices < 0).any():
        bad = sorted({int(value) for value in np.unique(values)} - set(coding.indices))
        shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise DataError(
            f"{path} holds the value {shown}; allowed are {coding.meaning}; "
            "convert the labels to these, or use the data set's own class merge"
        )
    return torch.from_numpy(indices.astype(np.uint8))


def _values(path: Path, stored: _Stored) -> np.ndarray:
    """The values of a label file as they are stored, ``H W`` uint8.

    Pillow spreads grey values over 0 to 255 where a file holds fewer; here they are class indices, not shades.
    """
    if stored.image.mode in ("1", "L") and "I" in stored.raw_mode.partition(";")[2]:
        raise DataError(f"{path} is a label that stores white as 0, so its values have two meanings; store it as PNG")
    values = np.array(stored.image).astype(np.int32)
    return ((values * stored.greatest + 127) // 255 if stored.image.mode == "L" else values).astype(np.uint8)


def label_values(path: Path) -> tuple[set[int] | set[Colour], dict[int, Colour]]:
    """The bytes that a label file holds or, if it is in colour, its colours; and the colours of bytes in a palette.

    Raises:
        DataError: if the file cannot be read, or does not hold one byte or one colour of 8 bits a channel a pixel.
    """
    stored = _decoded(path)
    if stored.image.mode not in ("1", "L", "P"):
        return {_colour(int(number)) for number in np.unique(_packed(path, stored))}, {}
    values = {int(value) for value in np.unique(_values(path, stored))}
    if stored.image.mode != "P":
        return values, {}
    palette = np.array(stored.image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return values, {value: _colour(int(_pack(palette[value]))) for value in values if value < len(palette)}


def _read_colours(path: Path, stored: _Stored, coding: Coding) -> Tensor:
    """The label map of a file whose colours are the labels; one with a palette is read by its colours too."""
    numbers, place = np.unique(_packed(path, stored), return_inverse=True)
    colours = [_colour(int(number)) for number in numbers]
    strange = [colour for colour in colours if colour not in coding.colours]
    if strange:
        shown = ", ".join(map(spell_colour, strange[:5])) + (", …" if len(strange) > 5 else "")
        raise DataError(
            f"{path} holds the colour {shown}; allowed are {coding.meaning}; give every colour a class, and store "
            "labels without smoothing, as PNG"
        )
    table = np.array([coding.colours[colour] for colour in colours], dtype=np.uint8)
    return torch.from_numpy(table[place].reshape(stored.image.size[::-1]))


def _packed(path: Path, stored: _Stored) -> np.ndarray:
    """The colours of a label file as numbers, ``H W`` int32."""
    image = stored.image
    if stored.sixteen_bits or image.mode not in ("1", "L", "P", "RGB", "RGBA", "LA"):
        raise DataError(
            f"{path} is a label of {stored.kind}; allowed are one byte and RGB of 8 bits a channel; convert it"
        )
    if image.mode in WITH_ALPHA and image.getchannel("A").getextrema()[0] != 255:
        raise DataError(f"{path} has transparent pixels, whose label is not known; give them a colour of their own")
    return _pack(np.array(image.convert("RGB")))


def _pack(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def _colour(number: int) -> Colour:
    return number >> 16 & 255, number >> 8 & 255, number & 255


def spell_colour(colour: Colour) -> str:
    """A colour as in HTML: ``#804080``."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)


def read_colour(text: str) -> Colour:
    """The colour of six hexadecimal digits, with or without a ``#`` before them.

    Raises:
        ValueError: for another text.
    """
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def read_colours(text: str) -> tuple[Colour, ...]:
    """The colours in a text of six hexadecimal digits each, such as ``804080 f423e8``."""
    return tuple(map(read_colour, text.split()))


@dataclass(frozen=True)
class _Stored:
    """A decoded image, upright, and what was known of it before.

    Attributes:
        image: the image, with all its pixels in memory.
        format: the name of the file's format, such as ``PNG``.
        raw_mode: the form of the values in the file, such as ``RGB;16B``, where Pillow tells it.
        greatest: the grey value in the file that stands for white, which Pillow decodes as 255.
        orientation: the EXIF orientation that was applied; 1 for none.
    """

    image: Image.Image
    format: str
    raw_mode: str
    greatest: int
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
                raw_mode, greatest = _form(image)
                pictures = getattr(image, "n_frames", 1)
                orientation = image.getexif().get(ORIENTATION, 1)
                image.load()
                upright = image if orientation == 1 else ImageOps.exif_transpose(image)
                stored = _Stored(upright, str(image.format), raw_mode, greatest, orientation)
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as an image ({_other_content(path)})") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} has more pixels than Pillow reads ({_first_line(error)}); cut it into tiles, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS in the study's file"
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} asks for more memory than there is; get the file again, or run with more") from error
    # Pillow's decoders report a damaged file by any of these exceptions.
    except (
        OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError,
        RuntimeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(f"{path} cannot be read as an image ({_first_line(error)}); get the file again") from error
    if pictures > 1 and stored.format != "MPO":  # in a phone's MPO file, the first picture is the photograph
        raise DataError(f"{path} holds {pictures} pictures; keep the one that belongs to the data set")
    return stored


def _form(image: Image.Image) -> tuple[str, int]:
    """The form of the values in a file, an empty string where the decoder does not tell it, and the value of white."""
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return "", 255
    codec, _, _, arguments = tiles[0]
    first, *others = arguments if isinstance(arguments, tuple) and arguments else (arguments,)
    raw_mode = first if isinstance(first, str) else ""
    if codec in ("ppm", "ppm_plain"):
        return raw_mode, int(others[0])
    bits = re.match(r"L;([24])", raw_mode)
    return raw_mode, 2 ** int(bits[1]) - 1 if bits else 255


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
