"""Options that several commands have, and the exit statuses of all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_OPEN = 1
"""Some planned cell did not end as done."""
EXIT_USAGE = 2
"""The command, the study or the data cannot be used as they are; nothing was run."""
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
