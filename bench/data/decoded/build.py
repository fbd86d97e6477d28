"""The decoding of all samples of a data set before its trials begin, on all CPUs of the machine."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.data.base import DataError
from bench.data.decoded.dataset import DecodedSplit
from bench.data.decoded.shelf import Shelf, file_bytes

LOOKED_AT = 200
"""Images of a split whose sizes are looked up to estimate the size of all."""
SPARE = 1.05
"""The room that is asked for, in relation to the estimate."""


class CacheError(DataError):
    """A folder that decoded samples cannot be kept in."""


@dataclass(frozen=True)
class Need:
    """The samples that a shelf has and lacks of some splits.

    Attributes:
        samples: the number of all samples.
        missing: the number of those that are not on the shelf.
        bytes: the bytes of all of them on the disk, estimated where they are missing.
        missing_bytes: the estimated bytes of those that are missing.
    """

    samples: int
    missing: int
    bytes: int
    missing_bytes: int


def needed(splits: Iterable[DecodedSplit], shelf: Shelf) -> Need:
    """The samples that are there and that are missing. No image is decoded."""
    samples = missing = size = missing_size = 0
    for split in splits:
        stored = [shelf.bytes_of(key) for key in split.keys]
        absent = [index for index, own_size in enumerate(stored) if own_size is None]
        estimate = round(_mean_bytes([split.image_of(index) for index in absent]) * len(absent))
        samples, missing = samples + len(split), missing + len(absent)
        size, missing_size = size + sum(filter(None, stored)) + estimate, missing_size + estimate
    return Need(samples, missing, size, missing_size)


def fill(
    splits: Sequence[DecodedSplit], shelf: Shelf, workers: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Decode the samples that a shelf lacks of some splits, and call ``progress(done, total)`` after each.

    Processes that fill one shelf at the same time share the work: each takes the samples in an order of its own and
    leaves out those that another has put there. After a kill, those that are there stay.

    Args:
        splits: the splits.
        shelf: the shelf that they use.
        workers: the number of threads that decode.
        progress: the listener.

    Raises:
        DataError: for a file that cannot be used.
        CacheError: if the folder cannot be written to, or if its disk has not enough room.
    """
    shelf.sweep()
    todo = [(split, index) for split in splits for index, key in enumerate(split.keys) if not shelf.has(key)]
    if not todo:
        return
    _refuse_without_room(needed(splits, shelf).missing_bytes, shelf)
    random.Random(os.getpid()).shuffle(todo)

    def put(item: tuple[DecodedSplit, int]) -> None:
        split, index = item
        if not shelf.has(split.keys[index]):
            split.put(index)

    executor = ThreadPoolExecutor(workers, thread_name_prefix="decoding")
    try:
        for done, _ in enumerate(executor.map(put, todo), start=1):
            if progress is not None:
                progress(done, len(todo))
    except OSError as error:
        raise CacheError(f"{shelf.folder} cannot be written to ({error.strerror})") from error
    finally:
        executor.shutdown(cancel_futures=True)


def _refuse_without_room(size: int, shelf: Shelf) -> None:
    """Make the folder of a shelf, and check that its disk has room.

    Raises:
        CacheError: if the folder cannot be made or written to, or if the room is not there.
    """
    try:
        shelf.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(shelf.folder).free
    except OSError as error:
        raise CacheError(f"{shelf.folder} cannot be written to ({error.strerror})") from error
    if not os.access(shelf.folder, os.W_OK | os.X_OK):
        raise CacheError(f"{shelf.folder} cannot be written to")
    if free < SPARE * size:
        raise CacheError(f"{shelf.folder} has {free / 1e9:.1f} GB free, and {size / 1e9:.1f} GB are needed")


def _mean_bytes(images: Sequence[Path]) -> float:
    """The mean bytes of decoded samples, by the sizes that some of their image files state; 0 for none."""
    step = max(1, len(images) // LOOKED_AT)
    sizes = []
    for path in images[::step]:
        try:
            with Image.open(path) as image:
                sizes.append(file_bytes(image.height, image.width))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # a file that cannot be used is told when it is decoded
    return sum(sizes) / len(sizes) if sizes else 0.0
