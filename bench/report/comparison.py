"""A comparison of two sets of results: its tables, and all of it as Markdown, CSV or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence.compare.comparison import DRIFT, Comparison
from bench.protocol.columns import column
from bench.protocol.words import NOTHING, bounds, times
from bench.records.plan.plan import labels_of
from bench.report.tables import fields
from bench.report.tables.fields import Field, TableRow
from bench.report.tables.formats import markdown as markdown_table
from bench.report.tables.formats import markdown_text
from bench.report.tables.table import Table, of_text

TITLES = {
    "changed": "What changed",
    "quality": "Quality, B − A",
    "cost": "Cost, B over A",
    "speed": "Speed-ups, times as fast as the other side of each comparison",
    "only": "In one of them only",
}
"""The caption of each part's table."""

CHANGED = {"kind": "Kind", "what": "What", "a": "A", "b": "B"}
"""The heads of the table of what changed."""


def tables(comparison: Comparison) -> dict[str, Table]:
    """Part -> its table, empty ones left out. Variants have short names where both sides have one baseline."""
    names = _names(comparison)
    made = {
        "changed": of_text("changed", comparison.changed.rename(columns=CHANGED), TITLES["changed"]),
        "quality": _table("quality", comparison.quality, _quality(names)),
        "cost": _table("cost", comparison.cost, _cost(names)),
        "speed": _table("speed", comparison.speed, SPEED),
        "only": _table("only", comparison.only, {"variant": _variant(names), "side": fields.text("Side", "side")}),
    }
    return {name: table for name, table in made.items() if len(table.rows)}


def baseline(comparison: Comparison) -> str:
    """The name of the baseline of both sides; empty where they differ, and variants then have their full names."""
    return comparison.plans[0].baseline if _names(comparison) else ""


def _names(comparison: Comparison) -> dict[str, str]:
    """Variant -> what differs from the baseline, where both sides have the same one."""
    one, other = (labels_of(plan) for plan in comparison.plans)
    if comparison.plans[0].baseline_levels != comparison.plans[1].baseline_levels:
        return {}
    return {variant: name for variant, name in one.items() if other.get(variant) == name}


def conclusion(comparison: Comparison) -> str:
    """The sentences on how many comparisons there are, what is resolved, and how far timings can be trusted."""
    counted = [f"{len(comparison.quality)} comparisons of quality: {_counts(comparison.quality)} (after Holm)."]
    if len(comparison.speed):
        counted.append(
            f"{len(comparison.speed)} of speed-ups, one session a side: {_counts(comparison.speed)} (after Holm)."
        )
    left = [f"{count} in {name} only" for name, count in comparison.only["side"].value_counts(sort=False).items()]
    if left:
        counted.append(f"Not compared are variants with results on one side: {', '.join(left)}.")
    counted += [f"{missing}." for missing in comparison.lacking]
    worse = [_shortened(name, _names(comparison)) for name in comparison.worse]
    more = f" Worse in B: {'; '.join(worse)}." if worse else ""
    timed = (comparison.cost["reason"] == DRIFT).any()
    drift = " Timings are of separate runs: a drift between these is in their ratios; bench speed takes turns."
    return f"{' '.join(counted)}{more}{drift if timed else ''}"


def _shortened(text: str, names: Mapping[str, str]) -> str:
    """The text with the short name of the variant that it begins with."""
    variant = next((name for name in names if text.startswith((f"{name}: ", f"{name} against "))), "")
    return f"{names[variant]}{text.removeprefix(variant)}" if variant else text


def _counts(table: pd.DataFrame) -> str:
    words = table["verdict"].value_counts()
    return ", ".join(f"{words.get(word, 0)} {word}" for word in ("better", "worse", "not resolved"))


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown: headings and GitHub tables."""
    sides = {"A": comparison.a, "B": comparison.b, "Baseline": baseline(comparison)}
    parts = [
        "  \n".join(f"{name}: {_code(side)}" for name, side in sides.items() if side),
        markdown_text(conclusion(comparison)),
    ]
    parts += [f"## {table.caption}\n\n{markdown_table(table).rstrip()}" for table in tables(comparison).values()]
    return "\n\n".join(parts) + "\n"


def csv(comparison: Comparison) -> str:
    """One tidy table, unrounded in stored units; ``part`` says which part a row is of."""
    tables = [table.assign(part=name) for name, table in _parts(comparison).items() if len(table)]
    names = dict.fromkeys(["part", *(name for table in tables for name in table.columns)])
    rows = [row for table in tables for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=list(names), dtype=object).to_csv(index=False)


def as_json(comparison: Comparison) -> str:
    """The whole comparison as JSON, unrounded in stored units; a value that is not known is null."""
    parts = {
        name: [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
        for name, table in _parts(comparison).items()
    }
    document = {"a": comparison.a, "b": comparison.b, "worse": comparison.worse, **parts}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _parts(comparison: Comparison) -> dict[str, pd.DataFrame]:
    return {name: getattr(comparison, name) for name in TITLES}


def _table(name: str, rows: pd.DataFrame, columns: Mapping[str, Field]) -> Table:
    return Table(name, rows, columns, tuple(columns), TITLES[name])


def _variant(names: Mapping[str, str]) -> Field:
    return fields.variant("Variant", "variant", names)


def _quality(names: Mapping[str, str]) -> dict[str, Field]:
    return {
        "variant": _variant(names),
        "quantity": Field("Quantity", ("quantity",), lambda row: column(row["quantity"]).title),
        "a": Field("A", ("a", "n_a"), lambda row: f"{column(row['quantity']).shown(row['a'])} (n={row['n_a']})"),
        "b": Field("B", ("b", "n_b"), lambda row: f"{column(row['quantity']).shown(row['b'])} (n={row['n_b']})"),
        "delta": Field("Δ", ("delta",), _difference),
        "interval": Field(
            "95 % interval", ("low", "high"),
            lambda row: column(row["quantity"]).interval(row["low"], row["high"]) or NOTHING,
        ),
        "method": Field("Method", ("method", "n"), _method),
        "p": fields.p_value("p", "p"),
        "p_holm": fields.p_value("p (Holm)", "p_holm"),
        "verdict": fields.verdict(),
    }  # fmt: skip


def _difference(row: TableRow) -> str:
    quantity = column(row["quantity"])
    return f"{quantity.signed(row['delta'])} {quantity.difference_unit}".rstrip()


def _method(row: TableRow) -> str:
    return f"paired, n={row['n']}" if row["method"] == "paired" else str(row["method"])


def _cost(names: Mapping[str, str]) -> dict[str, Field]:
    return {
        "variant": _variant(names),
        "quantity": Field("Quantity", ("quantity",), _cost_name),
        "hardware": fields.stated("Hardware", "hardware"),
        "a": Field("A", ("a",), lambda row: _cost_value(row, "a")),
        "b": Field("B", ("b",), lambda row: _cost_value(row, "b")),
        "ratio": fields.ratio("Ratio", "ratio"),
        "interval": fields.bounds("95 % interval", "low", "high"),
        "verdict": fields.stated("Verdict", "verdict"),
        "reason": fields.stated("Reason", "reason"),
    }


def _cost_name(row: TableRow) -> str:
    quantity = column(row["quantity"])
    return quantity.label if quantity.counted else quantity.title


def _cost_value(row: TableRow, side: str) -> str:
    """A count with every digit; anything else in the shown unit."""
    quantity = column(row["quantity"])
    return quantity.exact(row[side]) if quantity.counted else quantity.shown(row[side])


def _times(head: str, value: str, low: str, high: str) -> Field:
    return Field(head, (value, low, high), lambda row: f"{times(row[value])} {bounds(row[low], row[high])}")


SPEED = {
    "variant": fields.text("Variant", "variant"),
    "against": fields.text("Against", "against"),
    "setting": fields.text("Setting", "setting"),
    "hardware": fields.text("Hardware", "hardware"),
    "a": _times("A", "a", "a_low", "a_high"),
    "b": _times("B", "b", "b_low", "b_high"),
    "ratio": _times("B over A", "ratio", "low", "high"),
    "p_holm": fields.p_value("p (Holm)", "p_holm"),
    "verdict": fields.stated("Verdict", "verdict"),
    "reason": fields.stated("Reason", "reason"),
}
"""The fields of the comparisons of speed-ups."""


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
