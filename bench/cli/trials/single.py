"""The work of ``bench trial``: one trial in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.cli.console import console_for_people
from bench.cli.decoding import decode_first
from bench.cli.display import Tally, display_for
from bench.cli.documents.document import Give, keep_silent
from bench.cli.documents.trials import TrialDocument
from bench.cli.trials.lock import at_work, claimed, locked
from bench.cli.trials.planning import command_line
from bench.cli.trials.running import ended_trial
from bench.data.decoded.shelf import Shelf
from bench.records.plan.plan import read_plan
from bench.run.handling import USUAL, Handling
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import record_key
from bench.run.trial import run as run_trial
from bench.study.factors import StudyError
from bench.study.source import load


def trial(
    schedule: Schedule,
    argv: Sequence[str],
    variant: str,
    stage: str,
    *,
    handling: Handling = USUAL,
    shelf: Shelf | None = None,
    give: Give = keep_silent,
) -> bool:
    """Run one trial in this process, and return ``True`` if it is done.

    A results folder without a plan gets one, so that the record can be reported.

    On a machine with several GPUs, a timing has as many threads here as in ``bench run``, so its record is of the same
    hardware class, but it keeps to no CPUs of its own. They would keep it apart from timings on the other GPUs, which
    this command does not start. Nor is it known here which share is free: CUDA numbers the GPUs that this process may
    use from 0 on, whichever of the machine's they are. The check of isolation tells whether other work disturbed it.

    Raises:
        StudyError: if the study does not have the variant or the stage, or if a run is at work on the trial.
    """
    console = console_for_people()
    name = schedule.study.cell(variant).name
    chosen = next((t for t in schedule.trials if t.stage == stage and name in schedule.variants_of(t)), None)
    if chosen is None:
        raise StudyError(
            f"no {stage!r} trial of {name}: it is excluded, or the stage is none of {schedule.study.stages}"
        )
    _write_first_plan(schedule, argv)
    cache = decode_first(schedule, shelf, [chosen], console)
    planned_keys = {row.key for row in read_plan(schedule.folder).trials}
    with (
        at_work(schedule.folder) as presence,
        claimed(schedule.folder, record_key(chosen, schedule.resources.machine(chosen.stage)), presence.run),
        display_for(Tally([chosen], {stage: 1}), console) as display,
    ):
        display.started(chosen)
        record = run_trial(
            chosen,
            schedule.folder,
            schedule.resources.machine(chosen.stage),
            tell=lambda event: display.progress(chosen, event),
            handling=replace(handling, cache=cache),
        )
        display.finished(chosen, record)
    if record.status == "failed" and record.outcome.traceback:  # memory that ran out is told by its reason alone
        console.print(record.outcome.traceback)
    path = schedule.folder / "records" / record.file_name
    console.print(f"{record.status}: {path}", soft_wrap=True)
    if record.planned_key not in planned_keys:
        text = f"The plan in {schedule.folder} does not have this trial: reports leave it out until bench run plans it."
        console.print(text, soft_wrap=True)
    is_planned = record.planned_key in planned_keys
    give(
        TrialDocument(
            folder=str(schedule.folder), trial=ended_trial(chosen, record, schedule.folder), planned=is_planned
        )
    )
    return record.status == "done"


def _write_first_plan(schedule: Schedule, argv: Sequence[str]) -> None:
    """Write the plan of a results folder that has none, with the study's own seeds."""
    if not (schedule.folder / "study.json").exists():
        loaded = load(replace(schedule.loaded.source, seeds=None))
        schedule.folder.mkdir(parents=True, exist_ok=True)
        with locked(schedule.folder):
            write_plan(make_schedule(loaded, schedule.folder.parent, schedule.resources), command_line(argv))
