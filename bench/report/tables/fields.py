"""The fields of tables: how each kind of cell is written from the numbers of a row."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from bench.protocol import words
from bench.protocol.columns import COLUMNS, Column
from bench.protocol.words import NOTHING

DEFAULT_DIGITS = 2
"""The decimals of a number that a figure draws under a head that is no column's."""


TableRow = Mapping[str, Any]
Tone = Literal["", "verdict", "outcome"]


@dataclass(frozen=True)
class Field:
    """One printed column.

    Attributes:
        head: its title, unit and arrow included.
        keys: the columns of the table's rows that it tells of; CSV and JSON hold these.
        text: writes a row.
        sort: the column that rows sort by, if it is not the first of ``keys``.
        tone: the kind of word that it holds, if the page colours it.
    """

    head: str
    keys: tuple[str, ...]
    text: Callable[[TableRow], str]
    sort: str = ""
    tone: Tone = ""

    @property
    def sort_key(self) -> str:
        """The column that rows sort by."""
        return self.sort or self.keys[0]

    def cells(self, rows: Iterable[TableRow]) -> list[str]:
        """The field of every row, as text."""
        return [self.text(row) for row in rows]


def sort_keys(fields: Sequence[Field]) -> list[str]:
    """The columns that rows sort by, one a field."""
    return [field.sort_key for field in fields]


def text(head: str, key: str, tone: Tone = "") -> Field:
    """A field of text as it is; a dash where there is none."""
    return Field(head, (key,), lambda row: NOTHING if pd.isna(row[key]) else str(row[key]), tone=tone)


def stated(head: str, key: str) -> Field:
    """A field of text; a dash where it is empty."""
    return Field(head, (key,), lambda row: str(row[key]) or NOTHING)


def variant(head: str, key: str, labels: Mapping[str, str]) -> Field:
    """A field of variants by their short names; a dash where there is none."""
    return Field(head, (key,), lambda row: labels.get(row[key], row[key]) or NOTHING)


def count(head: str, key: str) -> Field:
    """A field of whole numbers."""
    return Field(head, (key,), lambda row: NOTHING if pd.isna(row[key]) else f"{row[key]:.0f}")


def times(head: str, key: str) -> Field:
    """A field of ratios of times: how many times as fast."""
    return Field(head, (key,), lambda row: words.times(row[key]))


def bounds(head: str, low: str, high: str) -> Field:
    """A field of intervals of ratios."""
    return Field(head, (low, high), lambda row: words.bounds(row[low], row[high]))


def ratio(head: str, key: str) -> Field:
    """A field of ratios: ``×1.20``."""
    return Field(head, (key,), lambda row: words.ratio(row[key]))


def p_value(head: str, key: str) -> Field:
    """A field of p-values."""
    return Field(head, (key,), lambda row: words.p_value(row[key]))


def value(head: str, key: str, column: Column) -> Field:
    """A field of values of a measured column."""
    return Field(head, (key,), lambda row: column.shown(row[key]))


def difference(head: str, key: str, column: Column) -> Field:
    """A field of differences of a measured column."""
    return Field(head, (key,), lambda row: column.signed(row[key]))


def interval(head: str, low: str, high: str, column: Column) -> Field:
    """A field of intervals of differences of a measured column."""
    return Field(head, (low, high), lambda row: column.interval(row[low], row[high]) or NOTHING)


def seeds() -> Field:
    """The field of the seeds that are done, of those planned."""
    return Field("Seeds", ("n", "planned"), lambda row: f"{row['n']}/{row['planned']}")


def verdict() -> Field:
    """The field of verdicts with their reasons."""
    return Field("Verdict", ("verdict", "reason"), words.verdict, tone="verdict")


_DIGITS = {column.title: column.digits for column in COLUMNS.values()} | {
    column.difference_title: column.digits for column in COLUMNS.values()
}


def number(head: str, key: str) -> Field:
    """A field of numbers in shown units, with the digits of the column whose title the head is; or of words."""

    def write(row: TableRow) -> str:
        value = row[key]
        if pd.isna(value):
            return NOTHING
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            # z: a number that rounds to zero has no sign
            return f"{float(value):z.{_DIGITS.get(head, DEFAULT_DIGITS)}f}".replace("-", "−")
        return str(value)

    return Field(head, (key,), write)
