"""What differs between each two variants that are compared, beyond the factors; from ``study.json`` and the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench import audit
from bench.records import Results
from bench.report.words import NOTHING, labels
from bench.store import Record

COLUMNS = ("Variant", "Where", "Difference", "Kind", "Parameters (M)", "MACs (G)", "Share of Δ MACs (%)")

CONFOUNDS = ("undeclared", "environment")

ENVIRONMENT = ("commit", "dirty", "torch", "cuda", "device", "threads", "host")
"""What trials of two variants should have in common."""


def differences(results: Results) -> pd.DataFrame:
    """One row a difference between a variant and what it is compared with, undeclared ones first; empty without facts.

    Trained variants are compared with the baseline, timed ones with the other side of their comparison.
    """
    rows = [row for variant, other in _pairs(results) for row in _of(results, variant, other)]
    order = {"undeclared": 0, "environment": 1, "declared": 2, "follows": 3}
    rows.sort(key=lambda row: order[row["Kind"]])
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def share_sentence(results: Results, variant: str) -> str:
    """How much of a variant's difference in MACs no factor is about; empty for nothing."""
    if (variant, results.baseline) not in _pairs(results):
        return ""
    return audit.share_in_words(audit.differences(results.plan["audit"], variant, results.baseline)).strip()


def confounded(results: Results) -> list[str]:
    """The variants with a difference that no factor is about, or measured in another environment."""
    rows = {pair: list(_of(results, *pair)) for pair in _pairs(results)}
    found = [pair[0] for pair, each in rows.items() if any(row["Kind"] in CONFOUNDS for row in each)]
    return list(dict.fromkeys(found))


def _pairs(results: Results) -> list[tuple[str, str]]:
    """Variants that are compared, each with its other side, where the audit knows both."""
    known = results.plan.get("audit", {}).get("variants", {})
    cells = [cell for cell in results.plan["cells"] if not cell.get("excluded")]
    pairs = [(str(cell["variant"]), str(cell.get("against", results.baseline))) for cell in cells]
    return [pair for pair in dict.fromkeys(pairs) if len(set(pair) & set(known)) == 2]


def _of(results: Results, variant: str, other: str) -> Iterator[dict[str, Any]]:
    names = labels(results)
    name = names[variant] if other == results.baseline else f"{names[variant]} against {names.get(other, other)}"
    found = audit.differences(results.plan["audit"], variant, other)
    total = sum(each.macs for each in found)
    for each in found:
        counted = each.parameters or each.macs
        yield {
            "Variant": name,
            "Where": each.where.replace("_", " "),
            "Difference": each.what,
            "Kind": each.kind,
            "Parameters (M)": f"{each.parameters / 1e6:+.2f}" if counted else NOTHING,
            "MACs (G)": f"{each.macs / 1e9:+.2f}" if counted else NOTHING,
            "Share of Δ MACs (%)": f"{100 * each.macs / total:.0f}" if counted and total else NOTHING,
        }
    for stage in results.plan["stages"]:
        ours, theirs = (_environments(results, each, stage) for each in (variant, other))
        for fact in ENVIRONMENT:
            if ours and theirs and ours[fact] != theirs[fact]:
                yield dict.fromkeys(COLUMNS, NOTHING) | {
                    "Variant": name,
                    "Where": f"{fact} of {stage} trials",
                    "Difference": f"{theirs[fact]} → {ours[fact]}",
                    "Kind": "environment",
                }


def _environments(results: Results, variant: str, stage: str) -> Mapping[str, str]:
    """Every value that a variant's trials of a stage had of each fact; empty without trials."""
    records = [r for r in results.records if r.trial["variant"] == variant and r.trial["stage"] == stage]
    return {fact: _values(records, fact) for fact in ENVIRONMENT} if records else {}


def _values(records: list[Record], fact: str) -> str:
    return ", ".join(sorted({str(record.environment.get(fact))[:12] for record in records}))
