"""Published rows of a study's variants, as ``study.json`` declares them; and training memory beside ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from bench.columns import column
from bench.published.rows import matching, other_side
from bench.records import Results
from bench.report.words import NOTHING, labels, levels_of, ratio, shown

NAN = float("nan")


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


def counterparts(results: Results, declared: Mapping[str, Any], name: str) -> Iterator[Counterpart]:
    """The rows of ``accuracy``, ``cost`` or ``speed`` that one declaration gives the study's variants."""
    levels = _sides(results)
    by_levels = {tuple(sorted(own.items())): variant for variant, own in levels.items()}
    for variant in levels:
        settings = _settings(declared, levels[variant])
        if settings is None:
            continue
        other_levels = {**levels[variant], **declared["against"]}
        other_settings = None if other_levels == levels[variant] else _settings(declared, other_levels)
        others = None if other_settings is None else matching(declared["system"], other_settings, name)
        other = "" if other_settings is None else by_levels.get(tuple(sorted(other_levels.items())), "")
        for found in matching(declared["system"], settings, name).to_dict("records"):
            row = {str(key): str(value) for key, value in found.items()}
            yield Counterpart(variant, other, row, None if others is None else other_side(row, others, name))


def _sides(results: Results) -> dict[str, dict[str, str]]:
    """Variant -> its levels, of every variant and of every other side that it is timed against."""
    found = levels_of(results)
    for cell in results.plan["cells"]:
        if against := cell.get("against"):
            terms = dict(term.strip().split("=", 1) for term in against.split(",") if "=" in term)
            found.setdefault(against, {**{name: str(level) for name, level in cell["levels"].items()}, **terms})
    return found


def memory(results: Results) -> pd.DataFrame:
    """Published training memory beside ours as printed: both values, and both over their own other side."""
    ours, names = _train_bytes(results), labels(results)
    rows = [
        {
            "System": each["system"],
            "Variant": names.get(found.variant, found.variant),
            "Against": names.get(found.other, NOTHING),
            "Published (GB)": found.row["value"],
            "Published ratio": ratio(_over(found.row, found.other_row)),
            f"Ours ({column('train_peak_bytes').shown_unit})": shown(ours.get(found.variant, NAN), "train_peak_bytes"),
            "Our ratio": ratio(ours.get(found.variant, NAN) / (ours.get(found.other) or NAN)),
            "Measured there": f"crop {found.row['crop_px']}, {found.row['batch_per_gpu']} images a GPU, "
            f"{found.row['hardware']}; {found.row['protocol']}",
            "Differs in": "; ".join(_differs(results, found.row)) or NOTHING,
            "Known flaw": found.row["flaw"],
            "Source": found.row["source"],
        }
        for each in results.plan.get("published", [])
        for found in counterparts(results, each, "cost")
        if "cost" in results.plan["stages"]
    ]
    heads = [
        "System", "Variant", "Against", "Published (GB)", "Published ratio",
        f"Ours ({column('train_peak_bytes').shown_unit})", "Our ratio", "Measured there", "Differs in",
        "Known flaw", "Source",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=heads, dtype=object)


def _train_bytes(results: Results) -> dict[str, float]:
    """Variant -> bytes of one training step; those of several hardware classes have none to compare."""
    frame = results.frame()
    known = frame[(frame["stage"] == "cost") & frame["train_peak_bytes"].notna()]
    single = known.drop_duplicates("variant", keep=False)
    return {str(v): float(value) for v, value in zip(single["variant"], single["train_peak_bytes"], strict=True)}


def _differs(results: Results, row: Mapping[str, str]) -> Iterator[str]:
    recipe, data = results.plan["recipe"], results.plan["data"]
    done = [r for r in results.records if r.trial["stage"] == "cost" and r.status == "done"]
    here = {
        "data set": ("data", f"{data['name']}, {len(data['classes'])} classes"),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", []))),
        "images a step": ("batch_per_gpu", str(recipe.get("batch", ""))),
        "hardware": ("hardware", ", ".join(sorted({str(r.environment.get("device")) for r in done}))),
        "memory": ("protocol", ", ".join(sorted({str(r.measured.get("memory_kind")) for r in done}))),
    }
    for what, (name, ours) in here.items():
        if ours and ours != row[name]:
            yield f"{what}: {row[name]}, here {ours}"


def _over(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    return math.nan if other is None else float(row["value"]) / float(other["value"])


def _settings(declared: Mapping[str, Any], levels: Mapping[str, str]) -> dict[str, str] | None:
    """What published rows of a variant have; ``None`` where one of its levels has no counterpart."""
    found: dict[str, str] = dict(declared["settings"])
    for factor, level in levels.items():
        if f"{factor}={level}" not in declared["levels"]:
            return None
        found |= declared["levels"][f"{factor}={level}"]
    return found
