"""What a study found of speed-ups, in plain sentences: one a variant and kind of setting, over its input sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import speedups
from bench.records import Results
from bench.report.findings import Finding, Sentence
from bench.report.words import labels
from bench.setting import Setting

SPEED = "speed"
"""The table of the page that holds the evidence."""
WORDS = {
    "better": "is faster than",
    "worse": "is slower than",
    "not resolved": "is not faster or slower throughout than",
}


def speed_findings(results: Results) -> list[Finding]:
    """Which side is faster, by how much, at which inputs; a timing that was not alone is in none of them."""
    if "speed" not in results.plan["stages"]:
        return []
    known, names = speedups.frame(results).dropna(subset=["low", "high"]), labels(results)
    groups = known.groupby(["variant", "against", *speedups.SETTING[2:]], sort=False)
    return [_finding(names[str(variant)], str(against), own) for (variant, against, *_), own in groups]


def _finding(name: str, against: str, own: Any) -> Finding:
    rows = own.sort_values(["height", "width"]).to_dict("records")
    times = [f"{row['ratio']:.2f} × [{row['low']:.2f}, {row['high']:.2f}] at {_setting(row).name}" for row in rows]
    verdict = _verdict(rows)
    text = f"{name} {WORDS[verdict]} {against}: {', '.join(times)}."
    return Finding([Sentence(text, f"#{SPEED}", "comparisons")], verdict)


def _verdict(rows: Sequence[Mapping[Any, Any]]) -> str:
    if all(row["low"] > 1 for row in rows):
        return "better"
    return "worse" if all(row["high"] < 1 for row in rows) else "not resolved"


def _setting(row: Mapping[Any, Any]) -> Setting:
    return Setting(**{name: row[name] for name in speedups.SETTING})
