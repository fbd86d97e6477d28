"""One self-contained HTML page of a results folder, and its tables as files. It works from disk, without a network."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bench.evidence.evidence import Evidence, evidence_of
from bench.protocol.text import harmless
from bench.protocol.words import tally
from bench.records.files import no_collection, write_text
from bench.report.figures.all import all_figures
from bench.report.figures.figure import Figure
from bench.report.gallery import gallery
from bench.report.gallery.gallery import Gallery
from bench.report.page import methods, summary
from bench.report.page.findings import ABLATION, EFFECTS, findings, fold, speed_findings
from bench.report.page.views import View, view
from bench.report.tables import catalogue
from bench.report.tables.catalogue import written
from bench.report.tables.table import Table, of_figure

IDS = {"effects": EFFECTS}
"""Name of a table in the catalogue -> its id on the page, for tables whose name is that of a figure."""


FORMER = ("ablation.md", "ablation.csv", "ablation.tex")
"""The files that an earlier version wrote beside the page, and that a new report removes."""


VARIANTS, SPEED_UPS = "variants", "speed"
"""The files in ``data/`` with every number of every variant and of every comparison of speed."""


SECTIONS = ("speed", "effects", "cost", "classes", "training", "outcomes")
"""The sections of the page that figures may name."""


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it: plotly's JSON, safe inside a script element, and the table of its marks."""

    figure: Figure
    json: Markup
    table: View


@dataclass(frozen=True)
class Group:
    """The figures that stand side by side; a single one takes the whole width."""

    drawings: Sequence[Drawing]

    @property
    def small(self) -> bool:
        return self.drawings[0].figure.group != ""

    @property
    def share_a_key(self) -> bool:
        return self.small and len({drawing.figure.key for drawing in self.drawings}) == 1


@dataclass(frozen=True)
class Content:
    """The parts of a page.

    Attributes:
        figures: the figures in the order in which they are shown.
        tables: id of a table on the page -> the table, which is written into ``tables/`` too.
        pictures: the gallery; ``None`` if the trials kept no pictures.
        methods: the paragraph on methods, in plain text.
    """

    figures: Sequence[Figure]
    tables: Mapping[str, Table]
    pictures: Gallery | None
    methods: str


def content(folder: Path, evidence: Evidence) -> Content:
    """The content of the page of a results folder.

    Raises:
        RecordError: for records or artifacts that cannot be read or must not be compared.
        ValueError: for a figure with the name of a table: their addresses and files would be the same.
    """
    figures = all_figures(evidence)
    tables = {IDS.get(name, name): table for name, table in catalogue.all_tables(evidence).items()}
    if clashes := sorted({figure.name for figure in figures} & {*tables, VARIANTS, SPEED_UPS}):
        raise ValueError(f"both a figure and a table are called {', '.join(clashes)}; rename the figure")
    return Content(figures, tables, gallery.pictures(folder, evidence), methods.methods(evidence))


def write_report(folder: Path) -> Path:
    """Write ``report/`` in a results folder.

    It holds ``index.html``, the methods, every table of the catalogue as Markdown, CSV and LaTeX in ``tables/``, and in
    ``data/`` as CSV what every figure draws, every number of every variant (``variants.csv``) and of every comparison
    of speed (``speed.csv``). Such files of an earlier report that this one does not have are removed.

    Returns:
        The path of ``index.html``.

    Raises:
        RecordError: for records that cannot be read or must not be compared.
    """
    with no_collection():
        return _write_report(folder)


def _write_report(folder: Path) -> Path:
    evidence = evidence_of(folder)
    made = content(folder, evidence)
    page = render(evidence, made)
    target = folder / "report"
    contents = files(made.tables.values(), made.methods) | _data_files(evidence, made)
    for name, text in contents.items():
        write_text(text, target / name)
    write_text(page, target / "index.html")
    _remove_others(target, contents)
    return target / "index.html"


def _remove_others(target: Path, files: Iterable[str]) -> None:
    """Remove the tables of an earlier report that this one lacks: a paper that includes one would show old numbers."""
    written = set(files)
    for pattern in (*FORMER, "tables/*", "data/*.csv"):
        for path in target.glob(pattern):
            if path.suffix[1:] in SUFFIXES and path.relative_to(target).as_posix() not in written:
                path.unlink(missing_ok=True)  # another report that is written at the same time may have removed it


def _data_files(evidence: Evidence, made: Content) -> dict[str, str]:
    frames = {figure.name: figure.table if figure.data is None else figure.data for figure in made.figures}
    stages = evidence.results.plan.stages
    if set(stages) != {"speed"}:
        frames[VARIANTS] = evidence.variants
    if "speed" in stages:
        frames[SPEED_UPS] = evidence.speedups
    if made.pictures:
        frames["gallery"] = made.pictures.table
    return {f"data/{name}.csv": frame.to_csv(index=False) for name, frame in frames.items()}


def render(evidence: Evidence, made: Content) -> str:
    """The page as HTML."""
    results = evidence.results
    conclusions, drawings = [*speed_findings(evidence), *findings(evidence)], _drawings(made.figures)
    shown_first, folded = fold(conclusions)
    scripts = [
        *([Markup(get_plotlyjs())] if any(drawings.values()) else []),
        asset("tables.js"),
        asset("page.js"),
        *([asset("gallery.js")] if made.pictures else []),
    ]
    environment = Environment(
        loader=PackageLoader("bench.report.page", "assets"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_harmless,
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        plan=results.plan,
        facts=summary.facts(evidence),
        notes=summary.notes(evidence),
        findings=shown_first,
        folded=folded,
        views=_views(evidence, made),
        drawings=drawings,
        pictures=made.pictures,
        tally=tally(results.trials()["status"]),
        tracebacks=summary.tracebacks(results),
        most_tracebacks=summary.MOST_TRACEBACKS,
        stale=[record.file_name for record in results.stale],
        commands=summary.commands(results),
        methods=made.methods.split("\n\n"),
        files=list(table_files(made.tables[ABLATION])),
        contents=list[tuple[str, str]](),  # the sections of the template add themselves to this list
        style=asset("page.css") + (asset("gallery.css") if made.pictures else ""),
        scripts=scripts,
        hashes=[script_hash(script) for script in scripts],
    )


def _harmless(value: object) -> object:
    """A value that the template writes; in text from a study or a record, nothing is left that a viewer acts on."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return harmless(value)


def script_json(text: str) -> Markup:
    """The data as JSON for a script element, so escaped that no text in it can end the element or open a comment."""
    escaped: dict[str, str | int | None] = {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
    return Markup(text.translate(str.maketrans(escaped)))


def script_hash(script: str) -> str:
    """The hash by which a content security policy allows this script to run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def asset(name: str) -> Markup:
    """The text of a file in the folder ``assets``, which a page contains unchanged."""
    return Markup((resources.files("bench.report.page") / "assets" / name).read_text(encoding="utf-8"))


def _views(evidence: Evidence, made: Content) -> dict[str, View]:
    """Id of a table -> the table as the page shows it. Rows that findings link to are named as in the findings."""
    variants = list(map(evidence.labels.__getitem__, evidence.results.variants))
    names: dict[str, Iterable[object]] = {ABLATION: variants, EFFECTS: made.tables[EFFECTS].rows["label"]}
    return {name: view(name, table, f"tables/{table.name}.csv", names.get(name)) for name, table in made.tables.items()}


def _drawings(figures: Sequence[Figure]) -> dict[str, list[Group]]:
    """Section -> the figures in it that have marks, in their order, with neighbours of one group joined.

    Raises:
        ValueError: for a figure in a section that the page does not have.
    """
    unknown = [f"{figure.name} in {figure.section!r}" for figure in figures if figure.section not in SECTIONS]
    if unknown:
        raise ValueError(f"figures in sections that the page does not have: {', '.join(unknown)}; it has {SECTIONS}")
    drawn = [
        Drawing(
            figure,
            script_json(figure.figure.to_json()),
            view(f"{figure.name}-table", _drawn_table(figure), f"data/{figure.name}.csv"),
        )
        for figure in figures
        if len(figure.table)
    ]
    groups: dict[str, list[Group]] = {section: [] for section in SECTIONS}
    for (section, name), neighbours in itertools.groupby(
        drawn, lambda drawing: (drawing.figure.section, drawing.figure.group)
    ):
        together = list(neighbours)
        groups[section] += [Group(together)] if name else [Group([drawing]) for drawing in together]
    return groups


def _drawn_table(figure: Figure) -> Table:
    return of_figure(figure.name, figure.table, f"Data: {figure.title}")


SUFFIXES = {"md": "markdown", "tex": "latex", "csv": "csv"}
"""Suffix of a table's file -> the name of its format."""


def table_files(table: Table) -> dict[str, str]:
    """Path of each file of a table, from ``report/`` on -> the name of its format; empty for a table without rows.

    A table of more than :data:`~bench.report.tables.catalogue.MOST_PRINTED` rows is CSV alone.
    """
    all_printed = len(table.rows) <= catalogue.MOST_PRINTED
    return {
        f"tables/{table.name}.{suffix}": form
        for suffix, form in SUFFIXES.items()
        if len(table.rows) and (all_printed or form == "csv")
    }


def files(tables: Iterable[Table], text: str) -> dict[str, str]:
    """Path of a file, from ``report/`` on -> its content, for the files of all tables and of the methods' ``text``."""
    contents = {path: written(table, form) for table in tables for path, form in table_files(table).items()}
    return contents | {"methods.md": methods.as_markdown(text), "methods.tex": methods.as_latex(text)}
