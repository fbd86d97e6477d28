"""Speed-ups as reports show them: comparisons, where they cross 1, a figure over input sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.evidence import speedups
from bench.evidence.evidence import Evidence
from bench.protocol.setting import USUAL, Setting
from bench.protocol.words import NOTHING, p_value, verdict

HEADS = (
    "Variant", "Against", "Setting", "Times as fast", "95 % interval", "Blocks", "p (Holm)", "Verdict", "ms",
    "ms, against", "Remark",
)  # fmt: skip


CAPTION = (
    "Time of the other side over the variant's, both in turns in one process, with a 95 % interval over blocks (signed "
    "ranks); above 1 the variant is the faster, better or worse after Holm's correction over the comparisons of this "
    "table."
)


def comparisons(evidence: Evidence) -> pd.DataFrame:
    """Every planned comparison as printed; a timing that was not alone has a remark and no ratio."""
    rows = [_row(row, evidence.labels) for row in evidence.speedups.to_dict("records")]
    return pd.DataFrame(rows, columns=list(HEADS), dtype=object)


def crossings(evidence: Evidence) -> pd.DataFrame:
    """Where each ratio crosses 1 as inputs grow, in words; with the kind of setting where there are several."""
    table, names = evidence.crossings, evidence.labels
    kinds = [_kind(row) for row in table.to_dict("records")]
    found = pd.DataFrame({"Variant": table["variant"].map(names), "Timed at": kinds, "Crosses 1": table[CROSSES]})
    return found if len(set(kinds)) > 1 else found.drop(columns="Timed at")


CROSSES = "ratio crosses 1"


def _kind(row: Mapping[Any, Any]) -> str:
    """``batch 8, bfloat16``; of what is usual, ``batch 1``."""
    usual = [name for name in ("precision", "mode", "phase") if row[name] not in USUAL]
    return ", ".join([f"batch {row['batch']}", *(str(row[name]) for name in usual)])


def _setting(row: Mapping[Any, Any]) -> Setting:
    return Setting(**{name: row[name] for name in speedups.SETTING})


def _row(row: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, str]:
    known = pd.notna(row["ratio"])
    return {
        "Variant": names[row["variant"]],
        "Against": str(row["against"]),
        "Setting": _setting(row).name,
        "Times as fast": f"{row['ratio']:.3f}" if known else NOTHING,
        "95 % interval": f"[{row['low']:.3f}, {row['high']:.3f}]" if known else NOTHING,
        "Blocks": f"{row['blocks']:.0f}" if known else NOTHING,
        "p (Holm)": p_value(row["p_holm"]),
        "Verdict": verdict({"verdict": row["verdict"], "reason": row["verdict_reason"]}) if known else NOTHING,
        "ms": f"{row['latency_s'] * 1e3:.1f}" if known else NOTHING,
        "ms, against": f"{row['against_s'] * 1e3:.1f}" if known else NOTHING,
        "Remark": remark(row),
    }


def remark(row: Mapping[Any, Any]) -> str:
    """What a reader must know of a comparison: its outcome, who else was there, how far its timings spread."""
    if row["status"] != "done":
        return str(row["status"])
    if row["isolated"] is False:
        return f"left out: {row['reason']}"
    return "; ".join(doubts(row))


def doubts(row: Mapping[Any, Any]) -> list[str]:
    """What makes a comparison that counts less certain than others."""
    noisy = ["noisy: quartiles over 10 % apart"] if row["noisy"] is True else []
    unsteady = ["not steady after warm-up"] if row["steady"] is False else []
    return [*noisy, *unsteady]
