"""The exploration of a study whose combinations of levels are too many to run: which of them are worth their cost.

Every cell that the search proposes is run in the ordinary trials of the study, so that an interrupted exploration goes
on from its records, and a later run finds them. Combinations are looked up one by one and never listed.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage

from bench.network.model import Variant
from bench.protocol.columns import column
from bench.protocol.recipe import Recipe
from bench.records.cost import MeasuredCost, cost_columns, latency_columns
from bench.records.quality import MeasuredQuality, quality_columns
from bench.records.record import Record
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.schedule import Schedule
from bench.run.search.rounds import Direction, Point, SearchInRounds, check_round
from bench.run.stages import IRRELEVANT, key_of
from bench.run.trial import Trial
from bench.study.cells import Cell, cell_name
from bench.study.explored import ChosenCells, write_chosen
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Loaded, Source, load
from bench.study.study import Study

EXPLORED, FRONT = "explored.json", "front.json"
"""The files in the folder of an exploration: all cells that were tried, and those on the Pareto front."""
MOST_COUNTED = 100_000
"""Up to this many combinations are all looked at, once proposals repeat; of more, as many are drawn at random."""


@dataclass(frozen=True)
class TriedCell:
    """A cell that was tried.

    Attributes:
        name: the name of the variant.
        levels: factor -> level.
        values: objective -> its value in the stored unit; ``None`` if one of its trials failed.
        on_front: true if no other cell is as good by every objective and better by one.
    """

    name: str
    levels: Mapping[str, str]
    values: Mapping[str, float] | None
    on_front: bool


@dataclass(frozen=True)
class Exploration:
    """The form of a study that is explored, and how.

    Attributes:
        source: the study with the cells of a file, none of which is chosen yet.
        objectives: the names of the columns that are to be good.
        budget: the number of cells to try.
        seed: the seed of the proposals.
        folder: the results folder.
        resources: the CPUs and GPUs that trials take.
    """

    source: Source
    objectives: Sequence[str]
    budget: int
    seed: int
    folder: Path
    resources: Resources

    def schedule(self, names: Sequence[str]) -> Schedule:
        """The trials of some cells."""
        source = replace(self.source, explored=ChosenCells(str(self.folder / EXPLORED), tuple(names)))
        return make_schedule(load(source), self.folder.parent, self.resources)


def check_objectives(names: Sequence[str], study: Study) -> None:
    """Refuse objectives that cannot be searched for.

    Raises:
        ColumnError: for a column that is not measured.
        StudyError: for one that is neither good nor bad, is measured by none of the study's stages, or is there twice,
            and for a study in which a factor changes what is measured.
    """
    if not names or len(set(names)) != len(names):
        raise StudyError(f"--objectives {','.join(names)}: expected columns, each once, such as miou,latency_s")
    for name in names:
        objective = column(name)
        if objective.better is None:
            raise StudyError(f"--objectives: no value of {name} is better than another")
        if objective.stage not in study.stages:
            raise StudyError(f"--objectives: {name} is measured by the stage {objective.stage}, which the study lacks")
    for cell in _one_at_a_time(study):
        if (cell.recipe.data, cell.recipe.split) != (study.recipe.data, study.recipe.split):
            raise StudyError(f"{cell.name} has other data than the baseline, so its scores cannot be set beside others")


def explore(
    exploration: Exploration,
    storage: BaseStorage,
    run: Callable[[Schedule, Sequence[Trial]], None],
    told: Callable[[str], None],
) -> list[TriedCell]:
    """SearchInRounds the cells that are best by several objectives at once.

    Args:
        exploration: what is searched.
        storage: Optuna's storage.
        run: a function that runs trials of a schedule and leaves their records in its folder.
        told: a function that is called with a line about each round.

    Returns:
        All cells that were tried, in the order in which they were proposed.

    Raises:
        StudyError: if a trial was interrupted, or if the study cannot be explored.
    """
    loaded = load(exploration.source)
    check_objectives(exploration.objectives, loaded.study)
    objectives = [column(name) for name in exploration.objectives]
    directions: list[Direction] = ["maximize" if each.better == "higher" else "minimize" for each in objectives]
    points, name = _Combinations(loaded.study), _name_of_search(exploration, loaded)
    search = SearchInRounds(name, points, exploration.budget, exploration.seed, storage, directions)
    while asked := search.ask():
        write_chosen([cell_name(point) for point in search.proposed], exploration.folder / EXPLORED)
        names = [cell_name(point) for point in asked]
        schedule = exploration.schedule(names)
        if todo := [trial for trial in schedule.pending() if trial.variant in names]:
            run(schedule, todo)
        recorded = schedule.recorded()
        ended = check_round(
            {name: [recorded.get(trial.key) for trial in schedule.trials if trial.variant == name] for name in names}
        )
        for point in asked:
            search.tell(point, _scores(ended[cell_name(point)], exploration.objectives))
        explored = _explored(search, exploration.objectives, directions)
        on_front = sum(cell.on_front for cell in explored)
        told(f"{len(explored)} of {search.budget} cells tried, {on_front} on the front")
    return _explored(search, exploration.objectives, directions)


@dataclass(frozen=True)
class _Combinations:
    """All combinations of a study's levels that are not excluded, the baseline first; none makes a network twice."""

    study: Study
    _made: dict[str, tuple[Variant, Recipe] | None] = field(default_factory=dict)

    @property
    def space(self) -> Mapping[str, BaseDistribution]:
        return {factor.name: CategoricalDistribution(tuple(factor.levels)) for factor in self.study.factors}

    @property
    def count(self) -> int | None:
        return math.prod(len(factor.levels) for factor in self.study.factors)

    @property
    def first(self) -> Sequence[Point]:
        return [{factor.name: self.study.baseline[factor.name] for factor in self.study.factors}]

    def mended(self, point: Point) -> Point:
        return self.study.where_factors_exist(point)

    def allow(self, point: Point, known: Sequence[Point]) -> bool:
        made = self._network(point)
        return made is not None and all(made != self._network(other) for other in known)

    def others(self, seed: int) -> Iterator[Point]:
        levels = [list(factor.levels) for factor in self.study.factors]
        names, numbers = [factor.name for factor in self.study.factors], random.Random(seed)
        if math.prod(map(len, levels)) <= MOST_COUNTED:
            combinations = list(itertools.product(*levels))
            numbers.shuffle(combinations)
            yield from (dict(zip(names, combination, strict=True)) for combination in combinations)
            return
        for _ in range(MOST_COUNTED):
            yield self.mended({name: numbers.choice(of_factor) for name, of_factor in zip(names, levels, strict=True)})

    def _network(self, point: Point) -> tuple[Variant, Recipe] | None:
        """The network and recipe of a combination; ``None`` for one that is excluded or makes no network."""
        name = cell_name(point)
        if name not in self._made:
            cell = _cell_at(self.study, point)
            self._made[name] = None if cell is None else (cell.variant, cell.recipe)
        return self._made[name]


def _cell_at(study: Study, levels: Mapping[str, str]) -> Cell | None:
    """The cell of a combination of levels; ``None`` for one that is excluded or makes no network."""
    try:
        cell = study.at(levels)
    except StudyError:
        return None
    return cell if isinstance(cell, Cell) else None


def _one_at_a_time(study: Study) -> Iterator[Cell]:
    """The baseline, and the cells that differ from it in one factor."""
    for factor in study.factors:
        for level in factor.levels:
            if (cell := _cell_at(study, {factor.name: level})) is not None:
                yield cell


def _name_of_search(exploration: Exploration, loaded: Loaded) -> str:
    """The name of a study in Optuna's storage, which changes with all that changes a score or a proposal.

    Raises:
        StudyError: if two levels of a factor have the same cost trial, which no plan can hold.
    """
    study, cells = loaded.study, list(_one_at_a_time(loaded.study))
    costs: dict[tuple[Variant, tuple[Any, ...]], str] = {}
    relevant = [name for name in Recipe.__dataclass_fields__ if name not in IRRELEVANT["cost"]]
    for cell in cells if "cost" in study.stages else ():
        measured = cell.variant, tuple(getattr(cell.recipe, name) for name in relevant)
        if costs.setdefault(measured, cell.name) != cell.name:
            raise StudyError(
                f"{costs[measured]} and {cell.name} differ in nothing that the stage cost measures, so they are one "
                "trial of it; leave such a factor out, or let bench tune search fields of the recipe"
            )
    described = {cell.name: {"variant": cell.variant.describe(), "recipe": cell.recipe.describe()} for cell in cells}
    # A key takes a tenth of a second, so the code of cells that are made of the same classes is read once.
    of_classes = {tuple(_classes_in(described[cell.name])): cell for cell in reversed(cells)}
    keys = [
        key_of(
            cell,
            stage,
            study.seeds[0] if stage == "quality" else None,
            loaded.dataset_of(cell).fingerprint(exploration.folder / FILE_DIGESTS),
            modules=loaded.modules,
            processes=exploration.resources.processes_of(stage),
        ).text
        for cell in of_classes.values()
        for stage in study.stages
    ]
    levels = {factor.name: (list(factor.levels), dict(factor.within)) for factor in study.factors}
    rules = [repr(rule) for rule in (*study.exclude, *study.require)]
    searched = (
        keys,
        described,
        study.seeds,
        list(exploration.objectives),
        exploration.seed,
        levels,
        study.baseline,
        rules,
    )
    return f"{exploration.folder.name} {hashlib.sha256(repr(searched).encode()).hexdigest()[:12]}"


def _classes_in(described: object) -> Iterator[str]:
    """The names of all classes in the description of a network and its recipe, in its order."""
    if isinstance(described, Mapping):
        if isinstance(described.get("class"), str):
            yield described["class"]
        yield from (name for value in described.values() for name in _classes_in(value))
    elif isinstance(described, list | tuple):
        yield from (name for value in described for name in _classes_in(value))


def _scores(records: Sequence[Record], objectives: Sequence[str]) -> list[float] | None:
    """The value of each objective, over seeds its mean; ``None`` if a trial did not end as done or measured none.

    A timing counts here even if it was not alone; a report leaves it out.
    """
    values: dict[str, list[float]] = {}
    for record in records:
        if record.status != "done":
            return None
        measured = record.measured
        derived: Mapping[str, float] = {}
        if isinstance(measured, MeasuredQuality):
            derived = quality_columns([measured])[0]
        elif isinstance(measured, MeasuredCost):
            derived = {**latency_columns(measured), **cost_columns(measured)}
        for name in objectives:
            if name in derived:
                values.setdefault(name, []).append(derived[name])
    scores = [fmean(values.get(name, [math.nan])) for name in objectives]
    return None if any(map(math.isnan, scores)) else scores


def _explored(search: SearchInRounds, objectives: Sequence[str], directions: Sequence[Direction]) -> list[TriedCell]:
    """All cells that were tried, with their places on the front."""
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    gains = {
        cell_name(each.point): [sign * score for sign, score in zip(signs, each.scores, strict=True)]
        for each in search.tried
        if each.scores is not None
    }
    return [
        TriedCell(
            cell_name(each.point),
            dict(each.point),
            None if each.scores is None else dict(zip(objectives, each.scores, strict=True)),
            cell_name(each.point) in gains and not _is_beaten(gains[cell_name(each.point)], gains.values()),
        )
        for each in search.tried
    ]


def _is_beaten(gains: Sequence[float], others: Iterable[Sequence[float]]) -> bool:
    """True if another cell gains as much by every objective and more by one."""
    return any(
        list(other) != list(gains) and all(mine <= theirs for mine, theirs in zip(gains, other, strict=True))
        for other in others
    )
