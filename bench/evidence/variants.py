"""The numbers of every variant: quality with its difference to the baseline, cost with its ratio, and who is best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from bench.evidence import stats
from bench.protocol.columns import COLUMNS, JUDGED, column, level_key
from bench.protocol.words import settings_in_words, tally
from bench.records.cost import MeasuredCost, percentile
from bench.records.plan.tuned import DEFAULT, SETTINGS, TUNED
from bench.records.record import Record
from bench.records.results import Results, records

COST = tuple(name for name, definition in COLUMNS.items() if definition.stage == "cost")


BOUNDARY = "boundary_f_3px"
"""The boundary score that stands beside mIoU if it was measured: mIoU hardly sees a boundary three pixels off."""


TIMED = ("latency_s", "peak_bytes", "train_peak_bytes", "train_rest_bytes")


def numbers(results: Results, effects: pd.DataFrame, levels: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """One row a variant in the study's order: levels, n, means, standard deviations, Δ, costs and their ratios to the
    baseline. The numbers are unrounded and in stored units; NaN where nothing was measured.

    Times and memory of a variant that was measured on other hardware than the baseline alone are NaN.

    Args:
        effects: the differences to the baseline, as :func:`bench.evidence.effects.effects`.
        levels: variant -> factor -> its level.
    """
    costs = costs_of(results)
    frame = results.frame()
    by_variant = {str(row["variant"]): row for row in records(effects) if row["kind"] == "variant"}
    other_inputs = other_input(costs, results.baseline)
    rows: list[dict[str, Any]] = []
    measured = [name for name, definition in results.columns.items() if definition.stage == "quality"]
    trials = dict(list(frame[frame["status"] != "excluded"].groupby(["variant", "stage"], sort=False)))
    for variant in results.variants:
        own_levels = {level_key(factor, OWN): level for factor, level in levels[variant].items()}
        row: dict[str, Any] = {"variant": variant, **own_levels, "is_baseline": variant == results.baseline}
        row |= _quality(trials.get((variant, "quality"), frame[:0]), measured)
        compared = by_variant.get(variant, NOT_COMPARED)
        row |= {DELTA[name]: compared[name] for name in DELTA}
        row |= _cost(trials.get((variant, "cost"), frame[:0]), costs, variant)
        row |= {"apart": results.apart_from_baseline[variant], "other_input": variant in other_inputs}
        row["other_hardware"] = variant in costs.elsewhere
        rows.append(row | _how_measured(costs, variant))
    quality = [f"{name}_{part}" for name in measured for part in ("mean", "sd")]
    factors = [level_key(factor, OWN) for factor in results.factors]
    names = ["variant", *factors, "is_baseline", "n", "planned", "outcomes", *quality, *DELTA.values()]
    table = pd.DataFrame(rows, columns=[*names, "apart", "cost_outcome", *ALONE, *OTHERS, *HOW_MEASURED, *COST])
    for name in COST:
        table[f"{name}_ratio"] = _ratios(table, name)
    return table


FREE_OF_INPUT = ("parameters", "train_state_bytes", "train_peak_bytes", "train_rest_bytes", "activation_bytes")
"""The costs that do not depend on the size of the input at which the others are measured."""


ALONE = ("isolated", "maybe_not_alone")
"""The columns that say if a variant's timing was alone (true, false or nothing), and what is not known of that."""


OTHERS = ("other_input", "other_hardware")
"""The columns that are true for a variant whose cost was measured otherwise than the baseline's."""


def other_input(costs: Costs, baseline: str) -> list[str]:
    """The variants whose cost was measured at another input than the baseline's, so that they have no ratio to it."""
    inputs = {variant: (measured.input_px, measured.batch) for variant, (_, measured) in costs.measured.items()}
    return [variant for variant, measured_at in inputs.items() if measured_at != inputs.get(baseline, measured_at)]


@dataclass(frozen=True)
class Costs:
    """The cost records that conclusions rest on: one a variant, of the hardware that timings are compared on.

    Attributes:
        hardware: the hardware class that the baseline was measured on or, of several, the one that has most variants.
        measured: variant -> its record of that class with its measurements, or one of another class if it has none.
        elsewhere: the variants that were measured on other hardware alone, so that times and memory are not compared.
    """

    hardware: str
    measured: Mapping[str, tuple[Record, MeasuredCost]]
    elsewhere: frozenset[str]

    @property
    def comparable(self) -> frozenset[str]:
        """The files of the records whose times and memory are compared."""
        return frozenset(record.file_name for name, (record, _) in self.measured.items() if name not in self.elsewhere)


def costs_of(results: Results) -> Costs:
    """The cost records of finished trials, as :class:`Costs` describes."""
    by_variant: dict[str, dict[str, tuple[Record, MeasuredCost]]] = {}
    for record, measured in results.done(MeasuredCost):
        by_variant.setdefault(record.trial.variant, {}).setdefault(_hardware(record), (record, measured))
    counts = Counter(hardware for known in by_variant.values() for hardware in known)
    of_baseline = by_variant.get(results.baseline, counts)
    hardware = max(of_baseline, key=counts.__getitem__, default="")
    chosen = {variant: known.get(hardware, next(iter(known.values()))) for variant, known in by_variant.items()}
    elsewhere = frozenset(variant for variant, (record, _) in chosen.items() if _hardware(record) != hardware)
    return Costs(hardware, chosen, elsewhere)


def _hardware(record: Record) -> str:
    return str(record.environment.hardware or record.environment.device)


DELTA = {"n": f"{JUDGED}_pairs"} | {
    name: f"{JUDGED}_{name}" for name in ("delta", "low", "high", "p", "p_holm", "verdict", "reason", "resolvable")
}
"""Column of :func:`bench.evidence.effects.effects` -> its name in :func:`numbers`."""


HOW_MEASURED = ("cost_precision", "peak_precision", "training_problem", "macs_extrapolated")
"""The columns that say the precision of a variant's forward, that of the product whose rate is the peak, why there is
no memory of a training step, and how MACs were extrapolated; each empty where that is not known, or where there is
nothing to say."""


BESIDE = ("n", "planned", "outcomes", "apart", "cost_outcome", *ALONE, *OTHERS, *HOW_MEASURED, "delta", "verdict")
OWN = frozenset({"variant", "is_baseline", *BESIDE})
"""The names of columns that a factor could have too."""


NOT_COMPARED = dict.fromkeys(DELTA, stats.NAN) | {"n": 0, "verdict": "", "reason": ""}
"""The baseline's values in these columns."""


def _quality(planned: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": int(planned[JUDGED].notna().sum()),
        "planned": len(planned),
        "outcomes": tally(planned["status"]),
    }
    values = planned[list(names)]
    means, sds = values.mean(), values.std(ddof=1)
    for name in names:
        row |= {f"{name}_mean": means[name], f"{name}_sd": sds[name]}
    return row


def _cost(planned: pd.DataFrame, costs: Costs, variant: str) -> dict[str, Any]:
    if variant not in costs.measured:
        return {"cost_outcome": tally(planned["status"]), **dict.fromkeys(COST, stats.NAN)}
    chosen = planned[planned["file"] == costs.measured[variant][0].file_name]
    values = {name: float(chosen[name].iloc[0]) for name in COST}
    if variant in costs.elsewhere:
        values |= dict.fromkeys(TIMED, stats.NAN)
    return {"cost_outcome": tally(chosen["status"]), **values}


def _how_measured(costs: Costs, variant: str) -> dict[str, Any]:
    """The columns :data:`ALONE` and :data:`HOW_MEASURED`."""
    if variant not in costs.measured:
        return {"isolated": None, "maybe_not_alone": "", **dict.fromkeys(HOW_MEASURED, "")}
    _, measured = costs.measured[variant]
    peak = measured.peaks.precision if measured.peaks is not None else None
    return {
        "isolated": measured.isolated,
        "maybe_not_alone": measured.maybe_not_alone,
        "cost_precision": measured.precision or "",
        "peak_precision": peak or "",
        "training_problem": measured.training_problem,
        "macs_extrapolated": measured.macs_extrapolated,
    }


def _ratios(table: pd.DataFrame, name: str) -> pd.Series[float]:
    """A cost over the baseline's; NaN where one of them is missing or not comparable."""
    values = table[name].astype(float)
    if name in TIMED:
        values = values.mask(table["isolated"].eq(False).astype(bool))
    if name not in FREE_OF_INPUT:
        values = values.mask(table["other_input"].astype(bool))
    base = values[table["is_baseline"].astype(bool)]
    reference = float(base.iloc[0]) if len(base) else stats.NAN
    return values / reference if reference else values * stats.NAN


def best(results: Results, name: str) -> str:
    """The variant whose mean of a quality column is the best and resolved to be so against each other one; or nothing.

    Holm's correction runs over these comparisons. A variant without a value is no comparison, one without a common
    seed is a comparison that is not resolved.
    """
    better = column(name).better
    return best_of_each({name: _seeds_by_variants(results, name)}, better)[name] if better is not None else ""


def best_of_each(columns: Mapping[str, pd.DataFrame], better: Literal["higher", "lower"]) -> dict[str, str]:
    """Column -> its best variant, if it is resolved to be so; Holm's correction runs over all columns' comparisons.

    Args:
        columns: name -> seeds x variants.
        better: which way is good.
    """
    first: dict[str, str] = {}
    comparisons: list[tuple[str, stats.Effect]] = []
    for name, by_variant in columns.items():
        values = {str(variant): by_seed for variant, by_seed in by_variant.items() if by_seed.notna().any()}
        if len(values) < 2:
            continue
        means = {variant: float(by_seed.mean()) for variant, by_seed in values.items()}
        first[name] = (max if better == "higher" else min)(means, key=means.__getitem__)
        ours = values.pop(first[name]).to_numpy(dtype=float)
        for other in values.values():
            theirs = other.to_numpy(dtype=float)
            both = ~np.isnan(ours) & ~np.isnan(theirs)
            comparisons.append((name, stats.paired(ours[both].tolist(), theirs[both].tolist())))
    adjusted = stats.holm([effect.p for _, effect in comparisons])
    beaten = {
        name
        for (name, effect), p in zip(comparisons, adjusted, strict=True)
        if stats.verdict(effect, p, better).word != "better"
    }
    return {name: first[name] if name in first and name not in beaten else "" for name in columns}


def _seeds_by_variants(results: Results, name: str) -> pd.DataFrame:
    """A quality column, seeds x the variants that have a value and are evaluated on what the baseline is."""
    scores = results.scores(name)
    return pd.DataFrame({variant: by_seed for variant, by_seed in scores.items() if variant in results.comparable})


AT_BOTH = (
    "variant", "trials", "pruned", "iterations", "default_settings", "tuned_settings", "held_out_default",
    "held_out_tuned", "default_mean", "default_sd", "tuned_mean", "tuned_sd", "n", "planned", "delta", "low", "high",
    "left_out",
)  # fmt: skip
"""The columns of :func:`at_both_settings`."""


def at_both_settings(results: Results) -> pd.DataFrame:
    """One row a variant of a tuned study, at its own settings and at the tuned ones of its arm; empty for any other.

    The columns are :data:`AT_BOTH`. ``trials`` is the number of settings that were tried for the arm, ``pruned`` that
    of the ones whose training was ended early (NaN if no arm has any), and ``iterations`` the iterations that all of
    them took; ``held_out_…`` is its mean IoU in the search, on training images that were held out; ``default_…`` and
    ``tuned_…`` are of the study's own trials, ``delta`` is their difference over the ``n`` seeds of both, with its 95 %
    interval. ``left_out`` says why a variant is not run at tuned settings.
    """
    tuned, plan = results.plan.audit.tuned, results.plan
    if tuned is None:
        return pd.DataFrame(columns=list(AT_BOTH))
    planned, scores = results.planned("quality"), results.scores(JUDGED)
    names = {tuple(sorted(levels.items())): variant for variant, levels in plan.levels.items()}
    reasons = {trial.variant: trial.excluded for trial in plan.trials if trial.excluded}
    fields = dict.fromkeys(name for arm in tuned.arms for name in arm.settings)
    rows: list[dict[str, Any]] = []
    for variant, levels in plan.levels.items():
        arm = next((arm for arm in tuned.arms if arm.has(levels)), None)
        if arm is None or levels.get(SETTINGS) != DEFAULT or variant not in planned:
            continue
        other = names.get(tuple(sorted({**levels, SETTINGS: TUNED}.items())), "")
        ours, theirs = scores.get(variant, {}), scores.get(other, {})
        effect = stats.paired_by_seed(theirs, ours)
        row = {
            "variant": ",".join(f"{factor}={level}" for factor, level in levels.items() if factor != SETTINGS),
            "trials": arm.trials,
            "pruned": arm.pruned if any(each.pruned for each in tuned.arms) else stats.NAN,
            "iterations": stats.NAN if arm.iterations is None else arm.iterations,
            "default_settings": settings_in_words({name: plan.recipe.get(name) for name in fields}),
            "tuned_settings": settings_in_words(arm.settings),
            "held_out_default": stats.NAN if arm.default_miou is None else arm.default_miou,
            "held_out_tuned": stats.NAN if arm.miou is None else arm.miou,
            "n": effect.n if other in planned else len(ours),
            "planned": planned[variant],
            "left_out": reasons.get(other) or "",
        }
        for side, by_seed in (("default", ours), ("tuned", theirs)):
            values = pd.Series(list(by_seed.values()), dtype=float)
            row |= {f"{side}_mean": values.mean(), f"{side}_sd": values.std(ddof=1)}
        rows.append(row | {"delta": effect.delta, "low": effect.low, "high": effect.high})
    return pd.DataFrame(rows, columns=list(AT_BOTH))


Place = Literal["on", "on, uncertain", "off, uncertain", "off"]
ON: Final = "on"
MAYBE_ON: Final = "on, uncertain"
MAYBE_OFF: Final = "off, uncertain"
OFF: Final = "off"
"""A variant's place: on the Pareto front of means, or beaten; uncertain where the seeds do not settle it."""


MOST_JUDGED = 60
"""Up to this many variants it is asked how certain their places on the front are, since each is compared with each."""


@dataclass(frozen=True)
class Front:
    """The variants by mIoU and one cost, those alone that have both.

    Attributes:
        costs: variant -> its cost in the stored unit.
        scores: variant -> seed -> mIoU, a fraction.
        places: variant -> its place on the Pareto front of mean mIoU.
    """

    costs: Mapping[str, float]
    scores: Mapping[str, Mapping[int, float]]
    places: Mapping[str, Place]


def front(results: Results, cost: str) -> Front:
    """The Pareto front of mIoU over a cost.

    A timing or memory that was not measured alone, or on other hardware, is left out, as is a variant whose mIoU or
    cost is not comparable with the baseline's.
    """
    frame, costs = results.frame(), costs_of(results)
    left_out = {variant for variant in results.variants if variant not in results.comparable}
    if cost in TIMED:
        left_out |= costs.elsewhere
    if cost in ("latency_s", "peak_bytes"):
        left_out |= {variant for variant, (_, measured) in costs.measured.items() if measured.isolated is False}
    if cost not in FREE_OF_INPUT:
        left_out |= set(other_input(costs, results.baseline))
    chosen = {record.file_name for variant, (record, _) in costs.measured.items() if variant not in left_out}
    comparable = frame[frame["file"].isin(chosen) & frame[cost].notna()]
    values = dict(zip(comparable["variant"], comparable[cost].astype(float), strict=True))
    scores = {variant: by_seed for variant, by_seed in results.scores(JUDGED).items() if variant in values}
    return Front(values, scores, places(values, scores))


OBJECTIVES = (JUDGED, "latency_s", "peak_bytes")
"""The columns of the front of several objectives at once."""


def joint_front(results: Results) -> pd.DataFrame:
    """The variants that no other equals or beats in mean mIoU, latency and memory at once, the best mIoU first.

    Columns: ``variant``, ``n`` and ``planned`` seeds, the mean of mIoU (``miou_mean``) and its deviation (``miou_sd``),
    latency and memory in the stored units. Objectives that no variant has are left out of the comparison; variants
    that lack one of the others are no part of it, as in :func:`front`.
    """
    fronts = {name: front(results, name) for name in OBJECTIVES[1:]}
    costs = {name: values.costs for name, values in fronts.items() if values.costs}
    scores = results.scores(JUDGED)
    compared = [
        variant for variant in results.variants if all(variant in of_all for of_all in [scores, *costs.values()])
    ]
    means = {variant: float(np.mean(list(scores[variant].values()))) for variant in compared}
    losses = {variant: (-means[variant], *(of_all[variant] for of_all in costs.values())) for variant in compared}
    rows = [
        {
            "variant": variant,
            "n": len(scores[variant]),
            "planned": results.planned("quality").get(variant, 0),
            f"{JUDGED}_mean": means[variant],
            f"{JUDGED}_sd": pd.Series(list(scores[variant].values())).std(ddof=1),
            **{name: costs[name][variant] if name in costs else stats.NAN for name in OBJECTIVES[1:]},
        }
        for variant in compared
        if costs and not any(_beats(losses[other], losses[variant]) for other in compared)
    ]
    columns = ["variant", "n", "planned", f"{JUDGED}_mean", f"{JUDGED}_sd", *OBJECTIVES[1:]]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(f"{JUDGED}_mean", ascending=False, kind="stable").reset_index(drop=True)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """True if one variant loses no more than another by any objective, and less by one."""
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def places(costs: Mapping[str, float], scores: Mapping[str, Mapping[int, float]]) -> dict[str, Place]:
    """Variant -> its place on the Pareto front of mean scores, one of :data:`ON` and what follows it.

    On it is what no variant of the same or a lower cost equals or beats. A place is certain if the paired 95 % interval
    of every difference that makes it one, or of one difference that makes it none, leaves 0 out; costs count as exact.
    Of more than :data:`MOST_JUDGED` variants only the place by means is given.

    Args:
        costs: variant -> cost.
        scores: variant -> seed -> score, higher is better.
    """
    means = {variant: sum(by_seed.values()) / len(by_seed) for variant, by_seed in scores.items()}
    places: dict[str, Place] = {}
    for variant in scores:
        rivals = [
            other for other in scores
            if other != variant and (costs[other], -means[other]) != (costs[variant], -means[variant])
            and costs[other] <= costs[variant]
        ]  # fmt: skip
        on = all(means[variant] > means[other] for other in rivals)
        if len(scores) > MOST_JUDGED:
            places[variant] = ON if on else OFF
            continue
        effects = [stats.paired_by_seed(scores[variant], scores[other]) for other in rivals]
        clear = [effect.p < stats.ALPHA and (effect.delta > 0) == on for effect in effects]
        certain = all(clear) if on else any(clear)
        places[variant] = (ON if certain else MAYBE_ON) if on else (OFF if certain else MAYBE_OFF)
    return places


def latency_quartiles(results: Results) -> dict[str, tuple[float, float]]:
    """Variant -> the first and third quartile of its latency in seconds."""
    samples = {variant: measured.latency_s for variant, (_, measured) in costs_of(results).measured.items()}
    return {
        variant: (percentile(samples_s, 0.25), percentile(samples_s, 0.75)) for variant, samples_s in samples.items()
    }


def most_telling(results: Results, effects: pd.DataFrame) -> list[str]:
    """The variants with a score: the baseline, then those resolved from it, then the others, each by mean mIoU."""
    means = {variant: float(np.mean(list(by_seed.values()))) for variant, by_seed in results.scores(JUDGED).items()}
    resolved = set(effects.loc[effects["verdict"] != "not resolved", "variant"])
    return sorted(means, key=lambda name: (name != results.baseline, name not in resolved, -means[name]))
