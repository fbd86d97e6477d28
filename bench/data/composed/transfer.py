"""Training on one data set and evaluation on another: GTA5 to Cityscapes, Cityscapes to ACDC, clean to corrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data.base import DataError
from bench.data.composed.composed import Composed
from bench.data.composed.inner import built_inside
from bench.parts import Part


class Transfer(Composed):
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
        trained = built_inside(train, "train", folder)
        tested = built_inside(evaluated, "evaluated", folder)
        super().__init__((trained, ("train",)), (tested, ("val", "test")))
        if problem := _difference(self.classes, tuple(tested.classes)):
            raise DataError(
                f"train={train!r} and evaluated={evaluated!r} have other classes: {problem}; describe one of them with "
                "the classes of the other, in the same order"
            )


def _difference(first: Sequence[str], second: Sequence[str]) -> str:
    """The first difference of two lists of classes, in words; empty if there is none."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return f"class {index} is {one!r} in one and {other!r} in the other"
    return "" if len(first) == len(second) else f"there are {len(first)} and {len(second)}"
