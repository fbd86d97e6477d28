"""Damaged files of arrays: each is refused in one line that names it, whatever error its reader meets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.records.files import RecordError, read_arrays

NAME = "counts.npy"


def saved() -> bytes:
    """A file of one array, as numpy writes it into an archive."""
    file = io.BytesIO()
    np.save(file, np.arange(6).reshape(2, 3))
    return file.getvalue()


def archive_of(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(NAME, content)
    return file.getvalue()


def encrypted() -> bytes:
    """An archive that says of its file that a password is needed."""
    archive = bytearray(archive_of(saved()))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(mark) + place] |= 1
    return bytes(archive)


def damaged_lzma() -> bytes:
    archive = bytearray(archive_of(saved(), zipfile.ZIP_LZMA))
    start = 30 + len(NAME)
    archive[start + 9 : start + 30] = bytes(21)
    return bytes(archive)


def unknown_compression() -> bytes:
    archive = bytearray(archive_of(saved()))
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        archive[archive.index(mark) + place] = 99
    return bytes(archive)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"no archive", "File is not a zip file"),
        (saved, "File is not a zip file"),
        (encrypted, "File 'counts.npy' is encrypted"),
        (damaged_lzma, "Corrupt input data"),
        (unknown_compression, "That compression method is not supported"),
        (lambda: archive_of(saved()[:40]), "EOF: reading array header"),
        (lambda: archive_of(saved()[:-8]), "EOF: reading array data"),
        (lambda: archive_of(saved()[1:]), "counts is no array"),
        (lambda: archive_of(b""), "counts is no array"),
        (lambda: archive_of(saved().replace(b"(2, 3)", b"(2, 3 ")), "the header of counts is damaged"),
        (lambda: archive_of(saved().replace(b"(2, 3)", b"(2, 03")), "the header of counts is damaged"),
        (lambda: archive_of(saved().replace(b", 'shape", b",b'shape")), "the header of counts is damaged"),
        (lambda: archive_of(saved().replace(b"'<i8'", b"'|O' ")), "Object arrays cannot be loaded"),
        (lambda: archive_of(saved().replace(b"(2, 3)", b"(2,-3)")), ""),
        (lambda: archive_of(saved().replace(b", 3), ", b",9**9)")), ""),
    ],
)
def test_damaged_arrays_are_refused_in_one_line(tmp_path: Path, content: Callable[[], bytes], reason: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(archive_of(saved()))
    assert read_arrays(path)["counts"].tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_bytes(content())
    with pytest.raises(RecordError, match=rf"x\.npz cannot be read \({reason}.*\); delete it") as refusal:
        read_arrays(path)
    assert "\n" not in str(refusal.value)
