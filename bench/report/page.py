"""One self-contained HTML page of a results folder, and its tables as files. It works from disk, without a network."""

from __future__ import annotations

import math
import numbers as number_types
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bench import speedups
from bench.columns import COLUMNS
from bench.records import Results, load
from bench.report import confounds, exports, protocol, speed, tables
from bench.report.drawn import all_figures
from bench.report.figures import Figure
from bench.report.findings import findings
from bench.report.words import NOTHING, difference_title, labels, levels_of, plural, tally

_OPENING_NUMBER = re.compile(r"[\[≥< ]*([+−-]?\d+(?:\.\d+)?)(?=$|[,/])")
TABLE_FILES = ("ablation.md", "ablation.csv", "ablation.tex")
DEFAULT_DIGITS = 2
MOST_FINDINGS = 9
"""With more, those that were not resolved are folded away."""
DIGITS = {each.title: each.digits for each in COLUMNS.values()} | {
    difference_title(name): each.digits for name, each in COLUMNS.items()
}


@dataclass(frozen=True)
class Cell:
    """What a cell of an HTML table shows and sorts by; ``tone`` is a class of its style."""

    text: str
    key: str
    tone: str = ""
    strong: bool = False


@dataclass(frozen=True)
class View:
    """A table as the page shows it: heads with whether their columns are numeric, and rows of cells."""

    heads: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it: plotly's JSON, safe inside a script element, and the table of its marks."""

    figure: Figure
    json: Markup
    marks: int
    mark: str
    table: View


def write_report(folder: Path) -> Path:
    """Write ``report/`` in a results folder.

    It holds ``index.html``, the ablation table as Markdown, CSV and LaTeX, and every figure's data as CSV in ``data/``.

    Returns:
        The path of ``index.html``.

    Raises:
        RecordError: for records that cannot be read or must not be compared.
    """
    results = load(folder)
    timed = "speed" in results.plan["stages"]
    figures = all_figures(results)
    page = render(results, figures, folder.name)
    target = folder / "report"
    (target / "data").mkdir(parents=True, exist_ok=True)
    printed, bold = tables.ablation(results), tables.emphasis(results)
    contents = {
        "ablation.md": exports.markdown(printed, bold),
        "ablation.tex": exports.latex(printed, bold, results.plan["question"]),
        "ablation.csv": tables.numbers(results).to_csv(index=False),
        "data/per-class.csv": tables.per_class(results).to_csv(),
        **({"data/speed.csv": speedups.frame(results).to_csv(index=False)} if timed else {}),
        **{f"data/{each.name}.csv": _data(each).to_csv(index=False) for each in figures},
        "index.html": page,
    }
    for name, content in contents.items():
        (target / name).write_text(content, encoding="utf-8")
    return target / "index.html"


def render(results: Results, figures: Sequence[Figure], folder_name: str) -> str:
    """The page as HTML."""
    found, differing = findings(results), confounds.differences(results)
    environment = Environment(
        loader=PackageLoader("bench.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        plan=results.plan,
        summary=_summary(results),
        notes=_notes(results),
        findings=found,
        unresolved=[each for each in found if each.verdict == "not resolved"] if len(found) > MOST_FINDINGS else [],
        ablation=view(tables.ablation(results), tables.ablation_keys(results), tables.emphasis(results)),
        effects=view(tables.effects(results)),
        drawings={each.name: _drawing(each) for each in figures},
        costs=[_drawing(each) for each in figures if each.name.startswith("miou-against-") and len(each.table)],
        per_class=_per_class_view(results),
        outcomes=view(protocol.outcomes(results)),
        tally=tally(results.frame()["status"]),
        tracebacks=protocol.tracebacks(results),
        stale=[record.file_name for record in results.stale],
        recipe=view(protocol.recipe(results)),
        protocol=view(protocol.protocol(results)),
        provenance=view(protocol.provenance(results)),
        definitions=view(protocol.definitions(results)),
        speed={name: view(table) for name, table in _speed(results).items()},
        differing=view(differing),
        confounds=view(differing[differing["Kind"].isin(confounds.CONFOUNDS)]),
        commands=_commands(results, folder_name),
        files=TABLE_FILES,
        crowded=any(record.measured.get("isolated") is False for record in results.records),
        style=_asset("page.css"),
        script=_asset("page.js"),
        plotly=Markup(get_plotlyjs()) if any(len(each.table) for each in figures) else "",
    )


def view(table: pd.DataFrame, keys: pd.DataFrame | None = None, bold: pd.DataFrame | None = None) -> View:
    """A DataFrame as the page shows it; ``keys`` holds what cells sort by, otherwise the number that it opens with."""
    keys = _keys_of(table) if keys is None else keys
    heads = [(str(head), pd.api.types.is_numeric_dtype(keys[head])) for head in table.columns]
    strong = [[False] * len(heads)] * len(table) if bold is None else bold.to_numpy().tolist()
    columns = [str(head) for head in table.columns]
    rows = [
        [
            Cell(_text(value, head), _key(key), _tone(head, value), mark)
            for head, value, key, mark in zip(columns, values, sort, marks, strict=True)
        ]
        for values, sort, marks in zip(_cells(table), _cells(keys), strong, strict=True)
    ]
    return View(heads, rows)


def script_json(text: str) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element or open a comment."""
    escaped = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return Markup("".join(escaped.get(character, character) for character in text))


def _speed(results: Results) -> dict[str, pd.DataFrame]:
    return {
        "comparisons": speed.comparisons(results),
        "crossings": speed.crossings(results),
        "published": speed.published(results),
    }


def _drawing(figure: Figure) -> Drawing:
    meta = figure.figure.layout.meta
    return Drawing(figure, script_json(figure.figure.to_json()), meta["marks"], meta["mark"], view(figure.table))


def _data(figure: Figure) -> pd.DataFrame:
    return figure.table if figure.data is None else figure.data


def _per_class_view(results: Results) -> View:
    means = tables.per_class(results).dropna(axis="columns", how="all").dropna(axis="index", how="all")
    table = (means * COLUMNS["miou"].scale).T.rename_axis("Class").reset_index()
    return view(table) if len(means.columns) else View([], [])


def _summary(results: Results) -> list[tuple[str, str]]:
    plan, statuses = results.plan, results.frame()["status"]
    levels = levels_of(results).get(results.baseline, {})
    baseline = ", ".join(f"{factor}={level}" for factor, level in levels.items()) or results.baseline
    timed = {str(record.environment.get("device")) for record in results.records if record.status == "done"}
    return [
        ("Trials", f"{int((statuses == 'done').sum())} of {int((statuses != 'excluded').sum())} done"),
        ("Baseline", baseline),
        ("Data", str(plan["data"]["name"])),
        ("Seeds", str(len(plan["seeds"]))),
        ("Device", ", ".join(sorted(timed)) or NOTHING),
        ("Source", ", ".join(protocol.commits(results))),
    ]


def _notes(results: Results) -> list[str]:
    """What a reader must know before believing the numbers."""
    names, plan = labels(results), results.plan
    left_out = {cell["variant"]: cell["excluded"] for cell in plan["cells"] if cell.get("excluded")}
    notes = [f"{names[variant]} was left out: {reason}" for variant, reason in left_out.items()]
    if not results.records:
        notes.append("Nothing has been measured yet.")
    if plan.get("size"):
        notes.append(f"Run at size “{plan['size']}”: it shows that the study works, not what its answer is.")
    if any(record.environment.get("dirty") for record in results.records):
        notes.append("Some records come from source with uncommitted changes: their commit does not reproduce them.")
    if len(protocol.commits(results)) > 1:
        notes.append(f"The records come from several states of the source: {', '.join(protocol.commits(results))}.")
    if results.stale:
        notes.append(
            f"{plural(len(results.stale), 'stale record')} {'was' if len(results.stale) == 1 else 'were'} left out: "
            "made by other source, data or settings than the plan's."
        )
    confounded = [names[each] for each in confounds.confounded(results)]
    if confounded:
        notes.append(
            f"{plural(len(confounded), 'variant')} {'differs' if len(confounded) == 1 else 'differ'} from the baseline "
            f"in more than the factors are about ({', '.join(confounded[:3])}{', …' if len(confounded) > 3 else ''}): "
            "see “What else differs?”."
        )
    return notes


def _commands(results: Results, folder_name: str) -> list[str]:
    commits = [each.split()[0] for each in protocol.commits(results) if each != "no repository"]
    return [
        *(f"git checkout {commit}" for commit in commits[:1]),
        str(results.plan["command"]),
        f"bench report results/{folder_name}",
    ]


def _cells(table: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in table.itertuples(index=False, name=None)]


def _text(value: Any, head: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, number_types.Integral):
        return str(value)
    if isinstance(value, number_types.Real):
        return f"{float(value):.{DIGITS.get(head, DEFAULT_DIGITS)}f}".replace("-", "−")
    return str(value)


def _key(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _keys_of(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers for a column of text in which every cell with a value opens with one, the column itself otherwise."""
    keys = {}
    for head in table.columns:
        found = [_OPENING_NUMBER.match(str(value)) for value in table[head]]
        texts = [str(value) for value in table[head]]
        numeric = all(match or text == NOTHING for match, text in zip(found, texts, strict=True)) and any(found)
        numbers = [float(match[1].replace("−", "-")) if match else float("nan") for match in found]
        keys[head] = pd.Series(numbers, dtype=float) if numeric else table[head].reset_index(drop=True)
    return pd.DataFrame(keys)


def _tone(head: str, value: Any) -> str:
    word = str(value).partition(" (")[0]
    if head == "Outcome":
        return "" if word == "done" else "quiet" if word in ("missing", "excluded") else "worse"
    return {"better": "better", "worse": "worse"}.get(word, "quiet") if head == "Verdict" else ""


def _asset(name: str) -> Markup:
    """A file of this package, put into the page as it is."""
    return Markup((resources.files("bench.report") / name).read_text(encoding="utf-8"))
