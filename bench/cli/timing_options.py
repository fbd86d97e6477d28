"""Commands that time networks, search their limits and take them apart: arguments and exit statuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import EXIT_OPEN, Cpus, Data, Gpus, ResultsRoot, Size, StudyFile


def speed(
    study: StudyFile,
    against: Annotated[
        str | None,
        typer.Option(
            help="Levels of the other side, such as upsampling=dilated-8; by default the study's own comparisons.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; may be repeated.", show_default=False)
    ] = None,
    px: Annotated[
        list[str] | None,
        typer.Option(help="Input HEIGHTxWIDTH, by default 512x512; may be repeated.", show_default=False),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Images a call, by default 1; may be repeated.", show_default=False)
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="float32 (default), bfloat16 or float16; may be repeated.", show_default=False),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="eager (default), channels_last, compile or cuda_graph; may be repeated.", show_default=False
        ),
    ] = None,
    training: Annotated[bool, typer.Option("--training", help="Time training steps instead of forwards.")] = False,
    seconds: Annotated[float, typer.Option(help="How long each comparison is measured, at least.")] = 10.0,
    size: Size = None,
    data: Data = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one trial may take.", show_default=False)] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            help="Also repeat trials with this outcome, such as done; not_alone: those left out.", show_default=False
        ),
    ] = None,
) -> None:
    """Time each variant against the same one with other levels, in turns, and print the ratios with intervals.

    What is finished stays: run it again to go on. Options from --px to --seconds count with --against only.
    """
    from bench.cli import studies, timings

    sweep = None
    if against is not None:
        sweep = timings.Sweep(
            against=against,
            px=px or ("512x512",),
            batch=batch or (1,),
            precision=precision or ("float32",),
            mode=mode or ("eager",),
            training=training,
            least_s=seconds,
        )
    made = timings.planned(studies.source(study, size, data, None, False), sweep, results, cpus, gpus)
    if not timings.speed(made, sys.argv, variant or (), timeout_s=timeout, retry=retry or ()):
        raise typer.Exit(EXIT_OPEN)


def limits(
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="'baseline', or levels: attention=on,gate=off.", show_default=False)],
    largest: Annotated[str, typer.Option(help="What is searched: batch or input.")] = "batch",
    memory_limit: Annotated[
        str | None, typer.Option(help="Memory that it may take, such as 4GiB; needed on a CPU.", show_default=False)
    ] = None,
    px: Annotated[str, typer.Option(help="Input HEIGHTxWIDTH while the batch is searched.")] = "512x512",
    batch: Annotated[int, typer.Option(help="Images while the input is searched.")] = 1,
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    training: Annotated[bool, typer.Option("--training", help="Fit training steps instead of forwards.")] = False,
    size: Size = None,
    data: Data = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Search the largest batch or square input that fits into memory, each attempt in a process of its own."""
    from bench.cli import studies, timings

    source = studies.source(study, size, data, None, False)
    question = timings.question(source, variant, largest, memory_limit, px, batch, precision, training, cpus, gpus)
    timings.limits(question, results)


def cost(
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="'baseline', or levels: attention=on,gate=off.", show_default=False)],
    px: Annotated[
        list[str] | None,
        typer.Option(
            help="Height x width, such as 360x480; once for each size. By default half, 3/4 and all of the study's.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="How deep to look into a slot; 1 is the slots alone.")] = 3,
    forwards: Annotated[int, typer.Option(min=0, help="Timed forwards at each size; 0 counts only.")] = 5,
    size: Size = None,
    data: Data = None,
    results: ResultsRoot = Path("results"),
    gpus: Gpus = None,
) -> None:
    """Take one variant apart: parameters, MACs, memory and time of every module, and how they grow with the image.

    Prints what has 1 % of anything and writes everything as JSON and CSV. Nothing is trained.
    """
    from bench.cli import networks, studies

    source = studies.source(study, size, data, None, False)
    networks.cost(
        source,
        variant,
        px or (),
        results,
        depth=depth,
        forwards=forwards,
        gpus=gpus,
        data_is_given=data is not None,
    )
