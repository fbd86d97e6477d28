"""A table before it is written down: rows of numbers, columns that know how to print a row, and what stands out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from bench.parts import BenchError
from bench.records.results import records


class TableError(BenchError, ValueError):
    """A table or a column of a table that does not exist."""


@dataclass(frozen=True)
class Shown:
    """One printed column.

    Attributes:
        head: its title, unit and arrow included.
        keys: the columns of the unrounded table that it tells of; rows sort by the first.
        text: how it writes a row.
    """

    head: str
    keys: tuple[str, ...]
    text: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: what it is asked for by.
        rows: its numbers, unrounded and in stored units.
        columns: every column that it can have, by the name it is asked for by.
        chosen: names of the columns that it has, in order.
        caption: what it shows, and what bold means.
        bold: column -> says which of its rows stand out.
        required: columns that it never goes without: the number of seeds where some are missing.
        absent: why it has no rows, if it has none.
        remarks: column -> sentences on what its cells hold beside a number, and what their marks mean.
    """

    name: str
    rows: pd.DataFrame
    columns: Mapping[str, Shown]
    chosen: tuple[str, ...]
    caption: str
    bold: Mapping[str, Callable[[], Sequence[bool]]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    absent: str = ""
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def with_columns(self, names: Sequence[str]) -> Table:
        """The same table with other columns, in the order given; those that are required follow if they are left out.

        Raises:
            TableError: for an unknown column, naming the nearest.
        """
        for name in names:
            if name not in self.columns:
                raise TableError(unknown(f"table {self.name!r} has no column", name, self.columns))
        wanted = dict.fromkeys([*names, *self.required])
        return replace(self, chosen=tuple(wanted))

    @property
    def said(self) -> str:
        """The caption, with the remarks of the chosen columns."""
        return " ".join(
            dict.fromkeys([self.caption, *(each for name in self.chosen for each in self.remarks.get(name, ()))])
        )

    def printed(self) -> pd.DataFrame:
        """Cells as text."""
        return self._printed.copy()

    def keys(self) -> pd.DataFrame:
        """What each printed cell sorts by: numbers where it prints a number."""
        table = pd.concat([self.rows[shown.keys[0]] for shown in self._shown], axis="columns")
        return table.set_axis(self.heads, axis="columns")

    def emphasis(self) -> pd.DataFrame:
        """Which printed cells stand out."""
        return self._emphasis.copy()

    @cached_property
    def _printed(self) -> pd.DataFrame:
        rows = records(self.rows)
        cells = [[shown.text(row) for shown in self._shown] for row in rows]
        return pd.DataFrame(cells, columns=self.heads, dtype=object)

    @cached_property
    def _emphasis(self) -> pd.DataFrame:
        nowhere = [False] * len(self.rows)
        marks = [list(self.bold[name]()) if name in self.bold else nowhere for name in self.chosen]
        return pd.DataFrame(dict(enumerate(marks)), index=range(len(self.rows)), dtype=bool).set_axis(
            self.heads, axis="columns"
        )

    def unrounded(self) -> pd.DataFrame:
        """The numbers behind the chosen columns, in stored units."""
        names = dict.fromkeys(key for shown in self._shown for key in shown.keys)
        return self.rows[list(names)]

    @property
    def heads(self) -> list[str]:
        """Titles of the chosen columns; one that says the same as an earlier one is numbered."""
        found: list[str] = []
        for shown in self._shown:
            count = sum(shown.head == other.head for other in self._shown[: len(found)])
            found.append(f"{shown.head} ({count + 1})" if count else shown.head)
        return found

    @property
    def _shown(self) -> list[Shown]:
        return [self.columns[name] for name in self.chosen]


def of_text(name: str, table: pd.DataFrame, caption: str, absent: str = "") -> Table:
    """A table whose cells are text already; a column's name is its head in lower case, ``_`` for what is no letter."""
    columns = {_slug(head): Shown(head, (head,), cell(head)) for head in map(str, table.columns)}
    return Table(name, table, columns, tuple(columns), caption, absent=absent)


def unknown(what: str, name: str, known: Mapping[str, Any]) -> str:
    """``no table 'efects' (did you mean 'effects'?); there are …``"""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{what} {name!r}{hint}; there are: {', '.join(known)}"


def cell(head: str) -> Callable[[Mapping[str, Any]], str]:
    """Writes a column that is text already."""
    return lambda row: str(row[head])


def texts(table: pd.DataFrame) -> list[list[str]]:
    """The cells of a printed table, row by row."""
    return [[str(each) for each in row] for row in table.to_numpy().tolist()]


def _slug(head: str) -> str:
    return re.sub(r"\W+", "_", head.lower()).strip("_")
