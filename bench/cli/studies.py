"""What the commands that plan and run trials do, apart from their arguments: plan, run, trial."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from bench.cli.display import Tally, console_for_people, display_for, spell_s, table_of
from bench.parts import nearest
from bench.protocol.setting import STAGES
from bench.run.estimate import pilot_seconds
from bench.run.identity.rekey import rekey as rekeyed
from bench.run.resources import here
from bench.run.schedule import RETRIES, Schedule, make_schedule
from bench.run.trial import Trial
from bench.run.trial import run as run_trial
from bench.study.factors import StudyError
from bench.study.source import Source
from bench.study.source import load as load_source
from bench.study.study import Study


def source(study: Path, size: str | None, data: str | None, seeds: str | None, final: bool) -> Source:
    """The options as plain values.

    Raises:
        StudyError: for seeds that are no numbers.
    """
    try:
        chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else None
    except ValueError:
        raise StudyError(f"--seeds {seeds!r}: expected whole numbers with commas, such as 0,1,2") from None
    return Source(str(study.resolve()), size, data, chosen, final)


def planned(what: Source, results: Path, cpus: int | None, gpus: float | None, address: str | None = None) -> Schedule:
    """The plan of a study, its data checked.

    Raises:
        BenchError: for the study, its data, or resources that this machine lacks.
    """
    loaded = load_source(what)
    loaded.dataset.check()
    return make_schedule(loaded, results, here(cpus, gpus, address))


def plan(made: Schedule, argv: Sequence[str]) -> None:
    """Print the trials, and how long those that are left may take; write ``study.json``."""
    console = console_for_people()
    made.write(_command(argv))
    statuses = made.statuses()
    table = table_of("stage", "variant", "seed", "outcome", "key")
    for each in made.trials:
        seed = "" if each.seed is None else str(each.seed)
        setting = "" if each.setting is None else f" at {each.setting.name}"
        table.add_row(each.stage, each.variant + setting, seed, statuses[each.key], each.key)
    console.print(table)
    print_excluded(made.study, console)
    stale = made.stale()
    if stale:
        console.print(
            f"{stale} records belong to no planned cell. They are kept, and left out of the report.", highlight=False
        )
        for reason in made.stale_reasons():
            console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
    notes = made.notes()
    if notes:
        console.print("It cannot be told which code is run here, so all that may be meant counts in the keys:")
        for note in notes:
            console.print(f"  {note}", markup=False, highlight=False, soft_wrap=True)
    todo = made.pending()
    console.print(
        f"{len(made.trials) - len(todo)} of {len(made.trials)} trials done, {len(todo)} to run.", highlight=False
    )
    if todo:
        known = made.seconds(todo)
        how = "from records" if known is not None else "rough, from two small training steps of the baseline"
        seconds = known if known is not None else pilot_seconds(made, todo)
        console.print(f"About {spell_s(seconds)} of trials one after the other ({how}).", highlight=False)


def run(
    made: Schedule,
    argv: Sequence[str],
    *,
    timeout_s: float | None = None,
    retry: Collection[str] = (),
    trials: Sequence[Trial] | None = None,
    pictures: bool = True,
) -> tuple[bool, bool]:
    """Run what is not done, write the report; whether every cell is done or excluded, and whether it was stopped.

    ``trials`` names those of the plan to look at, instead of all; ``pictures`` is whether they are kept.

    Raises:
        BenchError: before any trial, for whatever makes the study impossible to run.
    """
    for each in retry:
        if each not in RETRIES:
            raise StudyError(f"--retry {each!r}: expected one of {', '.join(RETRIES)}{nearest(each, RETRIES)}")
    # Ray and plotly take two seconds to import, and only this command needs them.
    from bench.report.page.page import write_report
    from bench.run.execute import execute

    console = console_for_people()
    with _only_run(made.folder), _stoppable():
        made.write(_command(argv))
        chosen = made.trials if trials is None else trials
        todo = [each for each in made.pending(retry) if each in chosen]
        console.print(f"{len(chosen) - len(todo)} of {len(chosen)} trials done, {len(todo)} to run.", highlight=False)
        stopped = False
        tally = Tally(todo, {stage: made.resources.at_a_time(stage) for stage in STAGES})
        try:
            if todo:
                with display_for(tally, console) as display:
                    execute(todo, made.folder, made.resources, display, timeout_s=timeout_s, pictures=pictures)
        except KeyboardInterrupt:
            stopped = True
        still_open = _say_open(made, chosen, console)  # first: it stays true if the report fails
        page = write_report(made.folder)
    console.print(f"Report: {page.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if stopped:
        console.print("Stopped. Run the same command again to go on.")
    return still_open, stopped


def trial(made: Schedule, variant: str, stage: str, *, pictures: bool = True) -> bool:
    """Run one trial in this process, with or without keeping pictures; whether it is done.

    Raises:
        StudyError: for a variant or stage that the study does not have.
    """
    console = console_for_people()
    name = made.study.cell(variant).name
    chosen = next((t for t in made.trials if (t.variant, t.stage) == (name, stage)), None)
    if chosen is None:
        raise StudyError(f"no {stage!r} trial of {name}: it is excluded, or the stage is none of {made.study.stages}")
    with display_for(Tally([chosen], {stage: 1}), console) as display:
        display.started(chosen)
        record = run_trial(
            chosen,
            made.folder,
            made.resources.machine(chosen.stage),
            tell=lambda event: display.progress(chosen, event),
            pictures=pictures,
        )
        display.finished(chosen, record)
    if record.outcome.traceback:
        console.print(record.outcome.traceback, markup=False, highlight=False)
    path = made.folder / "records" / record.file_name
    console.print(f"{record.status}: {path}", markup=False, highlight=False, soft_wrap=True)
    return record.status == "done"


def rekey(folder: Path, source_tree: Path | None, *, assume_installed: bool) -> None:
    """Give the records of a results folder keys of the present version; say how many, and which of them are stale.

    Raises:
        BenchError: for what cannot be proven; nothing is changed then.
    """
    console = console_for_people()
    with _only_run(folder):
        made = rekeyed(folder, source_tree, assume_installed=assume_installed)
    console.print(f"{made.records} records of {len(made.trials)} planned trials have new keys.", highlight=False)
    for reason, count in made.untouched.items():
        console.print(f"{count} records are left as they are: {reason}.", highlight=False)
    for line in made.compared or ("The present source has the same keys: the records stand for it as it is.",):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_excluded(study: Study, console: Console) -> None:
    """Name the cells that are not run, with the reasons."""
    for cell in study.excluded():
        console.print(f"excluded: {cell.name}: {cell.reason}", markup=False, highlight=False, soft_wrap=True)


def _say_open(made: Schedule, trials: Sequence[Trial], console: Console) -> bool:
    """Name the trials that did not end as done, and say whether there are none."""
    statuses = made.statuses()
    unfinished = [(each, statuses[each.key]) for each in trials if statuses[each.key] != "done"]
    for each, status in unfinished:
        seed = "" if each.seed is None else f" seed {each.seed}"
        setting = "" if each.setting is None else f" at {each.setting.name}"
        name = f"{each.stage} {each.variant}{setting}{seed}"
        console.print(f"{status}: {name}", markup=False, highlight=False, soft_wrap=True)
    return not unfinished


def _command(argv: Sequence[str]) -> str:
    """The command as it can be typed again, without the path of this installation."""
    return shlex.join(["bench", *argv[1:]])


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Hold the results folder's lock; the kernel frees it when this process ends, however it ends.

    Raises:
        StudyError: if another run holds it.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StudyError(
                f"another run is at work in {folder} (process {file.read().strip() or 'unknown'}); "
                "wait for it, or give this one another folder with --results"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
