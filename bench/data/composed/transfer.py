"""Training on one data set and evaluation on another: GTA5 to Cityscapes, Cityscapes to ACDC, clean to corrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from bench.data.base import SPLITS, DataError, Dataset, Split, SplitName
from bench.data.composed.inner import built_inside
from bench.data.contract import check_dataset
from bench.data.files import Pair
from bench.parts import Part


class Transfer:
    """The training images of one data set, with the validation and test images of another one of the same classes.

    Args:
        folder: a folder that holds a folder ``train`` or one called like the data set that is trained on, and one
            called ``evaluated`` or like the other, or links to them; ``None`` if both need no files.
        train: the data set whose ``train`` split is trained on.
        evaluated: the data set whose ``val`` and ``test`` splits are evaluated.

    Raises:
        DataError: if one of the two cannot be used, or if their classes differ.
    """

    name = "transfer"

    def __init__(self, folder: Path | None, *, train: Part[Any], evaluated: Part[Any]) -> None:
        self._train = built_inside(train, "train", folder)
        self._evaluated = built_inside(evaluated, "evaluated", folder)
        self.classes = tuple(self._train.classes)
        if problem := _difference(self.classes, tuple(self._evaluated.classes)):
            raise DataError(
                f"train={train!r} and evaluated={evaluated!r} have other classes: {problem}; describe one of them with "
                "the classes of the other, in the same order"
            )

    def part_of(self, name: SplitName) -> Dataset:
        """The data set that a split is taken from."""
        return self._train if name == "train" else self._evaluated

    def split(self, name: SplitName) -> Split:
        """The samples of a split; see :meth:`~bench.data.base.Dataset.split`."""
        return self.part_of(name).split(name)

    def check(
        self,
        progress: Callable[[int, int], None] | None = None,
        splits: Sequence[SplitName] = SPLITS,
        decoded: Container[Pair] = (),
    ) -> None:
        """Check both data sets in the splits that are read; see :func:`~bench.data.contract.check_dataset`.

        Progress is told by data set, of which each is one step.
        """
        trained: list[SplitName] = [name for name in splits if name == "train"]
        evaluated: list[SplitName] = [name for name in splits if name != "train"]
        chosen = [(self._train, trained), (self._evaluated, evaluated)]
        for done, (dataset, names) in enumerate(chosen, start=1):
            if names:
                check_dataset(dataset, names, evaluated, decoded)
            if progress:
                progress(done, len(chosen))

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of both fingerprints."""
        both = f"{self._train.fingerprint(cache)} {self._evaluated.fingerprint(cache)}"
        return hashlib.sha256(both.encode()).hexdigest()


def _difference(first: Sequence[str], second: Sequence[str]) -> str:
    """The first difference of two lists of classes, in words; empty if there is none."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return f"class {index} is {one!r} in one and {other!r} in the other"
    return "" if len(first) == len(second) else f"there are {len(first)} and {len(second)}"
