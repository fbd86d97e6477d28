"""Two caches: decoded samples are kept in memory, and digests of label files in memory or in a file."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.data.base import Sample

KEEP_BYTES = 1 << 30
"""The bytes of decoded samples that one split keeps in memory at most. CamVid's train split takes 254 MB."""


class Remembered:
    """A split whose samples stay in memory once they are read.

    Samples are kept until they fill ``keep_bytes``; every other sample is read anew each time. No sample is ever
    evicted: training visits each sample once an epoch, so the least recently used sample is the one needed next.
    """

    def __init__(self, length: int, load: Callable[[int], Sample], *, keep_bytes: int = KEEP_BYTES) -> None:
        self._length = length
        self._load = load
        self._kept: dict[int, Sample] = {}
        self._room = keep_bytes

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(f"sample {index} of a split of {self._length}; allowed are 0 to {self._length - 1}")
        if index in self._kept:
            return self._kept[index]
        sample = self._load(index)
        if sample.image.nbytes + sample.label.nbytes <= self._room:
            self._room -= sample.image.nbytes + sample.label.nbytes
            self._kept[index] = sample
        return sample


def fingerprint(folder: Path, images: Iterable[Path], labels: Iterable[Path], cache: Path | None = None) -> str:
    """A digest of the relative names and the sizes of images and labels, and of the bytes of the labels.

    A label file whose path, size and modification time are known already is not read again. Images are not read at all,
    so an image that was edited without changing its size goes unnoticed.

    Args:
        folder: the folder of the data set. Names are relative to it, so that a copy elsewhere has the same digest.
        images: the paths of the images.
        labels: the paths of the label files.
        cache: the file that keeps the labels' digests from one process to the next; it is created if it is missing, and
            several data sets may share it. ``None`` keeps the digests in this process only.
    """
    known = _Digests(folder, cache)
    lines = [f"image {path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in images]
    lines += [f"label {path.relative_to(folder).as_posix()} {known.of(path)}\n" for path in labels]
    known.save()
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


class _Digests:
    """The digests of one data set's label files, kept under (relative path, size, modification time)."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self._folder = folder
        self._cache = cache
        # The folder's digest stands for its path: a cache beside published results must not tell where the data lie.
        self._place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        self._all = _read(cache) if cache else {}
        self._known = self._all.get(self._place, {})
        self._seen: dict[str, str] = {}

    def of(self, path: Path) -> str:
        status = path.stat()
        key = f"{path.relative_to(self._folder).as_posix()} {status.st_size} {status.st_mtime_ns}"
        if self._cache is None:
            digest = _remembered_digest(path.resolve(), status.st_size, status.st_mtime_ns)
        else:
            digest = self._known.get(key) or _digest(path)
        self._seen[key] = digest
        return digest

    def save(self) -> None:
        """Write the digests that were asked for to the cache, and drop those of files that are gone or changed."""
        if self._cache is not None and self._seen != self._known:
            _write({**self._all, self._place: self._seen}, self._cache)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=1 << 16)
def _remembered_digest(path: Path, size: int, mtime_ns: int) -> str:
    # Size and time belong to the cache's key, so that a changed file is read again.
    return _digest(path)


def _read(cache: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}  # a damaged cache is no error, because it can be computed again
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        return {}
    return content


def _write(content: dict[str, dict[str, str]], cache: Path) -> None:
    """Replace the cache by a rename, so that a reader sees one whole file even if several workers write at once."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(temporary, cache)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
