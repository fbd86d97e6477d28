"""Every table that a report has, by the name that ``bench report --table`` asks for it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.evidence.evidence import Evidence
from bench.records.files import no_collection
from bench.report.tables import confounds, effects, protocol, published, quality, speed, variants
from bench.report.tables.formats import FORMATS
from bench.report.tables.table import Table, TableError, unknown

MOST_PRINTED = 1000
"""Rows of a table that is written as Markdown and LaTeX; nobody prints one of more, and CSV has them all."""


def table(evidence: Evidence, name: str, columns: Sequence[str] = ()) -> Table:
    """A table by name, with the columns asked for or those that it has by itself.

    Raises:
        TableError: for an unknown table or column, naming the nearest.
        RecordError: for records that must not be compared.
    """
    if name not in TABLES:
        raise TableError(unknown("no table", name, TABLES))
    made = TABLES[name](evidence)
    return made.with_columns(columns) if columns else made


def written(made: Table, form: str = "markdown") -> str:
    """A table in a format of :data:`bench.report.tables.formats.FORMATS`.

    Raises:
        TableError: for an unknown format, naming the nearest.
    """
    if form not in FORMATS:
        raise TableError(unknown("no format", form, FORMATS))
    return FORMATS[form](made)


def all_tables(evidence: Evidence) -> dict[str, Table]:
    """Every table by its name; one that has nothing to say has no rows."""
    with no_collection():
        return {name: make(evidence) for name, make in TABLES.items()}


TABLES: Mapping[str, Callable[[Evidence], Table]] = {
    "ablation": variants.ablation_table,
    "main": quality.main,
    "boundary": quality.boundary,
    "classes": quality.classes,
    "class-effects": quality.class_effects,
    "images": quality.images,
    "effects": effects.effects_table,
    "tuning": variants.tuning_table,
    "cost": quality.cost,
    "front": variants.front_table,
    "speed": speed.comparisons,
    "crossings": speed.crossings,
    "published": published.accuracy,
    "published-classes": published.classes,
    "published-memory": published.memory,
    "published-speed": published.speeds,
    "recipe": protocol.recipe,
    "protocol": protocol.protocol,
    "provenance": protocol.provenance,
    "outcomes": protocol.outcomes,
    "confounds": confounds.undeclared,
    "differences": confounds.all_differences,
    "definitions": protocol.definitions,
}
"""The maker of each table, in the order in which tables are listed."""
