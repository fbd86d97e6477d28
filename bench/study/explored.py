"""The cells that a search chose out of all combinations of a study's levels, and the file that lists them.

``bench explore`` writes such files; the option ``--explored`` selects the form of the study that has these cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records.files import parse_json, write_json
from bench.study.designs import Explored
from bench.study.factors import StudyError
from bench.study.study import Study

VERSION = 1
"""The format of the file."""


@dataclass(frozen=True)
class ChosenCells:
    """The cells that a file lists, as plain values, so that a worker without the file can load the same study.

    Attributes:
        path: the path of the file.
        names: the names of the cells, such as ``attention=on,gate=off``.
    """

    path: str
    names: tuple[str, ...]


def write_chosen(names: Sequence[str], path: Path) -> ChosenCells:
    """Write the names of cells into a file."""
    write_json({"version": VERSION, "cells": list(names)}, path)
    return ChosenCells(str(path), tuple(names))


def read_chosen(path: Path) -> ChosenCells:
    """The cells that a file lists.

    Raises:
        StudyError: if the file cannot be read, or holds something else.
    """
    try:
        names = parse_json(path.read_bytes())["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise StudyError(f"--explored {path}: no file of cells; bench explore writes one")
    return ChosenCells(str(path), tuple(names))


def with_chosen(study: Study, chosen: ChosenCells) -> Study:
    """The study with the baseline and the chosen cells alone, which are trained and counted; speeds are not compared.

    Raises:
        StudyError: for a cell of other factors or levels than the study's.
    """
    cells = tuple(dict(term.split("=", 1) for term in name.split(",") if "=" in term) for name in chosen.names)
    stages = tuple(stage for stage in study.stages if stage != "speed")
    return study.having(design=Explored(cells), stages=stages, speed=None)
