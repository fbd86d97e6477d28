"""The work of ``bench evaluate``: trained networks are tested in another way, by their kept weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bench.cli.console import console_for_people
from bench.cli.documents.document import Give, keep_silent
from bench.cli.trials.planning import scheduled
from bench.cli.trials.running import run
from bench.data.decoded.shelf import Shelf
from bench.protocol.words import plural
from bench.records.results import load
from bench.run.handling import Handling
from bench.run.keeping.retested import copy_untested
from bench.run.keeping.weights import with_weights
from bench.study.factors import StudyError
from bench.study.source import source_of_plan


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
    give: Give = keep_silent,
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
        give: the function that takes the document of the run.

    Returns:
        ``True`` if all trials are done.

    Raises:
        BenchError: if nothing is left to test, or if the study cannot be run so.
    """
    results = load(folder)
    trained = source_of_plan(results.plan, folder)
    if protocol is None and not final:
        raise StudyError("nothing to do: say how to test with --protocol, or on which images with --final")
    asked = replace(
        trained, protocol=protocol or trained.protocol, final=final or trained.final, seeds=tuple(results.plan.seeds)
    )
    trained_by = max((trial.processes for trial in results.plan.trials), default=1)
    schedule = scheduled(asked, folder.parent, cpus, gpus, shelf=shelf, trained_by=trained_by)
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
    return run(schedule, argv, handling=handling, retry=retry, trials=chosen, shelf=shelf, give=give) and not missing
