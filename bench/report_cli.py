"""Commands that read results folders: arguments and output. None needs torch or ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Folder = Annotated[Path, typer.Argument(help="A results folder, such as results/quickstart.", show_default=False)]


def report(folder: Folder) -> None:
    """Build tables and page anew from a results folder.

    Reads the records and study.json only; needs neither torch nor ray.
    """
    from bench.report.page import write_report

    Console().print(f"Report: {write_report(folder).resolve()}", soft_wrap=True, highlight=False, markup=False)
