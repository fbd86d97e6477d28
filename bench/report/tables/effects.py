"""The table of every comparison: difference, interval, p-values, verdict, what could have been resolved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence import stats
from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import LEAST_P, NOTHING, p_value, plural, verdict
from bench.report.tables.table import Shown, Table
from bench.report.tables.variants import required_of

EQUIVALENT = "Equivalent"


def effects_table(evidence: Evidence) -> Table:
    """Every comparison: label, n, Δ with interval, p-values, verdict, smallest resolvable difference.

    Then the seeds that the difference seen would need and, where the study states a margin, equivalence.
    """
    plan = evidence.results.plan
    margin = plan.margin
    columns = {
        "effect": Shown("Effect of", ("label",), lambda row: str(row["label"])),
        "kind": Shown("Kind", ("kind",), lambda row: str(row["kind"])),
        "delta": Shown(column(JUDGED).difference_title, ("delta",), lambda row: column(JUDGED).signed(row["delta"])),
        "interval": Shown(
            "95 % interval", ("low", "high"), lambda row: column(JUDGED).interval(row["low"], row["high"]) or NOTHING
        ),
        "n": Shown("Seeds", ("n", "planned"), lambda row: f"{row['n']}/{row['planned']}"),
        "p": Shown("p", ("p",), lambda row: p_value(row["p"])),
        "p_holm": Shown("p (Holm)", ("p_holm",), lambda row: p_value(row["p_holm"])),
        "verdict": Shown("Verdict", ("verdict", "reason"), verdict),
        "resolvable": Shown("Resolvable", ("resolvable",), lambda row: column(JUDGED).resolvable(row["resolvable"])),
        "needed": Shown(
            "Seeds needed", ("needed",), lambda row: NOTHING if pd.isna(row["needed"]) else str(row["needed"])
        ),
        "equivalent": Shown(EQUIVALENT, ("p_equivalent",), lambda row: equivalent(row, margin)),
    }
    rows = evidence.effects
    names = tuple(name for name in columns if name != "equivalent" or margin)
    caption = (
        f"Differences in {column(JUDGED).label}, paired by seed, with Student-t 95 % intervals; Holm's correction runs "
        f"over the {plural(int(rows['p'].notna().sum()), 'comparison')} of this table that can be tested. Resolvable: "
        f"the smallest true difference that would have been resolved with {100 * stats.POWER:.0f} % power at the "
        "strictest step of that correction. Seeds needed: for the mean difference seen, likewise."
    )
    if claimed := int(rows["p_equivalent"].notna().sum()):
        focus = plan.focus
        caption += (
            f" Equivalent: two one-sided tests with the study's margin, Holm over {plural(claimed, 'comparison')}"
            f"{f' of {focus}' if focus else ''}."
        )
    absent = "" if len(rows) else "the study plans no two variants to compare"
    return Table("effects", rows, columns, names, caption, required=required_of(rows), absent=absent)


def equivalent(row: Mapping[Any, Any], margin: float | None) -> str:
    """Whether a row of effects shows a difference within the study's margin: ``within ±0.50 (p < 0.001)``."""
    p = row["p_equivalent"]
    if not margin or math.isnan(p):
        return NOTHING
    said = p_value(p) if p < LEAST_P else f"= {p_value(p)}"
    bounds = f"±{column(JUDGED).shown(margin)}"
    return f"within {bounds} (p {said})" if p < stats.ALPHA else f"not shown for {bounds}"
