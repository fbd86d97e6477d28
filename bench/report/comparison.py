"""A comparison of two sets of results as printed: tables in a terminal, Markdown, CSV or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence.compare.comparison import DRIFT, Comparison
from bench.protocol.columns import column
from bench.protocol.words import NOTHING, p_value, ratio, verdict
from bench.records.plan import labels_of
from bench.report.tables.formats import markdown as markdown_table
from bench.report.tables.formats import markdown_text

TITLES = {
    "changed": "What changed",
    "quality": "Quality, B − A",
    "cost": "Cost, B over A",
    "speed": "Speed-ups, times as fast as the other side of each comparison",
    "only": "In one of them only",
}


def printed(found: Comparison) -> dict[str, pd.DataFrame]:
    """Part -> its table with printed cells, empty ones left out. Variants have short names: see :func:`baseline`."""
    names = _names(found)
    quality, cost, only = (
        table.assign(variant=table["variant"].map(lambda each: names.get(each, each)))
        for table in (found.quality, found.cost, found.only)
    )
    parts = {
        "changed": found.changed.rename(columns={"kind": "Kind", "what": "What", "a": "A", "b": "B"}),
        "quality": pd.DataFrame([_quality(row) for row in quality.to_dict("records")], dtype=object),
        "cost": pd.DataFrame([_cost(row) for row in cost.to_dict("records")], dtype=object),
        "speed": pd.DataFrame([_speed(row) for row in found.speed.to_dict("records")], dtype=object),
        "only": only.rename(columns={"variant": "Variant", "side": "Side"}),
    }
    return {name: table for name, table in parts.items() if len(table)}


def baseline(found: Comparison) -> str:
    """What both sides call their baseline; empty where they differ, and variants then have their full names."""
    return found.plans[0].baseline if _names(found) else ""


def _names(found: Comparison) -> dict[str, str]:
    """Variant -> what differs from the baseline, where both sides have the same one."""
    one, other = (labels_of(plan) for plan in found.plans)
    if found.plans[0].baseline_levels != found.plans[1].baseline_levels:
        return {}
    return {variant: name for variant, name in one.items() if other.get(variant) == name}


def conclusion(found: Comparison) -> str:
    """In sentences: how many comparisons there are, what is resolved, and how far timings can be trusted."""
    counted = [f"{len(found.quality)} comparisons of quality: {_counts(found.quality)} (after Holm)."]
    if len(found.speed):
        counted.append(f"{len(found.speed)} of speed-ups, one session a side: {_counts(found.speed)} (after Holm).")
    left = [f"{count} in {name} only" for name, count in found.only["side"].value_counts(sort=False).items()]
    if left:
        counted.append(f"Not compared are variants with results on one side: {', '.join(left)}.")
    counted += [f"{each}." for each in found.lacking]
    worse = [_shortened(each, _names(found)) for each in found.worse]
    more = f" Worse in B: {'; '.join(worse)}." if worse else ""
    timed = (found.cost["remark"] == DRIFT).any()
    drift = " Timings are of separate runs: a drift between these is in their ratios; bench speed takes turns."
    return f"{' '.join(counted)}{more}{drift if timed else ''}"


def _shortened(text: str, names: Mapping[str, str]) -> str:
    """With the short name of the variant that it begins with."""
    variant = next((each for each in names if text.startswith((f"{each}: ", f"{each} against "))), "")
    return f"{names[variant]}{text.removeprefix(variant)}" if variant else text


def _counts(table: pd.DataFrame) -> str:
    words = table["verdict"].value_counts()
    return ", ".join(f"{words.get(word, 0)} {word}" for word in ("better", "worse", "not resolved"))


def markdown(found: Comparison) -> str:
    """Headings and GitHub tables."""
    tables = printed(found)
    sides = {"A": found.a, "B": found.b, "Baseline": baseline(found)}
    parts = [
        "  \n".join(f"{name}: {_code(side)}" for name, side in sides.items() if side),
        markdown_text(conclusion(found)),
    ]
    for name, table in tables.items():
        plain = pd.DataFrame(False, index=table.index, columns=table.columns)
        parts.append(f"## {TITLES[name]}\n\n{markdown_table(table, plain).rstrip()}")
    return "\n\n".join(parts) + "\n"


def csv(found: Comparison) -> str:
    """One tidy table, unrounded in stored units; ``part`` says which part a row is of."""
    tables = [each.assign(part=name) for name, each in _parts(found).items() if len(each)]
    names = dict.fromkeys(["part", *(name for table in tables for name in table.columns)])
    rows = [row for table in tables for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=list(names), dtype=object).to_csv(index=False)


def as_json(found: Comparison) -> str:
    """Everything, unrounded in stored units; what is not known is null."""
    parts = {
        name: [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
        for name, table in _parts(found).items()
    }
    document = {"a": found.a, "b": found.b, "worse": found.worse, **parts}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _parts(found: Comparison) -> dict[str, pd.DataFrame]:
    return {name: getattr(found, name) for name in TITLES}


def _quality(row: Mapping[Any, Any]) -> dict[str, str]:
    quantity = column(row["quantity"])
    return {
        "Variant": str(row["variant"]),
        "Quantity": quantity.title,
        "A": f"{quantity.shown(row['a'])} (n={row['n_a']})",
        "B": f"{quantity.shown(row['b'])} (n={row['n_b']})",
        "Δ": f"{quantity.signed(row['delta'])} {quantity.difference_unit}".rstrip(),
        "95 % interval": quantity.interval(row["low"], row["high"]) or NOTHING,
        "Method": f"paired, n={row['n']}" if row["method"] == "paired" else str(row["method"]),
        "p": p_value(row["p"]),
        "p (Holm)": p_value(row["p_holm"]),
        "Verdict": verdict(row),
    }


def _cost(row: Mapping[Any, Any]) -> dict[str, str]:
    quantity = column(row["quantity"])
    written = quantity.exact if quantity.counted else quantity.shown
    return {
        "Variant": str(row["variant"]),
        "Quantity": quantity.label if quantity.counted else quantity.title,
        "Hardware": str(row["hardware"]) or NOTHING,
        "A": written(row["a"]),
        "B": written(row["b"]),
        "Ratio": ratio(row["ratio"]),
        "95 % interval": _within(row["low"], row["high"]),
        "Verdict": str(row["verdict"]) or NOTHING,
        "Remark": str(row["remark"]) or NOTHING,
    }


def _speed(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "Variant": str(row["variant"]),
        "Against": str(row["against"]),
        "Setting": str(row["setting"]),
        "Hardware": str(row["hardware"]),
        "A": f"{_times(row['a'])} {_within(row['a_low'], row['a_high'])}",
        "B": f"{_times(row['b'])} {_within(row['b_low'], row['b_high'])}",
        "B over A": f"{_times(row['ratio'])} {_within(row['low'], row['high'])}",
        "p (Holm)": p_value(row["p_holm"]),
        "Verdict": str(row["verdict"]) or NOTHING,
        "Remark": str(row["remark"]) or NOTHING,
    }


def _times(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.3f}"


def _within(low: float, high: float) -> str:
    return NOTHING if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
