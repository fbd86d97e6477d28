"""The commands that read results folders: report, compare and export, which need neither torch nor ray, and clean."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import say
from bench.cli.documents.document import AsJson, Give, only_document
from bench.cli.documents.results import (
    CleanDocument,
    ExportDocument,
    MergeDocument,
    RemovableFiles,
    ReportDocument,
    TableDocument,
)
from bench.cli.options import EXIT_OPEN, ResultsFolder, StoredFolder
from bench.parts import BenchError
from bench.protocol.text import harmless
from bench.protocol.words import bytes_in_words, plural
from bench.run.processes.stopping import Stopped

if TYPE_CHECKING:
    from bench.run.keeping.cleaning import Removable

SIDE_HELP = "A results folder; FOLDER@COMMIT or FOLDER#HOST selects the records of one commit or host."
EXIT_WORSE = 1
"""The exit status of ``compare --fail-on worse`` if B is worse."""
MOST_LISTED = 5
"""Files of one kind that are listed before they are removed."""


def report(
    place: StoredFolder,
    figures: Annotated[
        str | None,
        typer.Option(
            help="Write every figure to report/figures too, as svg, pdf or png. Needs kaleido and Chrome or Chromium.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Serve the page on this machine, and rebuild it when records come in, until Ctrl-C. Building takes a "
            "CPU core for some seconds, which may disturb a timing that runs at the same moment.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            help="With --watch: the port of the page; by default any free one.", min=0, max=65535, show_default=False
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="Print one table instead of a report, such as ablation, main, cost or classes.", show_default=False
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="With --table: its columns in order, such as variant,miou,boundary_f_3px,latency_s,delta,verdict.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="With --table: markdown (default), latex, html, or csv and json with unrounded numbers in stored "
            "units. With --methods: markdown or latex.",
            show_default=False,
        ),
    ] = None,
    methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            help="Print the methods of the study instead of a report, as sentences for a paper's supplement.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="With --table or --methods: a file to write instead of the terminal.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the page and the tables of a results folder, or print one table.

    The report is built from study.json and records/ and, if they exist, from artifacts/ and pictures/ (table of images,
    gallery) and attribution/ (growth of costs). Only report/ is written. Neither torch nor ray is needed.
    """
    if (table is not None) + methods + watch + (figures is not None) > 1:
        raise BenchError("--table, --methods, --watch and --figures exclude each other; choose one")
    if port is not None and not watch:
        raise BenchError("--port is for --watch; add --watch, or leave it out")
    if as_json and (methods or watch or form is not None or output is not None):
        raise BenchError("--json is for the report or one --table; leave out --methods, --watch, --format and --output")
    if columns is not None and table is None:
        raise BenchError("--columns is for --table; add --table NAME, or leave it out")
    from bench.cli.trials import stored

    if as_json:
        with only_document(as_json) as give:
            folder, mirror = stored.fetched_folder(place)
            give(_table_document(folder, table, columns) if table is not None else _write(folder, figures))
            if mirror is not None and table is None:
                mirror.push()
        return
    folder, mirror = stored.fetched_folder(place)
    if table is not None or methods:
        _give(_table(folder, table, columns, form) if table is not None else _methods(folder, form), output)
        return
    if form is not None or output is not None:
        raise BenchError("--format and --output are for --table or --methods; add one of them")
    if watch:
        from bench.report.page import serve

        try:
            serve.watch(folder, port=port or 0, say=say)
        except Stopped as stop:  # Ctrl-C is how a server ends
            stop.obeyed()
        return
    _write(folder, figures)
    if mirror is not None:
        mirror.push()
        say(f"Sent to {mirror.url}/report")


def compare(
    a: Annotated[str, typer.Argument(help=SIDE_HELP, show_default=False)],
    b: Annotated[
        str, typer.Argument(help="The other side, in the same form; differences are B − A.", show_default=False)
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(help="A quality to compare, such as boundary_f_3px; by default miou. May be repeated."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="The output format: terminal, markdown, csv or json.")
    ] = "terminal",
    output: Annotated[
        Path | None, typer.Option(help="A file to write instead of the terminal.", show_default=False)
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="With 'worse', the exit status is 1 if a quality or a speed-up is resolved to be worse in B, if a "
            "count grew, or if a trial that A finished fails in B; it is 2 if this cannot be decided.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of results: list the changes between them, and the differences that are resolved.

    A side is a results folder, or the records of one commit or host in it. Only study.json and records/ are read.
    """
    from bench.cli import comparison

    if as_json and (form != "terminal" or output is not None):
        raise BenchError("--json prints a whole document by itself; leave out --format and --output")
    with only_document(as_json) as give:
        is_worse = comparison.compare(a, b, column or (), form, output, fail_on, give)
    if is_worse:
        raise typer.Exit(EXIT_WORSE)


def export(
    folder: ResultsFolder,
    output: Annotated[
        Path | None, typer.Option(help="The zip file; by default NAME.zip beside the folder.", show_default=False)
    ] = None,
    artifacts: Annotated[
        bool,
        typer.Option(
            "--artifacts",
            help="Also include the counts and predictions of every image, and the pictures, which the gallery needs.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bundle records, report, environment and commands as a zip file for a paper's supplement.

    The file holds study.json, records/, attribution/ and limits, and with --artifacts also artifacts/ and pictures/,
    but no logs/. Paths of this machine are replaced. The same results give the same bytes.
    """
    from bench.report.supplement import bundle

    with only_document(as_json) as give:
        exported = bundle.export(folder, output, artifacts=artifacts)
        for note in exported.notes:
            say(note)
        say(f"Written: {exported.path}")
        give(ExportDocument(path=str(exported.path), notes=list(exported.notes)))


def merge(
    target: Annotated[
        Path, typer.Argument(help="The results folder to merge into; it may not exist yet.", show_default=False)
    ],
    sources: Annotated[list[Path], typer.Argument(help="Results folders of the same study.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Merge results folders of one study that several machines have filled: records, their files, and the plan.

    Nothing is written before all is checked. Two finished records of one trial on one class of hardware are refused,
    and so are folders whose trials were made by other source, settings or data.
    """
    from bench.cli.trials.lock import alone
    from bench.run.sharing.merging import merged

    with only_document(as_json) as give:
        if not target.exists():
            merged(target, sources)  # refuses before the folder is made
            target.mkdir(parents=True)
        with alone(target):
            done = merged(target, sources)
            done.write()
        for path in done.left_out:
            say(f"{path} is left out: {target} has another one of this name.")
        for folder, unplanned in done.unplanned.items():
            verb = "stays" if unplanned == 1 else "stay"
            say(f"{plural(unplanned, 'record')} of no planned trial {verb} in {folder}.")
        count = len(done.records)
        say(f"{plural(done.added, 'record')} added, {count} in all. Write the report: bench report {target}")
        give(
            MergeDocument(
                folder=str(target),
                sources=list(map(str, sources)),
                added=done.added,
                records=count,
                left_out=list(map(str, done.left_out)),
            )
        )


def clean(
    place: StoredFolder,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no report reads: kept states of trainings, records of no planned trial, files of no record.

    Of results in a store, the copy on this machine is removed: what the store has by then, and nothing there.

    What would be removed, and how large it is, is printed first; nothing is removed before you agree. With --json there
    is no question, and only --yes removes.
    """
    from bench.cli.trials import stored
    from bench.cli.trials.lock import alone
    from bench.run.keeping.cleaning import removable

    with only_document(as_json) as give:
        mirror = stored.copy_of(place)
        folder = Path(place) if mirror is None else mirror.folder
        with alone(folder):
            kinds = removable(folder) if mirror is None else stored.sent(mirror)
            settled = _clean(folder, kinds, yes=yes, asks=not as_json, give=give)
        if mirror is not None:
            mirror.remove_empty_folders()  # files that no store has stay, such as limits and what trackers keep
    if not settled:
        raise typer.Exit(EXIT_OPEN)


def _clean(folder: Path, kinds: Sequence[Removable], *, yes: bool, asks: bool, give: Give) -> bool:
    """Remove files of a folder if the user agrees, and return ``False`` if not."""
    if not kinds:
        say(f"{folder} holds nothing that may be removed.")
        give(CleanDocument(folder=str(folder), kinds=[], removed=False))
        return True
    for kind in kinds:
        say(f"{kind.what}: {plural(len(kind.files), 'file')}, {bytes_in_words(kind.size_bytes)}. {kind.why}:")
        for path in kind.files[:MOST_LISTED]:
            say(f"  {path}")
        if len(kind.files) > MOST_LISTED:
            say(f"  and {len(kind.files) - MOST_LISTED} more")
    agreed = yes or (asks and typer.confirm("Remove them?"))
    found = [
        RemovableFiles(
            what=kind.what, why=kind.why, size_bytes=kind.size_bytes, files=[str(path) for path in kind.files]
        )
        for kind in kinds
    ]
    give(CleanDocument(folder=str(folder), kinds=found, removed=agreed))
    for kind in kinds if agreed else ():
        kind.remove()
    if agreed:
        say("Removed.")
    return agreed


def _write(folder: Path, form: str | None) -> ReportDocument:
    """Write the report and, if a format is given, its figures as files."""
    from bench.report.page.page import write_report

    if form is not None:
        from bench.report.figures.files import check

        check(form)
    page = write_report(folder)
    say(f"Report: {page.resolve()}")
    figures: list[str] = []
    if form is not None:
        from bench.evidence.evidence import evidence_of
        from bench.report.figures.all import all_figures
        from bench.report.figures.files import write_figures

        written = write_figures(all_figures(evidence_of(folder)), page.parent / "figures", form)
        say(f"Figures: {len(written)} in {page.parent / 'figures'}")
        figures = [str(path) for path in written]
    return ReportDocument(page=str(page.resolve()), figures=figures)


def _table_document(folder: Path, name: str, columns: str | None) -> TableDocument:
    from bench.evidence.evidence import evidence_of
    from bench.report.tables import catalogue
    from bench.report.tables.formats import as_json

    names = [name.strip() for name in columns.split(",")] if columns is not None else []
    table = catalogue.table(evidence_of(folder), name, names)
    return TableDocument(name=table.name, caption=table.caption, rows=json.loads(as_json(table)))


def _table(folder: Path, name: str, columns: str | None, form: str | None) -> str:
    from bench.evidence.evidence import evidence_of
    from bench.report.tables import catalogue

    names = [name.strip() for name in columns.split(",")] if columns is not None else []
    return catalogue.written(catalogue.table(evidence_of(folder), name, names), "markdown" if form is None else form)


def _methods(folder: Path, form: str | None) -> str:
    from bench.evidence.evidence import evidence_of
    from bench.report.page import methods

    if form not in (None, "markdown", "latex"):
        raise BenchError(f"--methods is written as markdown or latex, not as {form!r}")
    sentences = methods.methods(evidence_of(folder))
    return methods.as_latex(sentences) if form == "latex" else methods.as_markdown(sentences)


def _give(text: str, output: Path | None) -> None:
    """Write a text to standard output, which holds nothing else, or to a file in one step."""
    if output is None:
        typer.echo(harmless(text) if sys.stdout.isatty() else text, nl=False)
        return
    from bench.records.files import write_text

    write_text(text, output)
