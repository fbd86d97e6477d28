"""Tables of what differs between two compared sides: what no factor declares, and every difference."""

from __future__ import annotations

import pandas as pd

from bench.evidence import confounds
from bench.evidence.evidence import Evidence
from bench.report.tables.table import Table, of_text


def undeclared(evidence: Evidence) -> Table:
    """The differences that no factor declares, and timings in doubt."""
    differences = evidence.confounds
    rows = differences[differences["Kind"].isin(confounds.CONFOUNDS)].reset_index(drop=True)
    caption = "Differences that no factor declares, and timings in doubt."
    notes = (
        "Between the two sides of a comparison. A timing is in doubt if it was not alone, noisy or not steady. A "
        "factor's average is made of pairs of variants that differ in it alone."
    )
    return _table("confounds", rows, caption, notes, evidence)


def every(evidence: Evidence) -> Table:
    """Every difference between two compared sides."""
    caption = "All differences between the sides of each comparison."
    notes = "Those that a factor declares, and what follows from them, too."
    return _table("differences", evidence.confounds, caption, notes, evidence)


def _table(name: str, rows: pd.DataFrame, caption: str, notes: str, evidence: Evidence) -> Table:
    audited = bool(evidence.results.plan.get("audit", {}).get("variants"))
    nothing = "nothing that is known differs" if audited else "the plan holds no facts of the networks to compare"
    return of_text(name, rows, caption, notes, "" if len(rows) else nothing)
