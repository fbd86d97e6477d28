"""The choice of the data set for a command: the study's own, or the one that the option ``--data`` names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.base import DataError, Dataset
from bench.data.camvid import CamVid
from bench.data.official.ade20k import ADE20K
from bench.data.official.cityscapes import Cityscapes
from bench.data.official.coco_stuff import COCOStuff
from bench.data.official.coco_stuff_10k import COCOStuff10k
from bench.data.official.mapillary_vistas import MapillaryVistas
from bench.data.official.pascal_context import PascalContext
from bench.data.official.voc2012 import VOC2012
from bench.data.own.folder import Folder
from bench.data.synthetic import Synthetic
from bench.parts import Part, nearest, part

KNOWN: tuple[type[Dataset], ...] = (
    Synthetic,
    CamVid,
    Folder,
    Cityscapes,
    ADE20K,
    VOC2012,
    PascalContext,
    COCOStuff,
    COCOStuff10k,
    MapillaryVistas,
)
"""The data sets that ``--data`` can name. A study may use any other class that follows :class:`Dataset`."""


def parse_data(
    option: str | None, default: Part[Any], environment: Mapping[str, str] = os.environ
) -> tuple[Part[Dataset], Path | None]:
    """The data set that a command uses, and its folder.

    Args:
        option: the value of ``--data``: ``None`` (the study's data set), a name (``synthetic``), a name and a folder
            (``camvid=/path``), or the folder of the study's data set (``/path``, ``./path``).
        default: the study's data set. Its choices hold unless the option names another data set.
        environment: the environment variables. ``BENCH_CAMVID`` is the folder of ``camvid`` if the option gives none.

    Raises:
        DataError: if no data set has that name.
    """
    default_name = default.cls.name
    name, folder = _split(option, default_name)
    chosen = default if name == default_name else part(_class(name, default_name))
    folder = folder or environment.get(f"BENCH_{name.upper()}") or None
    return chosen, _resolved(folder) if folder else None


def folder_of(
    other: Part[Any], chosen: Part[Any], folder: Path | None, environment: Mapping[str, str] = os.environ
) -> Path | None:
    """The folder of a data set that a level of a factor chooses.

    Args:
        other: the data set of that level.
        chosen: the data set of the command, as :func:`parse_data` gives it.
        folder: the folder of ``chosen``. A data set of the same name lies in it too.
        environment: the environment variables. ``BENCH_CAMVID`` is the folder of ``camvid`` where ``chosen`` is called
            something else.
    """
    if other.cls.name == chosen.cls.name:
        return folder
    elsewhere = environment.get(f"BENCH_{other.cls.name.upper()}")
    return _resolved(elsewhere) if elsewhere else None


def _split(option: str | None, default_name: str) -> tuple[str, str | None]:
    """The name and the folder in the value of ``--data``. An ``=`` inside a path belongs to the path."""
    if option is None:
        return default_name, None
    if not option.strip() or option.endswith("="):
        raise DataError(f"--data {option!r} names nothing; write a name, name=/path or /path")
    name, equals, folder = option.partition("=")
    if _is_path(name):
        return default_name, option
    return name, folder if equals else None


def _resolved(folder: str) -> Path:
    """The absolute path of a folder; ``~`` is the home folder.

    Raises:
        DataError: for ``~`` where this user has no home folder.
    """
    try:
        return Path(folder).expanduser().resolve()
    except RuntimeError as error:
        raise DataError(f"{folder}: no home folder is known for ~; write the whole path") from error


def _is_path(text: str) -> bool:
    return text.startswith((".", "~")) or "/" in text or os.sep in text


def _class(name: str, default_name: str) -> type[Dataset]:
    by_name = {cls.name: cls for cls in KNOWN}
    if name not in by_name:
        known = sorted({*by_name, default_name})
        raise DataError(
            f"no data set is called {name!r}{nearest(name, known)}; known are {', '.join(known)}; "
            f"for a folder named so write ./{name}"
        )
    return by_name[name]
