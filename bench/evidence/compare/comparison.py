"""Two sets of results side by side: what changed between them, and which differences are resolved.

Quality is paired by seed where both sides train by one recipe and one data set, so that a seed means the same draws;
otherwise it is Welch's test of two samples, and the row says so. Counts are exact. Latencies of two separate runs are
never judged: whatever drifted between the runs is in their ratio. Speed-ups are, for their two sides took turns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.evidence import stats
from bench.evidence.compare.changes import changes
from bench.evidence.compare.missing import lacking, lost
from bench.evidence.compare.sides import Side
from bench.evidence.compare.speed import speed
from bench.evidence.ranks import ratio_of_samples
from bench.evidence.stats import NAN, welch
from bench.protocol.columns import COUNTED, JUDGED, column
from bench.protocol.recipe import OUTSIDE_QUALITY
from bench.protocol.testing import LOGITS_FIELDS
from bench.protocol.words import REPEAT, maybe_not_alone
from bench.records.cost import MeasuredCost, cost_columns
from bench.records.files import RecordError
from bench.records.plan.plan import Plan
from bench.records.quality import MeasuredQuality, quality_columns
from bench.records.record import Record

MEASURED = ("latency_s", "peak_bytes", "train_peak_bytes")


ONE_STEP = ("activation_bytes", "train_peak_bytes")
"""The costs that depend on the recipe's batch and crop."""


DRIFT = "separate runs, not interleaved"


QUALITY = (
    "variant", "quantity", "a", "b", "n_a", "n_b", "delta", "low", "high", "n", "method", "p", "p_holm", "verdict",
    "reason",
)  # fmt: skip
"""Columns of :attr:`Comparison.quality`; values in stored units, differences B - A."""


COST = ("variant", "quantity", "hardware", "a", "b", "ratio", "low", "high", "verdict", "reason")
"""Columns of :attr:`Comparison.cost`; ratios B / A."""


Trained = tuple[Record, MeasuredQuality]
Costed = tuple[Record, MeasuredCost]


@dataclass(frozen=True)
class Comparison:
    """The two sides of a comparison and the differences between them.

    Attributes:
        a: name of the one side.
        b: name of the other; differences are B - A.
        changed: one row a fact that is not the same: kind, what, a, b.
        quality: one row a variant of both and quantity, columns :data:`QUALITY`.
        cost: one row a variant of both, quantity and hardware class, columns :data:`COST`.
        speed: one row a speed comparison of both, columns :data:`~bench.evidence.compare.speed.SPEED`.
        only: one row a variant that one side has: variant, side.
        lost: one text a variant and stage of which A has finished trials that B failed at: with B's outcomes.
        lacking: one text a side and stage of which it plans trials that only the other has finished.
        plans: the plans of both sides.
    """

    a: str
    b: str
    changed: pd.DataFrame
    quality: pd.DataFrame
    cost: pd.DataFrame
    speed: pd.DataFrame
    only: pd.DataFrame
    lost: tuple[str, ...]
    lacking: tuple[str, ...]
    plans: tuple[Plan, Plan]

    @property
    def unjudged(self) -> list[str]:
        """All that may be worse in B and could not be judged, with what only A has finished.

        A quality of equal values needs no judgement. Empty sides have nothing in common.
        """
        missing = self.quality[self.quality["p"].isna() & (self.quality["delta"] != 0)]
        reasons = [missing for missing in self.lacking if missing.startswith("B")]
        reasons += [
            f"{row['variant']}: {column(row['quantity']).label} ({row['reason']})" for row in missing.to_dict("records")
        ]
        timed = self.speed[self.speed["p"].isna()]
        reasons += [f"{row['variant']} at {row['setting']}: speed-up" for row in timed.to_dict("records")]
        judged = (self.quality["verdict"], self.cost["verdict"], self.speed["verdict"])
        return (
            reasons if any((verdicts != "").any() for verdicts in judged) else [*reasons, "no result is on both sides"]
        )

    @property
    def worse(self) -> list[str]:
        """All that is worse in B: quality and speed-ups resolved after Holm, counts that grew, trials that were lost.

        Latencies are never judged.
        """
        tables = (self.quality, self.cost)
        slower = self.speed[self.speed["verdict"] == "worse"].to_dict("records")
        return (
            [
                f"{row['variant']}: {column(row['quantity']).label}"
                for table in tables
                for row in table[table["verdict"] == "worse"].to_dict("records")
            ]
            + [f"{row['variant']} against {row['against']} at {row['setting']}: speed-up" for row in slower]
            + [*self.lost]
        )


def compare(a: Side, b: Side, quantities: Sequence[str] = (JUDGED,)) -> Comparison:
    """Compare B with A; Holm's correction runs over all rows of ``quality``.

    Raises:
        RecordError: for a quantity that is not one of quality with a better direction.
    """
    for name in quantities:
        if column(name).stage != "quality" or column(name).better is None:
            raise RecordError(f"{name!r} cannot be judged over seeds: choose a quality column with a better direction")
    both = [variant for variant in a.variants if variant in b.variants]
    only = [(variant, "A") for variant in a.variants if variant not in both]
    only += [(variant, "B") for variant in b.variants if variant not in both]
    return Comparison(
        a.name,
        b.name,
        changed=changes(a, b, both),
        quality=_judged([row for variant in both for row in _quality(a, b, variant, quantities)]),
        cost=pd.DataFrame([row for variant in both for row in _cost(a, b, variant)], columns=list(COST)),
        speed=speed(a, b),
        only=pd.DataFrame(only, columns=["variant", "side"], dtype=object),
        lost=tuple(lost(a, b)),
        lacking=tuple(lacking(a, b)),
        plans=(a.plan, b.plan),
    )


def _quality(a: Side, b: Side, variant: str, quantities: Sequence[str]) -> Iterator[dict[str, Any]]:
    ones, others = (_by_seed(side, variant) for side in (a, b))
    if not ones or not others:
        return
    method, seeds = _method(a, b, variant, ones, others)
    for name in quantities:
        x, y = (_values(records, name) for records in (ones, others))
        if not x or not y:
            continue
        common = [seed for seed in seeds if seed in x and seed in y]
        if method == "paired":
            estimate = stats.paired([y[seed] for seed in common], [x[seed] for seed in common])
        elif method.startswith("Welch"):
            estimate = welch(list(x.values()), list(y.values()))
        else:
            estimate = stats.Effect(NAN, NAN, NAN, NAN, 0, NAN)
        effect = asdict(estimate)
        means = {"a": float(np.mean(list(x.values()))), "b": float(np.mean(list(y.values())))}
        yield {
            "variant": variant, "quantity": name, **means, "n_a": len(x), "n_b": len(y), **effect, "method": method,
        }  # fmt: skip


def _by_seed(side: Side, variant: str) -> dict[int, Trained]:
    trained = side.done(MeasuredQuality, variant)
    return {record.trial.seed: (record, measured) for record, measured in trained if record.trial.seed is not None}


def _judged(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows with p-values after Holm's correction over all of them, and the verdicts that follow from them."""
    effects = [stats.Effect(**{name: row[name] for name in ("delta", "low", "high", "sd", "n", "p")}) for row in rows]
    better = [direction for row in rows if (direction := column(row["quantity"]).better)]  # compare() refuses others
    for row, (p_holm, verdict) in zip(rows, stats.judged(effects, better), strict=True):
        judged = row["method"] == "paired" or row["method"].startswith("Welch")
        row |= {"p_holm": p_holm, "verdict": verdict.word, "reason": verdict.reason if judged else row["method"]}
    return pd.DataFrame(rows, columns=list(QUALITY))


def _method(
    a: Side, b: Side, variant: str, ones: Mapping[int, Trained], others: Mapping[int, Trained]
) -> tuple[str, list[int]]:
    """The method by which one variant's quality is compared, and the seeds that both sides have."""
    records, seeds = [*ones.values(), *others.values()], sorted(set(ones) & set(others))
    if len({tuple(measured.classes) for _, measured in records}) > 1:
        return "not compared: other classes", seeds
    prints = [side.plan.data_of(variant).fingerprint for side in (a, b)]
    contents = {side.plan.evaluated.get(variant, "") for side in (a, b)}  # digests of images and labels, where known
    labels = {tuple(np.sum(measured.confusion, axis=1).tolist()) for _, measured in records}
    if len(labels) > 1 or len(contents - {""}) > 1:
        return "not compared: other images", seeds
    if prints[0] != prints[1]:
        return f"Welch: other data{', perhaps other images' * ('' in contents)}", seeds
    recipes = {json.dumps(_trained_by(record), sort_keys=True) for record, _ in records}
    if len(recipes) > 1:
        return "Welch: other recipe", seeds
    if len(seeds) < 2 <= min(len(ones), len(others)):
        return "Welch: seeds not in common", seeds
    return "paired", seeds


def _trained_by(record: Record) -> dict[str, Any]:
    """The fields of a recipe by which a network is trained and measured, so that a seed means the same weights."""
    outside = OUTSIDE_QUALITY | LOGITS_FIELDS
    return {name: value for name, value in record.choices.recipe.items() if name not in outside}


def _values(records: Mapping[int, Trained], name: str) -> dict[int, float]:
    derived = quality_columns([measured for _, measured in records.values()])
    values = {seed: columns.get(name, NAN) for seed, columns in zip(records, derived, strict=True)}
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _cost(a: Side, b: Side, variant: str) -> Iterator[dict[str, Any]]:
    ones, others = (
        {str(pair[0].environment.hardware): pair for pair in side.done(MeasuredCost, variant)} for side in (a, b)
    )
    if not ones or not others:
        return
    shared = [name for name in ones if name in others]
    first, second = (records[shared[0]] if shared else next(iter(records.values())) for records in (ones, others))
    for name in COUNTED:
        yield from _counted(variant, name, first, second)
    for hardware in shared:
        for name in MEASURED:
            yield from _measured(variant, name, hardware, ones[hardware], others[hardware])
    if not shared:
        hardware = " | ".join("; ".join(records) for records in (ones, others))
        for name in MEASURED:
            yield from _listed(variant, name, hardware, first, second, "not compared: other hardware")


def _counted(variant: str, name: str, one: Costed, other: Costed) -> Iterator[dict[str, Any]]:
    for row in _listed(variant, name, "", one, other, _other_input(name, one, other)):
        if name == "macs_unused" and row["a"] == row["b"] == 0:
            continue  # most networks run nothing for nothing
        less = "same" if row["a"] == row["b"] else "worse" if row["b"] > row["a"] else "better"
        yield row if row["reason"] else {**row, "ratio": stats.quotient(row["b"], row["a"]), "verdict": less}


def _measured(variant: str, name: str, hardware: str, one: Costed, other: Costed) -> Iterator[dict[str, Any]]:
    unlike = _other_input(name, one, other)
    kinds = {measured.memory_kind for _, measured in (one, other)}
    if not unlike and name != "latency_s" and len(kinds) > 1:
        unlike = "not compared: another way to read memory"
    for row in _listed(variant, name, hardware, one, other, unlike):
        if row["reason"]:
            yield row
        elif name == "latency_s":
            estimate = ratio_of_samples(one[1].latency_s, other[1].latency_s)
            unsure = maybe_not_alone(one[1].maybe_not_alone, other[1].maybe_not_alone)
            remark = "; ".join(filter(None, (DRIFT, unsure)))
            yield {**row, "ratio": estimate.ratio, "low": estimate.low, "high": estimate.high, "reason": remark}
        else:
            yield {**row, "ratio": stats.quotient(row["b"], row["a"]), "reason": "one reading on each side"}


def _listed(
    variant: str, name: str, hardware: str, one: Costed, other: Costed, reason: str
) -> Iterator[dict[str, Any]]:
    """A row with both values and no comparison; none if neither side has a value."""
    a, b = (cost_columns(measured).get(name, NAN) for _, measured in (one, other))
    if math.isnan(a) or math.isnan(b):
        left_out = name == "latency_s" and any(measured.isolated is False for _, measured in (one, other))
        if math.isnan(a) and math.isnan(b) and not left_out:
            return
        reason = f"not compared: a timing was not alone; {REPEAT}" if left_out else "not compared: one side has none"
    values = {"a": a, "b": b, "ratio": NAN, "low": NAN, "high": NAN}
    yield {
        "variant": variant, "quantity": name, "hardware": hardware, **values, "verdict": "", "reason": reason,
    }  # fmt: skip


def _other_input(name: str, one: Costed, other: Costed) -> str:
    """The reason why two costs are not of the same computation; empty if they are."""
    if name in ("parameters", "train_state_bytes"):
        return ""
    if name in ONE_STEP:
        steps = [[record.choices.recipe.get(field) for field in ("batch", "crop_px")] for record, _ in (one, other)]
        return "" if steps[0] == steps[1] else "not compared: another batch or crop"
    inputs = [(measured.input_px, measured.batch) for _, measured in (one, other)]
    return "" if inputs[0] == inputs[1] else "not compared: another input"
