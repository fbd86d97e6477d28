"""The ``bench`` command line: arguments and exit statuses. What the commands do is in :mod:`bench.commands`.

Torch and ray are imported only by the commands that need them: ``bench report`` works where neither is installed.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bench import report_cli
from bench.parts import BenchError
from bench.terminal import plain

app = typer.Typer(
    name="bench",
    help="""Ablation studies and cost benchmarks for semantic segmentation.

A study is a Python file that names a question, the factors to vary and a recipe. Look at it with check, see what a
run would do with plan, run it with run, and find the report under results/.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXIT_OPEN = 1
"""Some planned cell did not end as done."""
EXIT_USAGE = 2
"""The command, the study or the data cannot be used as they are; nothing was run."""
EXIT_INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM."""

StudyFile = Annotated[Path, typer.Argument(help="A study file, such as studies/quickstart.py.", show_default=False)]
Size = Annotated[str | None, typer.Option(help="One of the study's named sizes, such as 'small'.", show_default=False)]
Data = Annotated[
    str | None,
    typer.Option(
        help="Where the data is: FOLDER, NAME=FOLDER, or an embedded set's name ('synthetic').", show_default=False
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Seeds instead of the study's: 0,1,2,3.", show_default=False)]
Final = Annotated[bool, typer.Option("--final", help="Evaluate on the test split: for the last run of a study.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="Folder that holds one folder a study.")]
Cpus = Annotated[
    int | None,
    typer.Option(help="CPU threads of a training trial; by default 1, or a GPU's share.", show_default=False),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="GPUs of a training trial: by default 1 if there is one; 0.5 lets two share. Timings get a whole one.",
        show_default=False,
    ),
]
Pictures = Annotated[
    bool,
    typer.Option(
        help="Keep predictions, and thumbnails of the evaluated images and labels, for the report's gallery. "
        "Thumbnails are copies of the data: mind its licence before you pass them or the page on."
    ),
]


@app.command()
def check(study: StudyFile, size: Size = None, data: Data = None, seeds: Seeds = None, final: Final = False) -> None:
    """Build every variant; print parameters, MACs and output shape. Takes seconds.

    The data is read and checked too, where its folder is known. Nothing is trained or written.
    """
    from bench import commands

    commands.check(commands.source(study, size, data, seeds, final), data_is_given=data is not None)


@app.command()
def plan(
    study: StudyFile,
    size: Size = None,
    data: Data = None,
    seeds: Seeds = None,
    final: Final = False,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """List all trials, what is done already, and the time that is left.

    Runs nothing, unless there is no record to estimate from: then two small training steps of the baseline.
    """
    from bench import commands

    commands.plan(commands.planned(commands.source(study, size, data, seeds, final), results, cpus, gpus), sys.argv)


@app.command()
def run(
    study: StudyFile,
    size: Size = None,
    data: Data = None,
    seeds: Seeds = None,
    final: Final = False,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster: 'auto' or host:port.", show_default=False)
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one trial may take.", show_default=False)] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(help="Also run trials with this final outcome again, such as out_of_memory.", show_default=False),
    ] = None,
    pictures: Pictures = True,
) -> None:
    """Run every trial that is not done yet, then write the report.

    Stop it when you like (Ctrl-C) and run it again: what is finished stays, what was cut short starts anew. The exit
    status is 0 only if every cell is done or excluded.
    """
    from bench import commands

    source = commands.source(study, size, data, seeds, final)
    made = commands.planned(source, results, cpus, gpus, address)
    whole, stopped = commands.run(made, sys.argv, timeout_s=timeout, retry=retry or (), pictures=pictures)
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not whole:
        raise typer.Exit(EXIT_OPEN)


@app.command()
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
        list[str] | None, typer.Option(help="Also repeat trials with this outcome, such as done.", show_default=False)
    ] = None,
) -> None:
    """Time each variant against the same one with other levels, in turns, and print the ratios with intervals.

    What is finished stays: run it again to go on. Options from --px to --seconds count with --against only.
    """
    from bench import commands, timing_commands

    sweep = None
    if against is not None:
        sweep = timing_commands.Sweep(
            against=against,
            px=px or ("512x512",),
            batch=batch or (1,),
            precision=precision or ("float32",),
            mode=mode or ("eager",),
            training=training,
            least_s=seconds,
        )
    made = timing_commands.planned(commands.source(study, size, data, None, False), sweep, results, cpus, gpus)
    whole, stopped = timing_commands.speed(made, sys.argv, variant or (), timeout_s=timeout, retry=retry or ())
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not whole:
        raise typer.Exit(EXIT_OPEN)


@app.command()
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
    from bench import commands, timing_commands

    source = commands.source(study, size, data, None, False)
    question = timing_commands.question(
        source, variant, largest, memory_limit, px, batch, precision, training, cpus, gpus
    )
    timing_commands.limits(question, results)


@app.command()
def trial(
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="'baseline', or levels: attention=on,gate=off.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    stage: Annotated[str, typer.Option(help="quality or cost.")] = "quality",
    size: Size = None,
    data: Data = None,
    final: Final = False,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    pictures: Pictures = True,
) -> None:
    """Run one cell in this process, without Ray, so that a debugger works.

    Its record counts like any other. Levels that VARIANT leaves out are the baseline's.
    """
    from bench import commands

    made = commands.planned(commands.source(study, size, data, str(seed), final), results, cpus, gpus)
    if not commands.trial(made, variant, stage, pictures=pictures):
        raise typer.Exit(EXIT_OPEN)


@app.command()
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
    from bench import commands

    source = commands.source(study, size, data, None, False)
    commands.cost(
        source,
        variant,
        px or (),
        results,
        depth=depth,
        forwards=forwards,
        gpus=gpus,
        data_is_given=data is not None,
    )


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A state dict of an original implementation.", show_default=False)],
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="The variant that it is for.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Where our state dict is written.", show_default=False)],
    classes: Annotated[
        int | None, typer.Option(help="Number of classes, if not that of the study's data.", show_default=False)
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="danet, fastfcn, gscnn or mmseg; by default what fits.", show_default=False)
    ] = None,
    size: Size = None,
) -> None:
    """Convert a checkpoint of DANet, FastFCN, Gated-SCNN or mmsegmentation into ours.

    Strict: every key is understood, or nothing is written. What is left out on purpose is listed.
    """
    from bench import commands

    commands.convert(checkpoint, commands.source(study, size, None, None, False), variant, out, classes, layout)


app.command()(report_cli.report)
app.command()(report_cli.compare)
app.command()(report_cli.export)


def main() -> None:
    """Entry point: a mistake that explains itself is printed as one line without a traceback, and ends with status 2.

    What the output's encoding lacks is printed as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="bench")
    except BenchError as error:
        _leave(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _leave(f"{error.filename2 or error.filename}: {error.strerror}; choose another path, or change what is there")


def _leave(mistake: str) -> NoReturn:
    typer.echo(plain(f"bench: {mistake}"), err=True)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
