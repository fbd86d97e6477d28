"""What differs between each variant and the baseline beyond the factors, from ``study.json`` and the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench import audit
from bench.records import Record, Results
from bench.report.words import NOTHING, labels

COLUMNS = ("Variant", "Where", "Difference", "Kind", "Parameters (M)", "MACs (G)", "Share of Δ MACs (%)")

CONFOUNDS = ("undeclared", "environment")

ENVIRONMENT = ("commit", "dirty", "torch", "cuda", "device", "threads", "host")
"""What trials of two variants should have in common."""


def differences(results: Results) -> pd.DataFrame:
    """One row a difference between a variant and the baseline, undeclared ones first; empty without facts."""
    rows = [row for variant in _variants(results) for row in _of(results, variant)]
    order = {"undeclared": 0, "environment": 1, "declared": 2, "follows": 3}
    rows.sort(key=lambda row: order[row["Kind"]])
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def share_sentence(results: Results, variant: str) -> str:
    """How much of a variant's difference in MACs no factor is about; empty for nothing."""
    if variant not in _variants(results):
        return ""
    return audit.share_in_words(audit.differences(results.plan["audit"], variant, results.baseline)).strip()


def confounded(results: Results) -> list[str]:
    """The variants with a difference that no factor is about, or measured in another environment."""
    rows = {variant: list(_of(results, variant)) for variant in _variants(results)}
    return [variant for variant, found in rows.items() if any(row["Kind"] in CONFOUNDS for row in found)]


def _variants(results: Results) -> list[str]:
    known = results.plan.get("audit", {}).get("variants", {})
    return [variant for variant in known if variant != results.baseline] if results.baseline in known else []


def _of(results: Results, variant: str) -> Iterator[dict[str, Any]]:
    name = labels(results)[variant]
    found = audit.differences(results.plan["audit"], variant, results.baseline)
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
        ours, theirs = (_environments(results, each, stage) for each in (variant, results.baseline))
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
