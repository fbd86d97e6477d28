"""The arguments and options that several commands share, and the exit statuses of all commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer

from bench.cli.console import say
from bench.parts import BenchError, mismatch
from bench.protocol.recipe import Mode, Pixels, Precision, TimedPrecision
from bench.protocol.recipes import RECIPES
from bench.protocol.setting import MemoryFormat
from bench.protocol.words import joined
from bench.run.handling import Handling
from bench.run.processes.stopping import Stopped

EXIT_OPEN = 1
"""The exit status if some planned trial did not end as done."""
EXIT_USAGE = 2
"""The exit status if the command, the study or the data cannot be used as they are; nothing was run."""

PRECISIONS, TIMED_PRECISIONS, MODES, MEMORY_FORMATS = (
    joined(get_args(values), "or") for values in (Precision, TimedPrecision, Mode, MemoryFormat)
)
"""The values of the options with these names, for their help. The options themselves differ: ``bench speed`` takes
several values of each, ``bench limits`` one, and ``bench cost`` one or the recipe's."""

EXIT_REQUEUE = 75
"""The exit status of a run of a share (``--shard``) that SIGTERM stopped: the same command goes on. It is EX_TEMPFAIL
of <sysexits.h>, "try again later"."""

StudyFile = Annotated[Path, typer.Argument(help="A study file, such as studies/quickstart.py.", show_default=False)]
VariantName = Annotated[
    str, typer.Argument(help="The variant: 'baseline', or levels such as attention=on,gate=off.", show_default=False)
]
SizeName = Annotated[
    str | None, typer.Option(help="One of the study's named sizes, such as 'small'.", show_default=False)
]
DataName = Annotated[
    str | None,
    typer.Option(
        help="The data: FOLDER, NAME=FOLDER, or the name of a data set without files ('synthetic').", show_default=False
    ),
]
Seeds = Annotated[
    str | None, typer.Option(help="Seeds in place of the study's own, such as 0,1,2,3.", show_default=False)
]
UntilResolved = Annotated[
    bool,
    typer.Option(
        "--until-resolved",
        help="Add seeds in rounds until every comparison is resolved or given up as futile; p-values and intervals "
        "account for the looks. The rounds are fixed before the first and recorded in study.json.",
    ),
]
SeedsAtMost = Annotated[
    int | None,
    typer.Option(
        help="With --until-resolved: the maximum number of seeds. By default as many as resolve a difference of one "
        "standard deviation (of the differences between paired seeds) four times out of five.",
        show_default=False,
    ),
]
Final = Annotated[bool, typer.Option("--final", help="Evaluate on the test split, for the last run of a study.")]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="How trained networks are tested: flip, multi-scale, danet-multi, … (bench evaluate --help lists all), or "
        "fields such as test_flip=true; by default as the study's recipe says.",
        show_default=False,
    ),
]
StoredFolder = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER",
        help="A results folder, such as results/quickstart or s3://bucket/prefix/quickstart.",
        show_default=False,
    ),
]
ResultsFolder = Annotated[
    Path, typer.Argument(help="A results folder, such as results/quickstart.", show_default=False)
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help=f"Train and test by a published recipe in place of the study's own: {', '.join(RECIPES)} "
        "(bench check --help has their sources).",
        show_default=False,
    ),
]
TunedSettings = Annotated[
    Path | None,
    typer.Option(
        "--tuned",
        help="Run every variant at the default and at tuned settings: the file that bench tune wrote, such as "
        "results/NAME-tuning/tuned.json.",
        show_default=False,
    ),
]
ExploredCells = Annotated[
    Path | None,
    typer.Option(
        "--explored",
        help="Run the cells that a file lists: one that bench explore wrote, such as results/NAME-explored/front.json.",
        show_default=False,
    ),
]
ResultsRoot = Annotated[
    Path, typer.Option("--results", help="The folder that holds the results folders of all studies.")
]
ResultsPlace = Annotated[
    str,
    typer.Option(
        "--results",
        help="The folder that holds the results folders of all studies, or a place in a store such as "
        "s3://bucket/prefix, which fsspec knows.",
    ),
]
Cpus = Annotated[
    int | None,
    typer.Option(
        help="CPU threads of a trial that trains or tests a network; by default a share per GPU, or 1 without a GPU.",
        show_default=False,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="GPUs of a trial that trains or tests a network; by default 1 if there is one. With 0.5, two trials share "
        "a GPU, unless the cost of a network says that its training needs more; a timing always gets a whole one. "
        "With 4, each training takes four GPUs of one machine and has the batch, losses and statistics of one; "
        "on several GPUs, trials otherwise run side by side.",
        show_default=False,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        help="Processes that train a network together on CPUs (--gpus 0), each with its share of --cpus; by default 1. "
        "On GPUs their number is that of --gpus.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None, typer.Option(help="The address of a running Ray cluster: 'auto' or host:port.", show_default=False)
]
LeastCpus = Annotated[
    int | None,
    typer.Option(
        help="The least number of CPU threads that this machine must have. A measurement takes all, or on one of "
        "several GPUs that GPU's share.",
        show_default=False,
    ),
]
MeasuredOn = Annotated[
    float | None,
    typer.Option(
        "--gpus",
        help="0 to measure on the CPU. By default a measurement takes one whole GPU, if there is one.",
        show_default=False,
    ),
]
Training = Annotated[bool, typer.Option("--training", help="Run training steps instead of forwards.")]
Timeout = Annotated[
    float | None, typer.Option(help="The longest time that one trial may take, in seconds.", show_default=False)
]
Retry = Annotated[
    list[str] | None,
    typer.Option(
        help="Run trials with this outcome again, such as out_of_memory. The value not_alone repeats timings that were "
        "left out because other work ran on the machine; maybe_not_alone those of which that is not known.",
        show_default=False,
    ),
]
Accumulate = Annotated[
    bool,
    typer.Option(
        "--accumulate",
        help="Run a training whose memory runs out even alone on a whole device with each batch in 2, 4, 8 … parts of "
        "two images or more. Batch normalisation sees the parts: the record and the report say so.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="Run one share of the planned trials alone, such as 3/16. Runs of all shares may use one folder, at "
        "once or one after the other; the one that ends last writes the report.",
        show_default=False,
    ),
]
Pictures = Annotated[
    bool,
    typer.Option(
        help="Keep predictions, and thumbnails of the evaluated images and labels, for the report's gallery. "
        "Thumbnails are copies of the data, so read the licence of the data before you share them or the page."
    ),
]

Weights = Annotated[
    bool,
    typer.Option(help="Keep the weights of every quality trial, for bench predict and bench evaluate."),
]
CheckpointMinutes = Annotated[
    float,
    typer.Option(
        min=0,
        help="Minutes between two kept states of a training, from which it goes on if it is interrupted; 0 keeps none.",
    ),
]

CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="The folder for decoded images, which all trials on a machine share; by default that of the environment "
        "variable BENCH_CACHE, else ~/.cache/bench.",
        show_default=False,
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Keep no decoded images: every trial decodes them itself. No result changes.")
]

TensorBoard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write event files for TensorBoard into the folder tensorboard of the results."),
]
MLflow = Annotated[bool, typer.Option("--mlflow", help="Log every trial to MLflow, where MLFLOW_TRACKING_URI says.")]
WandB = Annotated[
    bool, typer.Option("--wandb", help="Log every trial to Weights & Biases; WANDB_MODE=offline keeps it in files.")
]
TrackIO = Annotated[bool, typer.Option("--trackio", help="Log every trial to Trackio, into the folder of TRACKIO_DIR.")]


def parse_px(text: str) -> tuple[int, int]:
    """The height and width in the value of an option ``--px``, such as ``512x1024``.

    Raises:
        BenchError: if the text has another form, or if a side is smaller than those of all images are.
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(mismatch(int(side), Pixels) for side in (height, width)):
        raise BenchError(f"--px {text!r}: expected HEIGHTxWIDTH of 16 pixels at least, such as 360x480")
    return int(height), int(width)


def handled(*, pictures: bool, weights: bool, minutes: float, timeout_s: float | None = None) -> Handling:
    """How trials are handled, from a command's options."""
    checkpoint_s = 60 * minutes if minutes > 0 else None
    return Handling(timeout_s=timeout_s, pictures=pictures, weights=weights, checkpoint_s=checkpoint_s)


@contextmanager
def requeued(is_share: bool) -> Iterator[None]:
    """Inside, SIGTERM ends the run of a share with :data:`EXIT_REQUEUE`, once the run has stopped in order."""
    try:
        yield
    except Stopped as stop:
        if not is_share or stop.name != "SIGTERM":
            raise
        if not stop.told:
            say(f"bench: stopped by {stop.name}", error=True)
        stop.obeyed()
        raise typer.Exit(EXIT_REQUEUE) from None


def words_of(given: Iterable[str] | None) -> list[str]:
    """The words of an option that may be repeated, or hold several words with commas."""
    return [word.strip() for text in given or () for word in text.split(",")]
