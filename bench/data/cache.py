"""Two caches: decoded samples are kept in memory, and digests of image and label files in memory or in a file."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.data.base import DataError, Sample

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
    """A digest of the relative names and the bytes of images and labels.

    A file that was read before is not read again, as long as its path, size, times and place on the disk are the same.
    Of these, a program that edits a file can set back all but the time of the last change.

    Args:
        folder: the folder of the data set. Names are relative to it, so that a copy elsewhere has the same digest.
        images: the paths of the images.
        labels: the paths of the label files.
        cache: the file that keeps the files' digests from one process to the next; it is created if it is missing, and
            several data sets may share it. ``None`` keeps the digests in this process only.

    Raises:
        DataError: if a file cannot be read.
    """
    known = _Digests(folder, cache)
    lines = [f"image {_name(path, folder)} {known.of(path)}\n" for path in images]
    lines += [f"label {_name(path, folder)} {known.of(path)}\n" for path in labels]
    known.save()
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


class KnownFile(NamedTuple):
    """A file whose bytes are known by their digest, as long as it has this state. See :func:`state_of`."""

    digest: str
    state: str


def known_files(folder: Path, paths: Iterable[Path], cache: Path | None = None) -> dict[Path, KnownFile]:
    """Path -> the digest and the state of each file; the arguments and errors are those of :func:`fingerprint`."""
    digests = _Digests(folder, cache)
    known = {}
    for path in paths:
        try:
            state = state_of(path)  # before the digest: a change in between gives a state that the file never has again
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); get the file again") from error
        known[path] = KnownFile(digests.of(path), state)
    digests.save()
    return known


def state_of(path: Path) -> str:
    """The state of a file: it is another one after every change of the file.

    Raises:
        OSError: if the file is not there, or may not be looked at.
    """
    return _state(path.stat())


def _name(path: Path, folder: Path) -> str:
    """The relative name with composed accents, since a copy on another system may have them decomposed."""
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


class _Digests:
    """The digests of one data set's files, kept under their relative paths and :func:`_state`."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self._folder = folder
        self._cache = cache
        # The folder's digest stands for its path: a cache beside published results must not tell where the data lie.
        self._place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        self._all = _read(cache) if cache else {}
        self._known = self._all.get(self._place, {})
        self._seen: dict[str, str] = {}

    def of(self, path: Path) -> str:
        try:
            state = _state(path.stat())
            key = f"{path.relative_to(self._folder).as_posix()} {state}"
            if self._cache is None:
                digest = _remembered_digest(path.resolve(), state)
            else:
                digest = self._known.get(key) or _digest(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); get the file again") from error
        self._seen[key] = digest
        return digest

    def save(self) -> None:
        """Write the digests that were asked for to the cache, and drop those of files that are gone or changed.

        The digests of other files stay: another choice of the same data set may use them.
        """
        seen_files = {_file_of(key) for key in self._seen}
        others = {key: digest for key, digest in self._known.items() if _file_of(key) not in seen_files}
        there = {key: digest for key, digest in others.items() if os.path.exists(self._folder / _file_of(key))}
        if self._cache is not None and {**there, **self._seen} != self._known:
            _write({**self._all, self._place: {**there, **self._seen}}, self._cache)


def _file_of(key: str) -> str:
    """The relative path in a key of :class:`_Digests`, which :func:`_state` follows."""
    return key.rsplit(" ", 4)[0]


def _state(status: os.stat_result) -> str:
    """The size of a file, the times of its last writing and its last change, and its place on the disk."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=1 << 16)
def _remembered_digest(path: Path, state: str) -> str:
    # The state belongs to the cache's key, so that a changed file is read again.
    return _digest(path)


def _read(cache: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # a damaged cache is no error, because it can be computed again
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        return {}
    return content


def _write(content: dict[str, dict[str, str]], cache: Path) -> None:
    """Replace the cache by a rename, so that a reader sees one whole file even if several workers write at once.

    Where the folder cannot be written to, there is no cache; whatever else is to be written there will say so.
    """
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(temporary, cache)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
