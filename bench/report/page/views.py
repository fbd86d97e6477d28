"""Tables as the page shows them: cells with the keys that they are sorted by, and an address for every row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.protocol.words import NOTHING
from bench.report.tables.fields import Tone
from bench.report.tables.table import Table

_NOT_IN_AN_ADDRESS = re.compile(r"[^a-z0-9]+")
LONGEST_ADDRESS = 60
"""The most characters of a row's address that come from its text."""
MOST_ROWS = 500
"""The most rows of a table that the page shows; the file of a longer table has all of them."""
MOST_NAMING = 3
"""The most columns from whose cells the name of a row is put together."""


@dataclass(frozen=True)
class HtmlCell:
    """A cell of an HTML table.

    Attributes:
        text: the text that is shown.
        key: the text that the cell is sorted by; empty if nothing was measured, ``None`` to sort by ``text``.
        tone: the class of the cell's style; empty for the ordinary one.
    """

    text: str
    key: str | None
    tone: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table: its id on the page, the text of links to it, and its cells."""

    address: str
    name: str
    cells: Sequence[HtmlCell]


@dataclass(frozen=True)
class View:
    """A table as the page shows it.

    Attributes:
        id: the id of the table on the page.
        caption: the caption, one sentence.
        notes: the explanation of how to read the table; may be empty.
        heads: the head of each column, and ``True`` for a numeric column.
        rows: the rows that are shown.
        total: the number of all rows.
        file: the path, from ``report/`` on, of the file that holds all rows.
        absent: the reason why the table has no rows; empty if it has some.
    """

    id: str
    caption: str
    notes: str
    heads: Sequence[tuple[str, bool]]
    rows: Sequence[Row]
    total: int
    file: str
    absent: str


def view(table_id: str, table: Table, file: str, names: Iterable[object] | None = None) -> View:
    """A table as the page shows it.

    It has at most :data:`MOST_ROWS` rows in their order. Of a longer table with outcomes, every row about a failure is
    shown, then those about missing trials, then those about finished ones.

    Args:
        file: the path, from ``report/`` on, of the file that holds all rows.
        names: the names of the rows, from which their ids are made; by default as many of their first cells as are
            needed to tell the rows apart.
    """
    row_names = _names(table.cells) if names is None else [str(name) for name in names]
    places = addresses(table_id, row_names)
    tones = [field.tone for field in table.fields]
    keys = list(zip(*(table.rows[key].tolist() for key in table.sort_keys), strict=True))
    rows = [
        Row(
            places[index],
            row_names[index],
            [_cell(*cell) for cell in zip(table.cells[index], keys[index], tones, table.strong[index], strict=True)],
        )
        for index in _chosen(table.cells, tones)
    ]
    heads = list(zip(table.heads, table.numeric, strict=True))
    return View(table_id, table.caption, table.all_notes, heads, rows, len(table.rows), file, table.absent)


def addresses(prefix: str, names: Iterable[object]) -> list[str]:
    """The id of the row of each name, such as ``effects-full-attention-on``; all ids differ."""
    ids: list[str] = []
    taken: set[str] = set()
    count: dict[str, int] = {}
    for name in names:
        plain = unicodedata.normalize("NFKD", str(name)).lower()
        stem = f"{prefix}-{_NOT_IN_AN_ADDRESS.sub('-', plain).strip('-')[:LONGEST_ADDRESS] or 'row'}"
        address = stem
        while address in taken:
            count[stem] = count.get(stem, 1) + 1
            address = f"{stem}-{count[stem]}"
        taken.add(address)
        ids.append(address)
    return ids


def _names(cells: Sequence[Sequence[str]]) -> list[str]:
    names = [""] * len(cells)
    for column in list(zip(*cells, strict=True))[:MOST_NAMING]:
        names = [f"{name} {text}".strip() for name, text in zip(names, column, strict=True)]
        if len(set(names)) == len(names):
            break
    return names


def _chosen(cells: Sequence[Sequence[str]], tones: Sequence[Tone]) -> list[int]:
    """The positions of the rows that are shown, in their order on the page."""
    if len(cells) <= MOST_ROWS or "outcome" not in tones:
        return list(range(min(len(cells), MOST_ROWS)))
    outcome = tones.index("outcome")
    rank = [{"done": 2, "missing": 1, "excluded": 1}.get(row[outcome], 0) for row in cells]
    ordered = sorted(range(len(cells)), key=lambda index: rank[index])
    return ordered[: max(MOST_ROWS, rank.count(0))]


def _cell(text: str, value: Any, tone: Tone, strong: bool) -> HtmlCell:
    key = "" if pd.isna(value) or value == NOTHING else f"{value:.9g}" if isinstance(value, float) else str(value)
    return HtmlCell(text, None if key == text else key, _style(text, tone), strong)


def _style(text: str, tone: Tone) -> str:
    """The class of a cell's style."""
    word = text.partition(" (")[0]
    if tone == "outcome":
        return "" if word == "done" else "quiet" if word in ("missing", "excluded") else "worse"
    return {"better": "better", "worse": "worse"}.get(word, "quiet") if tone == "verdict" else ""
