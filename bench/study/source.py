"""The source of a study: its Python file, and the options that select one form of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.data.base import SPLITS, DataError, Dataset, SplitName
from bench.data.choose import folder_of, parse_data
from bench.data.composed.held_out import HeldOut
from bench.data.content import content_digest
from bench.data.contract import ContractError, check_class, check_dataset
from bench.data.decoded.dataset import DecodedSplit, decoded
from bench.data.decoded.shelf import Shelf
from bench.parts import BenchError, Part, nearest, part
from bench.protocol.recipes import recipe_fields
from bench.protocol.testing import protocol_fields
from bench.records.plan.plan import Plan
from bench.study.cells import Cell
from bench.study.explored import ChosenCells, read_chosen, with_chosen
from bench.study.factors import StudyError
from bench.study.faults import fault_line, shown
from bench.study.importing import import_study, module_names
from bench.study.study import Study
from bench.study.tuning.best import read_best
from bench.study.tuning.ranges import Value
from bench.study.tuning.tuned import at_tuned_settings


@dataclass(frozen=True)
class Tried:
    """One trial of a search: its settings, and the part of the training images that it is tested on.

    Attributes:
        settings: each field of the recipe with its value.
        fold: the part of the training images that is held out.
        folds: the number of these parts.
        looks: the shares of the training after which the network is looked at; none for the recipe's own.
    """

    settings: tuple[tuple[str, Value], ...]
    fold: int
    folds: int
    looks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Source:
    """The file of a study and the selected form of it, as plain values, so that a worker can load the same study.

    Attributes:
        path: the path of the study's file.
        size: the name of one of the file's ``SIZES``, or ``None`` for its ``STUDY``.
        data: the value of the option ``--data``.
        seeds: the seeds that replace the study's own, or ``None``.
        final: ``True`` to evaluate the test split.
        protocol: the value of the option ``--protocol``, or ``None`` to test as the study's recipe says.
        recipe: the value of the option ``--recipe``, or ``None`` to train as the study's recipe says.
        tuned: the value of the option ``--tuned``: the file of the best settings of each arm, or ``None``.
        tried: the settings that a search tries, or ``None`` outside of searches.
        explored: the value of the option ``--explored``: the cells that a search chose, or ``None`` for the design's.
    """

    path: str
    size: str | None = None
    data: str | None = None
    seeds: tuple[int, ...] | None = None
    final: bool = False
    protocol: str | None = None
    recipe: str | None = None
    tuned: str | None = None
    tried: Tried | None = None
    explored: ChosenCells | None = None

    def of_cell(self, name: str) -> Source:
        """The source of a study from which a worker loads one cell: other cells that a search chose are left out."""
        return self if self.explored is None else replace(self, explored=replace(self.explored, names=(name,)))

    @property
    def options(self) -> list[str]:
        """The options of a command that select this form of the study."""
        given = {
            "--size": self.size, "--data": self.data, "--recipe": self.recipe, "--protocol": self.protocol,
            "--tuned": self.tuned, "--explored": None if self.explored is None else self.explored.path,
        }  # fmt: skip
        seeds = None if self.seeds is None else ",".join(map(str, self.seeds))
        chosen = [[name, value] for name, value in {**given, "--seeds": seeds}.items() if value is not None]
        return [word for pair in chosen for word in pair] + ["--final"] * self.final


def load_study(path: str | Path, size: str | None = None) -> Study:
    """The study in a Python file.

    Raises:
        StudyError: if the file is missing, sets no ``STUDY``, or does not have this size.
    """
    module = import_study(Path(path))
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise StudyError(f"{shown(Path(path))} sets no STUDY; a study file ends with STUDY = Study(…)")
    sizes = getattr(module, "SIZES", {})
    if not isinstance(sizes, Mapping) or not all(
        isinstance(name, str) and name.isidentifier() and isinstance(form, Study) for name, form in sizes.items()
    ):
        raise StudyError(
            f"{shown(Path(path))}: SIZES holds something else than studies by name; write SIZES = {{'small': Study(…)}}"
        )
    if size is None:
        return study
    if size not in sizes:
        known = ", ".join(sizes) or "none"
        raise StudyError(f"{shown(Path(path))} has no size {size!r}; its SIZES: {known}{nearest(size, sizes)}")
    sized: Study = sizes[size]
    return sized


FILE_DIGESTS = ".file-digests.json"
"""The file in a results folder that keeps the digests of the data set's files, so that not every trial reads them."""


@dataclass(frozen=True)
class Loaded:
    """A study with its data sets, after the options ``--data``, ``--size``, ``--seeds`` and ``--final``.

    Attributes:
        source: the file of the study and the options.
        study: the study.
        data_folder: the folder of the study's data set; ``None`` if it needs no files.
        built: the data sets that were asked for, each built once.
    """

    source: Source
    study: Study
    data_folder: Path | None
    built: dict[Part[Dataset], Dataset] = field(default_factory=dict, repr=False, compare=False)

    def dataset_of(self, cell: Cell) -> Dataset:
        """The data set that a cell is trained and evaluated on. A level of a factor may choose it.

        Raises:
            DataError: if it cannot be used.
        """
        chosen, study_data = cell.recipe.data, self.study.recipe.data
        if chosen not in self.built:
            try:
                with _faults_of(chosen):
                    self.built[chosen] = chosen.build(folder_of(chosen, study_data, self.data_folder))
            except DataError as error:
                if chosen.cls.name == study_data.cls.name:
                    raise
                raise DataError(
                    f"cell {cell.name}: {error} (--data gives the folder of {study_data.cls.name}; the environment "
                    f"variable BENCH_{chosen.cls.name.upper()} gives that of {chosen.cls.name})"
                ) from error
        return self.built[chosen]

    def datasets(self) -> dict[Part[Dataset], Dataset]:
        """The data sets of the study's cells, the baseline's first.

        Raises:
            DataError: if one of them cannot be used.
        """
        return {cell.recipe.data: self.dataset_of(cell) for cell in self.study.recipe_examples}

    def classes_of(self, cell: Cell) -> int:
        """The number of classes of a cell's data."""
        return len(self.dataset_of(cell).classes)

    @property
    def input_px(self) -> tuple[int, int]:
        """The height and width at which all networks are counted, so that they can be compared: the baseline's."""
        return self.input_px_of(self.study.cell("baseline"))

    def input_px_of(self, cell: Cell) -> tuple[int, int]:
        """The height and width at which a cell's cost is measured: its recipe's, or its first evaluated image's."""
        if cell.recipe.cost_px is not None:
            return cell.recipe.cost_px
        height, width = self.dataset_of(cell).split(cell.recipe.split)[0].image.shape[-2:]
        return height, width

    def splits_of(self, chosen: Part[Dataset]) -> tuple[SplitName, ...]:
        """The splits of a data set that the trials of its cells read."""
        recipes = [cell.recipe for cell in self.study.recipe_examples if cell.recipe.data == chosen]
        read = {recipe.split for recipe in recipes if "quality" in self.study.stages or recipe.cost_px is None}
        return tuple(name for name in SPLITS if name in read or (name == "train" and "quality" in self.study.stages))

    def decoded_splits(self, shelf: Shelf, digests: Path | None) -> list[DecodedSplit]:
        """The splits that are read from a shelf of decoded samples, if their trials are given that.

        Args:
            shelf: the shelf.
            digests: the file that keeps the digests of the data sets' files.

        Raises:
            DataError: if a split is missing or incomplete, or if a file of it cannot be read.
        """
        if "quality" not in self.study.stages:
            return []
        return [split for chosen in self.datasets() for split in self._decoded_splits_of(chosen, shelf, digests)]

    def _decoded_splits_of(self, chosen: Part[Dataset], shelf: Shelf, digests: Path | None) -> list[DecodedSplit]:
        dataset = decoded(self.built[chosen], shelf, digests)
        splits = [] if dataset is None else [dataset.decoded_split(name) for name in self.splits_of(chosen)]
        return [split for split in splits if split is not None]

    def check_data(self, shelf: Shelf | None = None, digests: Path | None = None) -> None:
        """Check all data sets, in the splits that are read.

        Args:
            shelf: the shelf of decoded samples; the files of a sample that lies there are not decoded again. Nothing is
                put there.
            digests: the file that keeps the digests of the data sets' files.

        Raises:
            DataError: for the first data set that cannot be used.
        """
        for chosen, dataset in self.datasets().items():
            cells = [cell for cell in self.study.recipe_examples if cell.recipe.data == chosen]
            evaluated = {cell.recipe.split for cell in cells} if "quality" in self.study.stages else set()
            with _faults_of(chosen):
                splits = self._decoded_splits_of(chosen, shelf, digests) if shelf and shelf.folder.is_dir() else []
                known = {pair for split in splits for pair in split.on_shelf()}
                check_dataset(dataset, self.splits_of(chosen), evaluated, known)

    def evaluated(self) -> dict[str, str]:
        """Variant -> the digest of the images and labels that it is evaluated on; empty if these are the same for all.

        All evaluated images are read where cells differ in their data or their split.
        """
        examples = self.study.recipe_examples
        if len({(cell.recipe.data, cell.recipe.split) for cell in examples}) == 1:
            return {}
        splits = {cell.name: (cell.recipe.data, cell.recipe.split) for cell in self.study.cells()}
        datasets = self.datasets()
        digest_of = {(chosen, name): content_digest(datasets[chosen].split(name)) for chosen, name in splits.values()}
        return {variant: digest_of[split] for variant, split in splits.items()}

    def fingerprints(self, cache: Path | None) -> dict[str, str]:
        """Variant -> the fingerprint of its data.

        Args:
            cache: the file that keeps the digests of the data sets' files.
        """
        fingerprint_of = {}
        for chosen, dataset in self.datasets().items():
            with _faults_of(chosen):
                fingerprint_of[chosen] = dataset.fingerprint(cache)
        of_recipe = {id(cell.recipe): fingerprint_of[cell.recipe.data] for cell in self.study.recipe_examples}
        return {cell.name: of_recipe[id(cell.recipe)] for cell in self.study.cells()}

    @property
    def folder_name(self) -> str:
        """The name of the results folder, ``<name>[-size][-data][-recipe][-protocol][-explored][-tuned][-final]``.

        No two forms of a study share one.
        """
        protocol = self.source.protocol and re.sub(r"[^\w.]+", "-", self.source.protocol)
        final = "final" if self.source.final else None
        explored = "explored" if self.source.explored else None
        search = "tuning" if self.source.tried else "tuned" if self.source.tuned else None
        words = [self.study.name, self.source.size, self._other_data, self.source.recipe, protocol]
        words += [explored, search, final]
        return "-".join(word for word in words if word)

    @property
    def modules(self) -> tuple[str, ...]:
        """The names under which the study's file is imported."""
        return module_names(Path(self.source.path))

    @property
    def _other_data(self) -> str | None:
        study_data = load_study(self.source.path, self.source.size).recipe.data
        chosen = self.study.recipe.data["data"] if self.source.tried else self.study.recipe.data
        return None if study_data == chosen else str(chosen.cls.name)


@contextmanager
def _faults_of(chosen: Part[Dataset]) -> Iterator[None]:
    """Turn whatever the code of a data set raises into one line that names the data set.

    Raises:
        ContractError: for any error that is not meant for the user.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # a data set may be a user's code, which may raise anything: the line tells it
        if isinstance(error, OSError) and error.strerror is not None:
            raise  # such an error names its file
        raise ContractError(f"data set {chosen.cls.__name__}: {fault_line(error)}") from error


def source_of_command(command: str, size: str | None, *, final: bool) -> Source:
    """The source of the study that a command planned, which its plan holds."""
    words = shlex.split(command)
    path = next((word for word in words if word.endswith(".py")), "")
    data, protocol, recipe, tuned = (_option(words, name) for name in ("--data", "--protocol", "--recipe", "--tuned"))
    explored = _option(words, "--explored")
    is_here = explored is not None and Path(explored).is_file()
    cells = read_chosen(Path(explored)) if explored and is_here else ChosenCells(explored, ()) if explored else None
    return Source(path, size, data, None, final, protocol, recipe, tuned, explored=cells)


def source_of_plan(plan: Plan, folder: Path) -> Source:
    """The source of the study of a results folder.

    The path of its file is looked for from the present folder on, and from every folder around the results.

    Raises:
        StudyError: if the file is in none of them.
    """
    source = source_of_command(plan.command, plan.size, final=plan.final)
    places = [Path.cwd(), *folder.resolve().parents]
    path = next((place / source.path for place in places if (place / source.path).is_file()), None)
    if path is None:
        raise StudyError(
            f"the study of {folder}, {source.path or 'which its plan does not name'}, is not here; run the command in "
            "the folder in which the study was run"
        )
    tuned = next((place / source.tuned for place in places if source.tuned and (place / source.tuned).is_file()), None)
    explored = source.explored
    if explored is not None:
        file = next((place / explored.path for place in places if (place / explored.path).is_file()), explored.path)
        explored = read_chosen(Path(file))
    return replace(source, path=str(path), tuned=source.tuned if tuned is None else str(tuned), explored=explored)


def _option(words: Sequence[str], name: str) -> str | None:
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def load(source: Source) -> Loaded:
    """The study that ``source`` selects. Its data sets are built when they are asked for.

    Raises:
        StudyError: if the study cannot be loaded, if the tuned settings are not those of its arms, or if the option
            ``--data`` replaces the study's data set although levels of a factor choose the data.
        DataError: if no data set has the name that the option gives.
    """
    study = load_study(source.path, source.size)
    if source.explored is not None:
        study = with_chosen(study, source.explored)
    for cls in dict.fromkeys(cell.recipe.data.cls for cell in study.cells()):
        check_class(cls)
    given, folder = parse_data(source.data, study.recipe.data)
    changes: dict[str, Any] = {} if given == study.recipe.data else {"data": given}
    if source.recipe is not None:
        changes |= recipe_fields(source.recipe)
    if source.protocol is not None:
        changes |= protocol_fields(source.protocol)
    if source.final:
        changes["split"] = "test"
    if changes:
        study = study.having(recipe=study.recipe.having(**changes))
    if source.seeds is not None:
        study = study.having(seeds=source.seeds)
    for cell in study.cells() if "data" in changes else ():
        if cell.recipe.data.cls is not given.cls:
            raise StudyError(
                f"--data {source.data!r} replaces the study's data set by {given.cls.name}, but the cell {cell.name} "
                f"chooses {cell.recipe.data.cls.name}; give a folder alone: --data FOLDER"
            )
    if source.tuned is not None:
        study = at_tuned_settings(study, read_best(Path(source.tuned)), Path(source.tuned))
    if source.tried is not None:
        study = _tried(study, source.tried)
    return Loaded(source, study, folder)


def _tried(study: Study, tried: Tried) -> Study:
    """The study as a search tries it: other settings, tested on a part of the training images that is held out."""
    data = part(HeldOut, data=study.recipe.data, fold=tried.fold, folds=tried.folds)
    changes: dict[str, Any] = {**dict(tried.settings), "data": data, "split": "val"}
    if tried.looks:
        changes["validated_at"] = tried.looks
    return study.having(recipe=study.recipe.having(**changes), stages=("quality",), speed=None, published=())
