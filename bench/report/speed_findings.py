"""What a study found of speed-ups, in plain sentences: one a variant and kind of setting, over its input sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench import speedups
from bench.records import Results
from bench.report.findings import Finding, Sentence
from bench.report.speed import doubts
from bench.report.words import labels
from bench.setting import Setting

SPEED, CROSSINGS = "speed", "crossings"
"""The tables of the page that hold the evidence."""
WORDS = {"better": "faster", "worse": "slower", "not resolved": "not resolved"}


def speed_findings(results: Results) -> list[Finding]:
    """Which side is faster, by how much, at which inputs; a timing that was not alone is in none of them."""
    if "speed" not in results.plan["stages"]:
        return []
    known, names = speedups.frame(results).dropna(subset=["ratio"]), labels(results)
    groups = known.groupby(["variant", "against", *speedups.SETTING[2:]], sort=False)
    return [_finding(names[str(variant)], str(against), own) for (variant, against, *_), own in groups]


def _finding(name: str, against: str, own: pd.DataFrame) -> Finding:
    """One sentence over all sizes; its verdict is better or worse only if every size has that one."""
    rows = own.sort_values(["height", "width"]).to_dict("records")
    found = {word: these for word in WORDS if (these := [row for row in rows if row["verdict"] == word])}
    said = "; ".join(f"{WORDS[word]} {_at(these)}" for word, these in found.items())
    sentences = [Sentence(f"{name} against {against}: {said}.", f"#{SPEED}", "comparisons")]
    verdict = next(iter(found)) if len(found) == 1 else "not resolved"
    crossing = speedups.crossings_in_words(own)
    if crossing == speedups.NOWHERE:  # of a ratio that may be 1 anywhere, nobody can say that
        crossing = "nowhere between the sizes measured" if verdict != "not resolved" else ""
    if crossing:
        sentences.append(Sentence(f"The ratio crosses 1 {crossing}.", f"#{CROSSINGS}", "crossings"))
    return Finding(sentences, verdict)


def _at(rows: Sequence[Mapping[Any, Any]]) -> str:
    """``at 256x256 (1.20 × [1.10, 1.30]) and at …``, then why they are not resolved, where there is more to say."""
    places = [f"at {_setting(row).name} ({_times(row)})" for row in rows]
    reasons = dict.fromkeys(str(row["verdict_reason"]) for row in rows if row["verdict_reason"])
    listed = ", ".join(places[:-1]) + (" and " if len(places) > 1 else "") + places[-1]
    return ": ".join([listed, *([", ".join(reasons)] if reasons else [])])


def _times(row: Mapping[Any, Any]) -> str:
    bounds = "" if math.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return ", ".join([f"{row['ratio']:.2f} ×{bounds}", *doubts(row)])


def _setting(row: Mapping[Any, Any]) -> Setting:
    return Setting(**{name: row[name] for name in speedups.SETTING})
