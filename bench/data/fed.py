"""Data sets whose samples threads load beside the training. Which threads do so, and when, changes no sample."""

from __future__ import annotations

from bench.data.base import Dataset, Sample, Split, SplitName
from bench.data.decoded.dataset import DecodedDataset


class FedDataset:
    """The data set ``dataset``, whose splits say how many threads may load their samples at a time.

    It is for data sets of this package. A class of one's own may hold an open file, or draw from a random state that
    the training draws from too, so the thread that trains loads its samples.

    Args:
        dataset: a data set whose samples may be asked for by any thread.
        workers: the number of threads.
    """

    def __init__(self, dataset: Dataset | DecodedDataset, workers: int) -> None:
        self._dataset, self._workers = dataset, workers
        self.name, self.classes = dataset.name, dataset.classes

    def split(self, name: SplitName) -> FedSplit:
        """The samples of a split.

        Raises:
            DataError: if the split is missing or incomplete.
        """
        return FedSplit(self._dataset.split(name), self._workers)


class FedSplit:
    """The samples of ``split``.

    Attributes:
        workers: the number of threads that may load samples at a time; 0 for none but the one that trains.
    """

    def __init__(self, split: Split, workers: int) -> None:
        self._split, self.workers = split, workers

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int, /) -> Sample:
        return self._split[index]
