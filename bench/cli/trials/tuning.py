"""The work of ``bench tune``: the search for each arm's best settings, then the study at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.cli.console import console_for_people
from bench.cli.display import Tally, display_for, table_of
from bench.cli.documents.document import Document, Give, keep_silent
from bench.cli.documents.trials import RunDocument, TunedArm, TuneDocument
from bench.cli.trials.lock import at_work
from bench.cli.trials.running import need_a_home
from bench.data.decoded.shelf import Shelf
from bench.records.plan.tuned import Best, Tuned
from bench.run.handling import Handling
from bench.run.processes.stopping import Stopped
from bench.run.resources import Resources
from bench.run.sharing.claims import Owner, take
from bench.run.trial import Trial
from bench.study.audit import unfair_tuning
from bench.study.factors import StudyError
from bench.study.source import Source, Tried, load
from bench.study.tuning.arms import arms_of, chosen_arms
from bench.study.tuning.best import write_best

TUNED = "tuned.json"
"""The file in the folder of a tuning that holds the best settings."""


@dataclass(frozen=True)
class Found:
    """The best settings that a search found.

    Attributes:
        source: the form of the study that has them.
        folder: the folder of the search.
        arms: the settings of every arm.
    """

    source: Source
    folder: Path
    arms: tuple[Best, ...]


def search(
    source: Source,
    results: Path,
    budget: int,
    arms: Sequence[str],
    folds: int,
    cross_validate: bool,
    resources: Resources,
    shelf: Shelf | None,
    timeout_s: float | None,
    give: Give = keep_silent,
    *,
    prune: bool = False,
) -> Found:
    """Search the best settings of every arm.

    Args:
        source: the study.
        results: the folder of all results.
        budget: the number of settings that are tried for each arm.
        arms: the arms to tune; none for all of them.
        folds: the number of parts that the training images are divided into.
        cross_validate: ``True`` to test settings on each part in turn, ``False`` on the first one alone.
        resources: the CPUs and GPUs that trials take.
        shelf: the shelf of decoded samples, whose files are not decoded again for the check of the data.
        timeout_s: the time limit of a trial.
        give: the function that takes the document of a search that was stopped.
        prune: ``True`` to end trainings early that are worse than earlier settings of their arm were.

    Raises:
        BenchError: if the study cannot be tuned.
        Stopped: on Ctrl-C, SIGTERM or a hang-up.
    """
    if "quality" not in load(source).study.stages:
        raise StudyError("a study that trains no network cannot be tuned; it needs the stage 'quality'")
    need_a_home()
    # Ray and Optuna are imported here, because their import takes two seconds and only this command needs both.
    from bench.run.execute import execute
    from bench.run.search.pruning import LOOKS
    from bench.run.search.storage import opened
    from bench.run.search.tuning import (
        Tuning,
        default_settings,
        refuse_unshared_settings,
        seed_of,
        tried_before,
        tune,
    )

    console = console_for_people()
    study = load(source).study
    chosen = chosen_arms(study, list(arms))
    first = load(replace(source, tried=Tried(tuple(default_settings(study).items()), 0, folds)))
    first.check_data(shelf)
    for cell in study.cells():
        cell.recipe.check(resources.machine("quality").device)
    refuse_unshared_settings(study, resources.processes)
    folder = results / first.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    tested, looks = folds if cross_validate else 1, (study.recipe.validated_at or LOOKS) if prune else ()
    tuning = Tuning(
        source, chosen, budget, folds, tested, seed_of(study), folder, looks, resources.processes_of("quality")
    )
    handling = Handling(timeout_s=timeout_s, pictures=False, weights=False)

    def run(trials: Sequence[Trial]) -> None:
        tally = Tally(trials, {"quality": resources.at_a_time("quality")})
        with display_for(tally, console) as display:
            execute(trials, folder, resources, display, handling, run=presence.run)

    with at_work(folder) as presence, only_search(folder, presence.run):
        storage = opened(folder)
        try:
            tried = tune(tuning, study, storage, run, lambda line: console.print(line, soft_wrap=True))
        except Stopped as stopped:
            stopped.obeyed()
            give(TuneDocument(folder=str(folder), path=None, arms=[], stopped_by=stopped.name, run=None))
            console.print(f"Stopped by {stopped.name}. Run the same command again to go on.")
            stopped.told = True
            raise
        names = [arm.name for arm in chosen]
        others = (arm for arm in arms_of(study) if arm.name not in names)
        before = tried_before(tuning, study, storage, others)
        write_best([*tried, *before], folder / TUNED)
    counts = ("tried", "pruned", "iterations") if prune else ("tried", "iterations")
    table = table_of("arm", *counts, "default", "best", "settings", numeric=(*counts, "default", "best"))
    for best in [*tried, *before]:
        arm = ", ".join(f"{factor}={level}" for factor, level in best.levels.items())
        of_arm = {"tried": best.trials, "pruned": best.pruned, "iterations": best.iterations}
        budget_of_arm = ["" if of_arm[name] is None else str(of_arm[name]) for name in counts]
        scores = ["" if score is None else f"{100 * score:.2f}" for score in (best.default_miou, best.miou)]
        settings = ", ".join(f"{name} {value}" for name, value in best.settings.items())
        table.add_row(arm, *budget_of_arm, *scores, settings)
    console.print(table)
    for line in unfair_tuning(Tuned(arms=[*tried, *before], as_written=True)):
        console.print(line, soft_wrap=True)
    console.print("Scores are mIoU in % on training images that are held out.")
    return Found(replace(source, tuned=str(folder / TUNED)), folder, (*tried, *before))


def with_run(found: Found, give: Give) -> Give:
    """The function that takes the document of the run at the best settings, and gives that of the whole tuning."""
    if give is keep_silent:
        return keep_silent

    def give_both(run: Document) -> None:
        assert isinstance(run, RunDocument)
        arms = [
            TunedArm(
                levels=dict(arm.levels),
                tried=arm.trials,
                settings=dict(arm.settings),
                miou=arm.miou,
                default_miou=arm.default_miou,
                pruned=arm.pruned,
                iterations=arm.iterations,
            )
            for arm in found.arms
        ]
        give(
            TuneDocument(
                folder=str(found.folder),
                path=found.source.tuned,
                arms=arms,
                stopped_by=run.stopped_by,
                run=run,
            )
        )

    return give_both


@contextmanager
def only_search(folder: Path, run: str) -> Iterator[None]:
    """Inside, no other tuning or exploration is at work in the folder.

    Raises:
        StudyError: if another one is.
    """
    claim = take(folder, "tuning", run)
    if isinstance(claim, Owner):
        raise StudyError(f"another search is at work in {folder} ({claim}); wait for it")
    with claim.kept():
        yield
