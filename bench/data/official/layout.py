"""The folder in which a distributed data set begins, and the splits that are published without labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bench.data.base import IGNORE, DataError
from bench.data.pixels import Coding


def beginning(folder: Path, inner: tuple[str, ...], needed: tuple[str, ...], option: str) -> Path:
    """The folder in which a data set begins: a given one, or one inside it that an archive unpacks to.

    Args:
        folder: the given folder.
        inner: the folders, relative to the given one, in which the data set may begin too.
        needed: the folders that lie where the data set begins.
        option: the name that ``--data`` has for the data set.

    Raises:
        DataError: if a needed folder is missing.
    """
    candidates = [folder, *(folder / place for place in inner)]
    for candidate in candidates:
        if all(os.path.isdir(candidate / name) for name in needed):
            return candidate
    missing = [name for name in needed if not os.path.isdir(folder / name)]
    raise DataError(
        f"{folder} has no folder {' and no folder '.join(missing)}; "
        f"give the folder that holds {' and '.join(needed)}: --data {option}=/path"
    )


def unlabelled(title: str, split: str) -> DataError:
    """The error for a split whose labels its publishers keep."""
    return DataError(
        f"{title} is published without labels of its {split} split, so nothing can be evaluated on it here; "
        "use the val split: leave --final out"
    )


def coding_of(indices: Mapping[int, int], meaning: str) -> Coding:
    """The coding in which ``indices`` gives the class index of each byte, and ``IGNORE`` that of void bytes."""
    void = sorted(byte for byte, index in indices.items() if index == IGNORE)
    shown = ", ".join(map(str, void[:3])) + (", …" if len(void) > 3 else "")
    return Coding(indices, f"{meaning}, with {shown} as void")
