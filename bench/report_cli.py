"""Commands that read results folders: arguments and output. None needs torch or ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Folder = Annotated[Path, typer.Argument(help="A results folder, such as results/quickstart.", show_default=False)]


def report(
    folder: Folder,
    figures: Annotated[
        str | None,
        typer.Option(
            help="svg, pdf or png: write every figure to report/figures too. Needs kaleido and Chrome or Chromium.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Build tables and page anew from a results folder.

    Reads the records and study.json only; needs neither torch nor ray.
    """
    from bench.report.page import write_report

    console = Console()
    page = write_report(folder)
    console.print(f"Report: {page.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if figures is not None:
        from bench.records import load
        from bench.report.drawn import all_figures
        from bench.report.static import write_figures

        written = write_figures(all_figures(load(folder)), page.parent / "figures", figures)
        console.print(
            f"Figures: {len(written)} in {page.parent / 'figures'}", soft_wrap=True, highlight=False, markup=False
        )
