"""One self-contained HTML page of a results folder, and its tables as files. It works from disk, without a network."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bench import speedups
from bench.columns import COLUMNS
from bench.records import Results, load, write_text
from bench.report import confounds, exports, protocol, speed, summary, tables
from bench.report.drawn import all_figures
from bench.report.figures import Figure
from bench.report.findings import ABLATION, EFFECTS, OUTCOMES, findings, fold
from bench.report.speed_findings import speed_findings
from bench.report.views import View, view
from bench.report.words import labels, tally

TABLE_FILES = ("ablation.md", "ablation.csv", "ablation.tex")
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
    """Figures that stand together, of which one alone has the whole width."""

    drawings: Sequence[Drawing]

    @property
    def small(self) -> bool:
        return self.drawings[0].figure.group != ""

    @property
    def share_a_key(self) -> bool:
        return self.small and len({each.figure.key for each in self.drawings}) == 1


def write_report(folder: Path) -> Path:
    """Write ``report/`` in a results folder.

    It holds ``index.html``, the ablation table as Markdown, CSV and LaTeX, and every figure's and every other table's
    data as CSV in ``data/``.

    Returns:
        The path of ``index.html``.

    Raises:
        RecordError: for records that cannot be read or must not be compared.
    """
    results = load(folder)
    timed = "speed" in results.plan["stages"]
    figures = all_figures(results)
    shown, bold = page_tables(results), tables.emphasis(results)
    page = render(results, figures, shown, bold, folder.name)
    target = folder / "report"
    (target / "data").mkdir(parents=True, exist_ok=True)
    contents = {
        "ablation.md": exports.markdown(shown[ABLATION], bold),
        "ablation.tex": exports.latex(shown[ABLATION], bold, results.plan["question"]),
        "ablation.csv": tables.numbers(results).to_csv(index=False),
        **{
            f"data/{name}.csv": table.to_csv(index=False)
            for name, table in shown.items()
            if len(table) and name != ABLATION
        },
        "data/per-class.csv": tables.per_class(results).to_csv(),
        **({"data/speed.csv": speedups.frame(results).to_csv(index=False)} if timed else {}),
        **{f"data/{each.name}.csv": _data(each).to_csv(index=False) for each in figures},
    }
    for name, content in contents.items():
        (target / name).write_text(content, encoding="utf-8")
    write_text(page, target / "index.html")
    return target / "index.html"


def page_tables(results: Results) -> dict[str, pd.DataFrame]:
    """Every printed table of the page by its id; one that has nothing to say is empty."""
    differing = confounds.differences(results)
    timed = "speed" in results.plan["stages"]
    return {
        ABLATION: tables.ablation(results),
        EFFECTS: tables.effects(results),
        "per-class": _per_class(results),
        OUTCOMES: protocol.outcomes(results),
        "recipe": protocol.recipe(results),
        "protocol": protocol.protocol(results),
        "provenance": protocol.provenance(results),
        "definitions": protocol.definitions(results),
        "differences": differing,
        "confounds": differing[differing["Kind"].isin(confounds.CONFOUNDS)],
        "speed": speed.comparisons(results) if timed else pd.DataFrame(),
        "crossings": speed.crossings(results) if timed else pd.DataFrame(),
        "published-speed": speed.published(results) if timed else pd.DataFrame(),
    }


def render(
    results: Results,
    figures: Sequence[Figure],
    shown: Mapping[str, pd.DataFrame],
    bold: pd.DataFrame,
    folder_name: str,
) -> str:
    """The page as HTML.

    Raises:
        ValueError: for a figure with the name of a table: their addresses and files would be the same.
    """
    if clashes := sorted({figure.name for figure in figures} & set(shown)):
        raise ValueError(f"both a figure and a table are called {', '.join(clashes)}; rename the figure")
    found, drawings = [*speed_findings(results), *findings(results)], _drawings(figures)
    shown_first, folded = fold(found)
    drawn = any(drawings.values())
    scripts = [*([Markup(get_plotlyjs())] if drawn else []), asset("tables.js"), asset("page.js")]
    environment = Environment(
        loader=PackageLoader("bench.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        plan=results.plan,
        facts=summary.facts(results),
        notes=summary.notes(results),
        findings=shown_first,
        folded=folded,
        views=_views(results, shown, bold),
        drawings=drawings,
        tally=tally(results.trials()["status"]),
        tracebacks=summary.tracebacks(results),
        most_tracebacks=summary.MOST_TRACEBACKS,
        stale=[record.file_name for record in results.stale],
        commands=summary.commands(results, folder_name),
        files=TABLE_FILES,
        crowded=any(record.measured.get("isolated") is False for record in results.records),
        contents=list[tuple[str, str]](),  # the template's sections put themselves in
        style=asset("page.css"),
        scripts=scripts,
        hashes=[script_hash(script) for script in scripts],
    )


def script_json(text: str) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element or open a comment."""
    escaped: dict[str, str | int | None] = {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
    return Markup(text.translate(str.maketrans(escaped)))


def script_hash(script: str) -> str:
    """What a content security policy calls the one script that it lets run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def asset(name: str) -> Markup:
    """A file of this package, put into a page as it is."""
    return Markup((resources.files("bench.report") / name).read_text(encoding="utf-8"))


def _views(results: Results, shown: Mapping[str, pd.DataFrame], bold: pd.DataFrame) -> dict[str, View]:
    variants = map(labels(results).__getitem__, results.variants)
    return {
        **{name: view(name, table) for name, table in shown.items()},
        ABLATION: view(ABLATION, shown[ABLATION], tables.ablation_keys(results), bold, variants),
        EFFECTS: view(EFFECTS, shown[EFFECTS], names=shown[EFFECTS]["Effect of"]),  # as findings address its rows
    }


def _drawings(figures: Sequence[Figure]) -> dict[str, list[Group]]:
    """Section -> its figures that draw something, in their order; neighbours of one group together.

    Raises:
        ValueError: for a figure in a section that the page does not have.
    """
    unknown = [f"{each.name} in {each.section!r}" for each in figures if each.section not in SECTIONS]
    if unknown:
        raise ValueError(f"figures in sections that the page does not have: {', '.join(unknown)}; it has {SECTIONS}")
    drawn = [
        Drawing(each, script_json(each.figure.to_json()), view(f"{each.name}-table", each.table))
        for each in figures
        if len(each.table)
    ]
    found: dict[str, list[Group]] = {section: [] for section in SECTIONS}
    for (section, name), neighbours in itertools.groupby(drawn, lambda each: (each.figure.section, each.figure.group)):
        together = list(neighbours)
        found[section] += [Group(together)] if name else [Group([each]) for each in together]
    return found


def _data(figure: Figure) -> pd.DataFrame:
    return figure.table if figure.data is None else figure.data


def _per_class(results: Results) -> pd.DataFrame:
    means = tables.per_class(results).dropna(axis="columns", how="all").dropna(axis="index", how="all")
    return (means * COLUMNS["miou"].scale).T.rename_axis("Class").reset_index()
