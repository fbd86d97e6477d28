"""Tables as the page shows them: cells with what they sort by, and an address for every row."""

from __future__ import annotations

import numbers as number_types
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.protocol.columns import COLUMNS, column
from bench.protocol.words import NOTHING

_OPENING_NUMBER = re.compile(r"[\[≥< ]*([+−-]?\d+(?:\.\d+)?)(?=$|[,/])")
_NOT_IN_AN_ADDRESS = re.compile(r"[^a-z0-9]+")
LONGEST_ADDRESS = 60
"""Characters of a row's address that come from its text."""
MOST_ROWS = 500
"""A longer table is shown in part; its file has all rows."""
MOST_NAMING = 3
"""Columns that a row may take its name from."""
DEFAULT_DIGITS = 2
DIGITS = {each.title: each.digits for each in COLUMNS.values()} | {
    column(name).difference_title: each.digits for name, each in COLUMNS.items()
}


@dataclass(frozen=True)
class Cell:
    """What a cell of an HTML table shows and sorts by.

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
    cells: Sequence[Cell]


@dataclass(frozen=True)
class View:
    """A table as the page shows it.

    Attributes:
        id: its place on the page.
        heads: with whether their columns are numeric.
        rows: those that are shown.
        total: how many there are.
        file: that holds them all, below ``report/``.
    """

    id: str
    heads: Sequence[tuple[str, bool]]
    rows: Sequence[Row]
    total: int
    file: str


def view(
    table_id: str,
    table: pd.DataFrame,
    keys: pd.DataFrame | None = None,
    bold: pd.DataFrame | None = None,
    names: Iterable[object] | None = None,
    file: str = "",
) -> View:
    """A DataFrame as the page shows it.

    At most :data:`MOST_ROWS` rows, in their order. If there are more, and the table has outcomes: every failure, then
    what is missing, then what is done.

    Args:
        keys: what cells sort by; otherwise the number that a cell opens with.
        bold: the cells that stand out.
        names: what rows are called and addressed by; otherwise as many of their first cells as tell them apart.
        file: that holds all rows; by default ``data/<table_id>.csv``.
    """
    keys = _keys_of(table) if keys is None else keys.reset_index(drop=True)
    heads = [str(head) for head in table.columns]
    numeric = [pd.api.types.is_numeric_dtype(keys[head]) for head in keys.columns]
    called = _names(table) if names is None else [str(name) for name in names]
    places = addresses(table_id, called)
    chosen = _chosen(table)
    strong = [[False] * len(heads)] * len(chosen) if bold is None else bold.iloc[chosen].to_numpy().tolist()
    rows = [
        Row(
            places[index],
            called[index],
            [_cell(head, value, key, mark) for head, value, key, mark in zip(heads, values, sort, marks, strict=True)],
        )
        for index, values, sort, marks in zip(
            chosen, _cells(table.iloc[chosen]), _cells(keys.iloc[chosen]), strong, strict=True
        )
    ]
    return View(table_id, list(zip(heads, numeric, strict=True)), rows, len(table), file or f"data/{table_id}.csv")


def addresses(prefix: str, names: Iterable[object]) -> list[str]:
    """An id on the page for each name in turn, ``effects-full-attention-on``; no two are alike."""
    found: list[str] = []
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
        found.append(address)
    return found


def _names(table: pd.DataFrame) -> list[str]:
    names = [""] * len(table)
    for index in range(min(MOST_NAMING, len(table.columns))):
        names = [f"{name} {cell}".strip() for name, cell in zip(names, table.iloc[:, index], strict=True)]
        if len(set(names)) == len(names):
            break
    return names


def _chosen(table: pd.DataFrame) -> list[int]:
    """The positions of the rows that are shown, in their order on the page."""
    if len(table) <= MOST_ROWS:
        return list(range(len(table)))
    if "Outcome" not in table.columns:
        return list(range(MOST_ROWS))
    rank = [{"done": 2, "missing": 1, "excluded": 1}.get(str(outcome), 0) for outcome in table["Outcome"]]
    ordered = sorted(range(len(table)), key=lambda index: rank[index])
    return ordered[: max(MOST_ROWS, rank.count(0))]


def _cells(table: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in table.itertuples(index=False, name=None)]


def _cell(head: str, value: Any, key: Any, strong: bool) -> Cell:
    text, sorted_by = _text(value, head), _key(key)
    return Cell(text, None if sorted_by == text else sorted_by, _tone(head, value), strong)


def _text(value: Any, head: str) -> str:
    if pd.isna(value):
        return NOTHING
    if isinstance(value, number_types.Integral):
        return str(value)
    if isinstance(value, number_types.Real):
        return f"{float(value):.{DIGITS.get(head, DEFAULT_DIGITS)}f}".replace("-", "−")
    return str(value)


def _key(value: Any) -> str:
    if pd.isna(value) or value == NOTHING:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _keys_of(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers for a column of text in which every cell with a value opens with one, the column itself otherwise."""
    keys = {}
    for head in table.columns:
        if pd.api.types.is_numeric_dtype(table[head]):
            keys[head] = table[head].reset_index(drop=True)
            continue
        texts = [str(value) for value in table[head]]
        found = [_OPENING_NUMBER.match(text) for text in texts]
        numeric = all(match or text == NOTHING for match, text in zip(found, texts, strict=True)) and any(found)
        numbers = [float(match[1].replace("−", "-")) if match else float("nan") for match in found]
        keys[head] = pd.Series(numbers, dtype=float) if numeric else table[head].reset_index(drop=True)
    return pd.DataFrame(keys)


def _tone(head: str, value: Any) -> str:
    word = str(value).partition(" (")[0]
    if head == "Outcome":
        return "" if word == "done" else "quiet" if word in ("missing", "excluded") else "worse"
    return {"better": "better", "worse": "worse"}.get(word, "quiet") if head == "Verdict" else ""
