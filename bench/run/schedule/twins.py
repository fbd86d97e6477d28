"""Twins: cells whose trials of a stage are one measurement, as they differ in nothing that the stage reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from bench.network.model import Variant
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Stage
from bench.run.stages import IRRELEVANT
from bench.study.cells import Cell
from bench.study.factors import StudyError
from bench.study.study import Study


def same_cost(study: Study) -> dict[str, tuple[str, ...]]:
    """Variant -> the other variants whose cost its trial measures too: the same network, trained by other recipes."""
    return {first.name: tuple(cell.name for cell in others) for first, *others in _alike(study, "cost") if others}


def refuse_twins(study: Study) -> None:
    """Refuse trainings and timings that would be run twice, because two cells differ in nothing that they read.

    Raises:
        StudyError: for the first two such cells.
    """
    stages: tuple[Stage, ...] = ("quality", "speed")
    for stage in stages:
        for first, *others in _alike(study, stage) if stage in study.stages else ():
            if others:
                varied = [name for name, level in first.levels.items() if others[0].levels[name] != level]
                raise StudyError(
                    f"study {study.name!r}: {first.name} and {others[0].name} are one {stage} trial, as what "
                    f"{' and '.join(varied)} changes there is not read by it; leave {stage!r} out of stages=…, or such "
                    "levels out of the study"
                )


def _alike(study: Study, stage: Stage) -> Iterable[list[Cell]]:
    """The cells of a study in groups, each one measurement of a stage."""
    relevant = [name for name in Recipe.__dataclass_fields__ if name not in IRRELEVANT[stage]]
    numbers: dict[Hashable, int] = {}
    number_of: dict[int, int] = {}  # cells share objects, so each is compared with the others but once

    def number(made: Variant | Recipe) -> int:
        if id(made) not in number_of:
            read: Hashable = made
            if isinstance(made, Recipe):
                values = (getattr(made, name) for name in relevant)
                read = tuple((value, repr(value)) for value in values)  # 1 and 1.0 are equal, and other code
            number_of[id(made)] = numbers.setdefault(read, len(numbers))
        return number_of[id(made)]

    groups: dict[Hashable, list[Cell]] = {}
    if stage == "speed":
        for cell, other, setting in study.pairs():
            timed = number(cell.variant), number(other.variant), number(cell.recipe), setting
            groups.setdefault(timed, []).append(cell)
    else:
        for cell in study.cells():
            groups.setdefault((number(cell.variant), number(cell.recipe)), []).append(cell)
    return groups.values()
