"""The work of ``bench evaluate``: trained networks are tested in another way, by their kept weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from bench.cli.console import console_for_people
from bench.cli.display import table_of
from bench.cli.documents.document import Document, Give, keep_silent
from bench.cli.documents.modes import ModesDocument
from bench.cli.documents.trials import RunDocument
from bench.cli.trials.planning import scheduled
from bench.cli.trials.running import run
from bench.data.decoded.shelf import Shelf
from bench.evidence.compare.modes import QualityInMode, quality_in_mode
from bench.parts import nearest
from bench.protocol.recipe import Mode, TimedPrecision
from bench.protocol.words import percent, plural
from bench.records.results import Results, load
from bench.run.handling import Handling
from bench.run.keeping.retested import copy_untested
from bench.run.keeping.weights import with_weights
from bench.run.processes.stopping import Stopped
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.factors import StudyError
from bench.study.source import Source, source_of_plan


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A test as a user asks for it, and how it is run.

    Attributes:
        folder: the results folder of the trained networks.
        protocol: the value of ``--protocol``.
        final: ``True`` to test on the test split.
        retry: the statuses of trials to test again.
        handling: the time limit of each trial, and what is kept of it.
        cpus: the CPU threads of a trial.
        gpus: the share of a GPU of a trial.
        shelf: the shelf for decoded samples; ``None`` for none.
    """

    folder: Path
    protocol: str | None
    final: bool
    retry: Collection[str]
    handling: Handling
    cpus: int | None
    gpus: float | None
    shelf: Shelf | None


def evaluate(asked: Asked, give: Give = keep_silent) -> bool:
    """Test the networks of a results folder in another way, by their kept weights, and write records and a report.

    They go into a folder of their own beside the other, as if the study had been run so. Trials whose weights are not
    kept are told and left out; those that depend on no test, of cost and speed, are copied.

    Args:
        asked: what is asked of the test.
        give: the function that takes the document of the run.

    Returns:
        ``True`` if all trials are done.

    Raises:
        BenchError: if nothing is left to test, or if the study cannot be run so.
    """
    results = load(asked.folder)
    if asked.protocol is None and not asked.final:
        raise StudyError("nothing to do: say how to test with --protocol or --modes, or on which images with --final")
    test = _test_of(asked, results, asked.protocol)
    if test.schedule.folder.resolve() == asked.folder.resolve():
        raise StudyError(f"{asked.folder} was tested so already")
    return _tested(asked, results, test, give)


@dataclass(frozen=True)
class _Test:
    """A test of the networks of a results folder.

    Attributes:
        source: the study, as it would be run to test so.
        schedule: its trials.
        chosen: those whose weights are kept.
    """

    source: Source
    schedule: Schedule
    chosen: list[Trial]

    @property
    def missing(self) -> int:
        """The number of trials whose weights are not kept."""
        return sum(trial.stage == "quality" for trial in self.schedule.trials) - len(self.chosen)


def _test_of(asked: Asked, results: Results, protocol: str | None) -> _Test:
    """The test by a protocol; nothing is run or written.

    Raises:
        BenchError: if nothing can be tested, or if the study cannot be run so.
    """
    trained = source_of_plan(results.plan, asked.folder)
    source = replace(
        trained,
        protocol=protocol or trained.protocol,
        final=asked.final or trained.final,
        seeds=tuple(results.plan.seeds),
    )
    trained_by = max((trial.processes for trial in results.plan.trials), default=1)
    schedule = scheduled(source, asked.folder.parent, asked.cpus, asked.gpus, shelf=asked.shelf, trained_by=trained_by)
    able = with_weights(results)
    chosen = [trial for trial in schedule.trials if (trial.stage == "quality" and (trial.variant, trial.seed) in able)]
    if not chosen:
        raise StudyError(f"{asked.folder} has no weights to test: run its study without --no-weights")
    return _Test(source, schedule, chosen)


def _tested(asked: Asked, results: Results, test: _Test, give: Give) -> bool:
    """Run a test into a results folder of its own, and return ``True`` if all of the study's trials are done."""
    console = console_for_people()
    schedule, folder = test.schedule, asked.folder
    if test.missing:
        console.print(f"{plural(test.missing, 'trial')} without kept weights cannot be tested without training.")
    schedule.folder.mkdir(parents=True, exist_ok=True)
    copied = copy_untested(results, folder, {trial.key for trial in schedule.trials}, schedule.folder)
    if copied:
        console.print(f"{plural(copied, 'record')} of costs and speed copied, which no test changes.")
    argv = ["bench", "run", test.source.path, *test.source.options]
    handling = replace(asked.handling, weights=False, checkpoint_s=None, trained_in=folder.resolve())
    done = run(schedule, argv, handling=handling, retry=asked.retry, trials=test.chosen, shelf=asked.shelf, give=give)
    return done and not test.missing


def evaluate_in_modes(asked: Asked, modes: Sequence[str], precisions: Sequence[str], give: Give = keep_silent) -> bool:
    """Test the networks of a results folder in execution modes, and print their mean IoU beside that by eager torch.

    Each mode and precision is a test by :func:`evaluate`, with a results folder of its own. So is that by eager torch,
    where a protocol or the test split is asked for that the folder was not tested by. All is checked before any test.

    Args:
        asked: what is asked of the tests.
        modes: the values of ``--modes``.
        precisions: the values of ``--precision``; none for float32.
        give: the function that takes the document of all tests.

    Returns:
        ``True`` if every network that has weights was tested in every mode.

    Raises:
        BenchError: if a mode cannot be tested here, if nothing is left to test, or if the study cannot be run so.
    """
    pairs = _pairs(modes, precisions)
    results = load(asked.folder)
    base = asked.protocol or source_of_plan(results.plan, asked.folder).protocol
    eager = _test_of(asked, results, base)
    reference = eager.schedule.folder
    tests = {
        (mode, precision): _test_of(asked, results, ",".join(filter(None, [base, _fields(mode, precision)])))
        for mode, precision in pairs
    }
    documents: list[Document] = []
    complete = True
    stopped: Stopped | None = None
    try:
        for test in ([] if reference.resolve() == asked.folder.resolve() else [eager]) + list(tests.values()):
            complete = _tested(asked, results, test, documents.append) and complete
    except Stopped as error:
        stopped = error
    rows = [
        row
        for (mode, precision), test in tests.items()
        if all((each / "study.json").exists() for each in (test.schedule.folder, reference))
        for row in quality_in_mode(
            load(reference), load(test.schedule.folder), mode, precision, {trial.key for trial in test.chosen}
        )
    ]
    _print_modes(rows)
    give(
        ModesDocument(
            folder=str(reference),
            complete=complete and stopped is None,
            stopped_by=None if stopped is None else stopped.name,
            variants=rows,
            runs=[document for document in documents if isinstance(document, RunDocument)],
        )
    )
    if stopped is not None:
        raise stopped
    return complete


def _pairs(modes: Sequence[str], precisions: Sequence[str]) -> list[tuple[Mode, TimedPrecision]]:
    """Each mode with each precision, but for eager torch in float32, which all are compared with.

    Raises:
        StudyError: for a mode or precision that does not exist or is there twice, or if none is left.
    """
    for option, given, known in (
        ("--modes", modes, get_args(Mode)),
        ("--precision", precisions, get_args(TimedPrecision)),
    ):
        for name in given:
            if name not in known:
                raise StudyError(f"{option} {name!r}: expected one of {', '.join(known)}{nearest(name, known)}")
        if len(set(given)) < len(given):
            raise StudyError(f"{option} {','.join(given)}: each may be there once")
    every = [(mode, precision) for mode in modes for precision in precisions or ("float32",)]
    others = [pair for pair in every if pair != ("eager", "float32")]
    if not others:
        raise StudyError(
            "--modes eager in float32 is what other modes are compared with; add another mode or precision"
        )
    return cast(list[tuple[Mode, TimedPrecision]], others)


def _fields(mode: str, precision: str) -> str:
    """The fields of the recipe that test in a mode and a precision, as ``--protocol`` has them."""
    named = "" if mode == "eager" else f"test_mode={mode},"
    return f"{named}test_precision={precision}"


def _print_modes(rows: Sequence[QualityInMode]) -> None:
    numbers = ("mIoU by eager", "mIoU", "difference", "pixels changed")
    table = table_of("mode", "precision", "variant", "seeds", *numbers, "", numeric=("seeds", *numbers))
    for row in rows:
        if row.miou is None or row.miou_eager is None or row.delta is None or row.changed is None:
            cells = ["", "", "", "", row.left]
        else:
            remark = "changes the answer" if row.changes_answer else "the same answer"
            cells = [f"{100 * row.miou_eager:.2f}", f"{100 * row.miou:.2f}", f"{100 * row.delta:+.2f}"]
            cells += [percent(row.changed), "; ".join(filter(None, [remark, row.left]))]
        table.add_row(row.mode, row.precision, row.variant, str(len(row.seeds)), *cells)
    if rows:
        console = console_for_people()
        console.print(table)
        console.print("mIoU in %, mean over seeds, each network tested in both ways on the same images.")
