"""The commands that measure networks without training them: speed, limits and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.documents.document import AsJson, argv, only_document
from bench.cli.options import (
    EXIT_OPEN,
    MEMORY_FORMATS,
    MODES,
    PRECISIONS,
    TIMED_PRECISIONS,
    DataName,
    LeastCpus,
    MeasuredOn,
    ResultsRoot,
    Retry,
    SizeName,
    StudyFile,
    Timeout,
    Training,
    VariantName,
    words_of,
)
from bench.parts import BenchError
from bench.protocol.words import joined


def speed(
    study: StudyFile,
    against: Annotated[
        str | None,
        typer.Option(
            help="The levels of the variant to compare with, such as upsampling=dilated-8; by default the study's own "
            "comparisons.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="A variant to time, instead of all; may be repeated.", show_default=False),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting to time in, by its name in the plan such as '512x512 bfloat16', instead of all; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    px: Annotated[
        list[str] | None,
        typer.Option(help="The input, HEIGHTxWIDTH, by default 512x512; may be repeated.", show_default=False),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="The number of images in a call, by default 1; may be repeated.", show_default=False),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{TIMED_PRECISIONS}, by default float32; may be repeated, or hold several with commas. Without "
            "--against, the study's own comparisons in these precisions.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            "--modes",
            help=f"{MODES}, by default eager; may be repeated, or hold several with commas. Without --against, the "
            "study's own comparisons in these modes.",
            show_default=False,
        ),
    ] = None,
    memory_format: Annotated[
        list[str] | None,
        typer.Option(help=f"{MEMORY_FORMATS}, by default contiguous; may be repeated.", show_default=False),
    ] = None,
    training: Training = False,
    seconds: Annotated[
        float | None,
        typer.Option(help="The least time to measure each comparison, in seconds; by default 10.", show_default=False),
    ] = None,
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    cpus: LeastCpus = None,
    gpus: MeasuredOn = None,
    timeout: Timeout = None,
    retry: Retry = None,
    as_json: AsJson = False,
) -> None:
    """Time each variant against the same one with other levels, in turns, and print the ratios with intervals.

    Finished trials stay, so the command can be run again to go on. --px, --batch, --memory-format, --training and
    --seconds are for --against. Every mode's outputs are compared with those of eager torch.
    """
    from bench.cli import timings
    from bench.cli.trials import planning

    modes, precisions = tuple(words_of(mode)), tuple(words_of(precision))
    sweep: timings.Sweep | timings.Modes | None = timings.Modes(modes, precisions) if modes or precisions else None
    given = {
        "--px": px,
        "--batch": batch,
        "--memory-format": memory_format,
        "--training": training or None,
        "--seconds": seconds,
    }
    unused = [name for name, value in given.items() if value is not None]
    if unused and against is None:
        raise BenchError(f"{joined(unused)}: for --against alone; add --against FACTOR=LEVEL, or leave it out")
    if against is not None:
        sweep = timings.Sweep(
            against=against,
            px=px or ("512x512",),
            batch=batch or (1,),
            precision=precisions or ("float32",),
            mode=modes or ("eager",),
            memory_format=memory_format or ("contiguous",),
            training=training,
            least_s=10.0 if seconds is None else seconds,
        )
    with only_document(as_json) as give:
        schedule = timings.scheduled(planning.source(study, size, data), sweep, results, cpus, gpus)
        complete = timings.speed(
            schedule, argv(), variant or (), setting or (), timeout_s=timeout, retry=retry or (), give=give
        )
    if not complete:
        raise typer.Exit(EXIT_OPEN)


def limits(
    study: StudyFile,
    variant: VariantName,
    largest: Annotated[str, typer.Option(help="The size to search: batch or input.")] = "batch",
    memory_limit: Annotated[
        str | None,
        typer.Option(help="The memory that an attempt may take, such as 4GiB; required on a CPU.", show_default=False),
    ] = None,
    px: Annotated[str, typer.Option(help="The input, HEIGHTxWIDTH, while the batch is searched.")] = "512x512",
    batch: Annotated[int, typer.Option(help="The number of images while the input is searched.")] = 1,
    precision: Annotated[str, typer.Option(help=f"The precision: {TIMED_PRECISIONS}.")] = "float32",
    mode: Annotated[str, typer.Option(help=f"The execution: {MODES}.")] = "eager",
    memory_format: Annotated[str, typer.Option(help=f"The memory format: {MEMORY_FORMATS}.")] = "contiguous",
    training: Training = False,
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    cpus: LeastCpus = None,
    gpus: MeasuredOn = None,
    as_json: AsJson = False,
) -> None:
    """Search for the largest batch or square input that fits into memory, each attempt in a process of its own."""
    from bench.cli import timings
    from bench.cli.trials import planning

    source = planning.source(study, size, data)
    phase = "training" if training else "inference"
    conditions = {"precision": precision, "memory_format": memory_format, "mode": mode, "phase": phase}
    question = timings.question(source, variant, largest, memory_limit, px, batch, conditions, cpus, gpus)
    with only_document(as_json) as give:
        timings.limits(question, results, give)


def cost(
    study: StudyFile,
    variant: VariantName,
    px: Annotated[
        list[str] | None,
        typer.Option(
            help="A size, HEIGHTxWIDTH, such as 360x480; may be repeated. By default half, three quarters and all of "
            "the study's input.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="The number of levels of modules; 1 lists the slots alone.")] = 3,
    forwards: Annotated[int, typer.Option(min=0, help="The number of timed forwards at each size; 0 only counts.")] = 5,
    precision: Annotated[
        str | None,
        typer.Option(
            help=f"The precision of the forwards: {PRECISIONS}; by default the recipe's.",
            show_default=False,
        ),
    ] = None,
    memory_format: Annotated[
        str | None,
        typer.Option(help=f"{MEMORY_FORMATS}; by default that in which the device trains.", show_default=False),
    ] = None,
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    gpus: MeasuredOn = None,
    as_json: AsJson = False,
) -> None:
    """Measure parameters, MACs, memory and time of every module of one variant, and their growth with the image.

    Modules with at least 1 % of any quantity are printed; all are written as JSON and CSV. Nothing is trained.
    """
    from bench.cli import networks
    from bench.cli.trials import planning

    source = planning.source(study, size, data)
    chosen = {"precision": precision, "memory_format": memory_format}
    with only_document(as_json) as give:
        networks.cost(
            source,
            variant,
            px or (),
            results,
            depth=depth,
            forwards=forwards,
            gpus=gpus,
            data_is_given=data is not None,
            give=give,
            conditions={name: value for name, value in chosen.items() if value is not None},
        )
