"""The options that several commands share, and the exit statuses of all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_OPEN = 1
"""The exit status if some planned trial did not end as done."""
EXIT_USAGE = 2
"""The exit status if the command, the study or the data cannot be used as they are; nothing was run."""

StudyFile = Annotated[Path, typer.Argument(help="A study file, such as studies/quickstart.py.", show_default=False)]
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
Final = Annotated[bool, typer.Option("--final", help="Evaluate on the test split, for the last run of a study.")]
ResultsRoot = Annotated[
    Path, typer.Option("--results", help="The folder that holds the results folders of all studies.")
]
Cpus = Annotated[
    int | None,
    typer.Option(
        help="CPU threads of a training trial; by default a share per GPU, or 1 without a GPU.",
        show_default=False,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="GPUs of a training trial; by default 1 if there is one. With 0.5, two trials share a GPU; a timing "
        "always gets a whole one.",
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
