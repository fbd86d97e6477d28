"""Label maps in MATLAB's files, in which some data sets are distributed.

**Source**: "MAT-File Format", level 5, The MathWorks. scipy reads such files too, but a damaged one ends its process.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DataError

HEADER = 128
MATRIX, COMPRESSED = 14, 15
STRUCT = 2
COMPLEX = 0x0800
NUMERIC_CLASSES = range(6, 16)  # double, single and the whole numbers of 8 to 64 bits
NUMBER_FORMATS = {
    1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8",
}  # fmt: skip
"""The kind of an element of numbers -> how they are stored."""

MOST = 1 << 31
MOST_BYTES = 1 << 28
"""The bytes of a decompressed variable that are read at most."""


def read_matlab_label(path: Path, variable: str, indices: Mapping[int, int], meaning: str) -> Tensor:
    """The label map in a MATLAB file, as ``H W`` uint8 class indices, with void as ``IGNORE``.

    Args:
        path: the file.
        variable: the name of the matrix in it, or ``name.field`` for a matrix that is a field of a structure.
        indices: the class index, or ``IGNORE``, of each allowed value.
        meaning: the allowed values in words, for messages.

    Raises:
        DataError: if the file cannot be read, has no such matrix of whole numbers, or holds another value.
    """
    values = _matrix(path, variable)
    allowed = np.array(sorted(indices))
    strange = np.setdiff1d(values, allowed)
    if len(strange):
        shown = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
        raise DataError(f"{path} holds the value {shown}; allowed are {meaning}; get the file as it was published")
    table = np.array([indices[int(value)] for value in allowed], dtype=np.uint8)
    return torch.from_numpy(table[np.searchsorted(allowed, values)])


def _matrix(path: Path, variable: str) -> np.ndarray:
    """The matrix of that name in a MATLAB file, as ``H W`` int64."""
    try:
        values = _find(path.read_bytes(), variable)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); get the file again") from error
    except (ValueError, struct.error, zlib.error, OverflowError) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file ({error}); get the file again") from error
    if values is None:
        raise DataError(f"{path} has no matrix {variable} of whole numbers; get the file as it was published")
    return values.astype(np.int64)


def _find(content: bytes, variable: str) -> np.ndarray | None:
    """The matrix of that name, ``None`` if there is none of whole numbers with two dimensions.

    Raises:
        ValueError, struct.error, zlib.error: for content that is no file of MATLAB's level 5.
    """
    if len(content) < HEADER or content[HEADER - 4 : HEADER] != b"\x00\x01IM":
        raise ValueError("it is no little-endian file of level 5")
    outer, _, field = variable.partition(".")
    for kind, element in _elements(content[HEADER:]):
        inner = [(kind, element)] if kind == MATRIX else []
        if kind == COMPRESSED:
            inner = list(_elements(zlib.decompressobj().decompress(element, MOST_BYTES)))
        for inner_kind, matrix in inner:
            if inner_kind == MATRIX and _name(matrix) == outer:
                values = _field(matrix, field) if field else matrix
                return None if values is None else _numbers(values)
    return None


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of the elements that follow each other."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from("<II", content, place)
        start = place + 8
        if kind >> 16:  # a short element, whose content lies in the second half of its tag
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        element = content[start : start + size]
        if len(element) < size:
            raise ValueError("it ends too early")
        yield kind, element
        if start == place + 4:
            place += 8
        else:
            place = start + (size if kind == COMPRESSED else -(-size // 8) * 8)


def _name(matrix: bytes) -> str:
    """The name of a matrix or structure; empty where it has none."""
    parts = list(islice(_elements(matrix), 3))
    return parts[2][1].decode("latin-1") if len(parts) == 3 else ""


def _field(structure: bytes, field: str) -> bytes | None:
    """The matrix in a field of a structure of one element; ``None`` if there is none."""
    (_, flags), (_, shape), _, (_, width_bytes), (_, names), *matrices = _elements(structure)
    (flag,) = struct.unpack_from("<I", flags)
    (width,) = struct.unpack_from("<i", width_bytes)
    if flag & 0xFF != STRUCT or width < 1 or any(length != 1 for length in np.frombuffer(shape, "<i4")):
        return None
    fields = [names[place : place + width].rstrip(b"\x00").decode("latin-1") for place in range(0, len(names), width)]
    return next((matrix for name, (_, matrix) in zip(fields, matrices, strict=False) if name == field), None)


def _numbers(matrix: bytes) -> np.ndarray | None:
    """The values of a matrix, ``H W``; ``None`` if it is not one of whole numbers with two dimensions."""
    parts = list(islice(_elements(matrix), 4))
    if len(parts) < 4:
        return None
    (_, flags), (_, shape_bytes), _, (kind, data) = parts
    shape = np.frombuffer(shape_bytes, "<i4")
    (flag,) = struct.unpack_from("<I", flags)
    if flag & 0xFF not in NUMERIC_CLASSES or flag & COMPLEX or kind not in NUMBER_FORMATS or len(shape) != 2:
        return None
    values = np.frombuffer(data, NUMBER_FORMATS[kind])
    if not values.size or (values != np.floor(values)).any() or (np.abs(values) > MOST).any():
        return None
    return values.reshape(tuple(int(length) for length in shape), order="F")
