"""What ``study.json`` holds for a report to read; what no type names is free and may be missing."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.protocol.columns import RESERVED
from bench.records.files import RecordError, read_json
from bench.records.forms import Amount, Finite, Form, Names, Seed, Stage, check_setting, problem
from bench.records.record import VERSION


class Data(Form):
    name: str
    classes: Names
    fingerprint: str | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        return self


class Cell(Form):
    """A planned trial."""

    key: Annotated[str, Field(min_length=1)]
    variant: str
    levels: dict[str, str]
    stage: Stage
    seed: Seed | None
    excluded: str | None = None
    against: str | None = None
    setting: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.excluded and self.stage == "quality" and self.seed is None:
            raise ValueError("a quality trial has a seed")
        if not self.excluded and self.stage == "speed":
            check_setting(self.setting)
            if self.against is None:
                raise ValueError("a speed trial has another side: against")
        return self


class Described(Form):
    """A Part with its choices."""

    class_name: Annotated[str, Field(alias="class")]
    choices: dict[str, Any]


class Slot(Described):
    parameters: Amount = 0
    trainable: Amount = 0
    macs: Amount = 0


class Facts(Form):
    """A network as built, for the audit."""

    levels: dict[str, str]
    slots: dict[str, Slot]
    losses: list[Described]
    learning_rates: dict[str, Finite | None]
    recipe: dict[str, Any]
    conventions: dict[str, Any]


class Audit(Form):
    about: dict[str, list[str]] = Field(default_factory=dict)
    touched: dict[str, list[str]] = Field(default_factory=dict)
    variants: dict[str, Facts] = Field(default_factory=dict)


class PublishedRows(Form):
    system: str
    against: dict[str, str]
    levels: dict[str, dict[str, str]]
    settings: dict[str, str] = Field(default_factory=dict)


class PlanForm(Form):
    """``study.json``."""

    version: Literal[1]
    name: str
    question: str
    factors: dict[str, list[str]]
    baseline: str
    baseline_levels: dict[str, str]
    seeds: list[Seed]
    stages: Annotated[list[Stage], Field(min_length=1)]
    recipe: dict[str, Any]
    data: Data
    created: dict[str, Any]
    command: str
    cells: list[Cell]
    folder: str | None = None
    design: str | None = None
    size: str | None = None
    final: bool = False
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    focus: str | None = None
    against: dict[str, dict[str, str]] = Field(default_factory=dict)
    published: list[PublishedRows] = Field(default_factory=list)
    audit: Audit = Audit()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if taken := sorted({*self.factors} & RESERVED):
            raise ValueError(f"a factor is called as a column is: {', '.join(taken)}")
        if self.focus is not None and self.focus not in self.factors:
            raise ValueError(f"focus is {reprlib.repr(self.focus)}, which factors lacks")
        for factor, pairs in self.against.items():
            if not {*pairs, *pairs.values()} <= {*self.factors.get(factor, ())}:
                raise ValueError(f"against has a level of {reprlib.repr(factor)} that factors lacks")
            if self.baseline_levels.get(factor) in {*pairs, *pairs.values()}:
                raise ValueError(f"against has the baseline's level of {reprlib.repr(factor)}")
            if any(pairs.get(other) == level for level, other in pairs.items()):
                raise ValueError(f"against has two levels of {reprlib.repr(factor)} both ways round")
        self._check_levels("baseline_levels", self.baseline_levels)
        keys = set()
        for index, cell in enumerate(self.cells):
            self._check_levels(f"cells.{index}", cell.levels)
            if cell.stage not in self.stages:
                raise ValueError(f"cells.{index} is of the stage {cell.stage}, which stages lacks")
            if not cell.excluded and cell.key in keys:
                raise ValueError(f"two cells have the key {reprlib.repr(cell.key)}")
            keys.add(cell.key)
        return self

    def _check_levels(self, where: str, levels: Mapping[str, str]) -> None:
        for factor in {**self.factors, **levels}:
            if levels.get(factor) not in self.factors.get(factor, ()):
                raise ValueError(f"{where} has a level of {reprlib.repr(factor)} that factors lacks")


MOST_NAMED = 5
"""Folders that an error names."""


def read_plan(folder: Path) -> dict[str, Any]:
    """The content of a results folder's ``study.json``.

    Raises:
        RecordError: for a folder without one, or one that cannot be read.
    """
    if not folder.is_dir():
        raise RecordError(
            f"{folder} has no study.json: it is no folder; name one of results, or make it with: bench plan STUDY"
        )
    path = folder / "study.json"
    remedy = "write it anew with: bench plan STUDY"
    try:
        plan = read_json(path)
    except FileNotFoundError:
        inside = sorted(each.parent.name for each in folder.glob("*/study.json"))
        more = f" and {len(inside) - MOST_NAMED} more" if len(inside) > MOST_NAMED else ""
        remedy = f"folders in it have one: {', '.join(inside[:MOST_NAMED])}{more}"
        remedy = remedy if inside else "make one with: bench plan STUDY"
        raise RecordError(f"{folder} has no study.json; {remedy}") from None
    except ValueError as error:
        raise RecordError(f"{path} is damaged ({error}); {remedy}") from error
    version = plan.get("version") if isinstance(plan, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise RecordError(f"{path} has format {version}, this bench reads {VERSION}; use the bench that wrote it")
    if wrong := problem(PlanForm, plan):
        raise RecordError(f"{path} is no plan of format {VERSION} ({wrong}); {remedy}")
    return dict(plan)


def labels_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """:func:`labels` of a ``study.json``."""
    base: Mapping[str, Any] = plan["baseline_levels"]
    found = {
        variant: " + ".join(f"{factor}={each}" for factor, each in levels.items() if each != str(base.get(factor)))
        for variant, levels in _levels_of(plan).items()
    }
    found[str(plan["baseline"])] = "baseline"
    count = Counter(found.values())
    return {variant: short if short and count[short] == 1 else variant for variant, short in found.items()}


def _levels_of(plan: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for cell in plan["cells"]:
        if cell["variant"] not in found:
            found[cell["variant"]] = {factor: str(each) for factor, each in cell["levels"].items()}
    return found
