"""The JSON documents of the commands that run trials: run, evaluate and speed (``run``), and ``trial``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bench.cli.documents.document import Document, JsonObject, Rows
from bench.cli.documents.rounds import RoundsState

if TYPE_CHECKING:
    from bench.run.trial import Trial


class TrialFields(JsonObject):
    """A trial, as every document names it.

    Attributes:
        key: the key of the trial.
        stage: quality, cost or speed.
        variant: the name of the variant.
        seed: the seed; null for a stage that runs once a variant.
        against: the variant that a speed trial compares with.
        setting: the name of the setting of a speed trial.
        outcome: how it ended, or missing.
    """

    key: str
    stage: str
    variant: str
    seed: int | None
    against: str | None
    setting: str | None
    outcome: str


def trial_fields(trial: Trial, outcome: str) -> dict[str, Any]:
    """The fields of :class:`TrialFields` of a trial with its outcome."""
    setting = None if trial.setting is None else trial.setting.name
    names = {name: getattr(trial, name) for name in ("key", "stage", "variant", "seed", "against")}
    return {**names, "setting": setting, "outcome": outcome}


class EndedTrial(TrialFields):
    """A trial as it is after a command.

    Attributes:
        reason: why it did not end as done; null if it did, or if there is none.
        wall_s: the seconds that it took; null if not known.
        record: the file of its record; null without one.
    """

    reason: str | None
    wall_s: float | None
    record: str | None


class RunDocument(Document):
    """The trials of a run, all that it considered, with their outcomes.

    Attributes:
        folder: the results folder.
        complete: true if every one of them is done.
        stopped_by: the signal that stopped the run; null if it ended by itself.
        ran: the number of trials that this run executed.
        trials: the trials.
        report: the page of the report; null if another run is to write it.
        tables: the tables of ``bench speed`` by name, unrounded in stored units; empty for other commands.
        rounds: how far the rounds of ``bench run --until-resolved`` have come; null for fixed seeds.
    """

    document: Literal["run"] = "run"
    version: Literal[1] = 1
    folder: str
    complete: bool
    stopped_by: str | None
    ran: int
    trials: list[EndedTrial]
    report: str | None
    tables: dict[str, Rows]
    rounds: RoundsState | None = None


class TrialDocument(Document):
    """One trial that was run in the process of the command.

    Attributes:
        folder: the results folder.
        trial: the trial.
        planned: true if the plan in the folder has it, so that reports show it.
    """

    document: Literal["trial"] = "trial"
    version: Literal[1] = 1
    folder: str
    trial: EndedTrial
    planned: bool
