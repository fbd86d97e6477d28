"""The work of ``bench speed`` and ``bench limits``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd

from bench.cli.console import PlainConsole, console_for_people
from bench.cli.documents.document import Give, Rows, keep_silent
from bench.cli.documents.networks import LimitsDocument, TriedSize
from bench.cli.options import parse_px
from bench.cli.trials.running import run
from bench.evidence.evidence import evidence_of
from bench.parts import nearest
from bench.protocol.modes import check_setting
from bench.protocol.recipe import Mode, TimedPrecision
from bench.protocol.setting import MemoryFormat, Setting
from bench.records.files import write_json
from bench.run import environment
from bench.run.handling import Handling
from bench.run.limits import Attempt, Question, in_child, search
from bench.run.resources import here
from bench.run.schedule.making import checked_schedule
from bench.run.schedule.schedule import Schedule
from bench.study.factors import StudyError
from bench.study.source import Source, load
from bench.study.speed import Speed


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The options of ``bench speed``. Their combinations are the settings of a :class:`~bench.study.speed.Speed`."""

    against: str
    px: Sequence[str]
    batch: Sequence[int]
    precision: Sequence[str]
    mode: Sequence[str]
    memory_format: Sequence[str]
    training: bool
    least_s: float

    def speed(self) -> Speed:
        """The speed comparisons that these options describe.

        Raises:
            BenchError: if an option cannot be read, or if a value is not allowed.
        """
        settings = tuple(
            Setting(
                height=height,
                width=width,
                batch=batch,
                precision=cast(TimedPrecision, precision),
                mode=cast(Mode, mode),
                memory_format=cast(MemoryFormat, memory_format),
                phase="training" if self.training else "inference",
                least_s=self.least_s,
            )
            for (height, width), batch, precision, mode, memory_format in itertools.product(
                map(parse_px, self.px), self.batch, self.precision, self.mode, self.memory_format
            )
        )
        return Speed(parse_levels(self.against), settings)


@dataclass(frozen=True)
class Modes:
    """The modes and precisions in which ``bench speed`` makes the study's own comparisons, in place of theirs.

    Attributes:
        names: the modes; none for those of the study.
        precisions: the precisions; none for those of the study.
    """

    names: tuple[str, ...]
    precisions: tuple[str, ...] = ()

    def of(self, speed: Speed) -> Speed:
        """The comparisons of a study so; settings that differ in nothing else are one.

        Raises:
            ChoiceError: for a mode or a precision that does not exist or is there twice.
        """
        settings: list[Setting] = []
        only = {}
        for setting in speed.settings:
            for precision in self.precisions or (setting.precision,):
                mode: Mode = "eager" if self.names else setting.mode
                changed = replace(setting, mode=mode, precision=cast(TimedPrecision, precision))
                settings.append(changed)
                if levels := (speed.only or {}).get(setting.name):
                    only[changed.name] = levels
        if len(set(self.precisions)) == len(self.precisions):
            settings = list(dict.fromkeys(settings))
        modes = cast(tuple[Mode, ...], self.names) or speed.modes
        return replace(speed, settings=tuple(settings), modes=modes, only=only or None)


def parse_levels(text: str) -> dict[str, str]:
    """Factor -> level, from a text such as ``upsampling=dilated-8,head=fcn``.

    Raises:
        StudyError: if the text has another form.
    """
    terms = [term.strip().partition("=") for term in text.split(",")]
    if not all(factor and level for factor, _, level in terms):
        raise StudyError(f"{text!r}: expected FACTOR=LEVEL, several with commas, such as upsampling=dilated-8")
    return {factor: level for factor, _, level in terms}


def scheduled(
    source: Source, sweep: Sweep | Modes | None, results: Path, cpus: int | None, gpus: float | None
) -> Schedule:
    """The schedule with the study's own speed comparisons, or with those of ``sweep`` in a results folder of their own.

    Raises:
        StudyError: if neither the study nor the options have speed comparisons.
    """
    loaded = load(source)
    study = loaded.study
    if isinstance(sweep, Sweep):
        speed = sweep.speed()
    elif study.speed is None:
        raise StudyError(
            f"study {study.name!r} has no speed=Speed(…); say what to compare with: --against FACTOR=LEVEL"
        )
    else:
        speed = study.speed if sweep is None else sweep.of(study.speed)
    if sweep is not None:
        study = study.having(name=f"{study.name}-speed", stages=("speed",), speed=speed)
    return checked_schedule(replace(loaded, study=study), results, here(cpus, gpus, measures=True))


def speed(
    schedule: Schedule,
    argv: Sequence[str],
    variants: Sequence[str],
    settings: Sequence[str] = (),
    *,
    timeout_s: float | None,
    retry: Collection[str],
    give: Give = keep_silent,
) -> bool:
    """Run the speed comparisons of a plan, and print their results.

    Args:
        schedule: the plan.
        argv: the command, which ``study.json`` keeps.
        variants: the variants to time, instead of all.
        settings: the names of the settings to time them in, instead of all.
        timeout_s: the time limit of a comparison, in seconds.
        retry: the outcomes of earlier runs that are tried again.
        give: the function that takes the document of the run.

    Returns:
        ``True`` if all of these comparisons are done.

    Raises:
        BenchError: if a variant is no cell of the study, a setting none of its settings, or if the study cannot be run.
    """
    from bench.report.tables import published
    from bench.report.tables import speed as report  # plotly takes a second to import, and only this command needs it
    from bench.report.tables.formats import as_json

    wanted = {schedule.study.cell(name).name for name in variants}
    timed = [trial for trial in schedule.trials if trial.stage == "speed"]
    known = list(dict.fromkeys(trial.setting.name for trial in timed if trial.setting))
    for name in settings:
        if name not in known:
            raise StudyError(f"--setting {name!r}: the settings are {', '.join(known)}{nearest(name, known)}")
    of_variants = [trial for trial in timed if not wanted or trial.variant in wanted]
    if not of_variants:
        raise StudyError(
            f"nothing to compare: {', '.join(sorted(wanted))} is the variant that others are compared with"
        )
    trials = [t for t in of_variants if not settings or (t.setting is not None and t.setting.name in settings)]
    if not trials:
        raise StudyError(f"nothing to compare: the study times none of these variants in {', '.join(settings)}")

    def tables() -> dict[str, Rows]:
        found = evidence_of(schedule.folder)
        printed = (report.comparisons(found), report.crossings(found), published.speeds(found))
        asked = [table.of_variants(wanted) if wanted else table for table in printed]
        return {table.name: json.loads(as_json(table)) for table in asked}

    complete = run(
        schedule,
        argv,
        handling=Handling(timeout_s=timeout_s),
        retry=retry,
        trials=trials,
        give=give,
        tables=tables if give is not keep_silent else dict,
    )
    evidence = evidence_of(schedule.folder)
    console = console_for_people()
    for table in (report.comparisons(evidence), report.crossings(evidence), published.speeds(evidence)):
        asked = table.of_variants(wanted) if wanted else table
        _print_frame(asked.without_columns(("differs", "source", "flaw")).printed(), console)
    if evidence.speedups["isolated"].eq(False).any():
        console.print("To measure the timings that were left out again, add --retry not_alone.")
    for phrase in sorted({str(phrase) for phrase in evidence.speedups["maybe_not_alone"].dropna() if phrase}):
        console.print(f"Some timings count and were perhaps not alone: {phrase}.", markup=False)
    return complete


UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_bytes(text: str) -> int:
    """The number of bytes in a text such as ``4GiB``.

    Raises:
        StudyError: if the text has another form.
    """
    number, unit = text[:-3], text[-3:]
    if unit not in UNITS or not number.replace(".", "", 1).isdigit():
        raise StudyError(f"{text!r}: expected a number and one of {', '.join(UNITS)}, such as 4GiB")
    return round(float(number) * UNITS[unit])


def question(
    source: Source,
    variant: str,
    searched: str,
    memory_limit: str | None,
    px: str,
    batch: int,
    conditions: Mapping[str, Any],
    cpus: int | None,
    gpus: float | None,
) -> Question:
    """The question that the options of ``bench limits`` ask.

    Args:
        source: the source of the study.
        variant: the name of the cell.
        searched: ``batch`` or ``input``.
        memory_limit: the limit of memory, as :func:`parse_bytes` reads it.
        px: the input, while the batch is searched.
        batch: the number of images, while the input is searched.
        conditions: the other fields of the setting, :data:`~bench.protocol.setting.CONDITIONS`.
        cpus: the number of CPUs that the machine should have.
        gpus: the number of GPUs.

    Raises:
        BenchError: if an option cannot be read, or if there is no memory limit on a CPU.
    """
    if searched not in ("batch", "input"):
        raise StudyError(f"--largest {searched!r}: expected batch or input")
    height, width = parse_px(px)
    least = 2 if conditions.get("phase") == "training" and searched == "batch" else batch
    setting = Setting(height=height, width=width, batch=least, **conditions)
    limit = None if memory_limit is None else parse_bytes(memory_limit)
    machine = here(cpus, gpus, measures=True).machine("cost")
    return Question(source, variant, setting, cast(Literal["batch", "input"], searched), machine, limit)


def limits(question: Question, results: Path, give: Give = keep_silent) -> None:
    """Search for the largest batch or input, print every attempt, and write them to the study's results folder.

    Raises:
        BenchError: if the study does not have the variant, or if an attempt fails for a reason other than memory.
    """
    loaded = load(question.source)
    variant = loaded.study.cell(question.variant).name
    check_setting(question.setting, question.machine.device)
    loaded.classes_of(loaded.study.cell(variant))  # before any attempt, so that data that are not there are told once
    console = console_for_people()
    attempts: list[Attempt] = []

    def attempt(size: int) -> Attempt:
        attempts.append(in_child(question, size))
        latest = attempts[-1]
        peak = "does not fit" if latest.peak_bytes is None else f"fits, {latest.peak_bytes / 2**20:.0f} MiB"
        console.print(f"{question.at(size).name}: {peak}")
        return latest

    search(attempt, question.smallest)
    largest = max((attempt.size for attempt in attempts if attempt.fits), default=None)
    answer = "none fits" if largest is None else f"the largest that fits is {question.at(largest).name}"
    path = results / loaded.folder_name / f"limits-{question.searched}-{variant}.json"
    write_json(
        {
            "variant": variant,
            "searched": question.searched,
            "largest": None if largest is None else asdict(question.at(largest)),
            "memory_limit_bytes": question.memory_limit_bytes,
            "attempts": [asdict(attempt) for attempt in attempts],
            "environment": environment.describe(question.machine, Path(question.source.path)),
        },
        path,
    )
    console.print(f"{variant}: {answer}. Attempts: {path}", soft_wrap=True)
    give(
        LimitsDocument(
            variant=variant,
            searched=question.searched,
            largest=None if largest is None else question.at(largest).name,
            memory_limit_bytes=question.memory_limit_bytes,
            attempts=[TriedSize(setting=question.at(tried.size).name, **asdict(tried)) for tried in attempts],
            path=str(path),
        )
    )


def _print_frame(table: pd.DataFrame, console: PlainConsole) -> None:
    if not table.empty:
        console.print(table.to_string(index=False), soft_wrap=True)
        console.print()
