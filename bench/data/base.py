"""The contract of a data set: named classes and three splits of (image, label) pairs.

Images are ``3 H W`` uint8 RGB. Labels are ``H W`` uint8 class indices; a pixel of unknown class is :data:`IGNORE`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from bench.parts import BenchError

IGNORE = 255
"""The label of void pixels in every data set. They count in no loss and in no metric."""

MOST_CLASSES = 254
"""The most classes of a data set: labels are bytes, of which one is void and one stands for the inside of regions in
boundary IoU."""

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class DataError(BenchError, ValueError):
    """Data that cannot be used as they are. The message names the file and the remedy."""


class Sample(NamedTuple):
    """One image with its label map, at native size. Its tensors may be shared, so never write into them."""

    image: Tensor
    label: Tensor
    name: str


class Split(Protocol):
    """The samples of one split, in a fixed order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Dataset(Protocol):
    """A data set. Its only positional parameter is the folder it lies in, or ``None`` if it needs no files.

    A class may also have ``colours``: red, green and blue of each class, in which ``bench predict`` paints its masks;
    ``()`` if only the files tell them, so that each data set of the class has its own.
    """

    name: str
    classes: tuple[str, ...]

    def __init__(self, folder: Path | None) -> None:
        """
        Raises:
            DataError: if the folder is missing, does not hold this data set, or is given to a data set without files.
        """
        ...

    def split(self, name: SplitName) -> Split:
        """The samples of a split.

        Raises:
            DataError: if the split is empty, or if an image has no label or a label no image.
        """
        ...

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every image and every label of every split, and call ``progress(done, total)`` after each pair.

        A class whose splits may be missing takes a second parameter, ``splits: Sequence[SplitName] = SPLITS``: those
        that are read. A study without ``--final`` does not read the test split, for example.

        Raises:
            DataError: for the first file that is missing or unreadable, for the first label map of another size than
                its image, and for the first label outside the classes.
        """
        ...

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of the relative names and the bytes of all files. Equal digests mean equal data.

        A split that is missing or incomplete is no error here, since it may be one that nothing reads.

        Args:
            cache: the file that keeps the digests of files from one process to the next; ``None`` keeps them in
                this process only.
        """
        ...
