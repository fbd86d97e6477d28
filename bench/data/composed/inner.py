"""The data sets within another one, each built in the folder in which it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.data.base import DataError, Dataset
from bench.data.contract import check_class
from bench.parts import Part


def built_inside(chosen: Part[Any], role: str, folder: Path | None) -> Dataset:
    """A data set within another one.

    Args:
        chosen: the data set.
        role: its role in the other one, such as ``train``.
        folder: the folder of the other one. A folder in it that is called like the role, or else one that is called
            like the data set, is that of the inner one.

    Raises:
        DataError: if the data set lies in neither, or cannot be used.
    """
    check_class(chosen.cls)
    name = chosen.cls.name
    candidates = [folder / role, folder / name] if folder else []
    found = next((place for place in candidates if place.is_dir()), None)
    try:
        dataset: Dataset = chosen.build(found)
    except DataError as error:
        if found is not None:
            raise
        raise DataError(
            f"{role}={chosen!r}: {error} (here --data gives a folder with one called {role} or {name} in it, or a link "
            f"to one; {f'{folder} has neither' if folder else 'no folder was given'})"
        ) from error
    return dataset
