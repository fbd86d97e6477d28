"""The work of ``bench run``: the trials of a study that are not done, and the report."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.cli.console import PlainConsole, console_for_people, say
from bench.cli.decoding import decode_first
from bench.cli.display import Tally, Together, display_for, name_of
from bench.cli.documents.document import Give, Rows, keep_silent
from bench.cli.documents.trials import EndedTrial, RunDocument, trial_fields
from bench.cli.trials.lock import at_work, locked
from bench.cli.trials.notices import print_faulty
from bench.cli.trials.planning import command_line
from bench.data.decoded.shelf import Shelf
from bench.parts import nearest
from bench.protocol.setting import STAGES
from bench.records.record import Record
from bench.run.handling import USUAL, Handling
from bench.run.processes.joining import prepare
from bench.run.processes.scratch import sweep
from bench.run.processes.stopping import Stopped
from bench.run.schedule.plan import is_planned, write_plan
from bench.run.schedule.schedule import RETRIES, Schedule
from bench.run.sharing.mirror import Mirror
from bench.run.sharing.others import seen
from bench.run.sharing.shares import Share
from bench.run.store import remove_unfinished, storing
from bench.run.tracking.tracker import RunFacts, Tracker
from bench.run.tracking.tracking import Tracking
from bench.run.tracking.values import parameters_of
from bench.run.trial import Trial, record_fault
from bench.study.factors import StudyError


def run(
    schedule: Schedule,
    argv: Sequence[str],
    *,
    handling: Handling = USUAL,
    retry: Collection[str] = (),
    accumulate: bool = False,
    trials: Sequence[Trial] | None = None,
    shelf: Shelf | None = None,
    trackers: Sequence[Tracker] = (),
    mirror: Mirror | None = None,
    share: Share | None = None,
    give: Give = keep_silent,
    tables: Callable[[], dict[str, Rows]] = dict,
) -> bool:
    """Run the trials that are not done, and write the report.

    Other runs may be at work in the same folder: no trial is done twice, and the last run to end writes the report.

    Args:
        schedule: the trials of the study.
        argv: the command's arguments, which ``study.json`` keeps.
        handling: the time limit of each trial, and what is kept of it; its ``cache`` is that of ``shelf``.
        retry: the statuses of trials to run again.
        accumulate: ``True`` to run trainings that are too large even alone with their batches in parts.
        trials: the trials to consider; ``None`` for all of them.
        shelf: the shelf for decoded samples; ``None`` for none.
        trackers: the trackers that are told of the trials and of the report.
        mirror: the mirror of the results folder in a store; ``None`` for none.
        share: the share of these trials that this run takes; ``None`` for all of them. Such a run writes no report if
            it is stopped, as little time may be left then.
        give: the function that takes the document of the run.
        tables: a function that gives the tables of that document.

    Returns:
        ``True`` if all trials are done.

    Raises:
        BenchError: if the study cannot be run, before any trial starts.
        Stopped: on Ctrl-C, SIGTERM or a hang-up, after the running trials are recorded and the report is written.
    """
    for status in retry:
        if status not in RETRIES:
            raise StudyError(f"--retry {status!r}: expected one of {', '.join(RETRIES)}{nearest(status, RETRIES)}")
    need_a_home()
    if schedule.resources.address is not None:
        prepare(schedule.resources.address)
    # Ray and plotly are imported here, because their import takes two seconds and only this command needs them.
    from bench.report.page.page import write_report
    from bench.run.execute import execute

    console = console_for_people()
    schedule.folder.mkdir(parents=True, exist_ok=True)
    chosen = list(schedule.trials if trials is None else trials)
    chosen = chosen if share is None else share.of_plan(chosen)
    stopped: Stopped | None = None
    page: Path | None = None
    with at_work(schedule.folder) as presence, _tracking(schedule, trackers) as tracking:
        with locked(schedule.folder, presence.run):
            write_plan(schedule, command_line(argv), beside=bool(presence.others()))
        if mirror is not None:
            mirror.push()
        before = seen(schedule.folder)
        keys = {trial.key for trial in chosen}
        todo = [pending for pending in schedule.pending(retry, accumulate=accumulate) if pending.key in keys]
        of_share = "" if share is None else f" of share {share}"
        console.print(f"{len(chosen) - len(todo)} of {len(chosen)} trials{of_share} done, {len(todo)} to run.")
        print_faulty(schedule.faulty.values(), console)
        todo = _without_faults(schedule, todo)
        tally = Tally(todo, {stage: schedule.resources.at_a_time(stage) for stage in STAGES})
        try:
            sweep()  # a run that was killed in its last trial leaves nothing to do but this
            if todo:
                cache = decode_first(schedule, shelf, todo, console)
                with display_for(tally, console) as display:
                    handled = replace(handling, cache=cache)
                    shown = Together(display, tracking, *([] if mirror is None else [mirror]))
                    resources, run_name = schedule.resources, presence.run
                    execute(
                        todo,
                        schedule.folder,
                        resources,
                        shown,
                        handled,
                        run=run_name,
                        before=before,
                        accumulate=accumulate,
                    )
        except Stopped as error:
            error.obeyed()
            stopped = error
        complete = _say_open(schedule, chosen, console)  # before the report, so that it is printed even if that fails
        with storing(schedule.folder), locked(schedule.folder, presence.run):
            if others := presence.leave():
                console.print(f"The run that ends last writes the report. At work: {', '.join(others)}", soft_wrap=True)
            elif stopped is not None and share is not None:
                console.print(f"The report is left to the next run, or to: bench report {schedule.folder}")
            else:
                remove_unfinished(schedule.folder)
                if not is_planned(schedule):  # a run of other seeds has written its own plan, or has left trials open
                    write_plan(schedule, command_line(argv))
                if mirror is not None:
                    mirror.pull()
                page = write_report(schedule.folder)
                tracking.reported(_study_of(schedule), page.parent, _status(complete, stopped))
                console.print(f"Report: {page.resolve()}", soft_wrap=True)
        if mirror is not None:
            mirror.push()
    if give is not keep_silent:
        give(
            RunDocument(
                folder=str(schedule.folder),
                complete=complete,
                stopped_by=None if stopped is None else stopped.name,
                ran=len(tally.over),
                trials=ended(schedule, chosen),
                report=None if page is None else str(page.resolve()),
                tables=tables(),
            )
        )
    if stopped is not None:
        console.print(f"Stopped by {stopped.name}. Run the same command again to go on.")
        stopped.told = True
        raise stopped
    return complete


def _tracking(schedule: Schedule, trackers: Sequence[Tracker]) -> Tracking:
    """The trackers as one display, which tells a person of a tracker that fails."""

    def described(trial: Trial) -> RunFacts:
        parameters = parameters_of(trial, schedule.study.cell(trial.variant))
        return RunFacts(trial.key, name_of(trial), trial.stage, parameters)

    return Tracking(trackers, described, lambda text: say(f"bench: {text}", error=True))


def _study_of(schedule: Schedule) -> RunFacts:
    """The run of a tracker that the report belongs to."""
    study = schedule.study
    parameters = {"question": study.question, "baseline": study.baseline_name, "seeds": str(list(study.seeds))}
    return RunFacts("report", schedule.folder.name, "report", parameters)


def _status(complete: bool, stopped: Stopped | None) -> str:
    return "interrupted" if stopped is not None else "done" if complete else "failed"


def ended(schedule: Schedule, trials: Iterable[Trial]) -> list[EndedTrial]:
    """Trials with their outcomes, as documents have them."""
    recorded = schedule.recorded()
    return [ended_trial(trial, recorded.get(trial.key), schedule.folder) for trial in trials]


def ended_trial(trial: Trial, record: Record | None, folder: Path) -> EndedTrial:
    """A trial with its outcome, as documents have it."""
    return EndedTrial(
        **trial_fields(trial, "missing" if record is None else record.status),
        reason=None if record is None else record.outcome.reason,
        wall_s=None if record is None else record.outcome.wall_s,
        record=None if record is None else str(folder / "records" / record.file_name),
    )


def _without_faults(schedule: Schedule, trials: Sequence[Trial]) -> list[Trial]:
    """The trials whose networks can be built here; those of the others are recorded as failed without being run.

    The nodes of a cluster may have devices that this machine lacks, so there all trials are run.
    """
    if schedule.resources.address is not None:
        return list(trials)
    able = []
    for trial in trials:
        fault = schedule.fault_of(trial)
        if fault is None:
            able.append(trial)
        else:
            record_fault(trial, schedule.folder, schedule.resources.machine(trial.stage), fault.reason, fault.traceback)
    return able


def need_a_home() -> None:
    """Set what a user without HOME or an entry in the list of users lacks, since Ray looks for both in its import.

    In a container such users are common. Nothing is written into the folder that stands for their home.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


def _say_open(schedule: Schedule, trials: Sequence[Trial], console: PlainConsole) -> bool:
    """Print the trials that did not end as done, and return ``True`` if there are none."""
    statuses = schedule.statuses()
    unfinished = [(trial, statuses[trial.key]) for trial in trials if statuses[trial.key] != "done"]
    for trial, status in unfinished:
        console.print(f"{status}: {name_of(trial)}", soft_wrap=True)
    return not unfinished
