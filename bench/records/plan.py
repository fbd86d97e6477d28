"""The plan of a study as ``study.json`` holds it, typed; keys that no type names are free and may be missing."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.protocol.columns import RESERVED
from bench.protocol.names import FILE_NAME, can_name_file, is_file_name
from bench.protocol.setting import Stage
from bench.protocol.words import first_few
from bench.records.files import RecordError, read_bytes
from bench.records.forms import (
    Counted,
    Finite,
    Form,
    Names,
    Seed,
    TimingSetting,
    Whole,
    other_version,
    parse,
    problem,
)

VERSION = 2
"""The format of ``study.json``. 1: first (2026-11), still read; 2: the key ``cells`` is called ``trials``."""


class Data(Form):
    """A data set that variants are trained and evaluated on.

    Attributes:
        name: the name of the data set.
        classes: the names of its classes.
        fingerprint: the digest of its files or choices.
        choices: the choices of the data set, where variants of the study have other data.
        images: split -> the number of its images, in the same case.
    """

    name: str
    classes: Names
    fingerprint: str | None = None
    choices: dict[str, Any] = Field(default_factory=dict)
    images: dict[str, Whole] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        return self


class Evaluation(NamedTuple):
    """The classes and images that a quality is measured on. Qualities of other evaluations are never compared.

    Attributes:
        classes: the names of the classes.
        images: the digest of images and labels; empty where all variants have the same.
        unused: the data set that the variant's level chooses, of a plan whose bench ignored that choice.
    """

    classes: tuple[str, ...]
    images: str
    unused: str

    def differs_from(self, other: Evaluation) -> str:
        """The reason why a quality of this evaluation is not compared with one of ``other``; empty if it may be."""
        if self.unused != other.unused:
            return "measured by an earlier bench on the study's data, not on those of its level"
        if self.classes != other.classes:
            return "other classes"
        return "" if self.images == other.images else "other images"


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


class Described(Form):
    """A Part with its choices."""

    class_name: Annotated[str, Field(alias="class")]
    choices: dict[str, Any]


def as_part(value: object) -> Described | None:
    """The Part that a choice is described as, ``None`` for a choice that is a plain value."""
    if not isinstance(value, Mapping) or "class" not in value:
        return None
    return Described(**{"class": str(value["class"]), "choices": value.get("choices", {})})


class Slot(Described):
    """The component in a slot of a network, with its counts: of all its parameters, of the trainable ones, of MACs."""

    parameters: Counted = 0
    trainable: Counted = 0
    macs: Counted = 0


class Facts(Form):
    """A network as built, for the audit.

    Attributes:
        levels: factor -> level.
        slots: slot -> its component; a slot without one is left out.
        losses: the terms of the loss.
        learning_rates: slot -> the base learning rate of its optimiser group.
        recipe: field -> choice, of the variant's own recipe.
        conventions: name -> value of the conventions by which its maps are resized.
    """

    levels: dict[str, str]
    slots: dict[str, Slot]
    losses: list[Described]
    learning_rates: dict[str, Finite | None]
    recipe: dict[str, Any]
    conventions: dict[str, Any]


SETTINGS, DEFAULT, TUNED = "settings", "default", "tuned"
"""The factor that a study at tuned settings has besides its own, and its levels."""


class Best(Form):
    """The best settings of one arm of a study, as a tuning found them.

    Attributes:
        levels: the levels that the arm's variants have in common.
        trials: the number of settings that were tried; 0 for an arm that was not tuned.
        settings: field of the recipe -> its best value; empty for an arm that was not tuned.
        miou: the mean IoU of the best settings on held-out training images; ``None`` for an arm that was not tuned.
        default_miou: that of the study's own settings; ``None`` where they were not tried or failed.
        pruned: the number of settings whose training was ended early, as they were worse than others of the arm.
        iterations: the iterations of all trainings of the search that were done or pruned; ``None`` in files of an
            earlier bench.
    """

    levels: dict[str, str]
    trials: Whole
    settings: dict[str, Any]
    miou: Finite | None = None
    default_miou: Finite | None = None
    pruned: Whole = 0
    iterations: Whole | None = None

    def has(self, levels: Mapping[str, str]) -> bool:
        """True if a variant with these levels belongs to the arm."""
        return all(levels.get(factor) == level for factor, level in self.levels.items())


class Tuned(Form):
    """The best settings of all arms of a study.

    Attributes:
        arms: the arms.
        as_written: true if the file that they were read from is as ``bench tune`` wrote it, by its digest.
    """

    arms: list[Best]
    as_written: bool


class Audit(Form):
    """The networks of a plan as built, and what its factors say that they change.

    Attributes:
        about: factor -> the slots and fields that it is meant to change.
        touched: factor -> the slots and fields that its levels change.
        variants: variant -> its network.
        tuned: what each arm was tuned with; ``None`` for a study at its own settings alone.
    """

    about: dict[str, list[str]] = Field(default_factory=dict)
    touched: dict[str, list[str]] = Field(default_factory=dict)
    variants: dict[str, Facts] = Field(default_factory=dict)
    tuned: Tuned | None = None


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


Power = Annotated[float, Field(gt=0, le=10)]
Chance = Annotated[float, Field(gt=0, lt=1)]


class Rounds(Form):
    """When seeds stop being added; :mod:`bench.evidence.sequential` says what follows from it.

    Attributes:
        seeds: all seeds that may be taken, in this order.
        looks: the numbers of seeds at which every comparison is looked at; the last is the maximum.
        comparisons: the number of comparisons that Holm's correction runs over.
        alpha: the family-wise error of the study.
        spending: the form of the spending functions, level · (n / N) ** exponent of a level after n of N seeds.
        exponent: that of the function by which the error of the first kind is spent.
        futility_exponent: that of the function by which ``miss`` is spent.
        miss: the chance of missing the effect that the rounds are made for.
        effect: that effect: mean over spread of the paired differences.
    """

    seeds: Annotated[list[Seed], Field(min_length=2)]
    looks: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
    comparisons: Annotated[int, Field(ge=1)]
    alpha: Chance
    spending: Literal["power"]
    exponent: Power
    futility_exponent: Power
    miss: Chance
    effect: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        if any(later <= earlier for earlier, later in pairwise(self.looks)) or self.looks[-1] != len(self.seeds):
            raise ValueError("looks is not increasing up to the number of seeds")
        return self


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
        trials: every planned trial, and those left out.
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
        keys = set()
        for index, trial in enumerate(self.trials):
            self._check_levels(f"trials.{index}", trial.levels)
            if trial.stage not in self.stages:
                raise ValueError(f"trials.{index} is of the stage {trial.stage}, which stages lacks")
            if not trial.excluded and trial.key in keys:
                raise ValueError(f"two trials have the key {reprlib.repr(trial.key)}")
            keys.add(trial.key)
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
