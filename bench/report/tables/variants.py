"""The table of all variants, and the columns that every table of variants can have.

Units, arrows, digits and directions come from :data:`bench.protocol.columns.COLUMNS` alone. A missing trial is never
averaged away: the number of seeds shows it, and a cell without a value names the outcome.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from bench.evidence import stats
from bench.evidence.evidence import Evidence
from bench.evidence.variants import BOUNDARY, COST, DELTA, OBJECTIVES, OWN, TIMED
from bench.protocol.columns import JUDGED, Column, column, level_key
from bench.protocol.words import (
    EXTRAPOLATED,
    NOTHING,
    REPEAT,
    in_sentence,
    joined,
    level,
    plural,
    ratio,
    status,
    verdict,
)
from bench.records.measured import NOISY, TOLD_SHARE
from bench.report.tables import fields
from bench.report.tables.fields import Field, TableRow
from bench.report.tables.table import Table

HOW_JUDGED = f" (paired Student-t over common seeds, Holm, α = {stats.ALPHA})"


SPREAD = "‡"
"""The mark of a latency that is kept although its quartiles lie more than ``NOISY`` of it apart."""


NOT_ISOLATED = "†"
"""The mark of a timing or memory that was measured while other work may have shared the machine."""


ELSEWHERE = "§"
"""The mark in place of a timing or memory that was measured on other hardware than the baseline's."""


MAYBE_NOT_ISOLATED = "¶"
"""The mark of a latency of which it is not known whether other work shared the machine."""


OTHER_HARDWARE = "Measured on other hardware than the baseline, so left out: run its cost trial there too."


def ablation_table(evidence: Evidence) -> Table:
    """One row a variant in the study's order. Quality and cost columns appear if the study plans that stage."""
    results, values = evidence.results, evidence.variants
    columns = variant_columns(evidence)
    names = [level_key(factor, OWN) for factor in results.factors] or ["variant"]
    stages = set(results.plan.stages)
    if "quality" in stages:
        boundary = [BOUNDARY] * bool(values[f"{BOUNDARY}_mean"].notna().any())
        names += [JUDGED, "n", "delta", "verdict", *boundary]
    if "cost" in stages:
        names += ["parameters", "macs", "latency_s", "peak_bytes"]
    better = (values[f"{JUDGED}_verdict"] == "better").tolist()
    how = (
        f"Mean ± standard deviation over seeds. Bold: {column(JUDGED).label} that is resolved to be better than the "
        f"baseline's{HOW_JUDGED}, over all rows of the table of effects.{not_compared(evidence)}"
    )
    absent = "" if stages & {"quality", "cost"} else "the study plans neither quality nor cost trials"
    return Table(
        "ablation", values[:0] if absent else values, columns, tuple(names), "Every variant, in the study's order.",
        how if "quality" in stages else "", {JUDGED: lambda: better}, required_of(values), absent, remarks(values),
    )  # fmt: skip


def tuning_table(evidence: Evidence) -> Table:
    """One row a variant of a tuned study: its arm's budget, and its mIoU at default and at tuned settings."""
    judged, rows = column(JUDGED), evidence.at_both_settings
    columns = {
        "variant": fields.text("Variant", "variant"),
        "trials": fields.count("Settings tried", "trials"),
        "pruned": fields.count("Pruned", "pruned"),
        "iterations": fields.count("Iterations of the search", "iterations"),
        "default_settings": fields.stated("Default settings", "default_settings"),
        "tuned_settings": Field("Tuned settings", ("tuned_settings", "left_out"), _tuned_text),
        "held_out_default": fields.value(f"Held out, default: {judged.title}", "held_out_default", judged),
        "held_out_tuned": fields.value(f"Held out, tuned: {judged.title}", "held_out_tuned", judged),
        "default": Field(f"Default: {judged.title}", ("default_mean", "default_sd"), _side_text("default")),
        "tuned": Field(f"Tuned: {judged.title}", ("tuned_mean", "tuned_sd"), _side_text("tuned")),
        "n": fields.seeds(),
        "delta": fields.difference(judged.difference_title, "delta", judged),
        "interval": fields.interval("95 % interval", "low", "high", judged),
    }
    notes = (
        "Settings tried: of the variant's arm, in the search. Pruned: settings whose training was ended early, as they "
        "were worse than others of the same arm. Iterations: of all trainings of the arm's search. Held out: the arm's "
        "mIoU in the search, on training images that were held out. Default and tuned: mean ± standard deviation over "
        "the study's seeds, on its own images; their difference is paired by seed, with a Student-t interval for "
        "itself alone."
    )
    caption = "Every variant at default and at tuned settings."
    absent = "" if len(rows) else "the study was not run at tuned settings"
    return Table("tuning", rows, columns, tuple(columns), caption, notes, required=required_of(rows), absent=absent)


def front_table(evidence: Evidence) -> Table:
    """One row a variant that no other beats in mIoU, latency and memory at once."""
    rows, judged, results = evidence.joint_front, column(JUDGED), evidence.results
    objectives = {name: column(name) for name in OBJECTIVES[1:]}
    costs = [name for name in OBJECTIVES[1:] if rows[name].notna().any()]
    columns = {
        "variant": fields.variant("Variant", "variant", evidence.labels),
        JUDGED: Field(judged.title, (f"{JUDGED}_mean", f"{JUDGED}_sd"), _mean_and_spread),
        "n": fields.seeds(),
        **{name: fields.value(measured.title, name, measured) for name, measured in objectives.items()},
    }
    compared = joined([in_sentence(measured.label) for measured in (judged, *(objectives[name] for name in costs))])
    notes = (
        f"Of {plural(len(results.variants), 'variant')}, those that no other equals or beats in {compared} at once, by "
        "means over seeds; how certain a place is, the figures of accuracy against each cost say."
    )
    absent = "" if len(rows) else "no variant has both a score and a cost that may be compared"
    caption = "The Pareto front of accuracy and all costs."
    chosen = ("variant", JUDGED, "n", *costs)
    return Table("front", rows, columns, chosen, caption, notes, required=required_of(rows), absent=absent)


def _mean_and_spread(row: TableRow) -> str:
    return column(JUDGED).spread(row[f"{JUDGED}_mean"], row[f"{JUDGED}_sd"])


def _tuned_text(row: TableRow) -> str:
    return f"{NOTHING} ({row['left_out']})" if row["left_out"] else str(row["tuned_settings"]) or NOTHING


def _side_text(side: str) -> Callable[[TableRow], str]:
    return lambda row: column(JUDGED).spread(row[f"{side}_mean"], row[f"{side}_sd"])


def remarks(values: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Column of :func:`variant_columns` -> what its cells hold beside a number; of marks those that are there."""
    crowded, noisy = values["isolated"].eq(False).any(), (values["latency_iqr_s"] > NOISY * values["latency_s"]).any()
    ratios: tuple[str, ...] = ("× in brackets: ratio to the baseline.",)
    if values["other_input"].any():
        ratios = (*ratios, "No ratio to a baseline that was measured at another input size.")
    shared = (f"{NOT_ISOLATED} Other work may have shared the machine: no ratio; {REPEAT}.",) * bool(crowded)
    unknown = sorted({phrase for phrase in values["maybe_not_alone"] if phrase})
    unsure = tuple(f"{MAYBE_NOT_ISOLATED} Not known whether it was alone: {phrase}." for phrase in unknown)
    elsewhere = (f"{ELSEWHERE} {OTHER_HARDWARE}",) * bool(values["other_hardware"].any())
    computed = tuple(f"In {precision}." for precision in [_all_of(values["cost_precision"])] if precision)
    peaks = tuple(f"Peak: a matrix product in {name}." for name in [_all_of(values["peak_precision"])] if name)
    named = values.loc[values["training_problem"] != "", ["variant", "training_problem"]]
    unfit = tuple(
        f"No training memory of {variant}: {problem.rstrip('.')}." for variant, problem in named.itertuples(index=False)
    )
    known = dict.fromkeys(values.loc[values["macs_extrapolated"] != "", "macs_extrapolated"])
    followed = tuple(f"{EXTRAPOLATED} {how[0].upper()}{how[1:]}." for how in known)
    matters = values["macs_unused"] >= TOLD_SHARE * values["macs"]
    idle = values.loc[matters & (values["macs_unused"] > 0), ["variant", "macs_unused"]].itertuples(index=False)
    unused = tuple(
        f"Of the MACs of {variant}, {column('macs').shown(macs)} G reach no output." for variant, macs in idle
    )
    apart = (f"{SPREAD} Noisy: the quartiles are over {100 * NOISY:.0f} % of it apart.",) * bool(noisy)
    notes: dict[str, tuple[str, ...]] = {
        "n": ("Seeds: done / planned.",),
        "delta": (
            "Δ: mean difference to the baseline, paired by seed, with its Student-t 95 % interval for itself alone.",
        ),
        **dict.fromkeys(COST, ratios),
        **dict.fromkeys(TIMED, (*ratios, *shared, *elsewhere)),
        "macs": (*ratios, *followed, *unused),
        "macs_unused": (*ratios, *followed),
        "peak_bytes": (*computed, *ratios, *shared, *elsewhere),
        "latency_s": (*computed, *ratios, *shared, *unsure, *elsewhere, *apart),
        "flops_share": (*peaks, *ratios),
    }
    return notes | {name: (*notes[name], *unfit) for name in ("peak_bytes", *TRAINED)}


TRAINED = ("train_peak_bytes", "train_state_bytes", "train_rest_bytes", "activation_bytes")
"""The columns that a training step gives, which are empty for one that does not fit into memory."""


def _all_of(precisions: pd.Series[str]) -> str:
    """The precisions of all variants that have one, each once."""
    return joined(sorted({precision for precision in precisions if precision}))


def not_compared(evidence: Evidence) -> str:
    """A sentence that names the variants whose quality is not compared with the baseline's; empty if there are none."""
    results, names = evidence.results, evidence.labels
    apart = {variant: reason for variant, reason in results.apart_from_baseline.items() if reason}
    by_reason = {reason: [names[variant] for variant in apart if apart[variant] == reason] for reason in apart.values()}
    named = "; ".join(f"{', '.join(variants)} ({reason})" for reason, variants in by_reason.items())
    return f" Not compared with the baseline: {named}." if named else ""


def required_of(values: pd.DataFrame) -> tuple[str, ...]:
    """The number of seeds, where a planned one is missing: no choice of columns may hide it."""
    return ("n",) if (values["n"] < values["planned"]).any() else ()


DELTA_KEYS = ("delta", "low", "high", "n")


def variant_columns(evidence: Evidence) -> dict[str, Field]:
    """Every column that a table of variants can have, by name; it writes rows of :attr:`Evidence.variants`."""
    results, names = evidence.results, evidence.labels
    columns = {"variant": Field("Variant", ("variant",), lambda row: names[row["variant"]])}
    if not results.factors:
        columns["variant"] = fields.text("Variant", "variant")
    for name, measured in results.columns.items():
        if measured.stage == "quality":
            columns[name] = Field(measured.title, (f"{name}_mean", f"{name}_sd"), _mean_text(name, measured))
        else:
            columns[name] = Field(measured.title, (name, f"{name}_ratio"), _cost_text(name, measured))
    judged = (f"{JUDGED}_verdict", f"{JUDGED}_reason", "apart")
    columns |= {
        "n": fields.seeds(),
        "delta": Field(column(JUDGED).difference_title, tuple(DELTA[name] for name in DELTA_KEYS), _delta_text),
        "verdict": Field("Verdict", judged, _verdict_text, tone="verdict"),
    }
    levels = {
        (key := level_key(factor, OWN)): Field(factor, (key,), _level_text(key, [str(level) for level in levels]))
        for factor, levels in results.factors.items()
    }
    return columns | levels


def _level_text(key: str, levels: list[str]) -> Callable[[TableRow], str]:
    return lambda row: level(row[key], levels) if isinstance(row[key], str) else NOTHING


def _mean_text(name: str, measured: Column) -> Callable[[TableRow], str]:
    def text(row: TableRow) -> str:
        if row["n"] < row["planned"] and name == JUDGED:
            holes = row["outcomes"].split(", ")
            outcomes = ", ".join(hole for hole in holes if not hole.endswith((" done", " missing")))
            value = measured.spread(row[f"{name}_mean"], row[f"{name}_sd"])
            return f"{value} ({outcomes})" if outcomes else value
        return measured.spread(row[f"{name}_mean"], row[f"{name}_sd"])

    return text


def _delta_text(row: TableRow) -> str:
    if not row[f"{JUDGED}_pairs"] > 0:  # of the baseline too, which has none
        return NOTHING
    pairs = int(row[f"{JUDGED}_pairs"])
    judged = column(JUDGED)
    bounds = judged.interval(row[f"{JUDGED}_low"], row[f"{JUDGED}_high"])
    fewer = f" ({plural(pairs, 'pair')})" if pairs < row["planned"] else ""
    return f"{judged.signed(row[f'{JUDGED}_delta'])} {bounds}".strip() + fewer


def _verdict_text(row: TableRow) -> str:
    if row["is_baseline"]:
        return "baseline"
    if not row[f"{JUDGED}_pairs"] > 0:
        return f"not compared ({row['apart']})" if row["apart"] else NOTHING
    return verdict({"verdict": row[f"{JUDGED}_verdict"], "reason": row[f"{JUDGED}_reason"]})


def _cost_text(name: str, measured: Column) -> Callable[[TableRow], str]:
    def text(row: TableRow) -> str:
        value = measured.shown(row[name])
        if name in TIMED and row["other_hardware"]:
            return f"{NOTHING} {ELSEWHERE}"
        if name in TIMED and row["isolated"] is False:
            return f"{value} {NOT_ISOLATED}"
        if value == NOTHING:
            outcome = row["cost_outcome"].removeprefix("1 ")
            if name == "macs" and outcome == "done":
                return f"{NOTHING} (not counted)"
            return f"{NOTHING} ({outcome})" if outcome not in ("", "done", status("missing")) else NOTHING
        if name in ("macs", "macs_unused") and row["macs_extrapolated"]:
            value = f"{EXTRAPOLATED} {value}"
        if name == "latency_s" and row["latency_iqr_s"] > NOISY * row["latency_s"]:
            value = f"{value} {SPREAD}"
        if name == "latency_s" and row["maybe_not_alone"]:
            value = f"{value} {MAYBE_NOT_ISOLATED}"
        times = ratio(row[f"{name}_ratio"])
        return value if row["is_baseline"] or times == NOTHING else f"{value} ({times})"

    return text
