"""The commands about the trials of a study: check, plan, run, tune, explore, trial and rekey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.documents.document import AsJson, argv, only_document
from bench.cli.options import (
    EXIT_OPEN,
    Accumulate,
    Address,
    CacheFolder,
    CheckpointMinutes,
    Cpus,
    DataName,
    ExploredCells,
    Final,
    Gpus,
    MLflow,
    NoCache,
    Pictures,
    Processes,
    Protocol,
    RecipeName,
    ResultsFolder,
    ResultsPlace,
    ResultsRoot,
    Retry,
    Seeds,
    SeedsAtMost,
    Shard,
    SizeName,
    StudyFile,
    TensorBoard,
    Timeout,
    TrackIO,
    TunedSettings,
    UntilResolved,
    VariantName,
    WandB,
    Weights,
    handled,
    requeued,
)
from bench.protocol.recipes import RECIPES
from bench.run.handling import CHECKPOINT_MINUTES

SOURCES = "\b\nRecipes:\n" + "\n".join(f"  {name}: {recipe.source}" for name, recipe in RECIPES.items())
"""The published recipes with their sources, as lines below the help of ``bench check``."""

# Four commands declare the same options about the form of a study: typer reads a command's options from its own
# parameters alone, and a decorator that adds some would hide from readers and type checkers what a command takes.


def check(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    tuned: TunedSettings = None,
    explored: ExploredCells = None,
    as_json: AsJson = False,
) -> None:
    """Build every variant, and print its parameters, MACs and output shape. Takes seconds.

    The data are read and checked too, if their folder is known. Nothing is trained or written.
    """
    from bench.cli import networks
    from bench.cli.trials import planning

    source = planning.source(study, size, data, seeds, final, protocol, recipe, tuned, explored)
    with only_document(as_json) as give:
        whole = networks.check(source, data_is_given=data is not None, give=give)
    if not whole:
        raise typer.Exit(EXIT_OPEN)


def plan(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    until_resolved: UntilResolved = False,
    seeds_at_most: SeedsAtMost = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    tuned: TunedSettings = None,
    explored: ExploredCells = None,
    results: ResultsPlace = "results",
    cpus: Cpus = None,
    gpus: Gpus = None,
    processes: Processes = None,
    address: Address = None,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    whole: Annotated[bool, typer.Option("--all", help="List every trial, also of a plan of more than 300.")] = False,
    as_json: AsJson = False,
) -> None:
    """List all trials with their outcomes, say what runs again and why, and estimate the time and disk of the rest.

    No trial is run and nothing is written. Without records, the time comes from a few training steps of some variants.
    With the address of a cluster, timings of every hardware class count, as in its runs; it is not asked.
    With --until-resolved the trials are those up to the round that is due.
    """
    from bench.cli import decoding
    from bench.cli.console import console_for_people
    from bench.cli.trials import listing, planning, rounds, stored

    with only_document(as_json) as give, planning.without_collection():
        shelf = decoding.shelf_in(cache, no_cache=no_cache)
        source = planning.source(study, size, data, seeds, final, protocol, recipe, tuned, explored)
        root, _ = stored.fetched(results, source)
        schedule = planning.scheduled(source, root, cpus, gpus, address, shelf=shelf, processes=processes)
        schedule = replace(schedule, most_built=planning.MOST_BUILT)
        in_rounds = rounds.asked(schedule, until_resolved, seeds_at_most)
        progress = None if in_rounds is None else in_rounds.progress()
        if in_rounds is not None and progress is not None:
            schedule = in_rounds.due(progress)
        state = None if in_rounds is None or progress is None else in_rounds.state(progress)
        most = None if as_json else listing.most_told(schedule, whole=whole)
        planned = planning.plan_of(schedule, shelf, state, most=most)
        give(planned)
        if not as_json:
            listing.show(planned, schedule, shelf, console_for_people(), whole=whole)
    if planned.faulty:
        raise typer.Exit(EXIT_OPEN)


def run(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    until_resolved: UntilResolved = False,
    seeds_at_most: SeedsAtMost = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    tuned: TunedSettings = None,
    explored: ExploredCells = None,
    results: ResultsPlace = "results",
    cpus: Cpus = None,
    gpus: Gpus = None,
    processes: Processes = None,
    address: Address = None,
    timeout: Timeout = None,
    retry: Retry = None,
    accumulate: Accumulate = False,
    shard: Shard = None,
    pictures: Pictures = True,
    weights: Weights = True,
    checkpoint_minutes: CheckpointMinutes = CHECKPOINT_MINUTES,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    tensorboard: TensorBoard = False,
    mlflow: MLflow = False,
    wandb: WandB = False,
    trackio: TrackIO = False,
    as_json: AsJson = False,
) -> None:
    """Run every trial that is not done yet, then write the report.

    You may stop the run at any time (Ctrl-C) and start it again: finished trials stay, and a training that was
    interrupted goes on from its last kept state. Several runs may share the results folder: no trial is done twice.

    The exit status is 0 only if every cell is done or excluded. With --shard it is 75 after SIGTERM: requeue the job.
    """
    from bench.cli import decoding
    from bench.cli.console import say
    from bench.cli.documents.document import Give
    from bench.cli.trials import planning, rounds, running, stored
    from bench.run.schedule.schedule import Schedule
    from bench.run.sharing.shares import parse_share
    from bench.run.tracking.chosen import trackers
    from bench.run.trial import Trial

    share = None if shard is None else parse_share(shard)
    with requeued(share is not None), only_document(as_json) as give:
        source = planning.source(study, size, data, seeds, final, protocol, recipe, tuned, explored)
        shelf = decoding.shelf_in(cache, no_cache=no_cache)
        root, mirror = stored.fetched(results, source)
        schedule = planning.scheduled(source, root, cpus, gpus, address, shelf=shelf, processes=processes)
        handling = handled(pictures=pictures, weights=weights, minutes=checkpoint_minutes, timeout_s=timeout)

        def run_trials(chosen: Schedule, trials: Sequence[Trial] | None, give: Give) -> bool:
            told = trackers(schedule.folder, tensorboard=tensorboard, mlflow=mlflow, wandb=wandb, trackio=trackio)
            return running.run(
                chosen,
                argv(),
                handling=handling,
                retry=retry or (),
                accumulate=accumulate,
                trials=trials,
                shelf=shelf,
                trackers=told,
                share=share,
                give=give,
                mirror=mirror,
            )

        in_rounds = rounds.asked(schedule, until_resolved, seeds_at_most, share)
        if in_rounds is None:
            complete = run_trials(schedule, None, give)
        else:
            complete = rounds.run_rounds(in_rounds, run_trials, give, say)
    if not complete:
        raise typer.Exit(EXIT_OPEN)


def tune(
    study: StudyFile,
    budget: Annotated[
        int, typer.Option(min=1, help="The number of settings that are tried for each arm.", show_default=False)
    ],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Tune this arm alone, such as attention=on; by default all arms.", show_default=False),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="The parts that the training images are divided into.")] = 5,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Test settings on each part in turn, not on one of them alone.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="End a training early that is worse at a quarter, half or three quarters of it than the median of the "
            "arm's own earlier settings was there. No arm is compared with another.",
        ),
    ] = False,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    recipe: RecipeName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    processes: Processes = None,
    address: Address = None,
    timeout: Timeout = None,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Tune every arm with the same number of trials, then run the study at default and at tuned settings.

    The study names the fields, as in tune={"learning_rate": LogRange(1e-3, 1e-1)}. Arms are the levels of its focus
    factor or, without one, all variants. Settings are compared on training images that are held out, never on those of
    the report. You may stop it at any time and give the same command again: no trial is repeated.

    With --prune every arm still gets the same number of settings; the iterations that it took are shown beside it.
    """
    from bench.cli import decoding
    from bench.cli.trials import planning, running, tuning
    from bench.run.resources import here

    with only_document(as_json) as give:
        shelf = decoding.shelf_in(cache, no_cache=no_cache)
        resources = here(cpus, gpus, address, processes)
        source = planning.source(study, size, data, seeds, recipe=recipe)
        found = tuning.search(
            source, results, budget, arm or (), folds, cross_validate, resources, shelf, timeout, give, prune=prune
        )
        schedule = planning.scheduled(found.source, results, cpus, gpus, address, shelf=shelf, processes=processes)
        handling = handled(pictures=True, weights=True, minutes=CHECKPOINT_MINUTES, timeout_s=timeout)
        folder = [] if results == Path("results") else ["--results", str(results)]
        argv = ["bench", "run", str(study), *found.source.options, *folder]
        complete = running.run(schedule, argv, handling=handling, shelf=shelf, give=tuning.with_run(found, give))
    if not complete:
        raise typer.Exit(EXIT_OPEN)


def explore(
    study: StudyFile,
    budget: Annotated[int, typer.Option(min=1, help="The number of cells that are tried.", show_default=False)],
    objectives: Annotated[
        str, typer.Option(help="The measured columns that are to be good, each in its own direction.")
    ] = "miou,latency_s,peak_bytes",
    seed: Annotated[int, typer.Option(min=0, help="The seed of the proposals.")] = 0,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    recipe: RecipeName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    processes: Processes = None,
    address: Address = None,
    timeout: Timeout = None,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Search the cells on the Pareto front of a study that has too many to run, and write a report of those tried.

    A study of any number of combinations says design="explored". Cells are ordinary trials, by default with the first
    seed of the study; no combination is tried twice, and none that is excluded. You may stop it at any time and give
    the same command again.
    """
    from bench.cli import decoding
    from bench.cli.trials import exploring, planning, running
    from bench.run.resources import here

    with only_document(as_json) as give:
        shelf = decoding.shelf_in(cache, no_cache=no_cache)
        source = planning.source(study, size, data, seeds, recipe=recipe)
        handling = handled(pictures=True, weights=True, minutes=CHECKPOINT_MINUTES, timeout_s=timeout)
        wanted, resources = [name.strip() for name in objectives.split(",")], here(cpus, gpus, address, processes)
        chosen, give_both = exploring.search(source, results, budget, wanted, seed, resources, shelf, handling, give)
        schedule = planning.scheduled(chosen, results, cpus, gpus, address, shelf=shelf, processes=processes)
        folder = [] if results == Path("results") else ["--results", str(results)]
        argv = ["bench", "run", str(study), *chosen.options, *folder]
        complete = running.run(schedule, argv, handling=handling, shelf=shelf, give=give_both)
    if not complete:
        raise typer.Exit(EXIT_OPEN)


def trial(
    study: StudyFile,
    variant: VariantName,
    seed: Annotated[int, typer.Option(help="The seed of weights and batches.")] = 0,
    stage: Annotated[str, typer.Option(help="The kind of measurement: quality or cost.")] = "quality",
    size: SizeName = None,
    data: DataName = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    tuned: TunedSettings = None,
    explored: ExploredCells = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    processes: Processes = None,
    pictures: Pictures = True,
    weights: Weights = True,
    checkpoint_minutes: CheckpointMinutes = CHECKPOINT_MINUTES,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Run one trial in this process, without Ray, so that a debugger works.

    Its record counts like any other. Factors that VARIANT leaves out have the baseline's level.
    """
    from bench.cli import decoding
    from bench.cli.trials import planning, single

    with only_document(as_json) as give:
        shelf = decoding.shelf_in(cache, no_cache=no_cache)
        schedule = planning.scheduled(
            planning.source(study, size, data, str(seed), final, protocol, recipe, tuned, explored),
            results,
            cpus,
            gpus,
            shelf=shelf,
            processes=processes,
        )
        handling = handled(pictures=pictures, weights=weights, minutes=checkpoint_minutes)
        done = single.trial(schedule, argv(), variant, stage, handling=handling, shelf=shelf, give=give)
    if not done:
        raise typer.Exit(EXIT_OPEN)


def rekey(
    folder: ResultsFolder,
    source: Annotated[
        Path | None,
        typer.Option(help="A checkout of the source that made the records; by default the plan's commit."),
    ] = None,
    assume_installed: Annotated[
        bool, typer.Option("--assume-installed", help="Take installed versions where the records name none.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give records of an earlier bench the keys of this one, where the source proves that they are the same trials.

    Both keys of every trial are built from the source that made the records. What cannot be proven is left as it is.
    Records of a format without a digest of their content get one.
    """
    from bench.cli.trials import rekeying

    with only_document(as_json) as give:
        rekeying.rekey(folder, source, assume_installed=assume_installed, give=give)
