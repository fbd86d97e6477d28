"""Commands that read results folders: arguments and output. None needs torch or ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.parts import BenchError
from bench.report.text import plain

SIDE_HELP = "A results folder; FOLDER@COMMIT or FOLDER#HOST is what one commit or host left in it."
EXIT_WORSE = 1
"""Of ``compare --fail-on worse``."""
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
    table: Annotated[
        str | None,
        typer.Option(help="Print one table instead, such as ablation, main, cost or classes.", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="For --table: its columns in order, with commas: variant,miou,boundary_f_3px,latency_s,delta,verdict.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="For --table: markdown (default), latex, html, or csv and json with unrounded numbers in stored "
            "units. For --methods: markdown or latex.",
            show_default=False,
        ),
    ] = None,
    methods: Annotated[
        bool, typer.Option("--methods", help="Print how the study was made instead, in sentences for a supplement.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="For --table and --methods: a file instead of the terminal.", show_default=False)
    ] = None,
) -> None:
    """Build tables and page anew from a results folder, or print one table.

    Reads study.json and records/ and, where they are, artifacts/ and pictures/ (table of images, gallery) and
    attribution/ (growth of costs). Writes report/ alone. Needs neither torch nor ray.
    """
    if (table is not None) + methods + watch + (figures is not None) > 1:
        raise BenchError("--table, --methods, --watch and --figures exclude each other; choose one")
    if port is not None and not watch:
        raise BenchError("--port is for --watch; add --watch, or leave it out")
    if columns is not None and table is None:
        raise BenchError("--columns is for --table; add --table NAME, or leave it out")
    if table is not None or methods:
        _give(_table(folder, table, columns, form) if table is not None else _methods(folder, form), output)
        return
    if form is not None or output is not None:
        raise BenchError("--format and --output are for --table or --methods; add one of them")
    if watch:
        from bench.report.page import serve

        serve.watch(folder, port=port or 0, say=_say)
        return
    _write(folder, figures)


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
            help="'worse': exit status 1 if a quality or a speed-up is resolved to be worse in B, a count grew, or "
            "a trial that A finished fails in B; 2 if that cannot be told.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare two sets of results: what changed between them, and which differences are resolved.

    A side is a results folder, or the records of one commit or host in it. Reads study.json and records/ alone.
    """
    from bench.cli import comparison

    if comparison.compare(a, b, column or (), form, output, fail_on):
        raise typer.Exit(EXIT_WORSE)


def export(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option(help="The zip file; by default NAME.zip beside the folder.", show_default=False)
    ] = None,
    artifacts: Annotated[
        bool,
        typer.Option(
            "--artifacts", help="Also counts and predictions of every image, and pictures: the gallery needs them."
        ),
    ] = False,
) -> None:
    """Bundle records, report, environment and commands as a zip file for a supplement.

    Takes study.json, records/, attribution/ and limits along, with --artifacts also artifacts/ and pictures/; logs/
    stay here. Paths of this machine are replaced. The same results give the same bytes.
    """
    from bench.report.supplement import bundle

    made = bundle.export(folder, output, artifacts=artifacts)
    for note in made.notes:
        _say(note)
    _say(f"Written: {made.path}")


def _write(folder: Path, form: str | None) -> None:
    """Write the report, and with a format its figures as files."""
    from bench.report.page.page import write_report

    if form is not None:
        from bench.report.figures.files import check

        check(form)
    page = write_report(folder)
    _say(f"Report: {page.resolve()}")
    if form is not None:
        from bench.evidence.evidence import evidence_of
        from bench.report.figures.all import all_figures
        from bench.report.figures.files import write_figures

        written = write_figures(all_figures(evidence_of(folder)), page.parent / "figures", form)
        _say(f"Figures: {len(written)} in {page.parent / 'figures'}")


def _table(folder: Path, name: str, columns: str | None, form: str | None) -> str:
    from bench.evidence.evidence import evidence_of
    from bench.report.tables import catalogue

    names = [each.strip() for each in columns.split(",")] if columns is not None else []
    return catalogue.written(catalogue.table(evidence_of(folder), name, names), "markdown" if form is None else form)


def _methods(folder: Path, form: str | None) -> str:
    from bench.evidence.evidence import evidence_of
    from bench.report.page import methods

    if form not in (None, "markdown", "latex"):
        raise BenchError(f"--methods is written as markdown or latex, not as {form!r}")
    said = methods.methods(evidence_of(folder))
    return methods.as_latex(said) if form == "latex" else methods.as_markdown(said)


def _give(text: str, output: Path | None) -> None:
    """To standard output, which holds nothing else, or into a file, in one step."""
    if output is None:
        typer.echo(text, nl=False)
        return
    from bench.records.files import write_text

    write_text(text, output)


def _say(text: str) -> None:
    typer.echo(plain(text))
