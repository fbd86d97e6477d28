"""The JSON documents of the commands that run trials: run, evaluate and speed (``run``), ``trial`` and ``tune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

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


class TunedArm(JsonObject):
    """The outcome of a search for an arm's best settings.

    Attributes:
        levels: factor -> the level that the variants of the arm have in common.
        tried: the number of settings that were tried; 0 for an arm that was not tuned.
        settings: field of the recipe -> its best value.
        miou: the mean IoU of the best settings on held-out training images; null for an arm that was not tuned.
        default_miou: that of the default settings, likewise.
        pruned: the number of settings whose training was ended early (``--prune``).
        iterations: the iterations of all trainings of the search that were done or pruned; null for an arm that was
            not tuned, or if an earlier bench did not note them.
    """

    levels: dict[str, str]
    tried: int
    settings: dict[str, JsonValue]
    miou: float | None
    default_miou: float | None
    pruned: int = 0
    iterations: int | None = None


class TuneDocument(Document):
    """The arms of a study with their best settings, and the run of the study at them.

    Attributes:
        folder: the folder of the search.
        path: the file with the best settings; null if the search was stopped.
        arms: the arms; empty if the search was stopped.
        stopped_by: the signal that stopped the search or the run; null if both ended by themselves.
        run: the document of the run; null if it was not reached.
    """

    document: Literal["tune"] = "tune"
    version: Literal[1] = 1
    folder: str
    path: str | None
    arms: list[TunedArm]
    stopped_by: str | None
    run: RunDocument | None


class FoundCell(JsonObject):
    """A cell that an exploration tried.

    Attributes:
        variant: the name of the variant.
        levels: factor -> level.
        values: objective -> its value, unrounded in the stored unit; null if one of its trials failed.
        on_front: true if no other cell is as good by every objective and better by one.
    """

    variant: str
    levels: dict[str, str]
    values: dict[str, float] | None
    on_front: bool


class ExploreDocument(Document):
    """The cells that an exploration tried, and the run of the study with them.

    Attributes:
        folder: the results folder.
        cells: the cells in the order in which they were tried; empty if the search was stopped.
        explored: the file that lists them; null if the search was stopped.
        front: the file that lists those on the Pareto front; null if the search was stopped.
        stopped_by: the signal that stopped the search or the run; null if both ended by themselves.
        run: the document of the run, which writes the report; null if it was not reached.
    """

    document: Literal["explore"] = "explore"
    version: Literal[1] = 1
    folder: str
    cells: list[FoundCell]
    explored: str | None
    front: str | None
    stopped_by: str | None
    run: RunDocument | None = None
