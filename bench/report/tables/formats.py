"""Tables as Markdown, LaTeX, HTML, CSV and JSON. Text from a study stays text: what a language acts on is escaped."""

from __future__ import annotations

import html as html_text
import json
import re
from collections.abc import Callable, Mapping

from tabulate import tabulate

from bench.protocol.text import harmless, one_line, plain
from bench.report.tables.latex import latex
from bench.report.tables.table import Table

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&$])")


def markdown(table: Table) -> str:
    """A GitHub table; the cells that stand out are bold."""
    rows = [
        [f"**{markdown_text(text)}**" if strong else markdown_text(text) for text, strong in zip(*row, strict=True)]
        for row in zip(table.cells, table.strong, strict=True)
    ]
    heads = [markdown_text(head) for head in table.heads]
    return str(tabulate(rows, heads, tablefmt="github", disable_numparse=True)) + "\n"


def html(table: Table) -> str:
    """A bare ``<table>``; the cells that stand out are ``<strong>``."""
    heads = "".join(f'<th scope="col">{_escaped(head)}</th>' for head in table.heads)
    rows = [
        "".join(
            f"<td><strong>{_escaped(text)}</strong></td>" if strong else f"<td>{_escaped(text)}</td>"
            for text, strong in zip(*row, strict=True)
        )
        for row in zip(table.cells, table.strong, strict=True)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    caption = f"<caption>{_escaped(table.legend)}</caption>"
    return f"<table>\n{caption}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _escaped(text: str) -> str:
    return html_text.escape(harmless(text))


def _as_markdown(table: Table) -> str:
    return f"{markdown(table)}\n{markdown_text(table.legend)}\n"


def _as_csv(table: Table) -> str:
    return table.unrounded().to_csv(index=False)


def as_json(table: Table) -> str:
    """The numbers behind a table as JSON: a list of rows, unrounded in stored units."""
    rows = table.unrounded().astype(object)
    return json.dumps(rows.where(rows.notna(), None).to_dict("records"), ensure_ascii=False, indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": _as_markdown, "latex": latex, "csv": _as_csv, "html": html, "json": as_json,
}  # fmt: skip
"""Name of a format -> how a table is written in it: printed with its caption, or as unrounded numbers (csv, json)."""


def markdown_text(text: str) -> str:
    """Text as Markdown shows it, in one line; it is read on terminals too."""
    shown = text if text.isprintable() else plain(one_line(text))
    return _MARKDOWN.sub(r"\\\1", shown)
