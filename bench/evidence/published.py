"""Published numbers of a study's variants beside ours: accuracy, IoU of classes, training memory and speed.

Agreement is claimed only if data set, classes and split are the same: it says if the published difference lies in the
95 % interval of ours. Other differences are found by comparing the columns of the published row with the recipe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import pandas as pd

from bench.evidence import speedups, stats
from bench.evidence.stats import NAN
from bench.evidence.variants import costs_of
from bench.protocol.columns import ColumnError, column
from bench.records.cost import MeasuredCost
from bench.records.plan.audit import Facts
from bench.records.plan.plan import PublishedRows
from bench.records.results import Results
from bench.study.published.rows import NOT_STATED, matching, other_side


class Counterpart(NamedTuple):
    """A published row of a variant, and what both are compared with.

    Attributes:
        variant: the variant of the study.
        other: the variant on the other side; empty where the study has none.
        row: the row of the published table.
        other_row: the published row on the other side, if there is exactly one.
    """

    variant: str
    other: str
    row: Mapping[str, str]
    other_row: Mapping[str, str] | None


def counterparts(results: Results, declared: PublishedRows, name: str) -> Iterator[Counterpart]:
    """The rows of ``accuracy``, ``cost`` or ``speed`` that one declaration gives the study's variants."""
    levels = _sides(results)
    by_levels = {tuple(sorted(variant_levels.items())): variant for variant, variant_levels in levels.items()}
    for variant in levels:
        settings = _settings(declared, levels[variant])
        if settings is None:
            continue
        other_levels = {**levels[variant], **declared.against}
        other_settings = None if other_levels == levels[variant] else _settings(declared, other_levels)
        others = None if other_settings is None else matching(declared.system, other_settings, name)
        other = "" if other_settings is None else by_levels.get(tuple(sorted(other_levels.items())), "")
        for published_row in matching(declared.system, settings, name).to_dict("records"):
            row = {str(key): str(value) for key, value in published_row.items()}
            yield Counterpart(variant, other, row, None if others is None else other_side(row, others, name))


def _sides(results: Results) -> dict[str, dict[str, str]]:
    """Variant -> its levels, of every variant and of every other side that it is timed against."""
    sides = results.plan.levels
    for trial in results.plan.trials:
        if trial.against:
            terms = dict(term.strip().split("=", 1) for term in trial.against.split(",") if "=" in term)
            sides.setdefault(trial.against, {**trial.levels, **terms})
    return sides


def _settings(declared: PublishedRows, levels: Mapping[str, str]) -> dict[str, str] | None:
    """The settings that published rows of a variant have; ``None`` if one of its levels has no counterpart."""
    settings: dict[str, str] = dict(declared.settings)
    for factor, level in levels.items():
        if f"{factor}={level}" not in declared.levels:
            return None
        settings |= declared.levels[f"{factor}={level}"]
    return settings


MATCHED = (
    "system", "variant", "against", "metric", "on", "value", "delta", "mean", "n", "our_delta", "low", "high",
    "agreement", "differs", "not_stated", "flaw", "source",
)  # fmt: skip
"""The columns of :func:`matched`."""


CLASSES = (
    "variant", "class", "mean", "sd", "n", "planned", "value", "flaw", "source", "system", "on", "published", "differs",
    "not_stated",
)  # fmt: skip
"""The columns of :func:`matched_classes`; ``mean`` and ``sd`` are fractions, ``published`` is in per cent."""


MEMORY = (
    "system", "variant", "against", "value", "published", "published_ratio", "train_peak_bytes", "ratio", "measured",
    "differs", "flaw", "source",
)  # fmt: skip
"""The columns of :func:`matched_memory`; ``published`` is in GB as its source says."""


SPEEDS = (
    "system", "variant", "against", "value", "unit", "published", "published_ratio", "images_per_s", "ratio", "low",
    "high", "setting", "differs", "flaw", "source",
)  # fmt: skip
"""The columns of :func:`matched_speeds`; ``published`` is in the unit of its source, the ratios are times as fast."""


def matched(results: Results) -> pd.DataFrame:
    """One row a published value that belongs to a variant, columns :data:`MATCHED`.

    ``value`` is as published (per cent, as text); ``delta``, ``mean``, ``our_delta``, ``low`` and ``high`` are in the
    stored unit, NaN where one of the sides is missing.
    """
    rows = [
        _matched(results, declared.system, counterpart)
        for declared in results.plan.published
        for counterpart in counterparts(results, declared, "accuracy")
        if counterpart.row["class"] == "all" and _is_ours(counterpart.row["metric"])
        if "quality" in results.plan.stages
    ]
    return pd.DataFrame(rows, columns=list(MATCHED))


def _is_ours(metric: str) -> bool:
    try:
        return column(metric).stage == "quality"
    except ColumnError:  # the score of a challenge, say
        return False


def _matched(results: Results, system: str, counterpart: Counterpart) -> dict[str, Any]:
    """A row of :func:`matched`."""
    variant, other, row, other_row = counterpart
    metric = row["metric"]
    scale = column(metric).scale
    delta = NAN if other_row is None else (float(row["value"]) - float(other_row["value"])) / scale
    scores, evaluated_on = results.scores(metric), results.plan.evaluation_of
    ours = scores.get(variant, {})
    apart = evaluated_on(variant).differs_from(evaluated_on(other))
    effect = stats.paired_by_seed(ours, {} if apart else scores.get(other, {}))
    differing = compared(results, variant, row)
    return {
        "system": system, "variant": variant, "against": other, "metric": metric, "on": _protocol(row),
        "value": row["value"], "delta": delta,
        "mean": sum(ours.values()) / len(ours) if ours else NAN, "n": len(ours),
        "our_delta": effect.delta, "low": effect.low, "high": effect.high,
        "agreement": _agreement(differing, delta, effect),
        "differs": differing.differs, "not_stated": differing.not_stated,
        "flaw": row["flaw"], "source": row["source"],
    }  # fmt: skip


def _protocol(row: Mapping[str, str]) -> str:
    """Data and protocol of a published row in short: ``Cityscapes val, single scale, 80000 iterations``."""
    scales = {"single": "single scale", "multi": "multi-scale"}.get(row["scales"], "")
    split, schedule = ("" if row[name] == NOT_STATED else row[name] for name in ("split", "schedule"))
    return ", ".join(part for part in (f"{row['data']} {split}".rstrip(), scales, schedule) if part)


@dataclass(frozen=True)
class Differing:
    """The differences of a published row's protocol to ours.

    Attributes:
        parts: name, published value and our value of each part that differs or is not stated.
    """

    parts: tuple[tuple[str, str, str], ...]

    @property
    def differs(self) -> str:
        """The parts that differ, in words."""
        return "; ".join(f"{name}: {there}, here {here}" for name, there, here in self.parts if there != NOT_STATED)

    @property
    def not_stated(self) -> str:
        """The names of the parts that the published row does not state."""
        return ", ".join(name for name, there, _ in self.parts if there == NOT_STATED)


def compared(results: Results, variant: str, row: Mapping[str, str]) -> Differing:
    """Compare a published row's protocol with the recipe and the network of a variant."""
    return Differing(tuple(_compared(results, variant, row)))


_OTHER = {"data set": "another data set", "classes": "other classes", "split": "another split"}
"""Part of a protocol, without which no agreement is claimed -> the words for a difference in it."""


def _agreement(differing: Differing, delta: float, effect: stats.Effect) -> str:
    for name, there, _ in differing.parts:
        if name in _OTHER:
            difference = f"{name} not stated" if there == NOT_STATED else _OTHER[name]
            return f"not comparable: {difference}"
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
        "data set": ("data", plan.data_of(variant).name),
        "classes": ("classes", str(len(plan.data_of(variant).classes))),
        "split": ("split", str(recipe.get("split", NOT_STATED))),
        "backbone": ("backbone", _backbone(facts)),
        "initial weights": ("initial_weights", _initial_weights(facts)),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", [])) or NOT_STATED),
        "schedule": ("schedule", f"{recipe['iterations']} iterations" if "iterations" in recipe else NOT_STATED),
        "batch": ("batch", str(recipe.get("batch", NOT_STATED))),
        "test": ("test", _tested_by(recipe)),
        "scales": ("scales", "multi" if len(recipe.get("test_scales") or ()) > 1 else "single"),
        "flip": ("flip", "yes" if recipe.get("test_flip") else "no"),
    }
    for name, (entry, ours) in here.items():
        if _letters(row[entry]) != _letters(ours) and ours != NOT_STATED:
            yield name, row[entry], ours


def _tested_by(recipe: Mapping[str, Any]) -> str:
    """The way in which images are tested, such as ``sliding 480x480, stride 2/3``; the whole image by default."""
    window, stride = recipe.get("window_px"), recipe.get("window_stride_px")
    if not window or not stride:
        return "whole image"
    shares = {str(Fraction(step, side).limit_denominator(8)) for step, side in zip(stride, window, strict=True)}
    return f"sliding {'x'.join(map(str, window))}, stride {' and '.join(sorted(shares))}"


def _backbone(facts: Facts | None) -> str:
    """The name of the backbone, such as ``resnet50``, with its width where that is not the usual 64."""
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


def _letters(text: str) -> str:
    """The letters and digits of a text in lower case, since the name of a data set is written in several ways."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


SIZE = re.compile(r"(\d+)x(\d+)")
"""The height and width of a published input."""


def matched_classes(results: Results, classes: pd.DataFrame) -> pd.DataFrame:
    """One row a published IoU of a class that the study has too, beside ours.

    Args:
        classes: our IoU of each class, as :func:`bench.evidence.classes.scores`.
    """
    ours = {(row["variant"], _letters(row["class"])): row for row in classes.to_dict("records")}
    rows = []
    for declared in results.plan.published:
        for variant, _, row, _ in counterparts(results, declared, "accuracy"):
            our_score = ours.get((variant, _letters(row["class"])))
            if row["metric"] != "iou" or our_score is None:
                continue
            differing = compared(results, variant, row)
            rows.append(
                {
                    **{name: our_score[name] for name in ("variant", "class", "mean", "sd", "n", "planned")},
                    **{name: row[name] for name in ("value", "flaw", "source")},
                    "system": declared.system,
                    "on": _protocol(row),
                    "published": float(row["value"]),
                    "differs": differing.differs,
                    "not_stated": differing.not_stated,
                }
            )
    return pd.DataFrame(rows, columns=list(CLASSES))


def matched_memory(results: Results) -> pd.DataFrame:
    """One row a published training memory of a variant beside ours: both values, and both over their own other side."""
    bytes_of = _train_bytes(results)
    rows = [
        {
            "system": declared.system,
            "variant": counterpart.variant,
            "against": counterpart.other,
            "value": counterpart.row["value"],
            "published": float(counterpart.row["value"]),
            "published_ratio": _published_ratio(counterpart.row, counterpart.other_row),
            "train_peak_bytes": bytes_of.get(counterpart.variant, NAN),
            "ratio": bytes_of.get(counterpart.variant, NAN) / (bytes_of.get(counterpart.other) or NAN),
            "measured": f"crop {counterpart.row['crop_px']}, {counterpart.row['batch_per_gpu']} images a GPU, "
            f"{counterpart.row['hardware']}; {counterpart.row['protocol']}",
            "differs": "; ".join(_differs_in_memory(results, counterpart.row)),
            "flaw": counterpart.row["flaw"],
            "source": counterpart.row["source"],
        }
        for declared in results.plan.published
        for counterpart in counterparts(results, declared, "cost")
        if "cost" in results.plan.stages
    ]
    return pd.DataFrame(rows, columns=list(MEMORY))


def _train_bytes(results: Results) -> dict[str, float]:
    """Variant -> bytes of one training step, of those that were measured on the hardware of the baseline."""
    frame = results.frame()
    known = frame[frame["file"].isin(costs_of(results).comparable) & frame["train_peak_bytes"].notna()]
    return {str(v): float(value) for v, value in zip(known["variant"], known["train_peak_bytes"], strict=True)}


def _differs_in_memory(results: Results, row: Mapping[str, str]) -> Iterator[str]:
    recipe, data = results.plan.recipe, results.plan.data
    done = results.done(MeasuredCost)
    here = {
        "data set": ("data", f"{data.name}, {len(data.classes)} classes"),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", []))),
        "images a step": ("batch_per_gpu", str(recipe.get("batch", ""))),
        "hardware": ("hardware", ", ".join(sorted({str(record.environment.device) for record, _ in done}))),
        "memory": ("protocol", ", ".join(sorted({measured.memory_kind for _, measured in done}))),
    }
    for name, (entry, ours) in here.items():
        if ours and ours != row[entry]:
            yield f"{name}: {row[entry]}, here {ours}"


def _published_ratio(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    return NAN if other is None else float(row["value"]) / float(other["value"])


def matched_speeds(results: Results, timings: pd.DataFrame) -> pd.DataFrame:
    """One row a published speed of a variant, beside our comparison of the same two variants.

    Ours is at the published input, or at the one that is nearest in pixels.

    Args:
        timings: our comparisons of speed, as :func:`bench.evidence.speedups.frame`.
    """
    timed = timings.to_dict("records") if "speed" in results.plan.stages else []
    rows = [
        _speed(results, declared.system, counterpart, timed)
        for declared in results.plan.published
        for counterpart in counterparts(results, declared, "speed")
    ]
    return pd.DataFrame(rows, columns=list(SPEEDS))


def _speed(
    results: Results, system: str, counterpart: Counterpart, timed: Sequence[Mapping[Any, Any]]
) -> dict[str, str | float]:
    """A row of :func:`matched_speeds`."""
    row = counterpart.row
    ours = _nearest(row, [comparison for comparison in timed if _is_of(comparison, counterpart)])
    paired = ours is not None and ours["variant"] == counterpart.variant
    measured = ours if ours is not None and paired else dict.fromkeys(("ratio", "low", "high"), NAN)
    return {
        "system": system,
        "variant": counterpart.variant,
        "against": counterpart.other,
        "value": row["value"],
        "unit": row["unit"],
        "published": float(row["value"]),
        "published_ratio": _times(row, counterpart.other_row),
        "images_per_s": NAN if ours is None else ours["images_per_s" if paired else "against_images_per_s"],
        **{name: measured[name] for name in ("ratio", "low", "high")},
        "setting": "" if ours is None else speedups.setting_of(ours).name,
        "differs": "; ".join(_differs_in_speed(results, row, ours)),
        "flaw": row["flaw"],
        "source": row["source"],
    }


def _is_of(timed: Mapping[Any, Any], counterpart: Counterpart) -> bool:
    """True if a comparison timed the variant: on the one side against the published other side, or as the other."""
    if counterpart.other:
        return bool((timed["variant"], timed["against"]) == (counterpart.variant, counterpart.other))
    return counterpart.variant in (timed["variant"], timed["against"])


def _nearest(row: Mapping[str, str], timed: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any] | None:
    """The comparison whose input is the published one, or nearest in pixels; plain settings before others."""
    size = SIZE.search(row["input"])
    known = [timing for timing in timed if pd.notna(timing["ratio"])]
    if not known or size is None:
        return None
    height, width = (int(side) for side in size.groups())

    def distance(timing: Mapping[Any, Any]) -> tuple[float, int]:
        enlargement = timing["height"] * timing["width"] / (height * width)
        return abs(math.log(enlargement)), len(speedups.setting_of(timing).name)

    return min(known, key=distance)


def _differs_in_speed(results: Results, row: Mapping[str, str], ours: Mapping[Any, Any] | None) -> Iterator[str]:
    classes = len(results.plan.data.classes)
    yield f"data: {row['data']}, here {results.plan.data.name}, {classes} classes"
    if ours is None:
        yield "not timed here"
        return
    size = f"{ours['height']}x{ours['width']}"
    if row["input"] != size:
        yield f"input: {row['input']}, here {size}"
    yield f"hardware: {row['hardware']}, here {ours['device']}"
    yield f"protocol: {row['protocol']}; here both sides in turns in one process, {speedups.setting_of(ours).name}"


def _times(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    """The published speed over that of the published other side, from images per second or milliseconds an image."""
    if other is None:
        return NAN
    value, against = float(row["value"]), float(other["value"])
    return against / value if row["unit"] == "ms" else value / against
