"""The work of ``bench plan``, and the plan that the options of every command about trials ask for."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cli.console import console_for_people
from bench.cli.decoding import need_of, spell_need
from bench.cli.display import name_of, spell_s, table_of
from bench.cli.trials.notices import print_aliases, print_excluded, print_faulty
from bench.data.decoded.shelf import Shelf
from bench.protocol.words import bytes_in_words, plural
from bench.run.estimate import pilot_seconds
from bench.run.keeping.state import kept_after, state_path
from bench.run.resources import here
from bench.run.schedule import Schedule, checked_schedule
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.faults import fault_line
from bench.study.source import Source, load
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
    tuned: Path | None = None,
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
    return Source(str(path), size, data, chosen, final, protocol, recipe, None if tuned is None else str(tuned))


def scheduled(
    chosen: Source,
    results: Path,
    cpus: int | None,
    gpus: float | None,
    address: str | None = None,
    *,
    shelf: Shelf | None,
) -> Schedule:
    """The schedule of a study, after its data were checked; samples on the shelf are not decoded again.

    Raises:
        BenchError: if the study or its data cannot be used, or if this machine lacks the resources.
    """
    return checked_schedule(load(chosen), results, here(cpus, gpus, address), shelf)


def show(schedule: Schedule, shelf: Shelf | None = None) -> bool:
    """Print the trials and an estimate of the time for those that are not done. Nothing is written.

    Args:
        schedule: the trials of the study.
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
    print_faulty(schedule.faulty.values(), console)
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


def command_line(argv: Sequence[str]) -> str:
    """The command in a form that can be typed again, without the path of this installation."""
    return shlex.join(["bench", *argv[1:]])
