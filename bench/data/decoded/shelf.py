"""A folder of decoded samples, one file each, that all processes of a machine map into memory and so share.

A sample lies under a key, a digest of all that it is made from, and never changes under it. A file gets its name once
it is complete, so that a kill in the middle leaves none that is damaged, and processes may fill a folder side by side.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.data.base import Sample

VERSION = 1
_HEAD = struct.Struct("<16sIIII")  # _MARK, height, width, bytes of the name, checksum of name and pixels
_MARK = f"bench decoded {VERSION}\n".encode()
_GRAIN = 64
"""Pixels begin at a multiple of this many bytes."""
UNFINISHED = ".part"
KEPT_OPEN = 1 << 14
"""The most samples that a process keeps mapped; Linux allows four times as many mappings of all kinds."""
ABANDONED_S = 3600.0
"""Seconds after which an unfinished file is one whose process was killed."""


@dataclass(frozen=True)
class Stock:
    """The number of samples on a shelf, and the bytes that they take on the disk."""

    samples: int
    bytes: int


class Shelf:
    """Decoded samples in ``folder``, which is made when the first is put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Sample] = {}
        self._proven: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether there is a sample under a key; it may be damaged, which :meth:`get` finds."""
        return os.path.exists(self._path(key))

    def get(self, key: str) -> Sample | None:
        """The sample under a key, ``None`` if there is none that can be read.

        Its pixels are those of the file: the system reads them when they are used, once for all processes. Writing into
        them changes neither the file nor what other processes see. A damaged file is removed; its checksum is computed
        when this object first reads it.
        """
        if key in self._open:
            return self._open[key]
        path = self._path(key)
        try:
            content = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
        except (OSError, RuntimeError, ValueError):  # it is not there, may not be read, is empty, or has a strange name
            return None
        sample = _read(content, prove=key not in self._proven)
        if sample is None:
            self._remove(path)
            return None
        self._proven.add(key)
        if len(self._open) < KEPT_OPEN:
            self._open[key] = sample
        return sample

    def put(self, key: str, sample: Sample) -> None:
        """Store a sample under a key.

        Raises:
            OSError: if the folder cannot be written to, or if the disk is full.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{key}.{os.getpid()}.{secrets.token_hex(4)}{UNFINISHED}")
        try:
            with part.open("xb") as file:  # without waiting for the disk: a checksum finds what a crash damages
                file.writelines(_written(sample))
            os.replace(part, path)
        except BaseException:
            self._remove(part)
            raise

    def bytes_of(self, key: str) -> int | None:
        """The bytes of the file under a key; ``None`` if there is none."""
        with contextlib.suppress(OSError):
            return self._path(key).stat().st_size
        return None

    def stock(self) -> Stock:
        """All samples that are there."""
        sizes = [path.stat().st_size for path in self._files() if path.suffix != UNFINISHED]
        return Stock(len(sizes), sum(sizes))

    def evict(self, keys: Iterable[str] | None = None) -> Stock:
        """Remove the samples under these keys, by default all, and unfinished files; returns what was removed.

        Processes that use a sample keep it: its disk space is free when the last of them ends.

        Raises:
            OSError: if a file may not be removed.
        """
        self.sweep()
        samples = size = 0
        chosen = self._files() if keys is None else (self._path(key) for key in keys)
        for path in list(chosen):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
                path.unlink()
                samples += 1
        if keys is None:
            self._remove_folders()
        return Stock(samples, size)

    def sweep(self) -> None:
        """Remove the unfinished files of processes that were killed."""
        for path in self._files():
            with contextlib.suppress(OSError):
                if path.suffix == UNFINISHED and time.time() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def _files(self) -> Iterator[Path]:
        yield from self._root.glob("??/*")

    @property
    def _root(self) -> Path:
        return self.folder / f"decoded-{VERSION}"

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / key

    def _remove_folders(self) -> None:
        """Remove the folders that are empty."""
        for folder in [*self._root.glob("??"), self._root]:
            with contextlib.suppress(OSError):
                folder.rmdir()

    @staticmethod
    def _remove(path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()


def file_bytes(height: int, width: int) -> int:
    """The bytes of a sample's file, without its name."""
    return _GRAIN + 4 * height * width


def _written(sample: Sample) -> list[bytes]:
    """The content of a sample's file: head, name, and the values of image and label."""
    name = sample.name.encode()
    pixels = [part.contiguous().numpy().tobytes() for part in (sample.image, sample.label)]
    height, width = sample.label.shape
    checksum = zlib.crc32(pixels[1], zlib.crc32(pixels[0], zlib.crc32(name)))
    head = _HEAD.pack(_MARK, height, width, len(name), checksum) + name
    return [head + bytes(-len(head) % _GRAIN), *pixels]


def _read(content: Tensor, *, prove: bool) -> Sample | None:
    """The sample in the content of a file; ``None`` if the content is damaged.

    Args:
        content: the file, mapped into memory.
        prove: ``True`` to compute the checksum, for which all of the content is read.
    """
    if len(content) < _HEAD.size:
        return None
    mark, height, width, name_bytes, checksum = _HEAD.unpack(content[: _HEAD.size].numpy().tobytes())
    start = _HEAD.size + name_bytes + -(_HEAD.size + name_bytes) % _GRAIN
    if mark != _MARK or len(content) != start + 4 * height * width or 0 in (height, width):
        return None
    name = content[_HEAD.size : _HEAD.size + name_bytes].numpy().tobytes()
    values = content[start:]
    if prove and zlib.crc32(values.numpy().data, zlib.crc32(name)) != checksum:
        return None
    image, label = values.split([3 * height * width, height * width])
    return Sample(image.view(3, height, width), label.view(height, width), name.decode())
