"""The ``bench`` command line: arguments and exit statuses.

The commands here only hand their arguments on: their work is done in :mod:`bench.cli.studies`,
:mod:`bench.cli.networks` and :mod:`bench.cli.timings`. The commands that read results are in :mod:`bench.cli.results`,
those about data sets in :mod:`bench.cli.data`. Torch and ray are imported only by the commands that need them, so that
``bench report`` works without both.
"""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bench.cli.console import outlive_terminal, say, understand_names
from bench.cli.data import app as data_app
from bench.cli.options import (
    EXIT_OPEN,
    EXIT_USAGE,
    CacheFolder,
    CheckpointMinutes,
    Cpus,
    DataName,
    Final,
    Gpus,
    NoCache,
    Pictures,
    Protocol,
    RecipeName,
    ResultsFolder,
    ResultsRoot,
    Retry,
    Seeds,
    SizeName,
    StudyFile,
    Timeout,
    VariantName,
    Weights,
    handled,
)
from bench.cli.results import clean, compare, export, report
from bench.parts import BenchError, shortened
from bench.protocol.recipes import RECIPES
from bench.protocol.testing import PROTOCOLS
from bench.run.handling import CHECKPOINT_MINUTES
from bench.run.processes.stopping import Stopped, stoppable
from bench.study.faults import fault_line, fault_place

app = typer.Typer(
    name="bench",
    help="""Ablation studies and cost benchmarks for semantic segmentation.

A study is a Python file that names a question, the factors to vary and a recipe. The command check builds its
networks, plan lists the trials, run executes them and writes a report under results/.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog="\b\nRecipes:\n" + "\n".join(f"  {name}: {one.source}" for name, one in RECIPES.items()))
def check(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
) -> None:
    """Build every variant, and print its parameters, MACs and output shape. Takes seconds.

    The data are read and checked too, if their folder is known. Nothing is trained or written.
    """
    from bench.cli import networks, studies

    if not networks.check(
        studies.source(study, size, data, seeds, final, protocol, recipe), data_is_given=data is not None
    ):
        raise typer.Exit(EXIT_OPEN)


@app.command()
def plan(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
) -> None:
    """List all trials with their outcomes, and estimate the time for those that are not done.

    No trial is run and nothing is written. Without records, the estimate comes from two small training steps of the
    baseline.
    """
    from bench.cli import decoding, studies

    shelf = decoding.shelf_in(cache, no_cache=no_cache)
    study_plan = studies.planned(
        studies.source(study, size, data, seeds, final, protocol, recipe), results, cpus, gpus, shelf=shelf
    )
    if not studies.plan(study_plan, shelf):
        raise typer.Exit(EXIT_OPEN)


@app.command()
def run(
    study: StudyFile,
    size: SizeName = None,
    data: DataName = None,
    seeds: Seeds = None,
    final: Final = False,
    protocol: Protocol = None,
    recipe: RecipeName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Annotated[
        str | None, typer.Option(help="The address of a running Ray cluster: 'auto' or host:port.", show_default=False)
    ] = None,
    timeout: Timeout = None,
    retry: Retry = None,
    pictures: Pictures = True,
    weights: Weights = True,
    checkpoint_minutes: CheckpointMinutes = CHECKPOINT_MINUTES,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
) -> None:
    """Run every trial that is not done yet, then write the report.

    You may stop the run at any time (Ctrl-C) and start it again: finished trials stay, and a training that was
    interrupted goes on from its last kept state. The exit status is 0 only if every cell is done or excluded.
    """
    from bench.cli import decoding, studies

    source = studies.source(study, size, data, seeds, final, protocol, recipe)
    shelf = decoding.shelf_in(cache, no_cache=no_cache)
    study_plan = studies.planned(source, results, cpus, gpus, address, shelf=shelf)
    handling = handled(pictures=pictures, weights=weights, minutes=checkpoint_minutes, timeout_s=timeout)
    if not studies.run(study_plan, sys.argv, handling=handling, retry=retry or (), shelf=shelf):
        raise typer.Exit(EXIT_OPEN)


@app.command()
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
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    pictures: Pictures = True,
    weights: Weights = True,
    checkpoint_minutes: CheckpointMinutes = CHECKPOINT_MINUTES,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
) -> None:
    """Run one trial in this process, without Ray, so that a debugger works.

    Its record counts like any other. Factors that VARIANT leaves out have the baseline's level.
    """
    from bench.cli import decoding, studies

    shelf = decoding.shelf_in(cache, no_cache=no_cache)
    study_plan = studies.planned(
        studies.source(study, size, data, str(seed), final, protocol, recipe), results, cpus, gpus, shelf=shelf
    )
    handling = handled(pictures=pictures, weights=weights, minutes=checkpoint_minutes)
    if not studies.trial(study_plan, sys.argv, variant, stage, handling=handling, shelf=shelf):
        raise typer.Exit(EXIT_OPEN)


@app.command()
def rekey(
    folder: ResultsFolder,
    source: Annotated[
        Path | None,
        typer.Option(help="A checkout of the source that made the records; by default the plan's commit."),
    ] = None,
    assume_installed: Annotated[
        bool, typer.Option("--assume-installed", help="Take installed versions where the records name none.")
    ] = False,
) -> None:
    """Give records of an earlier bench the keys of this one, where the source proves that they are the same trials.

    Both keys of every trial are built from the source that made the records. What cannot be proven is left as it is.
    Records of a format without a digest of their content get one.
    """
    from bench.cli import studies

    studies.rekey(folder, source, assume_installed=assume_installed)


@app.command()
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
        typer.Option(help="float32 (default), bfloat16 or float16; may be repeated.", show_default=False),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="eager (default), channels_last, compile or cuda_graph; may be repeated.", show_default=False
        ),
    ] = None,
    training: Annotated[bool, typer.Option("--training", help="Time training steps instead of forwards.")] = False,
    seconds: Annotated[float, typer.Option(help="The least time to measure each comparison, in seconds.")] = 10.0,
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
    timeout: Timeout = None,
    retry: Retry = None,
) -> None:
    """Time each variant against the same one with other levels, in turns, and print the ratios with intervals.

    Finished trials stay, so the command can be run again to go on. The options from --px to --training and --seconds
    only count together with --against.
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
    study_plan = timings.planned(studies.source(study, size, data, None, False), sweep, results, cpus, gpus)
    if not timings.speed(study_plan, sys.argv, variant or (), timeout_s=timeout, retry=retry or ()):
        raise typer.Exit(EXIT_OPEN)


@app.command()
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
    precision: Annotated[str, typer.Option(help="The precision: float32, bfloat16 or float16.")] = "float32",
    training: Annotated[bool, typer.Option("--training", help="Run training steps instead of forwards.")] = False,
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Search for the largest batch or square input that fits into memory, each attempt in a process of its own."""
    from bench.cli import studies, timings

    source = studies.source(study, size, data, None, False)
    question = timings.question(source, variant, largest, memory_limit, px, batch, precision, training, cpus, gpus)
    timings.limits(question, results)


@app.command()
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
    size: SizeName = None,
    data: DataName = None,
    results: ResultsRoot = Path("results"),
    gpus: Gpus = None,
) -> None:
    """Measure parameters, MACs, memory and time of every module of one variant, and their growth with the image.

    Modules with at least 1 % of any quantity are printed; all are written as JSON and CSV. Nothing is trained.
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


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A state dict of an original implementation.", show_default=False)],
    study: StudyFile,
    variant: Annotated[str, typer.Argument(help="The variant whose weights they are.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The file for the converted state dict.", show_default=False)],
    classes: Annotated[
        int | None,
        typer.Option(help="The number of classes, if it is not that of the study's data.", show_default=False),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="The checkpoint's origin: danet, fastfcn, gscnn or mmseg; by default the one that fits.",
            show_default=False,
        ),
    ] = None,
    size: SizeName = None,
) -> None:
    """Convert a checkpoint of DANet, FastFCN, Gated-SCNN or mmsegmentation for a variant of a study.

    danet and fastfcn: ResNet, with the heads DualAttentionHead, FCNHead, PSPHead, DeepLabV3Head and EncNetHead, the
    necks JPU and JPUX, and an auxiliary FCNHead.

    mmseg: ResNet (V1 and V1c in style 'pytorch'; 18 and 34, where dilated, with basic_dilation='first'), with the same
    heads (DeepLabV3Head with projection=False), the neck JPU, and an auxiliary FCNHead. Its networks resize with
    align_corners=False.

    gscnn: WideResNet38 with GatedShapeStream and DeepLabV3PlusHead.

    A checkpoint holds tensors alone. Strides, dilations, pooled sizes and the convention of resizing are the variant's,
    so choose them as the original has them. If any key is not understood, nothing is written. Tensors that are dropped
    on purpose are listed.
    """
    from bench.cli import networks, studies

    networks.convert(checkpoint, studies.source(study, size, None, None, False), variant, out, classes, layout)


@app.command()
def evaluate(
    folder: ResultsFolder,
    protocol: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(PROTOCOLS)}, or fields of the recipe such as "
            "test_flip=true,test_scales=0.75:1:1.25.",
            show_default=False,
        ),
    ] = None,
    final: Final = False,
    cpus: Cpus = None,
    gpus: Gpus = None,
    timeout: Timeout = None,
    retry: Retry = None,
    pictures: Pictures = True,
    cache: CacheFolder = None,
    no_cache: NoCache = False,
) -> None:
    """Test trained networks in another way, by their kept weights, without training again.

    The records and the report go into a folder of their own beside FOLDER, as if the study had been run so.
    """
    from bench.cli import decoding, studies

    handling = handled(pictures=pictures, weights=False, minutes=0, timeout_s=timeout)
    shelf = decoding.shelf_in(cache, no_cache=no_cache)
    if not studies.evaluate(folder, protocol, final, retry or (), handling=handling, cpus=cpus, gpus=gpus, shelf=shelf):
        raise typer.Exit(EXIT_OPEN)


@app.command()
def predict(
    folder: ResultsFolder,
    variant: Annotated[str, typer.Argument(help="The variant whose weights are taken.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new or empty folder for the predictions.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option(help="The seed of the trial; by default the first with weights.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default cuda where there is one.", show_default=False)
    ] = None,
) -> None:
    """Segment your own images with the trained weights of a variant.

    OUT gets masks/ (PNG files whose values are class indices), overlays/ to look at, and classes.json with the names
    and colours. Images are tested as the study's recipe says. The exit status is 1 if an image cannot be read.
    """
    from bench.cli import networks

    if not networks.predict(folder, variant, images, out, seed, device):
        raise typer.Exit(EXIT_OPEN)


for command in (report, compare, export, clean):
    app.command()(command)
app.add_typer(data_app, name="data")


_FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """The entry point of the program. A user's mistake is printed without a traceback, and the exit status is 2.

    That is so for whatever the code of a user's component or data set raises, too; ``bench trial`` shows a traceback.

    Characters that the output's encoding lacks are printed as escapes.
    """
    understand_names()
    outlive_terminal()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_unwritable_names()
        with stoppable():
            app(prog_name="bench")
    except Stopped as stop:
        if not stop.told:
            say(f"bench: stopped by {stop.name}", error=True)
        raise
    except BenchError as error:
        _leave(str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        path = error.filename2 or error.filename
        remedy = "make room there" if error.errno in _FULL else "choose another path, or change what is there"
        _leave(f"{f'{path}: ' if path else ''}{error.strerror}; {remedy}")
    except UnicodeEncodeError as error:  # the name of a file
        lacked = error.object[error.start : error.end]
        remedy = "rename it" if error.encoding == "utf-8" else "set the variable PYTHONUTF8=1"
        _leave(f"{shortened(error.object)}: the locale's encoding {error.encoding} lacks {lacked!r}; {remedy}")
    except Exception as error:  # a component or a data set is a user's code, which may raise anything
        if fault_place(error) is None:
            raise  # none of the user's code took part: a mistake of this package, whose traceback is wanted
        _leave(fault_line(error))


def _refuse_unwritable_names() -> None:
    """Refuse names of files that no plan, record or report can hold.

    Raises:
        BenchError: for the first argument that is not Unicode.
    """
    for argument in sys.argv[1:]:
        if argument != argument.encode(errors="ignore").decode():
            raise BenchError(f"{argument}: this name is not UTF-8, so no record can hold it; rename the file or folder")


def _leave(mistake: str) -> NoReturn:
    say(f"bench: {mistake}", error=True)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
