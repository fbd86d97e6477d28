"""The JSON document of ``bench plan``."""

from __future__ import annotations

from typing import Literal

from bench.cli.documents.document import Document, JsonObject
from bench.cli.documents.rounds import RoundsState
from bench.cli.documents.trials import TrialFields


class ChangedValue(JsonObject):
    """A setting or version that changed, with its values before and after as texts."""

    name: str
    before: str
    after: str


class Because(JsonObject):
    """The reason why a record does not count for a trial that measures the same.

    Attributes:
        text: all that changed, in one line.
        settings: the settings that changed.
        data: true if the data changed.
        versions: the versions of distributions that changed.
        definitions: the definitions whose code changed, as ``file:name``.
    """

    text: str
    settings: list[ChangedValue]
    data: bool
    versions: list[ChangedValue]
    definitions: list[str]


class TrialState(TrialFields):
    """A planned trial.

    Attributes:
        left: true if a run would run it.
        again: why an earlier record of the same measurement does not count, so that it runs again; null if there is
            none.
        goes_on_after: the iterations after which an interrupted training goes on; null if no state is kept.
        fault: why its network cannot be built; null if it can, or if it was not built.
    """

    left: bool
    again: Because | None
    goes_on_after: int | None
    fault: str | None


class LeftOut(JsonObject):
    """A cell that is not run, and why."""

    variant: str
    reason: str


class KeptTrial(JsonObject):
    """A trial of an earlier run that stays in the report, though it is not planned now."""

    key: str
    stage: str
    variant: str
    seed: int | None


class Unused(JsonObject):
    """A number of records that belong to no planned trial, and why."""

    records: int
    reason: str


class Time(JsonObject):
    """The time that the trials left will take.

    Attributes:
        device_s: the seconds of all trials one after the other; null if not known.
        low_s: the lower end of its 95 % interval; null if the spread is not known.
        high_s: the upper end.
        here_s: the seconds on this machine, with as many trials side by side as it runs.
        basis: records of the same study, or a pilot of some training steps.
        problem: why the time is not known; empty if it is.
    """

    device_s: float | None
    low_s: float | None
    high_s: float | None
    here_s: float | None
    basis: Literal["records", "pilot"] | None
    problem: str


class DiskNeed(JsonObject):
    """The bytes that the files of the trials left will take.

    Attributes:
        records: the records.
        counts: the counts of each image.
        weights: the weights, which ``run --no-weights`` does not keep.
        pictures: the pictures, which ``run --no-pictures`` does not keep.
        states: the states of trainings, at most, while they run.
        decoded: the decoded images that the cache of this machine lacks; null without a cache.
    """

    records: int
    counts: int
    weights: int
    pictures: int
    states: int
    decoded: int | None


class PlanDocument(Document):
    """The trials of a study with their outcomes so far, what is left of them and what that takes.

    Attributes:
        study: the name of the study.
        folder: the results folder.
        cells: the number of cells that are run.
        trials: every planned trial.
        same_cost: variant -> the other variants whose cost its trial measures too, since their network is the same.
        done: the number of trials that are not left.
        left: the number of trials that a run would run.
        excluded: the cells that are not run.
        kept: trials of earlier runs that stay in the report.
        unused: the records that belong to no planned trial, by reason, the most common first.
        aliases: the effects that the design cannot tell from each other, a line each.
        tuning: why variants at tuned settings say little against each other, a line each; empty for equal budgets.
        notes: places where the code that runs is not certain, so that all that may run counts.
        faulty: the variants that cannot be built, computed or trained.
        not_built: the number of cells whose networks were not built, because there are many.
        time: the time that the trials left will take; null if none is.
        disk: the disk that they will take; null if none is left.
        rounds: how far the rounds of ``--until-resolved`` have come; the trials are those up to the round that is due.
            Null for fixed seeds.
    """

    document: Literal["plan"] = "plan"
    version: Literal[1] = 1
    study: str
    folder: str
    cells: int
    trials: list[TrialState]
    same_cost: dict[str, list[str]]
    done: int
    left: int
    excluded: list[LeftOut]
    kept: list[KeptTrial]
    unused: list[Unused]
    aliases: list[str]
    tuning: list[str]
    notes: list[str]
    faulty: list[LeftOut]
    not_built: int
    time: Time | None
    disk: DiskNeed | None
    rounds: RoundsState | None = None
