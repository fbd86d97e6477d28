"""The work of the commands about trials: plan, run, trial, evaluate and rekey."""

from __future__ import annotations

import fcntl
import getpass
import os
import shlex
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.cli.console import PlainConsole, console_for_people
from bench.cli.decoding import decode_first, need_of, spell_need
from bench.cli.display import Tally, display_for, name_of, spell_s, table_of
from bench.data.decoded.shelf import Shelf
from bench.parts import nearest
from bench.protocol.setting import STAGES
from bench.protocol.text import plain
from bench.protocol.words import bytes_in_words, plural
from bench.records.plan import read_plan
from bench.records.results import load as load_results
from bench.run.check import Faulty
from bench.run.estimate import pilot_seconds
from bench.run.handling import USUAL, Handling
from bench.run.identity.rekey import rekey as rekeyed
from bench.run.keeping.retested import copy_untested
from bench.run.keeping.state import kept_after, state_path
from bench.run.keeping.weights import with_weights
from bench.run.processes.stopping import Stopped
from bench.run.resources import here
from bench.run.schedule import RETRIES, Schedule, checked_schedule, make_schedule
from bench.run.trial import Trial, record_fault
from bench.run.trial import run as run_trial
from bench.study.factors import StudyError
from bench.study.faults import fault_line
from bench.study.fractions import aliases_in_words, broken_in_words
from bench.study.source import Source, source_of_plan
from bench.study.source import load as load_source
from bench.study.study import Study
from bench.training.late import DivergedError

BYTES_OF_FLOAT = 4


def source(
    study: Path,
    size: str | None = None,
    data: str | None = None,
    seeds: str | None = None,
    final: bool = False,
    protocol: str | None = None,
    recipe: str | None = None,
) -> Source:
    """The source of a study from a command's options.

    Raises:
        StudyError: if the seeds are not whole numbers.
    """
    try:
        chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else None
    except ValueError:
        raise StudyError(f"--seeds {seeds!r}: expected whole numbers with commas, such as 0,1,2") from None
    path = study.resolve() if study.is_file() else study.absolute()  # a dangling link is told by its own name
    return Source(str(path), size, data, chosen, final, protocol, recipe)


def planned(
    chosen: Source,
    results: Path,
    cpus: int | None,
    gpus: float | None,
    address: str | None = None,
    *,
    shelf: Shelf | None,
) -> Schedule:
    """The plan of a study, after its data were checked; samples on the shelf are not decoded again.

    Raises:
        BenchError: if the study or its data cannot be used, or if this machine lacks the resources.
    """
    return checked_schedule(load_source(chosen), results, here(cpus, gpus, address), shelf)


def plan(schedule: Schedule, shelf: Shelf | None = None) -> bool:
    """Print the trials and an estimate of the time for those that are not done. Nothing is written.

    Args:
        schedule: the plan of the study.
        shelf: the shelf for decoded samples; ``None`` for none.

    Returns:
        ``True`` if every variant can be built and trained.
    """
    console = console_for_people()
    statuses = schedule.statuses()
    table = table_of("stage", "variant", "seed", "outcome", "key")
    for trial in schedule.trials:
        seed = "" if trial.seed is None else str(trial.seed)
        setting = "" if trial.setting is None else f" at {trial.setting.name}"
        table.add_row(trial.stage, trial.variant + setting, seed, statuses[trial.key], trial.key)
    console.print(table)
    print_excluded(schedule.study, console)
    print_aliases(schedule.study, console)
    if kept := schedule.kept():
        variants = ", ".join(dict.fromkeys(row.variant for row in kept))
        text = f"{plural(len(kept), 'trial')} of earlier runs stay in the report, though not planned now: {variants}."
        console.print(text, soft_wrap=True)
    stale = schedule.stale()
    if stale:
        console.print(f"{stale} records belong to no planned cell. They are kept, and left out of the report.")
        for reason in schedule.stale_reasons():
            console.print(f"  {reason}", soft_wrap=True)
    notes = schedule.notes()
    if notes:
        console.print("It is not certain which code runs here, so the keys include all code that may run:")
        for note in notes:
            console.print(f"  {note}", soft_wrap=True)
    todo = schedule.pending()
    console.print(f"{len(schedule.trials) - len(todo)} of {len(schedule.trials)} trials done, {len(todo)} to run.")
    for line in _kept_states(schedule, todo):
        console.print(line, soft_wrap=True)
    say_faulty(schedule.faulty.values(), console)
    if able := [trial for trial in todo if schedule.fault_of(trial) is None]:
        console.print(_time_needed(schedule, able), soft_wrap=True)
        if weights := _weights_needed(schedule, able):
            console.print(weights, soft_wrap=True)
    if shelf is not None and (need := need_of(schedule, shelf, todo)).samples:
        console.print(spell_need(need, shelf), soft_wrap=True)
    return not schedule.faulty


def _kept_states(schedule: Schedule, todo: Sequence[Trial]) -> Iterator[str]:
    """A line for each training that was interrupted and goes on from its last kept state."""
    for trial in todo:
        done = kept_after(state_path(schedule.folder, trial.key)) if trial.stage == "quality" else None
        if done is not None:
            after = f"after iteration {done}, " if done else ""
            yield f"{name_of(trial)} goes on {after}from its kept state."


def _time_needed(schedule: Schedule, todo: Sequence[Trial]) -> str:
    known = schedule.seconds(todo)
    if known is None and schedule.study.baseline_name in schedule.faulty:
        return "The time cannot be estimated, because the baseline cannot be built."
    if known is None and schedule.resources.gpus > schedule.resources.node_gpus:
        return (
            "The time cannot be estimated before there are records, because this machine has no GPU to try a step on."
        )
    basis = "from records" if known is not None else "rough, from two small training steps of the baseline"
    try:
        seconds = known if known is not None else pilot_seconds(schedule, todo)
    except DivergedError as error:
        return f"The time cannot be estimated: the first two training steps of the baseline diverged ({error})."
    except Exception as error:  # noqa: BLE001 - a component is a user's code: it may raise anything, and the plan tells
        return f"The time cannot be estimated, because a training step of the baseline fails: {fault_line(error)}"
    return f"About {spell_s(seconds)} of trials one after the other ({basis})."


def _weights_needed(schedule: Schedule, todo: Sequence[Trial]) -> str:
    """The size of the weights that trials will keep, in words; empty if they keep none."""
    sizes = {variant.cell.name: BYTES_OF_FLOAT * sum(variant.parameters.values()) for variant in schedule.checked}
    trained = [trial for trial in todo if trial.stage == "quality"]
    size = bytes_in_words(sum(sizes[trial.variant] for trial in trained))
    return f"Their weights will take about {size} (run --no-weights keeps none)." if trained else ""


def run(
    schedule: Schedule,
    argv: Sequence[str],
    *,
    handling: Handling = USUAL,
    retry: Collection[str] = (),
    trials: Sequence[Trial] | None = None,
    shelf: Shelf | None = None,
) -> bool:
    """Run the trials that are not done, and write the report.

    Args:
        schedule: the plan of the study.
        argv: the command's arguments, which ``study.json`` keeps.
        handling: the time limit of each trial, and what is kept of it; its ``cache`` is that of ``shelf``.
        retry: the statuses of trials to run again.
        trials: the trials to consider; ``None`` for all trials of the plan.
        shelf: the shelf for decoded samples; ``None`` for none.

    Returns:
        ``True`` if all trials are done.

    Raises:
        BenchError: if the study cannot be run, before any trial starts.
        Stopped: on Ctrl-C, SIGTERM or a hang-up, after the running trials are recorded and the report is written.
    """
    for status in retry:
        if status not in RETRIES:
            raise StudyError(f"--retry {status!r}: expected one of {', '.join(RETRIES)}{nearest(status, RETRIES)}")
    _need_a_home()
    # Ray and plotly are imported here, because their import takes two seconds and only this command needs them.
    from bench.report.page.page import write_report
    from bench.run.execute import execute

    console = console_for_people()
    schedule.folder.mkdir(parents=True, exist_ok=True)
    with only_run(schedule.folder):
        schedule.write(_command(argv))
        chosen = schedule.trials if trials is None else trials
        todo = [pending for pending in schedule.pending(retry) if pending in chosen]
        console.print(f"{len(chosen) - len(todo)} of {len(chosen)} trials done, {len(todo)} to run.")
        say_faulty(schedule.faulty.values(), console)
        todo = _without_faults(schedule, todo)
        stopped: Stopped | None = None
        tally = Tally(todo, {stage: schedule.resources.at_a_time(stage) for stage in STAGES})
        try:
            if todo:
                cache = decode_first(schedule, shelf, todo, console)
                with display_for(tally, console) as display:
                    handled = replace(handling, cache=cache)
                    execute(todo, schedule.folder, schedule.resources, display, handled)
        except Stopped as error:
            error.obeyed()
            stopped = error
        complete = _say_open(schedule, chosen, console)  # before the report, so that it is printed even if that fails
        page = write_report(schedule.folder)
    console.print(f"Report: {page.resolve()}", soft_wrap=True)
    if stopped is not None:
        console.print(f"Stopped by {stopped.name}. Run the same command again to go on.")
        stopped.told = True
        raise stopped
    return complete


def evaluate(
    folder: Path,
    protocol: str | None,
    final: bool,
    retry: Collection[str],
    *,
    handling: Handling,
    cpus: int | None,
    gpus: float | None,
    shelf: Shelf | None,
) -> bool:
    """Test the networks of a results folder in another way, by their kept weights, and write records and a report.

    They go into a folder of their own beside the other, as if the study had been run so. Trials whose weights are not
    kept are told and left out; those that depend on no test, of cost and speed, are copied.

    Args:
        folder: the results folder.
        protocol: the value of ``--protocol``.
        final: ``True`` to test on the test split.
        retry: the statuses of trials to test again.
        handling: the time limit of each trial, and what is kept of it.
        cpus: the CPU threads of a trial.
        gpus: the share of a GPU of a trial.
        shelf: the shelf for decoded samples; ``None`` for none.

    Returns:
        ``True`` if all trials are done.

    Raises:
        BenchError: if nothing is left to test, or if the study cannot be run so.
    """
    results = load_results(folder)
    trained = source_of_plan(results.plan, folder)
    if protocol is None and not final:
        raise StudyError("nothing to do: say how to test with --protocol, or on which images with --final")
    asked = replace(
        trained, protocol=protocol or trained.protocol, final=final or trained.final, seeds=tuple(results.plan.seeds)
    )
    schedule = planned(asked, folder.parent, cpus, gpus, shelf=shelf)
    if schedule.folder.resolve() == folder.resolve():
        raise StudyError(f"{folder} was tested so already")
    console = console_for_people()
    able = with_weights(results)
    chosen = [trial for trial in schedule.trials if (trial.stage == "quality" and (trial.variant, trial.seed) in able)]
    missing = sum(trial.stage == "quality" for trial in schedule.trials) - len(chosen)
    if missing:
        console.print(f"{plural(missing, 'trial')} without kept weights cannot be tested without training.")
    if not chosen:
        raise StudyError(f"{folder} has no weights to test: run its study without --no-weights")
    schedule.folder.mkdir(parents=True, exist_ok=True)
    copied = copy_untested(results, folder, {trial.key for trial in schedule.trials}, schedule.folder)
    if copied:
        console.print(f"{plural(copied, 'record')} of costs and speed copied, which no test changes.")
    argv = ["bench", "run", asked.path, *asked.options]
    handling = replace(handling, weights=False, checkpoint_s=None, trained_in=folder.resolve())
    return run(schedule, argv, handling=handling, retry=retry, trials=chosen, shelf=shelf) and not missing


def trial(
    schedule: Schedule,
    argv: Sequence[str],
    variant: str,
    stage: str,
    *,
    handling: Handling = USUAL,
    shelf: Shelf | None = None,
) -> bool:
    """Run one trial in this process, and return ``True`` if it is done.

    A results folder without a plan gets one, so that the record can be reported.

    Raises:
        StudyError: if the study does not have the variant or the stage.
    """
    console = console_for_people()
    name = schedule.study.cell(variant).name
    chosen = next((t for t in schedule.trials if (t.variant, t.stage) == (name, stage)), None)
    if chosen is None:
        raise StudyError(
            f"no {stage!r} trial of {name}: it is excluded, or the stage is none of {schedule.study.stages}"
        )
    _write_first_plan(schedule, argv)
    cache = decode_first(schedule, shelf, [chosen], console)
    planned_keys = {row.key for row in read_plan(schedule.folder).trials}
    with display_for(Tally([chosen], {stage: 1}), console) as display:
        display.started(chosen)
        record = run_trial(
            chosen,
            schedule.folder,
            schedule.resources.machine(chosen.stage),
            tell=lambda event: display.progress(chosen, event),
            handling=replace(handling, cache=cache),
        )
        display.finished(chosen, record)
    if record.outcome.traceback and record.status == "failed":
        console.print(record.outcome.traceback)
    path = schedule.folder / "records" / record.file_name
    console.print(f"{record.status}: {path}", soft_wrap=True)
    if record.planned_key not in planned_keys:
        text = f"The plan in {schedule.folder} does not have this trial: reports leave it out until bench run plans it."
        console.print(text, soft_wrap=True)
    return record.status == "done"


def _write_first_plan(schedule: Schedule, argv: Sequence[str]) -> None:
    """Write the plan of a results folder that has none, with the study's own seeds.

    Raises:
        StudyError: if a run is at work in it.
    """
    if not (schedule.folder / "study.json").exists():
        loaded = load_source(replace(schedule.loaded.source, seeds=None))
        schedule.folder.mkdir(parents=True, exist_ok=True)
        with only_run(schedule.folder):
            make_schedule(loaded, schedule.folder.parent, schedule.resources).write(_command(argv))


def rekey(folder: Path, source_tree: Path | None, *, assume_installed: bool) -> None:
    """Give the records of a results folder keys of the present version, and print their numbers and the differences.

    Raises:
        BenchError: if it cannot be proven that only the form of the keys changed; then no record is changed.
    """
    console = console_for_people()
    with only_run(folder):
        done = rekeyed(folder, source_tree, assume_installed=assume_installed)
    if done.digests:
        console.print(f"The keys are present ones; {done.digests} records have a digest now.")
        return
    console.print(f"{done.records} records of {len(done.trials)} planned trials have new keys.")
    for reason, count in done.untouched.items():
        console.print(f"{count} records are left as they are: {reason}.")
    for line in done.compared or ("The present source has the same keys: the records stand for it as it is.",):
        console.print(line, soft_wrap=True)


def say_faulty(faulty: Iterable[Faulty], console: PlainConsole) -> None:
    """Print one line for each variant that cannot be built, computed or trained."""
    for variant in faulty:
        console.print(plain(str(variant)), soft_wrap=True)


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


def print_excluded(study: Study, console: PlainConsole) -> None:
    """Print the cells that are not run, with the reasons."""
    for cell in study.excluded():
        console.print(f"excluded: {cell.name}: {cell.reason}", soft_wrap=True)


def print_aliases(study: Study, console: PlainConsole) -> None:
    """Print the effects that a fraction of a factorial design cannot tell from each other, or that it is broken."""
    cells = [cell.levels for cell in study.cells()]
    if lines := aliases_in_words(cells, study.baseline):
        console.print("Effects of up to two factors that these cells cannot tell from each other:")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)
    if sentence := broken_in_words(cells, [cell.levels for cell in study.excluded()], study.baseline):
        console.print(sentence, soft_wrap=True)


def _need_a_home() -> None:
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


def _command(argv: Sequence[str]) -> str:
    """The command in a form that can be typed again, without the path of this installation."""
    return shlex.join(["bench", *argv[1:]])


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of the results folder. The kernel frees it when this process ends, however that happens.

    Raises:
        StudyError: if another run holds the lock.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StudyError(
                f"another run is at work in {folder} (process {file.read().strip() or 'unknown'}); "
                "wait for it, or choose another folder for this run with --results"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
