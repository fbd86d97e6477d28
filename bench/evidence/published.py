"""Published rows of a study's variants, as ``study.json`` declares them; and training memory beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from bench.evidence import stats
from bench.evidence.stats import NAN
from bench.protocol.columns import ColumnError, column
from bench.records.plan import Facts, PublishedRows
from bench.records.results import Results, levels_of
from bench.study.published.rows import NOT_STATED, matching, other_side


class Counterpart(NamedTuple):
    """A published row of a variant, and what both are compared with.

    Attributes:
        variant: of the study.
        other: the variant on the other side; empty where the study has none.
        row: of the published table.
        other_row: the published row on the other side, if there is exactly one.
    """

    variant: str
    other: str
    row: Mapping[str, str]
    other_row: Mapping[str, str] | None


def counterparts(results: Results, declared: PublishedRows, name: str) -> Iterator[Counterpart]:
    """The rows of ``accuracy``, ``cost`` or ``speed`` that one declaration gives the study's variants."""
    levels = _sides(results)
    by_levels = {tuple(sorted(own.items())): variant for variant, own in levels.items()}
    for variant in levels:
        settings = _settings(declared, levels[variant])
        if settings is None:
            continue
        other_levels = {**levels[variant], **declared.against}
        other_settings = None if other_levels == levels[variant] else _settings(declared, other_levels)
        others = None if other_settings is None else matching(declared.system, other_settings, name)
        other = "" if other_settings is None else by_levels.get(tuple(sorted(other_levels.items())), "")
        for found in matching(declared.system, settings, name).to_dict("records"):
            row = {str(key): str(value) for key, value in found.items()}
            yield Counterpart(variant, other, row, None if others is None else other_side(row, others, name))


def _sides(results: Results) -> dict[str, dict[str, str]]:
    """Variant -> its levels, of every variant and of every other side that it is timed against."""
    found = levels_of(results)
    for trial in results.plan.trials:
        if trial.against:
            terms = dict(term.strip().split("=", 1) for term in trial.against.split(",") if "=" in term)
            found.setdefault(trial.against, {**trial.levels, **terms})
    return found


def _settings(declared: PublishedRows, levels: Mapping[str, str]) -> dict[str, str] | None:
    """The settings that published rows of a variant have; ``None`` if one of its levels has no counterpart."""
    found: dict[str, str] = dict(declared.settings)
    for factor, level in levels.items():
        if f"{factor}={level}" not in declared.levels:
            return None
        found |= declared.levels[f"{factor}={level}"]
    return found


OURS_TEST = {"test": "whole image", "scales": "single", "flip": "no"}
"""How :func:`bench.training.inference.predict` tests, whatever the recipe is."""


MATCHED = (
    "system", "variant", "against", "metric", "on", "value", "delta", "mean", "n", "our_delta", "low", "high",
    "agreement", "differs", "not_stated", "flaw", "source",
)  # fmt: skip
"""The columns of :func:`matched`."""


def matched(results: Results) -> pd.DataFrame:
    """One row a published value that belongs to a variant, columns :data:`MATCHED`.

    ``value`` is as published (per cent, as text); ``delta``, ``mean``, ``our_delta``, ``low`` and ``high`` are in the
    stored unit, NaN where one of the sides is missing.
    """
    scores = _scores(results)
    rows = [
        _row(results, each.system, variant, other, row, other_row, scores)
        for each in results.plan.published
        for variant, other, row, other_row in counterparts(results, each, "accuracy")
        if row["class"] == "all" and _is_ours(row["metric"]) and "quality" in results.plan.stages
    ]
    return pd.DataFrame(rows, columns=list(MATCHED))


def _is_ours(metric: str) -> bool:
    try:
        return column(metric).stage == "quality"
    except ColumnError:  # the score of a challenge, say
        return False


def _row(
    results: Results, system: str, variant: str, other: str, row: Mapping[str, str],
    other_row: Mapping[str, str] | None, scores: pd.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    metric = row["metric"]
    scale = column(metric).scale
    delta = NAN if other_row is None else (float(row["value"]) - float(other_row["value"])) / scale
    ours, theirs = (_by_seed(scores, each, metric) for each in (variant, other))
    common = sorted(set(ours) & set(theirs))
    effect = stats.paired([ours[seed] for seed in common], [theirs[seed] for seed in common])
    differing = compared(results, variant, row)
    return {
        "system": system, "variant": variant, "against": other, "metric": metric, "on": on(row),
        "value": row["value"], "delta": delta,
        "mean": sum(ours.values()) / len(ours) if ours else NAN, "n": len(ours),
        "our_delta": effect.delta, "low": effect.low, "high": effect.high,
        "agreement": _agreement(differing, delta, effect),
        "differs": differing.differs, "not_stated": differing.not_stated,
        "flaw": row["flaw"], "source": row["source"],
    }  # fmt: skip


def on(row: Mapping[str, str]) -> str:
    """Data and protocol of a published row in short: ``Cityscapes val, single scale, 80000 iterations``."""
    scales = {"single": "single scale", "multi": "multi-scale"}.get(row["scales"], "")
    split, schedule = ("" if row[name] == NOT_STATED else row[name] for name in ("split", "schedule"))
    return ", ".join(each for each in (f"{row['data']} {split}".rstrip(), scales, schedule) if each)


@dataclass(frozen=True)
class Differing:
    """The differences of a published row's protocol to ours: name, published value, our value."""

    found: tuple[tuple[str, str, str], ...]

    @property
    def differs(self) -> str:
        return "; ".join(f"{what}: {there}, here {here}" for what, there, here in self.found if there != NOT_STATED)

    @property
    def not_stated(self) -> str:
        return ", ".join(what for what, there, _ in self.found if there == NOT_STATED)


def compared(results: Results, variant: str, row: Mapping[str, str]) -> Differing:
    """Compare a published row's protocol with the recipe and the network of a variant."""
    return Differing(tuple(_compared(results, variant, row)))


_OTHER = {"data set": "another data set", "classes": "other classes", "split": "another split"}


def _agreement(differing: Differing, delta: float, effect: stats.Effect) -> str:
    for what, there, _ in differing.found:
        if what in ("data set", "classes", "split"):
            said = f"{what} not stated" if there == NOT_STATED else _OTHER[what]
            return f"not comparable: {said}"
    if pd.isna(delta):
        return "no published difference"
    if pd.isna(effect.low):
        return "not measured"
    inside = effect.low <= delta <= effect.high
    return f"published Δ {'inside' if inside else 'outside'} our interval"


def _compared(results: Results, variant: str, row: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The parts of the protocol that differ or are not stated: name, published value, our value."""
    plan = results.plan
    facts = plan.audit.variants.get(variant)
    recipe = {**plan.recipe, **(facts.recipe if facts else {})}
    here = {
        "data set": ("data", plan.data.name),
        "classes": ("classes", str(len(plan.data.classes))),
        "split": ("split", str(recipe.get("split", NOT_STATED))),
        "backbone": ("backbone", _backbone(facts)),
        "initial weights": ("initial_weights", _initial_weights(facts)),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", [])) or NOT_STATED),
        "schedule": ("schedule", f"{recipe['iterations']} iterations" if "iterations" in recipe else NOT_STATED),
        "batch": ("batch", str(recipe.get("batch", NOT_STATED))),
        "test": ("test", OURS_TEST["test"]),
        "scales": ("scales", OURS_TEST["scales"]),
        "flip": ("flip", OURS_TEST["flip"]),
    }
    for what, (name, ours) in here.items():
        if plain(row[name]) != plain(ours) and ours != NOT_STATED:
            yield what, row[name], ours


def _backbone(facts: Facts | None) -> str:
    """``resnet50``, with its width where that is not the usual 64."""
    part = facts.slots.get("backbone") if facts else None
    if part is None:
        return NOT_STATED
    width = part.choices.get("width", 64)
    name = f"{part.class_name.rpartition('.')[2].lower()}{part.choices.get('depth', '')}"
    return name if width == 64 else f"{name} of width {width}"


def _initial_weights(facts: Facts | None) -> str:
    part = facts.slots.get("backbone") if facts else None
    if part is None or "weights" not in part.choices:
        return NOT_STATED
    return "random" if part.choices["weights"] is None else "from a file"


def plain(text: str) -> str:
    """Text without case and punctuation, since the name of a data set is written in several ways."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _scores(results: Results) -> pd.DataFrame:
    frame = results.frame()
    return frame[(frame["stage"] == "quality") & (frame["status"] == "done")]


def _by_seed(scores: pd.DataFrame, variant: str, metric: str) -> dict[int, float]:
    if metric not in scores:
        return {}
    own = scores[(scores["variant"] == variant) & scores[metric].notna()]
    return {int(seed): float(value) for seed, value in zip(own["seed"], own[metric], strict=True)}
