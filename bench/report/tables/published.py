"""Published numbers beside ours: value, difference to its own other side, and what differs in protocol.

Agreement is claimed only where data set, classes and split are the same: whether the published difference lies in the
95 % interval of ours. What differs otherwise is found by comparing the row's columns with the recipe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.evidence import speedups
from bench.evidence.evidence import Evidence
from bench.evidence.published import Counterpart, compared, counterparts, on, plain
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import NOTHING
from bench.records.measured import MeasuredCost
from bench.records.results import Results
from bench.report.tables import fields
from bench.report.tables.fields import Field
from bench.report.tables.table import Table

UNNAMED = "the study names no published numbers of this kind"
"""Why a table of published numbers has no rows."""

SIZE = re.compile(r"(\d+)x(\d+)")
"""The height and width of a published input."""

FLAW_AND_SOURCE = {"flaw": fields.text("Known flaw", "flaw"), "source": fields.text("Source", "source")}


def accuracy(evidence: Evidence) -> Table:
    """Every published accuracy of the study's variants; empty for a study that names none."""
    names, rows = evidence.labels, evidence.published
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", names),
        "against": Field("Against", ("against",), lambda row: names.get(row["against"], NOTHING)),
        "quantity": Field("Quantity", ("metric",), lambda row: column(row["metric"]).title),
        "on": fields.text("On", "on"),
        "published": _published("Published", "value"),
        "published_delta": Field("Δ published", ("delta",), lambda row: column(row["metric"]).signed(row["delta"])),
        "ours": Field("Ours", ("mean",), lambda row: column(row["metric"]).shown(row["mean"])),
        "n": fields.count("Seeds", "n"),
        "delta": Field("Δ ours", ("our_delta",), lambda row: column(row["metric"]).signed(row["our_delta"])),
        "interval": Field(
            "95 % interval", ("low", "high"),
            lambda row: column(row["metric"]).interval(row["low"], row["high"]) or NOTHING,
        ),
        "agreement": fields.text("Agreement", "agreement"),
        "differs": fields.stated("Differs in", "differs"),
        "not_stated": fields.stated("Not stated there", "not_stated"),
        **FLAW_AND_SOURCE,
    }  # fmt: skip
    return _beside_ours(
        "published", rows.assign(published=rows["value"].astype(float)), columns, "Published accuracies beside ours.",
        "Agreement is claimed only over the same data, classes and split.",
    )  # fmt: skip


def memory(evidence: Evidence) -> Table:
    """Published training memory beside ours: both values, and both over their own other side."""
    results, bytes_of = evidence.results, _train_bytes(evidence.results)
    rows = [
        {
            "system": declared.system,
            "variant": counterpart.variant,
            "against": counterpart.other,
            "value": counterpart.row["value"],
            "published": float(counterpart.row["value"]),
            "published_ratio": _published_ratio(counterpart.row, counterpart.other_row),
            "train_peak_bytes": bytes_of.get(counterpart.variant, math.nan),
            "ratio": bytes_of.get(counterpart.variant, math.nan) / (bytes_of.get(counterpart.other) or math.nan),
            "measured": f"crop {counterpart.row['crop_px']}, {counterpart.row['batch_per_gpu']} images a GPU, "
            f"{counterpart.row['hardware']}; {counterpart.row['protocol']}",
            "differs": "; ".join(_differs(results, counterpart.row)),
            "flaw": counterpart.row["flaw"],
            "source": counterpart.row["source"],
        }
        for declared in results.plan.published
        for counterpart in counterparts(results, declared, "cost")
        if "cost" in results.plan.stages
    ]
    memory = column("train_peak_bytes")
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "against": Field("Against", ("against",), lambda row: evidence.labels.get(row["against"], NOTHING)),
        "published": _published("Published (GB)", "value"),
        "published_ratio": fields.ratio("Published ratio", "published_ratio"),
        "train_peak_bytes": fields.value(f"Ours ({memory.shown_unit})", "train_peak_bytes", memory),
        "ratio": fields.ratio("Our ratio", "ratio"),
        "measured": fields.text("Measured there", "measured"),
        "differs": fields.stated("Differs in", "differs"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours("published-memory", rows, columns, "Published training memory beside ours.")


def _train_bytes(results: Results) -> dict[str, float]:
    """Variant -> bytes of one training step; those of several hardware classes have none to compare."""
    frame = results.frame()
    known = frame[(frame["stage"] == "cost") & frame["train_peak_bytes"].notna()]
    single = known.drop_duplicates("variant", keep=False)
    return {str(v): float(value) for v, value in zip(single["variant"], single["train_peak_bytes"], strict=True)}


def _differs(results: Results, row: Mapping[str, str]) -> Iterator[str]:
    recipe, data = results.plan.recipe, results.plan.data
    done = results.done(MeasuredCost)
    here = {
        "data set": ("data", f"{data.name}, {len(data.classes)} classes"),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", []))),
        "images a step": ("batch_per_gpu", str(recipe.get("batch", ""))),
        "hardware": ("hardware", ", ".join(sorted({str(record.environment.device) for record, _ in done}))),
        "memory": ("protocol", ", ".join(sorted({measured.memory_kind for _, measured in done}))),
    }
    for fact, (name, ours) in here.items():
        if ours and ours != row[name]:
            yield f"{fact}: {row[name]}, here {ours}"


def _published_ratio(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    return math.nan if other is None else float(row["value"]) / float(other["value"])


def classes(evidence: Evidence) -> Table:
    """Every published IoU of a class that the study has too; empty for a study that names no rows."""
    results = evidence.results
    ours = {(row["variant"], plain(row["class"])): row for row in evidence.classes.to_dict("records")}
    rows = []
    for declared in results.plan.published:
        for variant, _, row, _ in counterparts(results, declared, "accuracy"):
            own = ours.get((variant, plain(row["class"])))
            if row["metric"] != "iou" or own is None:
                continue
            differing = compared(results, variant, row)
            rows.append(
                {
                    **{name: own[name] for name in ("variant", "class", "mean", "sd", "n", "planned")},
                    **{name: row[name] for name in ("value", "flaw", "source")},
                    "system": declared.system,
                    "on": on(row),
                    "published": float(row["value"]),
                    "differs": differing.differs,
                    "not_stated": differing.not_stated,
                }
            )
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "class": fields.text("Class", "class"),
        "on": fields.text("On", "on"),
        "published": _published("Published (%)", "value"),
        "ours": Field("Ours (%)", ("mean", "sd"), lambda row: column(JUDGED).spread(row["mean"], row["sd"])),
        "n": fields.seeds(),
        "differs": fields.stated("Differs in", "differs"),
        "not_stated": fields.stated("Not stated there", "not_stated"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours("published-classes", rows, columns, "Published IoU of single classes beside ours.")


def speeds(evidence: Evidence) -> Table:
    """Every published speed of the study's variants; empty for a study that names none.

    Beside it stands our comparison of the same two variants at the same input, or at the one that is nearest in pixels.
    """
    results = evidence.results
    timed = evidence.speedups.to_dict("records") if "speed" in results.plan.stages else []
    rows = [
        _speed(results, declared.system, counterpart, timed)
        for declared in results.plan.published
        for counterpart in counterparts(results, declared, "speed")
    ]
    columns = {
        "system": fields.text("System", "system"),
        "variant": fields.variant("Variant", "variant", evidence.labels),
        "against": fields.variant("Against", "against", evidence.labels),
        "published": Field(
            "Published", ("value", "unit"), lambda row: f"{row['value']} {row['unit']}", sort="published"
        ),
        "published_ratio": fields.ratio("Times as fast, published", "published_ratio"),
        "images_per_s": Field("Images/s, ours", ("images_per_s",), _images_per_s),
        "ratio": fields.ratio("Times as fast, ours", "ratio"),
        "interval": fields.bounds("95 % interval", "low", "high"),
        "setting": fields.stated("Setting, ours", "setting"),
        "differs": fields.text("Differs in", "differs"),
        **FLAW_AND_SOURCE,
    }
    return _beside_ours(
        "published-speed", rows, columns, "Published speeds beside ours, each as its source measured it.",
        "None is by our protocol. Ours at the same input, or at the nearest in pixels.",
    )  # fmt: skip


def _speed(
    results: Results, system: str, counterpart: Counterpart, timed: Sequence[Mapping[Any, Any]]
) -> dict[str, str | float]:
    """A row of :func:`speeds`."""
    row, ours = (
        counterpart.row,
        _nearest(counterpart.row, [comparison for comparison in timed if _is_of(comparison, counterpart)]),
    )
    paired = ours is not None and ours["variant"] == counterpart.variant
    measured = ours if ours is not None and paired else dict.fromkeys(("ratio", "low", "high"), math.nan)
    return {
        "system": system,
        "variant": counterpart.variant,
        "against": counterpart.other,
        "value": row["value"],
        "unit": row["unit"],
        "published": float(row["value"]),
        "published_ratio": _times(row, counterpart.other_row),
        "images_per_s": math.nan if ours is None else ours["images_per_s" if paired else "against_images_per_s"],
        **{name: measured[name] for name in ("ratio", "low", "high")},
        "setting": "" if ours is None else speedups.setting_of(ours).name,
        "differs": "; ".join(_differs_in_speed(results, row, ours)),
        "flaw": row["flaw"],
        "source": row["source"],
    }


def _images_per_s(row: fields.Row) -> str:
    return NOTHING if math.isnan(row["images_per_s"]) else f"{row['images_per_s']:.3g}"


def _is_of(timed: Mapping[Any, Any], counterpart: Counterpart) -> bool:
    """True if a comparison timed the variant: on the one side against the published other side, or as the other."""
    if counterpart.other:
        return bool((timed["variant"], timed["against"]) == (counterpart.variant, counterpart.other))
    return counterpart.variant in (timed["variant"], timed["against"])


def _nearest(row: Mapping[str, str], timed: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any] | None:
    """The comparison whose input is the published one, or nearest in pixels; plain settings before others."""
    size = SIZE.search(row["input"])
    known = [each for each in timed if pd.notna(each["ratio"])]
    if not known or size is None:
        return None
    height, width = (int(side) for side in size.groups())

    def distance(each: Mapping[Any, Any]) -> tuple[float, int]:
        return abs(math.log(each["height"] * each["width"] / (height * width))), len(speedups.setting_of(each).name)

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
        return math.nan
    value, against = float(row["value"]), float(other["value"])
    return against / value if row["unit"] == "ms" else value / against


def _published(head: str, key: str) -> Field:
    """The field of published values, written as they were published."""
    return Field(head, (key,), lambda row: str(row[key]), sort="published")


def _beside_ours(
    name: str, rows: pd.DataFrame | Sequence[Mapping[str, Any]], columns: Mapping[str, Field], caption: str,
    notes: str = "",
) -> Table:  # fmt: skip
    """A table of published numbers, which says why it is empty."""
    keys = dict.fromkeys(key for each in columns.values() for key in (*each.keys, each.sort_key))
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=list(keys))
    return Table(name, table, columns, tuple(columns), caption, notes, absent="" if len(table) else UNNAMED)
