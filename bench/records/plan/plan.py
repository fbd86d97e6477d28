"""The plan of a study as ``study.json`` holds it; keys that no type names are free and may be missing."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.protocol.columns import RESERVED
from bench.protocol.names import FILE_NAME, can_name_file, is_file_name
from bench.protocol.setting import Stage
from bench.protocol.words import first_few
from bench.records.files import RecordError, read_bytes
from bench.records.forms import (
    Form,
    Seed,
    TimingSetting,
    Whole,
    other_version,
    parse,
    problem,
)
from bench.records.plan.audit import Audit
from bench.records.plan.data import Data, Evaluation
from bench.records.plan.rounds import Rounds

VERSION = 2
"""The format of ``study.json``. 1: first (2026-11), still read; 2: the key ``cells`` is called ``trials``."""


class Created(Form):
    """When a plan was written, and by which source."""

    at: str | None = None
    commit: str | None = None
    dirty: bool | None = None


class PlannedTrial(Form):
    """A trial that a study plans, or one that it leaves out and why (``excluded``).

    Attributes:
        kept: true for a trial that only an earlier run planned, and that stays because it has a record.
        processes: the number of processes that train the network of a quality trial together.
    """

    key: Annotated[str, Field(min_length=1)]
    variant: str
    levels: dict[str, str]
    stage: Stage
    seed: Seed | None
    excluded: str | None = None
    against: str | None = None
    setting: TimingSetting | None = None
    kept: bool = False
    processes: Annotated[Whole, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.excluded and self.stage == "quality" and self.seed is None:
            raise ValueError("a quality trial has a seed")
        if not self.excluded and self.stage == "speed":
            if self.setting is None:
                raise ValueError("a speed trial has a setting")
            if self.against is None:
                raise ValueError("a speed trial has another side: against")
        return self

    def shares_cost_with(self, other: PlannedTrial) -> bool:
        """True if one measurement can be that of both: the cost of variants with the same network."""
        return self.stage == other.stage == "cost" and self.variant != other.variant


class PublishedRows(Form):
    """The published rows that are counterparts of a study's variants.

    Attributes:
        system: the system as the published tables call it.
        against: factor -> the level on the other side of published differences.
        levels: ``factor=level`` -> the settings that published rows of this level have.
        settings: the settings that all of these rows have.
    """

    system: str
    against: dict[str, str]
    levels: dict[str, dict[str, str]]
    settings: dict[str, str] = Field(default_factory=dict)


class Plan(Form):
    """All that a report needs to know of a study, without importing it.

    Attributes:
        name: the name of the study.
        question: what the study asks.
        factors: factor -> its levels, in the study's order.
        baseline: the variant that the others are compared with.
        baseline_levels: factor -> the baseline's level.
        seeds: the seeds of the quality trials.
        recipe: field -> choice, as :meth:`bench.protocol.recipe.Recipe.describe` writes them.
        data: the baseline's data set.
        other_data: variant -> its data set, for the variants that have another than the baseline.
        evaluated: variant -> the digest of the images and labels that it is evaluated on, where they may differ.
        command: the command that wrote the plan.
        trials: every planned trial, and those left out. The cost of variants with the same network has one key.
        folder: the name of the results folder.
        size: the study's size that was chosen, where it has several.
        final: whether the test split is evaluated.
        margin: the difference in mIoU below which two variants count as equivalent.
        focus: the factor whose effects are of interest.
        against: factor -> level -> another level that it is compared with.
        published: published rows, and the variants that are their counterparts.
        audit: the networks as built.
        identity: what went into the keys of the trials, packed by :mod:`bench.run.identity.explained`.
        modules: path, from the study's folder on, of every file of the study's own code -> SHA-256 of its content.
        rounds: the rounds in which seeds are added until comparisons are resolved; ``None`` for fixed seeds.
    """

    version: Literal[2]
    name: str
    question: str
    factors: dict[str, list[str]]
    baseline: str
    baseline_levels: dict[str, str]
    seeds: list[Seed]
    stages: Annotated[list[Stage], Field(min_length=1)]
    recipe: dict[str, Any]
    data: Data
    created: Created
    command: str
    trials: Annotated[list[PlannedTrial], Field(min_length=1)]
    other_data: dict[str, Data] = Field(default_factory=dict)
    evaluated: dict[str, str] = Field(default_factory=dict)
    folder: str | None = None
    design: str | None = None
    size: str | None = None
    final: bool = False
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    focus: str | None = None
    against: dict[str, dict[str, str]] = Field(default_factory=dict)
    published: list[PublishedRows] = Field(default_factory=list)
    audit: Audit = Audit()
    identity: dict[str, Any] = Field(default_factory=dict)
    modules: dict[str, str] = Field(default_factory=dict)
    rounds: Rounds | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("version") != 1:
            return data
        return {"trials" if name == "cells" else name: value for name, value in data.items()} | {"version": 2}

    @field_validator("name")
    @classmethod
    def _is_that_of_a_study(cls, name: str) -> str:
        if not is_file_name(name):
            raise ValueError(f"is {reprlib.repr(name)}, expected {FILE_NAME}")
        return name

    @field_validator("folder")
    @classmethod
    def _is_no_path(cls, folder: str | None) -> str | None:
        if folder is not None and not can_name_file(folder):
            raise ValueError(f"is {reprlib.repr(folder)}, expected the name of a folder")
        return folder

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
        seen: dict[str, dict[str, PlannedTrial]] = {}
        for index, trial in enumerate(self.trials):
            self._check_levels(f"trials.{index}", trial.levels)
            if trial.stage not in self.stages:
                raise ValueError(f"trials.{index} is of the stage {trial.stage}, which stages lacks")
            others = seen.setdefault(trial.key, {})
            if not trial.excluded and not all(trial.shares_cost_with(other) for other in others.values()):
                raise ValueError(f"two trials have the key {reprlib.repr(trial.key)}")
            others[trial.variant] = trial
        self._check_variants()
        return self

    def _check_variants(self) -> None:
        """Raise ValueError for a variant with two sets of levels or without a trial, and for an unknown baseline.

        Of trials that are kept from earlier runs, only those with a record are there: none is missing.
        """
        levels = self.levels
        for index, trial in enumerate(self.trials):
            if trial.levels != levels[trial.variant]:
                raise ValueError(
                    f"trials.{index} has other levels than its variant {reprlib.repr(trial.variant)} before"
                )
        if self.baseline in levels and levels[self.baseline] != self.baseline_levels:
            raise ValueError("baseline_levels are not those of baseline")
        kept = [trial for trial in self.trials if trial.kept]
        others = [trial for trial in self.trials if not trial.kept and not trial.excluded]
        planned = {(trial.variant, trial.stage, trial.seed) for trial in others}
        kept_seeds = {trial.seed for trial in kept} - {trial.seed for trial in others}
        kept_stages = {trial.stage for trial in kept} - {trial.stage for trial in others}
        seeds: dict[Stage, list[Seed | None]] = {
            "quality": [seed for seed in self._seeds_of_all() if seed not in kept_seeds],
            "cost": [None],
        }
        for stage in seeds.keys() & {*self.stages} - kept_stages:
            if planned and self.baseline not in levels:
                raise ValueError(f"baseline is {reprlib.repr(self.baseline)}, of which trials has none")
            for variant in dict.fromkeys(variant for variant, _, _ in planned):
                for seed in seeds[stage]:
                    if (variant, stage, seed) not in planned:
                        of_seed = "" if seed is None else f" with seed {seed}"
                        raise ValueError(f"trials lacks the {stage} trial of {reprlib.repr(variant)}{of_seed}")

    def _seeds_of_all(self) -> list[Seed]:
        """The seeds that every variant has: all, or those of the first round."""
        return self.seeds if self.rounds is None else self.rounds.seeds[: self.rounds.looks[0]]

    def _check_levels(self, where: str, levels: Mapping[str, str]) -> None:
        for factor in {**self.factors, **levels}:
            if levels.get(factor) not in self.factors.get(factor, ()):
                raise ValueError(f"{where} has a level of {reprlib.repr(factor)} that factors lacks")

    def data_of(self, variant: str) -> Data:
        """The data set of a variant."""
        return self.other_data.get(variant, self.data)

    @property
    def classes(self) -> list[str]:
        """The classes of all data sets, each once, the baseline's first."""
        all_data = (self.data, *self.other_data.values())
        return list(dict.fromkeys(name for data in all_data for name in data.classes))

    def evaluation_of(self, variant: str) -> Evaluation:
        """The classes and images that the quality of a variant is measured on."""
        facts = self.audit.variants.get(variant)
        chosen = facts.recipe.get("data") if facts else None
        known = self.other_data or self.evaluated or chosen in (None, self.recipe.get("data"))
        return Evaluation(
            tuple(self.data_of(variant).classes),
            self.evaluated.get(variant, ""),
            "" if known else repr(chosen),
        )

    @property
    def levels(self) -> dict[str, dict[str, str]]:
        """Variant -> its level of every factor."""
        levels: dict[str, dict[str, str]] = {}
        for trial in self.trials:
            levels.setdefault(trial.variant, trial.levels)
        return levels


MOST_NAMED = 5
"""The most folders that an error names."""


def read_plan(folder: Path) -> Plan:
    """The plan in a results folder, its ``study.json``.

    Raises:
        RecordError: for a folder without one, or one that cannot be read.
    """
    if not folder.is_dir():
        raise RecordError(
            f"{folder} has no study.json: it is no folder; name one of results, or make it with: bench run STUDY"
        )
    path = folder / "study.json"
    remedy = "write it anew with: bench run STUDY"
    try:
        return parse(Plan, read_bytes(path))
    except FileNotFoundError:
        raise RecordError(f"{folder} has no study.json; {_folders_with_one(folder)}") from None
    except ValidationError as error:
        if version := other_version(error):
            raise RecordError(
                f"{path} has format {version}, this bench reads up to {VERSION}; use the bench that wrote it"
            ) from error
        raise RecordError(f"{path} is no plan of format {VERSION} ({problem(error)}); {remedy}") from error
    except ValueError as error:
        raise RecordError(f"{path} is damaged ({error}); {remedy}") from error


def _folders_with_one(folder: Path) -> str:
    inside = sorted(path.parent.name for path in folder.glob("*/study.json"))
    if not inside:
        return "make one with: bench run STUDY"
    return f"folders in it have one: {first_few(inside, MOST_NAMED)}"


def labels_of(plan: Plan) -> dict[str, str]:
    """Variant -> its short name: the levels that differ from the baseline's, as in ``attention=on + gate=on``.

    The short name is the variant's own name where the levels would give no text, or the same text for two variants.
    """
    short_names = {
        variant: " + ".join(f"{factor}={at}" for factor, at in levels.items() if at != plan.baseline_levels.get(factor))
        for variant, levels in plan.levels.items()
    }
    short_names[plan.baseline] = "baseline"
    count = Counter(short_names.values())
    return {variant: short if short and count[short] == 1 else variant for variant, short in short_names.items()}
