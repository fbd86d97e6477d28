"""Commands that read results folders: arguments and output. None needs torch or ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.parts import BenchError

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
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Serve the page on this machine, and build it anew as records come in, until Ctrl-C. Building takes a "
            "core for some seconds, which a timing that is taken at that moment may notice.",
        ),
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="For --watch; by default any that is free.", min=0, max=65535, show_default=False)
    ] = None,
) -> None:
    """Build tables and page anew from a results folder.

    Reads the records and study.json only; needs neither torch nor ray.
    """
    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    if watch:
        from bench.report import serve

        serve.watch(folder, port=port or 0, say=say)
        return
    if port is not None:
        raise BenchError("--port is for --watch; add --watch, or leave it out")
    from bench.report.page import write_report

    page = write_report(folder)
    say(f"Report: {page.resolve()}")
    if figures is not None:
        from bench.records import load
        from bench.report.drawn import all_figures
        from bench.report.static import write_figures

        written = write_figures(all_figures(load(folder)), page.parent / "figures", figures)
        say(f"Figures: {len(written)} in {page.parent / 'figures'}")
