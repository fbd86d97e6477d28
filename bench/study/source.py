"""The source of a study: its Python file, and the options that select one form of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.base import Dataset
from bench.data.choose import parse_data
from bench.parts import nearest
from bench.study.factors import StudyError
from bench.study.importing import import_study, module_names
from bench.study.study import Study


@dataclass(frozen=True)
class Source:
    """The file of a study and the selected form of it, as plain values, so that a worker can load the same study.

    Attributes:
        path: the path of the study's file.
        size: the name of one of the file's ``SIZES``, or ``None`` for its ``STUDY``.
        data: the value of the option ``--data``.
        seeds: the seeds that replace the study's own, or ``None``.
        final: ``True`` to evaluate the test split.
    """

    path: str
    size: str | None = None
    data: str | None = None
    seeds: tuple[int, ...] | None = None
    final: bool = False


def load_study(path: str | Path, size: str | None = None) -> Study:
    """The study in a Python file.

    Raises:
        StudyError: if the file is missing, sets no ``STUDY``, or does not have this size.
    """
    module = import_study(Path(path))
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise StudyError(f"{path} sets no STUDY; a study file ends with STUDY = Study(…)")
    if size is None:
        return study
    sizes: Mapping[str, Study] = getattr(module, "SIZES", {})
    if size not in sizes:
        known = ", ".join(sizes) or "none"
        raise StudyError(f"{path} has no size {size!r}; its SIZES: {known}{nearest(size, sizes)}")
    return sizes[size]


LABEL_DIGESTS = ".label-digests.json"
"""The file in a results folder that keeps the digests of label files, so that not every trial reads the labels."""


@dataclass(frozen=True)
class Loaded:
    """A study with its data set, after the options ``--data``, ``--size``, ``--seeds`` and ``--final``."""

    source: Source
    study: Study
    dataset: Dataset

    @property
    def folder_name(self) -> str:
        """The name of the results folder, ``<name>[-size][-data][-final]``: forms of a study do not share a folder."""
        words = [self.study.name, self.source.size, self._other_data, "final" if self.source.final else None]
        return "-".join(word for word in words if word)

    @property
    def modules(self) -> tuple[str, ...]:
        """The name under which the study's file was imported."""
        return module_names(Path(self.source.path))

    @property
    def _other_data(self) -> str | None:
        study_data = load_study(self.source.path, self.source.size).recipe.data
        chosen = self.study.recipe.data
        return None if study_data == chosen else str(self.dataset.name)


def load(source: Source) -> Loaded:
    """The study and the data set that ``source`` selects.

    Raises:
        StudyError: if the study cannot be loaded.
        DataError: if its data cannot be used.
    """
    study = load_study(source.path, source.size)
    part, folder = parse_data(source.data, study.recipe.data)
    changes: dict[str, Any] = {} if part == study.recipe.data else {"data": part}
    if source.final:
        changes["split"] = "test"
    if changes:
        study = study.having(recipe=study.recipe.having(**changes))
    if source.seeds is not None:
        study = study.having(seeds=source.seeds)
    return Loaded(source, study, part.build(folder))
