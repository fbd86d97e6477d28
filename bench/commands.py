"""What the commands that run or build networks do, apart from their arguments."""

from __future__ import annotations

import fcntl
import math
import os
import shlex
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from bench import audit
from bench.breakdown import break_down, pixels, smaller_sizes
from bench.check import Checked, check_cells, facts
from bench.checkpoints import convert_file
from bench.data.base import DataError
from bench.display import Tally, console_for_people, display_for, spell_s
from bench.estimate import pilot_seconds
from bench.factors import StudyError
from bench.parts import nearest
from bench.plan import Plan, here, make_plan
from bench.store import STATUSES
from bench.study import STAGES, Source, Study, Trial, load_study
from bench.trial import load as load_source
from bench.trial import run as run_trial

FALLBACK_PX = (512, 512)
"""Input size of ``check`` and ``cost`` where neither the recipe nor the data gives one."""


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


def planned(what: Source, results: Path, cpus: int | None, gpus: float | None, address: str | None = None) -> Plan:
    """The plan of a study, its data checked.

    Raises:
        BenchError: for the study, its data, or resources that this machine lacks.
    """
    loaded = load_source(what)
    loaded.dataset.check()
    return make_plan(loaded, results, here(cpus, gpus, address))


@dataclass(frozen=True)
class Shaped:
    """A study with what its networks are built for, as far as that is known without its data."""

    study: Study
    num_classes: int
    input_px: tuple[int, int]
    folder_name: str


def shaped(what: Source, console: Console, *, data_is_given: bool) -> Shaped:
    """The study with the classes and image size of its data, which is checked; of its recipe where it is not found.

    Raises:
        DataError: for data that was named and is not found.
    """
    try:
        loaded = load_source(what)
        loaded.dataset.check()
        height, width = loaded.dataset.split(loaded.study.recipe.split)[0].image.shape[-2:]
        console.print(f"Data: {loaded.dataset.name}, {len(loaded.dataset.classes)} classes, checked.", highlight=False)
        px = loaded.study.recipe.cost_px or (height, width)
        return Shaped(loaded.study, len(loaded.dataset.classes), px, loaded.folder_name)
    except DataError as error:
        if data_is_given:
            raise
        study = load_study(what.path, what.size)
        console.print(f"Data not checked: {error}", markup=False, highlight=False, soft_wrap=True)
        name = f"{study.name}-{what.size}" if what.size else study.name
        return Shaped(study, len(study.recipe.data.cls.classes), study.recipe.cost_px or FALLBACK_PX, name)


def check(what: Source, *, data_is_given: bool) -> None:
    """Print every variant as built."""
    console = console_for_people()
    known = shaped(what, console, data_is_given=data_is_given)
    study, (height, width) = known.study, known.input_px
    rows = list(check_cells(study, known.num_classes, height, width))
    console.print(_checked_table(rows))
    _print_excluded(study, console)
    console.print(
        f"{len(rows)} variants at 1×3×{height}×{width}; MACs of convolutions, linear layers and matrix products.",
        highlight=False,
    )
    for line in audit.summary(facts(study, rows, height, width), study.baseline_name):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan(made: Plan, argv: Sequence[str]) -> None:
    """Print the trials, and how long those that are left may take; write ``study.json``."""
    console = console_for_people()
    made.write(_command(argv))
    statuses = made.statuses()
    table = _table("stage", "variant", "seed", "outcome", "key")
    for each in made.trials:
        seed = "" if each.seed is None else str(each.seed)
        setting = "" if each.setting is None else f" at {each.setting.name}"
        table.add_row(each.stage, each.variant + setting, seed, statuses[each.key], each.key)
    console.print(table)
    _print_excluded(made.study, console)
    stale = made.stale()
    if stale:
        console.print(
            f"{stale} records belong to no planned cell: source, settings or data changed since. They are kept, and "
            "left out of the report.",
            highlight=False,
        )
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
    made: Plan,
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
    for status in retry:
        if status not in STATUSES:
            raise StudyError(f"--retry {status!r}: expected one of {', '.join(STATUSES)}{nearest(status, STATUSES)}")
    # Ray and plotly take two seconds to import, and only this command needs them.
    from bench.execute import execute
    from bench.report.page import write_report

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
        page = write_report(made.folder)
    console.print(f"Report: {page.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if stopped:
        console.print("Stopped. Run the same command again to go on.")
    return _say_open(made, chosen, console), stopped


def trial(made: Plan, variant: str, stage: str, *, pictures: bool = True) -> bool:
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
    if record.outcome["traceback"]:
        console.print(record.outcome["traceback"], markup=False, highlight=False)
    path = made.folder / "records" / record.file_name
    console.print(f"{record.status}: {path}", markup=False, highlight=False, soft_wrap=True)
    return record.status == "done"


def cost(
    what: Source,
    variant: str,
    sizes: Sequence[str],
    results: Path,
    *,
    depth: int,
    forwards: int,
    gpus: float | None,
    data_is_given: bool,
) -> None:
    """Print where a variant's cost is and how it grows, and write both under ``attribution`` in the results folder.

    Raises:
        BenchError: for a variant that the study does not have, or sizes that cannot be measured.
    """
    console = console_for_people()
    known = shaped(what, console, data_is_given=data_is_given)
    chosen = [pixels(size) for size in sizes] or smaller_sizes(known.input_px)
    with console.status("") as status:
        made = break_down(
            known.study.cell(variant),
            known.num_classes,
            chosen,
            here(gpus=gpus).machine("cost"),
            depth=depth,
            forwards=forwards,
            tell=status.update,
        )
    heads, rows = made.shown()
    table = _table(*heads, numeric=heads[1:])
    for row in rows:
        table.add_row(*row)
    height, width = max(chosen, key=math.prod)
    console.print(table)
    console.print(f"{made.cell.name} at 1×3×{height}×{width} on {made.machine.hardware}.", highlight=False)
    if forwards:
        console.print("Times are of modules one by one: what a hook makes wait is in them.", highlight=False)
    for path in made.write(results / known.folder_name / "attribution", Path(what.path)):
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def convert(
    checkpoint: Path, what: Source, variant: str, out: Path, num_classes: int | None, layout: str | None
) -> None:
    """Write ``checkpoint`` as a state dict of a study's variant, and print what was dropped and filled in.

    Raises:
        BenchError: for a variant that the study does not have, or a key that is not understood.
    """
    study = load_study(what.path, what.size)
    classes = num_classes or len(study.recipe.data.cls.classes)
    done = convert_file(checkpoint, study.cell(variant).variant, classes, out, layout)
    console = console_for_people()
    console.print(f"{len(done.state)} tensors written to {out}", markup=False, highlight=False)
    for what_happened, names in (("dropped, never used in forward", done.dropped), ("filled with 0", done.filled)):
        if names:
            console.print(f"{what_happened}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)


def _print_excluded(study: Study, console: Console) -> None:
    for cell in study.excluded():
        console.print(f"excluded: {cell.name}: {cell.reason}", markup=False, highlight=False, soft_wrap=True)


def _say_open(made: Plan, trials: Sequence[Trial], console: Console) -> bool:
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


def _checked_table(rows: Sequence[Checked]) -> Table:
    table = _table("variant", "parameters (M)", "MACs (G)", "output", numeric=("parameters (M)", "MACs (G)"))
    for row in rows:
        deployed = sum(count for slot, count in row.parameters.items() if slot != "auxiliary")
        shape = "×".join(map(str, row.output_shape))
        table.add_row(row.cell.name, f"{deployed / 1e6:.3f}", f"{sum(row.macs.values()) / 1e9:.2f}", shape)
    return table


def _table(*columns: str, numeric: Collection[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name in numeric else "left")
    return table
