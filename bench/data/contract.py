"""The check of a data set before anything is trained on it, restricted to the splits that a study reads."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from bench.data.base import SPLITS, Dataset, SplitName


def check_dataset(dataset: Dataset, splits: Collection[SplitName]) -> None:
    """Check the splits of a data set that will be read, with its own :meth:`~bench.data.base.Dataset.check`.

    Raises:
        DataError: for a split that is not there or empty, or a file that cannot be used.
    """
    chosen = tuple(name for name in SPLITS if name in splits)
    for name in chosen:
        dataset.split(name)
    check: Any = dataset.check
    if "splits" in inspect.signature(check).parameters:
        check(splits=chosen)
    else:
        check()
