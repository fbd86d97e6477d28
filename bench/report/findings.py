"""What a study found, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench import stats
from bench.columns import column
from bench.records import Results
from bench.report import compare, confounds, tables
from bench.report.words import difference_unit, interval, labels, plural, resolvable, signed, tally

IN_WORDS = {"macs": "MACs", "latency_s": "latency", "peak_bytes": "peak memory", "parameters": "parameters"}


@dataclass(frozen=True)
class Finding:
    """A sentence and its verdict: better, worse, not resolved, or empty for one that judges nothing."""

    text: str
    verdict: str = ""


def findings(results: Results) -> list[Finding]:
    """One sentence a comparison that has a seed, then what the study could have resolved, then what is missing."""
    costs = {row["variant"]: row for row in tables.numbers(results).to_dict("records")}
    effects = compare.effects(results, tables.JUDGED)
    found = [
        _comparison(
            row,
            costs.get(row["variant"], {}),
            confounds.share_sentence(results, str(row["variant"])),
            tables.equivalent(row, results) if row["p_equivalent"] < stats.ALPHA else "",
        )
        for row in effects.to_dict("records")
        if int(row["n"]) >= 1
    ]
    if not found and "quality" in results.plan["stages"]:
        found = [Finding("No variant has been trained with a seed that the baseline has too: nothing to compare yet.")]
    if "quality" not in results.plan["stages"]:
        names = labels(results)
        others = [row for row in costs.values() if not row["is_baseline"] and _cost(row)]
        found = [Finding(f"{names[row['variant']]}: {_cost(row)} against the baseline.") for row in others]
    return [each for each in (*found, _resolution(effects), _holes(results)) if each is not None]


def _comparison(row: Mapping[Any, Any], costs: Mapping[Any, Any], confound: str, equal: str) -> Finding:
    unit, name = difference_unit(tables.JUDGED), column(tables.JUDGED).label
    bounds = interval(row["low"], row["high"], tables.JUDGED)
    against = {"variant": " against the baseline", "main effect": "", "interaction": " beyond the sum of both"}
    n = f"n={row['n']}" if row["n"] == row["planned"] else f"n={row['n']} of {row['planned']}"
    said = tables.verdict(row) if row["kind"] != "interaction" else _interaction(row)
    delta = " ".join(each for each in (signed(row["delta"], tables.JUDGED), unit, bounds) if each)
    if equal:
        said += f", equivalent {equal}"
    sentence = f"{row['label']}: {name} {delta}{against[row['kind']]} ({n}): {said}."
    if row["kind"] == "variant" and _cost(costs):
        sentence += f" Cost against the baseline: {_cost(costs)}."
    return Finding(" ".join(each for each in (sentence, confound) if each), str(row["verdict"]))


def _interaction(row: Mapping[Any, Any]) -> str:
    more = {"better": "together they do better than their sum", "worse": "together they do worse than their sum"}
    return more.get(row["verdict"]) or tables.verdict(row)


def _cost(row: Mapping[Any, Any]) -> str:
    """``1.20 × MACs and 1.35 × latency``; empty where no ratio is known."""
    known = [(IN_WORDS[name], row.get(f"{name}_ratio", float("nan"))) for name in ("macs", "latency_s", "peak_bytes")]
    parts = [
        f"{value:.2f}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}{words}" for words, value in known if not math.isnan(value)
    ]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


def _resolution(effects: pd.DataFrame) -> Finding | None:
    smallest, n = compare.study_resolvable(effects)
    if math.isnan(smallest):
        return None
    judged = effects[effects["kind"] == "variant"]
    nothing = (judged["verdict"] == "not resolved").all()
    lead = f"No difference in {column(tables.JUDGED).label} could be resolved: with" if nothing else "With"
    limit = resolvable(smallest, tables.JUDGED)
    able = f"{lead} {plural(n, 'seed')} and the spread seen, this study could have resolved"
    if limit == "none":
        return Finding(f"{able} not even the largest possible difference four times out of five.")
    unit = difference_unit(tables.JUDGED)
    return Finding(f"{able} differences {limit} {unit} four times out of five, and smaller ones less often.")


def _holes(results: Results) -> Finding | None:
    statuses = [status for status in results.frame()["status"] if status != "excluded"]
    holes = [status for status in statuses if status != "done"]
    if not holes:
        return None
    return Finding(f"{len(holes)} of {plural(len(statuses), 'trial')} gave no measurement: {tally(holes)}.")
