"""Every table that a report has, by the name that ``bench report --table`` asks for it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from bench.evidence import confounds, speedups
from bench.evidence.evidence import Evidence
from bench.report.tables import effects, protocol, quality, speed, variants
from bench.report.tables.formats import FORMATS
from bench.report.tables.table import Shown, Table, TableError, cell, of_text, unknown

SPEED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "variant": ("Variant", ("variant",)),
    "against": ("Against", ("against",)),
    "setting": ("Setting", speedups.SETTING),
    "ratio": ("Times as fast", ("ratio",)),
    "interval": ("95 % interval", ("low", "high")),
    "blocks": ("Blocks", ("blocks",)),
    "p_holm": ("p (Holm)", ("p_holm",)),
    "verdict": ("Verdict", ("verdict", "verdict_reason")),
    "latency_s": ("ms", ("latency_s",)),
    "against_s": ("ms, against", ("against_s",)),
    "remark": ("Remark", ("status", "reason", "noisy", "isolated")),
}
"""Column of the table of speed-ups -> its head there, and the columns of the speed-ups' frame that it tells."""


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
    return {name: make(evidence) for name, make in TABLES.items()}


def _speed(evidence: Evidence) -> Table:
    absent = "" if "speed" in evidence.results.plan.stages else "the study plans no comparisons of speed"
    numbers = evidence.speedups
    rows = pd.concat([numbers, speed.comparisons(evidence)], axis="columns")
    columns = {name: Shown(head, keys, cell(head)) for name, (head, keys) in SPEED.items()}
    return Table("speed", rows, columns, tuple(columns), speed.CAPTION, absent=absent)


def _recipe(evidence: Evidence) -> Table:
    return of_text("recipe", protocol.recipe(evidence), "How variants are trained and tested, unless a factor says so.")


def _protocol(evidence: Evidence) -> Table:
    return of_text("protocol", protocol.protocol(evidence), "How quality and cost were measured, as the records say.")


def _provenance(evidence: Evidence) -> Table:
    return of_text("provenance", protocol.provenance(evidence), "What made the records.")


def _outcomes(evidence: Evidence) -> Table:
    return of_text("outcomes", protocol.outcomes(evidence), "What came of every planned trial.")


def _confounds(evidence: Evidence) -> Table:
    found = evidence.confounds
    known = found[found["Kind"].isin(confounds.CONFOUNDS)].reset_index(drop=True)
    caption = (
        "What differs beyond the factors between the two sides of a comparison, and timings that were not alone, noisy "
        "or not steady. A factor's average is made of pairs of variants that differ in it alone."
    )
    audited = bool(evidence.results.plan.audit.variants)
    nothing = "nothing that is known differs" if audited else "the plan holds no facts of the networks to compare"
    return of_text("confounds", known, caption, "" if len(known) else nothing)


def _definitions(evidence: Evidence) -> Table:
    return of_text("definitions", protocol.definitions(evidence), "What the measured columns mean.")


TABLES: Mapping[str, Callable[[Evidence], Table]] = {
    "ablation": variants.ablation_table,
    "main": quality.main,
    "boundary": quality.boundary,
    "classes": quality.classes,
    "class-effects": quality.class_effects,
    "images": quality.images,
    "effects": effects.effects_table,
    "cost": quality.cost,
    "speed": _speed,
    "recipe": _recipe,
    "protocol": _protocol,
    "provenance": _provenance,
    "outcomes": _outcomes,
    "confounds": _confounds,
    "definitions": _definitions,
}
"""In the order in which they are listed."""
