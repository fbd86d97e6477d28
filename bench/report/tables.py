"""Tables as DataFrames. Units, arrows, digits and directions come from :data:`bench.records.COLUMNS` alone.

:func:`numbers` holds every value unrounded in stored units; :func:`ablation` is the same content as it is printed. A
missing trial is never averaged away: n says so, and a cell without a value names the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench import stats
from bench.columns import COLUMNS, column
from bench.records import RecordError, Results
from bench.report import compare
from bench.report.words import (
    NOTHING,
    difference_title,
    interval,
    labels,
    level,
    levels_of,
    plural,
    ratio,
    resolvable,
    shown,
    signed,
    spread,
    status,
    tally,
)

COST = tuple(name for name, each in COLUMNS.items() if each.stage == "cost")
JUDGED = "miou"
"""The quantity that verdicts are about. One, so that Holm's correction does not pay for what nobody asked."""
BOUNDARY = "boundary_f_3px"
"""Shown beside it where it was measured: mIoU hardly sees a boundary that is three pixels off."""
EQUIVALENT = "Equivalent"
LEAST_P = 0.001
"""Smaller p-values are only said to be below it."""
NOT_ISOLATED = "†"
"""Marks a timing or memory that was measured while other work may have shared the machine."""
TIMED = ("latency_s", "peak_bytes", "train_peak_bytes", "train_rest_bytes")


@dataclass(frozen=True)
class Shown:
    """One printed column: its head, the column of :func:`numbers` that it sorts by, and how a row is written."""

    head: str
    key: str
    text: Callable[[Mapping[str, Any]], str]


def numbers(results: Results) -> pd.DataFrame:
    """One row a variant in the study's order: levels, n, means, standard deviations, Δ, costs and their ratios to the
    baseline; unrounded and in stored units, NaN where nothing was measured. What the CSV holds.

    Raises:
        RecordError: for latencies of different devices.
    """
    need_one_device(results)
    frame, levels = results.frame(), levels_of(results)
    effects = compare.effects(results, JUDGED)
    by_variant = {str(row["variant"]): row for row in _rows(effects) if row["kind"] == "variant"}
    timed = [r for r in results.records if r.trial["stage"] == "cost" and r.status == "done"]
    isolated = {record.trial["variant"]: record.measured.get("isolated") for record in timed}
    rows: list[dict[str, Any]] = []
    measured = [name for name, each in results.columns.items() if each.stage == "quality"]
    trials = dict(list(frame.groupby("variant", sort=False)))
    for variant in results.variants:
        own = trials.get(variant, frame.iloc[:0])
        row: dict[str, Any] = {"variant": variant, **levels[variant], "is_baseline": variant == results.baseline}
        row |= _quality(own[own["stage"] == "quality"], measured)
        compared = by_variant.get(variant, NOT_COMPARED)
        row |= {DELTA[name]: compared[name] for name in DELTA}
        row |= _cost(own[own["stage"] == "cost"])
        rows.append({**row, "isolated": isolated.get(variant)})
    quality = [f"{name}_{part}" for name in measured for part in ("mean", "sd")]
    names = ["variant", *results.factors, "is_baseline", "n", "planned", "outcomes", *quality, *DELTA.values()]
    table = pd.DataFrame(rows, columns=[*names, "cost_outcome", "isolated", *COST])
    for name in COST:
        table[f"{name}_ratio"] = _ratios(table, name)
    return table


def ablation(results: Results) -> pd.DataFrame:
    """The ablation table as printed, one row a variant in the study's order. Quality and cost columns appear if the
    study plans that stage."""
    values = numbers(results)
    rows = _rows(values)
    return pd.DataFrame({each.head: [each.text(row) for row in rows] for each in _ablation_columns(results, values)})


def ablation_keys(results: Results) -> pd.DataFrame:
    """What each cell of :func:`ablation` sorts by: numbers where it prints a number."""
    values = numbers(results)
    return pd.DataFrame({each.head: values[each.key] for each in _ablation_columns(results, values)})


def emphasis(results: Results) -> pd.DataFrame:
    """Which cells of :func:`ablation` stand out: the mIoU of a variant that is resolved better than the baseline."""
    values = numbers(results)
    better = values[f"{JUDGED}_verdict"] == "better"
    heads = [each.head for each in _ablation_columns(results, values)]
    return pd.DataFrame({head: better & (head == column(JUDGED).title) for head in heads})


def effects(results: Results) -> pd.DataFrame:
    """Every comparison as printed: label, n, Δ with interval, p-values, verdict, smallest resolvable difference.

    Then the seeds that the difference seen would need and, where the study states a margin, equivalence.
    """
    unit = difference_title(JUDGED)
    rows = [
        {
            "Effect of": row["label"],
            "Kind": row["kind"],
            unit: signed(row["delta"], JUDGED),
            "95 % interval": interval(row["low"], row["high"], JUDGED) or NOTHING,
            "Seeds": f"{row['n']}/{row['planned']}",
            "p": _p(row["p"]),
            "p (Holm)": _p(row["p_holm"]),
            "Verdict": verdict(row),
            "Resolvable": resolvable(row["resolvable"], JUDGED),
            "Seeds needed": NOTHING if pd.isna(row["needed"]) else str(row["needed"]),
            EQUIVALENT: equivalent(row, results),
        }
        for row in _rows(compare.effects(results, JUDGED))
    ]
    heads = [
        "Effect of", "Kind", unit, "95 % interval", "Seeds", "p", "p (Holm)", "Verdict", "Resolvable", "Seeds needed",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=heads + [EQUIVALENT] * bool(results.plan.get("margin")))


def equivalent(row: Mapping[Any, Any], results: Results) -> str:
    """Whether a row of effects shows a difference within the study's margin: ``within ±0.50 (p < 0.001)``."""
    margin, p = results.plan.get("margin"), row["p_equivalent"]
    if not margin or math.isnan(p):
        return NOTHING
    said = _p(p) if p < LEAST_P else f"= {_p(p)}"
    bounds = f"±{shown(margin, JUDGED)}"
    return f"within {bounds} (p {said})" if p < stats.ALPHA else f"not shown for {bounds}"


def per_class(results: Results) -> pd.DataFrame:
    """Mean IoU over the seeds done, variants x classes in the study's and data's order; a fraction, NaN where a class
    never occurred."""
    classes = [str(name) for name in results.plan["data"]["classes"]]
    names = labels(results)
    means = results.class_iou().groupby(["variant", "class"], dropna=False)["iou"].mean()
    rows = [[float(means.get((variant, name), float("nan"))) for name in classes] for variant in results.variants]
    index = pd.Index([names[variant] for variant in results.variants], name="variant", dtype=object)
    return pd.DataFrame(rows, index=index, columns=pd.Index(classes, name="class", dtype=object), dtype=float)


def verdict(row: Mapping[str, Any]) -> str:
    """A row of effects' verdict with its reason."""
    return f"{row['verdict']} ({row['reason']})" if row["reason"] else str(row["verdict"])


def need_one_device(results: Results) -> None:
    """Refuse to compare what was timed on different hardware: other devices, or other numbers of threads.

    Raises:
        RecordError: naming them.
    """
    timed = [r.environment for r in results.records if r.trial["stage"] == "cost" and r.status == "done"]
    found = sorted({str(each.get("hardware") or each.get("device")) for each in timed})
    if len(found) > 1:
        raise RecordError(
            f"{results.plan['name']}: latencies of different devices in one comparison: {'; '.join(found)}; keep the "
            "cost records of one of them in this folder and run the missing cost trials there"
        )


DELTA = {"n": f"{JUDGED}_pairs"} | {
    name: f"{JUDGED}_{name}" for name in ("delta", "low", "high", "p", "p_holm", "verdict", "reason", "resolvable")
}
"""Column of :func:`bench.report.compare.effects` -> its name in :func:`numbers`."""
NOT_COMPARED = dict.fromkeys(DELTA, float("nan")) | {"n": 0, "verdict": "", "reason": ""}
"""What the baseline has in these columns."""


def _quality(own: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    planned = own[own["status"] != "excluded"]
    row: dict[str, Any] = {
        "n": int(planned[JUDGED].notna().sum()),
        "planned": len(planned),
        "outcomes": tally(planned["status"]),
    }
    means, deviations = planned[list(names)].mean(), planned[list(names)].std(ddof=1)
    for name in names:
        row |= {f"{name}_mean": float(means[name]), f"{name}_sd": float(deviations[name])}
    return row


def _cost(own: pd.DataFrame) -> dict[str, Any]:
    planned = own[own["status"] != "excluded"]
    done = planned[planned["status"] == "done"]
    costs = {name: float(done[name].iloc[0]) if len(done) else float("nan") for name in COST}
    return {"cost_outcome": tally(planned["status"]), **costs}


def _ratios(table: pd.DataFrame, name: str) -> pd.Series[float]:
    """A cost over the baseline's; NaN where one of them is missing or not comparable."""
    values = table[name].astype(float)
    if name in TIMED:
        values = values.mask(table["isolated"].eq(False).astype(bool))
    base = values[table["is_baseline"].astype(bool)]
    reference = float(base.iloc[0]) if len(base) else float("nan")
    return values / reference if reference else values * float("nan")


def _ablation_columns(results: Results, values: pd.DataFrame) -> list[Shown]:
    shown_columns = [Shown("Variant", "variant", lambda row: str(row["variant"]))] if not results.factors else []
    for factor, levels in results.factors.items():
        shown_columns.append(Shown(factor, factor, _level_text(factor, [str(each) for each in levels])))
    if "quality" in results.plan["stages"]:
        shown_columns += [
            Shown(column(JUDGED).title, f"{JUDGED}_mean", _mean_text(JUDGED)),
            Shown("Seeds", "n", lambda row: f"{row['n']}/{row['planned']}"),
            Shown(difference_title(JUDGED), f"{JUDGED}_delta", _delta_text),
            Shown("Verdict", f"{JUDGED}_verdict", _verdict_text),
            Shown(column("pixel_accuracy").title, "pixel_accuracy_mean", _mean_text("pixel_accuracy")),
        ]
        if values[f"{BOUNDARY}_mean"].notna().any():
            shown_columns.append(Shown(column(BOUNDARY).title, f"{BOUNDARY}_mean", _mean_text(BOUNDARY)))
    if "cost" in results.plan["stages"]:
        for name in ("parameters", "macs", "latency_s", "peak_bytes"):
            shown_columns.append(Shown(column(name).title, name, _cost_text(name)))
    return shown_columns


def _level_text(factor: str, levels: list[str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: level(row[factor], levels) if isinstance(row[factor], str) else NOTHING


def _mean_text(name: str) -> Callable[[Mapping[str, Any]], str]:
    def text(row: Mapping[str, Any]) -> str:
        if row["n"] < row["planned"] and name == JUDGED:
            holes = row["outcomes"].split(", ")
            said = ", ".join(each for each in holes if not each.endswith((" done", " missing")))
            value = spread(row[f"{name}_mean"], row[f"{name}_sd"], name)
            return f"{value} ({said})" if said else value
        return spread(row[f"{name}_mean"], row[f"{name}_sd"], name)

    return text


def _delta_text(row: Mapping[str, Any]) -> str:
    if not row[f"{JUDGED}_pairs"] > 0:  # of the baseline too, which has none
        return NOTHING
    pairs = int(row[f"{JUDGED}_pairs"])
    bounds = interval(row[f"{JUDGED}_low"], row[f"{JUDGED}_high"], JUDGED)
    fewer = f" ({plural(pairs, 'pair')})" if pairs < row["planned"] else ""
    return f"{signed(row[f'{JUDGED}_delta'], JUDGED)} {bounds}".strip() + fewer


def _verdict_text(row: Mapping[str, Any]) -> str:
    if row["is_baseline"]:
        return "baseline"
    if not row[f"{JUDGED}_pairs"] > 0:
        return NOTHING
    return verdict({"verdict": row[f"{JUDGED}_verdict"], "reason": row[f"{JUDGED}_reason"]})


def _cost_text(name: str) -> Callable[[Mapping[str, Any]], str]:
    def text(row: Mapping[str, Any]) -> str:
        value = shown(row[name], name)
        if name in TIMED and row["isolated"] is False:
            return f"{value} {NOT_ISOLATED}"
        if value == NOTHING:
            said = row["cost_outcome"].removeprefix("1 ")
            return f"{NOTHING} ({said})" if said not in ("", "done", status("missing")) else NOTHING
        times = ratio(row[f"{name}_ratio"])
        return value if row["is_baseline"] or times == NOTHING else f"{value} ({times})"

    return text


def _p(value: float) -> str:
    if pd.isna(value):
        return NOTHING
    return f"< {LEAST_P}" if value < LEAST_P else f"{value:.3f}"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]
