"""A data set whose training split is divided: one part of it is held out and evaluated, the others are trained on."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from bench.data.base import DataError, Sample, Split, SplitName
from bench.data.composed.composed import Composed
from bench.data.contract import check_dataset
from bench.data.files import Pair
from bench.parts import Part


class HeldOut(Composed):
    """The training images of the data set ``data``, of which ``val`` has one part and ``train`` the others.

    It is for choices that neither the validation nor the test images may take part in, such as a learning rate. The
    parts are blocks of neighbouring images, so that the frames of a video are divided in few places.

    Args:
        folder: the folder of the data set beneath.
        data: the data set beneath.
        fold: the part that is held out, from 0 on.
        folds: the number of parts.

    Raises:
        DataError: if the data set beneath cannot be used, or if a part would have no image.
    """

    name = "held_out"

    def __init__(self, folder: Path | None, *, data: Part[Any], fold: int = 0, folds: int = 5) -> None:
        if not 0 <= fold < folds or folds < 2:
            raise DataError(f"fold={fold}, folds={folds}: expected two parts or more, and one of them from 0 on")
        super().__init__((data.build(folder), ("train", "val")), changes=(f"fold {fold} of {folds} held out",))
        self._fold, self._folds = fold, folds

    def unchanged(self, name: SplitName) -> None:
        """None: no split has the samples of the data set beneath as they are."""

    def split(self, name: SplitName) -> Split:
        """The held-out samples (``val``), or the others (``train``).

        Raises:
            DataError: for the test split, which no choice may look at; and for a training split of too few images.
        """
        if name == "test":
            raise DataError("held-out training images have no test split: choices are made without it")
        whole = super().split("train")
        first, end = (len(whole) * part // self._folds for part in (self._fold, self._fold + 1))
        if first == end:
            raise DataError(f"{len(whole)} training images cannot be divided into {self._folds} parts")
        block = range(first, end)
        return _Chosen(whole, block if name == "val" else [index for index in range(len(whole)) if index not in block])

    def check(
        self,
        progress: Callable[[int, int], None] | None = None,
        splits: Sequence[SplitName] = ("train", "val"),
        decoded: Container[Pair] = (),
    ) -> None:
        """Check the training split of the data set beneath."""
        train: tuple[SplitName, ...] = ("train",)
        check_dataset(self.source("train"), train, train, decoded)
        if progress:
            progress(1, 1)


class _Chosen:
    """Some samples of a split."""

    def __init__(self, split: Split, indices: Sequence[int]) -> None:
        self._split, self._indices = split, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of a split of {len(self)}; allowed are 0 to {len(self) - 1}")
        return self._split[self._indices[index]]
