"""The base of data sets that are made of others: whose samples a split has, the check and the digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from bench.data.base import SPLITS, Dataset, Split, SplitName
from bench.data.contract import check_dataset
from bench.data.files import Pair


class Composed:
    """A data set whose splits are taken from others.

    Args:
        sources: the other data sets, each with the splits that are taken from it; all have the same classes.
        changes: the words for what is done to their samples, which the digest holds.
    """

    name: str

    def __init__(self, *sources: tuple[Dataset, Sequence[SplitName]], changes: Sequence[str] = ()) -> None:
        self._sources, self._changes = sources, changes
        self.classes = tuple(sources[0][0].classes)

    def source(self, name: SplitName) -> Dataset:
        """The data set that a split is taken from."""
        return next(dataset for dataset, splits in self._sources if name in splits)

    def unchanged(self, name: SplitName) -> Dataset | None:
        """The data set whose samples a split has as they are; ``None`` for a split with other samples."""
        return self.source(name)

    def split(self, name: SplitName) -> Split:
        """The samples of a split; see :meth:`~bench.data.base.Dataset.split`."""
        return self.source(name).split(name)

    def check(
        self,
        progress: Callable[[int, int], None] | None = None,
        splits: Sequence[SplitName] = SPLITS,
        decoded: Container[Pair] = (),
    ) -> None:
        """Check each data set in the splits that are taken from it; see :func:`~bench.data.contract.check_dataset`.

        Progress is told by data set, of which each is one step.
        """
        evaluated = [name for name in splits if name != "train"]
        for done, (dataset, taken) in enumerate(self._sources, start=1):
            if names := [name for name in splits if name in taken]:
                check_dataset(dataset, names, evaluated, decoded)
            if progress:
                progress(done, len(self._sources))

    def fingerprint(self, cache: Path | None = None) -> str:
        """A digest of the fingerprints of the other data sets and of what is done to their samples."""
        fingerprints = [dataset.fingerprint(cache) for dataset, _ in self._sources]
        return hashlib.sha256(" ".join([*fingerprints, *self._changes]).encode()).hexdigest()
