"""The table of every comparison: difference, interval, p-values, verdict, what could have been resolved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence import stats
from bench.evidence.effects import OF_ROUNDS
from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import LEAST_P, NOTHING, p_value, plural
from bench.records.plan.rounds import Rounds
from bench.report.tables import fields
from bench.report.tables.fields import Field
from bench.report.tables.table import Table
from bench.report.tables.variants import not_compared, required_of


def effects_table(evidence: Evidence) -> Table:
    """Every comparison: label, n, Δ with interval, p-values, verdict, smallest resolvable difference.

    Then the seeds that the difference seen would need and, where the study states a margin, equivalence.
    """
    plan, judged = evidence.results.plan, column(JUDGED)
    columns = {
        "effect": fields.text("Effect of", "label"),
        "kind": fields.text("Kind", "kind"),
        "delta": fields.difference(judged.difference_title, "delta", judged),
        "interval": fields.interval("95 % interval", "low", "high", judged),
        "n": fields.seeds(),
        "p": fields.p_value("p", "p"),
        "p_holm": fields.p_value("p (Holm)", "p_holm"),
        "verdict": fields.verdict(),
        "resolvable": Field("Resolvable", ("resolvable",), lambda row: judged.resolvable(row["resolvable"])),
        "needed": fields.count("Seeds needed", "needed"),
        "looks": fields.count("Looks", "looks"),
        "stand": fields.text("Ended", "stand"),
        "equivalent": Field("Equivalent", ("p_equivalent",), lambda row: equivalent(row, plan.margin)),
    }
    rows = evidence.effects
    left_out = {*(() if plan.margin else ("equivalent",)), *(OF_ROUNDS if plan.rounds is None else ())}
    names = tuple(name for name in columns if name not in left_out)
    notes = _notes(rows, plan.rounds)
    if claimed := int(rows["p_equivalent"].notna().sum()):
        focus = plan.focus
        notes += (
            f" Equivalent: two one-sided tests with the study's margin, Holm over {plural(claimed, 'comparison')}"
            f"{f' of {focus}' if focus else ''}."
        )
    notes += not_compared(evidence)
    absent = "" if len(rows) else "the study plans no two variants to compare"
    return Table("effects", rows, columns, names, "Every comparison.", notes, required=required_of(rows), absent=absent)


def _notes(rows: pd.DataFrame, rounds: Rounds | None) -> str:
    """How the differences were judged."""
    differences = f"Differences in {column(JUDGED).label}, paired by seed"
    holm = f"Holm's correction runs over the {plural(int(rows['p'].notna().sum()), 'comparison')}"
    chance = f"{100 * stats.POWER:.0f} % power"
    if rounds is None:
        return (
            f"{differences}, with Student-t 95 % intervals; {holm} of this table that can be tested. Resolvable: the "
            f"smallest true difference that would have been resolved with {chance} at the strictest step of that "
            "correction. Seeds needed: for the mean difference seen, likewise."
        )
    return (
        f"{differences}, over the seeds up to the comparison's end. Intervals (95 %) and p account for the looks: p is "
        "the least level at which the rounds would have resolved the difference by then; the interval of a comparison "
        f"that is still open holds at all looks together. {holm} of this table that can be tested. Resolvable: the "
        f"smallest true difference that these rounds would have resolved with {chance}, alone at the strictest step of "
        "that correction. Seeds needed: as many fixed seeds would resolve the mean difference seen."
    )


def equivalent(row: Mapping[Any, Any], margin: float | None) -> str:
    """The verdict of equivalence for a row of effects, with the study's margin: ``within ±0.50 (p < 0.001)``."""
    p = row["p_equivalent"]
    if not margin or math.isnan(p):
        return NOTHING
    p_text = p_value(p) if p < LEAST_P else f"= {p_value(p)}"
    bounds = f"±{column(JUDGED).shown(margin)}"
    return f"within {bounds} (p {p_text})" if p < stats.ALPHA else f"not shown for {bounds}"
