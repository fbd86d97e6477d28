"""Commands that read results folders: arguments and output. None needs torch or ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.parts import BenchError

SIDE_HELP = "A results folder; FOLDER@COMMIT or FOLDER#HOST is what one commit or host left in it."
EXIT_WORSE = 1
"""Of ``compare --fail-on worse``."""
Folder = Annotated[Path, typer.Argument(help="A results folder, such as results/quickstart.", show_default=False)]


def report(
    folder: Folder,
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

    say(f"Report: {write_report(folder).resolve()}")


def compare(
    a: Annotated[str, typer.Argument(help=SIDE_HELP, show_default=False)],
    b: Annotated[str, typer.Argument(help="The same, for the other side; differences are B − A.", show_default=False)],
    column: Annotated[
        list[str] | None,
        typer.Option(help="A quality to compare, such as boundary_f_3px; by default miou. May be repeated."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="terminal, markdown, csv or json.")] = "terminal",
    output: Annotated[
        Path | None, typer.Option(help="A file to write instead of the terminal.", show_default=False)
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="'worse': exit status 1 if a quality is resolved to be worse in B, or a count has grown.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare two sets of results: what changed between them, and which differences are resolved.

    A side is a results folder, or the records of one commit or host in it. Reads records and study.json only.
    """
    from bench import comparison_commands

    if comparison_commands.compare(a, b, column or (), form, output, fail_on):
        raise typer.Exit(EXIT_WORSE)


def export(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option(help="The zip file; by default NAME.zip beside the folder.", show_default=False)
    ] = None,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Also what trials left under artifacts/.")] = False,
) -> None:
    """Bundle records, report, environment and commands as a zip file for a supplement.

    Paths of this machine are left out. The same results give the same bytes.
    """
    from bench import bundle

    made = bundle.export(folder, output, artifacts=artifacts)
    console = Console()
    for note in made.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Written: {made.path}", markup=False, highlight=False, soft_wrap=True)
