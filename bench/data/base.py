"""What a data set is to the harness: named classes and three splits of (image, label) pairs.

Images ``3 H W`` uint8 RGB, labels ``H W`` uint8 class indices with :data:`IGNORE` where nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from bench.parts import BenchError

IGNORE = 255
"""The label of void pixels, in every data set: no loss, no metric."""

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class DataError(BenchError, ValueError):
    """Data that cannot be used as it is; the message names the file and the remedy."""


class Sample(NamedTuple):
    """One image with its labels, at native size. The tensors may be shared: read them, never write into them."""

    image: Tensor
    label: Tensor
    name: str


class Split(Protocol):
    """The pairs of one split, in a fixed order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Dataset(Protocol):
    """A data set. Its one fact is the folder it lies in, ``None`` if it needs none; the rest are choices."""

    name: str
    classes: tuple[str, ...]

    def __init__(self, folder: Path | None) -> None:
        """
        Raises:
            DataError: for a folder that is missing, is not one of this data set, or is not wanted.
        """
        ...

    def split(self, name: SplitName) -> Split:
        """The pairs of a split.

        Raises:
            DataError: for an empty split, an image without a label, and the like.
        """
        ...

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every image and every label of every split; ``progress(done, total)`` is called after each pair.

        Raises:
            DataError: for the first file that is missing, unreadable, of another size than its image, or that holds a
                label outside the classes.
        """
        ...

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of relative names, sizes and label bytes; equal digests mean equal data.

        Args:
            cache: a file that remembers digests from one process to the next; ``None`` remembers them in this process.
        """
        ...
