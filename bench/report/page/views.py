"""Tables as the page shows them: cells with what they sort by, and an address for every row."""

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
"""A longer table is shown in part; its file has all rows."""
MOST_NAMING = 3
"""Columns that a row may take its name from."""


@dataclass(frozen=True)
class HtmlCell:
    """A cell of an HTML table: its text, and the key that it sorts by.

    ``key`` is empty where nothing was measured, ``None`` where the text says the same.
    ``tone`` is a class of its style.
    """

    text: str
    key: str | None
    tone: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """A row's place on the page, the name that a link to it has, and its cells."""

    address: str
    name: str
    cells: Sequence[HtmlCell]


@dataclass(frozen=True)
class View:
    """A table as the page shows it.

    Attributes:
        id: its place on the page.
        caption: one sentence.
        notes: how to read it; may be empty.
        heads: with whether their columns are numeric.
        rows: the rows that are shown.
        total: the number of all rows.
        file: the file that holds them all, below ``report/``.
        absent: why it has no rows; empty if it has some.
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

    At most :data:`MOST_ROWS` rows, in their order. If there are more, and the table has outcomes: every failure, then
    what is missing, then what is done.

    Args:
        file: the file that holds all rows, below ``report/``.
        names: what rows are called and addressed by; otherwise as many of their first cells as tell them apart.
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
    """An id on the page for each name in turn, ``effects-full-attention-on``; no two are alike."""
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
