"""What is read once and kept: decoded samples in memory, and digests of label files."""

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
"""How much of one split stays decoded in memory. CamVid's train split takes 254 MB."""


class Remembered:
    """A split whose samples stay in memory once they are read.

    The first ones read are kept until they fill ``keep_bytes``; whatever else is asked for is read anew each time.
    Nothing is ever evicted: a training stream visits every sample once an epoch, and then the least recently used one
    is the very next that is needed.
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
    """A digest of relative names and byte sizes of images and labels, and of the labels' bytes.

    A label whose path, size and modification time are known already is not read again. Images are not read at all: an
    image that was edited without changing its size goes unnoticed.

    Args:
        folder: names are relative to it, so a copy elsewhere has the same digest.
        cache: a file that remembers the labels' digests from one process to the next, made if it is missing; it may
            serve several data sets. ``None`` remembers them in this process only.
    """
    known = _Digests(folder, cache)
    lines = [f"image {path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in images]
    lines += [f"label {path.relative_to(folder).as_posix()} {known.of(path)}\n" for path in labels]
    known.save()
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


class _Digests:
    """Digests of label files, remembered under (relative path, size, modification time)."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self._folder = folder
        self._cache = cache
        # The digest instead of the path: a cache that lies beside published results tells nobody where the data was.
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
        """Keep what was seen, and nothing of files that are gone or changed."""
        if self._cache is not None and self._seen != self._known:
            _write({**self._all, self._place: self._seen}, self._cache)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=1 << 16)
def _remembered_digest(path: Path, size: int, mtime_ns: int) -> str:
    # Size and time are there for the key: a changed file is read again.
    return _digest(path)


def _read(cache: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}  # a cache can always be made anew
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        return {}
    return content


def _write(content: dict[str, dict[str, str]], cache: Path) -> None:
    """By a rename: several workers may write at once, and a reader sees all of one of them."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(temporary, cache)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
