"""A table of a report before it is written down: rows of numbers, and the fields that write them.

Every format is made of the same :class:`Table`: text, HTML and LaTeX write what the fields write, CSV and JSON hold the
numbers behind them, and rows sort by these numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from bench.parts import BenchError, nearest
from bench.records.results import records
from bench.report.tables import fields
from bench.report.tables.fields import Field


class TableError(BenchError, ValueError):
    """A table or a column of a table that does not exist."""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: the name by which it is asked for.
        rows: its numbers, unrounded and in stored units.
        columns: every field that it can have, by the name it is asked for by.
        chosen: names of the fields that it has, in order.
        caption: what it shows, in one sentence.
        notes: how to read it, and what bold means; may be empty.
        bold: name of a field -> says which of its rows stand out.
        required: fields that it never goes without: the number of seeds where some are missing.
        absent: why it has no rows, if it has none.
        remarks: name of a field -> sentences on what its cells hold beside a number, and what their marks mean.
    """

    name: str
    rows: pd.DataFrame
    columns: Mapping[str, Field]
    chosen: tuple[str, ...]
    caption: str
    notes: str = ""
    bold: Mapping[str, Callable[[], Sequence[bool]]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    absent: str = ""
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def with_columns(self, names: Sequence[str]) -> Table:
        """The same table with other fields, in the order given; those that are required follow if they are left out.

        Raises:
            TableError: for an unknown field, naming the nearest.
        """
        for name in names:
            if name not in self.columns:
                raise TableError(unknown(f"table {self.name!r} has no column", name, self.columns))
        wanted = dict.fromkeys([*names, *self.required])
        return replace(self, chosen=tuple(wanted))

    def of_variants(self, names: Collection[str]) -> Table:
        """The same table with the rows of these variants alone."""
        return replace(self, rows=self.rows[self.rows["variant"].isin(list(names))])

    def without_columns(self, names: Sequence[str]) -> Table:
        """The same table less some fields."""
        return replace(self, chosen=tuple(name for name in self.chosen if name not in names))

    @property
    def all_notes(self) -> str:
        """The notes, with the remarks of the chosen fields."""
        remarks = [sentence for name in self.chosen for sentence in self.remarks.get(name, ())]
        return " ".join(dict.fromkeys(filter(None, [self.notes, *remarks])))

    @property
    def legend(self) -> str:
        """All texts that stand beside the table: caption, notes, and why it has no rows."""
        absent = f"No rows: {self.absent}." if self.absent else ""
        return " ".join(filter(None, [self.caption, self.all_notes, absent]))

    @property
    def fields(self) -> list[Field]:
        """The chosen fields in order."""
        return [self.columns[name] for name in self.chosen]

    @property
    def heads(self) -> list[str]:
        """Titles of the chosen fields; one that says the same as an earlier one is numbered."""
        heads = [field.head for field in self.fields]
        earlier = [heads[:index].count(head) for index, head in enumerate(heads)]
        return [f"{head} ({count + 1})" if count else head for head, count in zip(heads, earlier, strict=True)]

    @cached_property
    def sort_keys(self) -> list[str]:
        """For each chosen field: the column that rows sort by."""
        return fields.sort_keys(self.fields)

    @property
    def numeric(self) -> list[bool]:
        """For each chosen field: whether it tells of a number."""
        return [pd.api.types.is_numeric_dtype(self.rows[key]) for key in self.sort_keys]

    def printed(self) -> pd.DataFrame:
        """Cells as text."""
        return pd.DataFrame(self.cells, columns=self.heads, dtype=object)

    def keys(self) -> pd.DataFrame:
        """The value that each printed cell sorts by: a number where it tells of one."""
        table = pd.concat([self.rows[key] for key in self.sort_keys], axis="columns")
        return table.set_axis(self.heads, axis="columns")

    def emphasis(self) -> pd.DataFrame:
        """True for the printed cells that stand out."""
        return pd.DataFrame(self.strong, columns=self.heads, dtype=bool)

    @cached_property
    def cells(self) -> list[list[str]]:
        """Cells as text, row by row."""
        rows = records(self.rows)
        columns = [field.cells(rows) for field in self.fields]
        return [list(row) for row in zip(*columns, strict=True)]

    @cached_property
    def strong(self) -> list[list[bool]]:
        """True for the cells that stand out, row by row."""
        nowhere = [False] * len(self.rows)
        marks = [list(self.bold[name]()) if name in self.bold else nowhere for name in self.chosen]
        return [list(row) for row in zip(*marks, strict=True)]

    def unrounded(self) -> pd.DataFrame:
        """The numbers behind the chosen fields, in stored units."""
        names = dict.fromkeys(key for field in self.fields for key in field.keys)
        return self.rows[list(names)]


def of_text(name: str, frame: pd.DataFrame, caption: str, notes: str = "", absent: str = "") -> Table:
    """A table of words: each column of the frame is a field, called as its head in lower case with underscores."""
    columns = {_slug(head): fields.text(head, head) for head in map(str, frame.columns)}
    return Table(name, frame, columns, tuple(columns), caption, notes, absent=absent)


def of_figure(name: str, frame: pd.DataFrame, caption: str) -> Table:
    """The table of what a figure draws: words, and numbers in shown units with the digits of the column at the head."""
    columns = {head: fields.number(head, head) for head in map(str, frame.columns)}
    return Table(name, frame, columns, tuple(columns), caption)


def unknown(what: str, name: str, known: Mapping[str, Any]) -> str:
    """The message for an unknown table: ``no table 'efects' (did you mean 'effects'?); there are: …``"""
    return f"{what} {name!r}{nearest(name, known)}; there are: {', '.join(known)}"


def _slug(head: str) -> str:
    return re.sub(r"\W+", "_", head.lower()).strip("_")
