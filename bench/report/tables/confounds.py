"""Tables of what differs between two compared sides: what no factor declares, and every difference."""

from __future__ import annotations

import pandas as pd

from bench.evidence import confounds
from bench.evidence.evidence import Evidence
from bench.protocol.columns import column
from bench.protocol.words import NOTHING
from bench.report.tables import fields
from bench.report.tables.fields import Field, TableRow
from bench.report.tables.table import Table


def undeclared(evidence: Evidence) -> Table:
    """The differences that no factor declares, and timings in doubt."""
    differences = evidence.confounds
    rows = differences[differences["Kind"].isin(confounds.CONFOUNDS)].reset_index(drop=True)
    caption = "Differences that no factor declares, and timings in doubt."
    notes = (
        "Between the two sides of a comparison. A timing is in doubt if it is not known to be alone, noisy or not "
        "steady. A factor's average is made of pairs of variants that differ in it alone."
    )
    return _table("confounds", rows, caption, notes, evidence)


def all_differences(evidence: Evidence) -> Table:
    """Every difference between two compared sides."""
    caption = "All differences between the sides of each comparison."
    notes = "Those that a factor declares, and what follows from them, too."
    return _table("differences", evidence.confounds, caption, notes, evidence)


def _table(name: str, rows: pd.DataFrame, caption: str, notes: str, evidence: Evidence) -> Table:
    columns = {head.lower(): fields.text(head, head) for head in ("Compared", "Where", "Difference", "Kind")}
    columns |= {"parameters": _count("parameters"), "macs": _count("macs")}
    columns["macs_share"] = Field("Share of Δ MACs (%)", ("macs_share",), _share)
    audited = bool(evidence.results.plan.audit.variants)
    nothing = "nothing that is known differs" if audited else "the plan holds no facts of the networks to compare"
    return Table(name, rows, columns, tuple(columns), caption, notes, absent="" if len(rows) else nothing)


def _count(name: str) -> Field:
    """The field of differences in a count; a range where the pairs of a comparison differ by different counts."""
    count, keys = column(name), (f"{name}_low", f"{name}_high")

    def write(row: TableRow) -> str:
        ends = [f"{row[key] * count.scale:+.{count.decimals(row[key])}f}" for key in keys if pd.notna(row[key])]
        return " to ".join(dict.fromkeys(ends)) or NOTHING

    return Field(f"{count.label} ({count.shown_unit})", keys, write)


def _share(row: TableRow) -> str:
    return NOTHING if pd.isna(row["macs_share"]) else f"{100 * row['macs_share']:.0f}"
