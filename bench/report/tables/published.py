"""Published accuracies beside ours: value, difference to its own other side, and what differs in protocol.

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
from bench.protocol.setting import Setting
from bench.protocol.words import NOTHING, ratio
from bench.records.measured import MeasuredCost
from bench.records.results import Results


def accuracy(evidence: Evidence) -> pd.DataFrame:
    """Every published row of the study's variants as printed; empty for a study that names none."""
    names = evidence.labels
    printed = [
        {
            "System": row["system"],
            "Variant": names.get(row["variant"], row["variant"]),
            "Against": names.get(row["against"], NOTHING),
            "Quantity": column(row["metric"]).title,
            "On": row["on"],
            "Published": row["value"],
            "Δ published": column(row["metric"]).signed(row["delta"]),
            "Ours": column(row["metric"]).shown(row["mean"]),
            "Seeds": str(row["n"]),
            "Δ ours": column(row["metric"]).signed(row["our_delta"]),
            "95 % interval": column(row["metric"]).interval(row["low"], row["high"]) or NOTHING,
            "Agreement": row["agreement"],
            "Differs in": row["differs"] or NOTHING,
            "Not stated there": row["not_stated"] or NOTHING,
            "Known flaw": row["flaw"],
            "Source": row["source"],
        }
        for row in evidence.published.to_dict("records")
    ]
    heads = [
        "System", "Variant", "Against", "Quantity", "On", "Published", "Δ published", "Ours", "Seeds", "Δ ours",
        "95 % interval", "Agreement", "Differs in", "Not stated there", "Known flaw", "Source",
    ]  # fmt: skip
    return pd.DataFrame(printed, columns=heads, dtype=object)


def memory(evidence: Evidence) -> pd.DataFrame:
    """Published training memory beside ours as printed: both values, and both over their own other side."""
    results, names = evidence.results, evidence.labels
    ours = _train_bytes(results)
    rows = [
        {
            "System": each.system,
            "Variant": names.get(found.variant, found.variant),
            "Against": names.get(found.other, NOTHING),
            "Published (GB)": found.row["value"],
            "Published ratio": ratio(_over(found.row, found.other_row)),
            f"Ours ({column('train_peak_bytes').shown_unit})": column("train_peak_bytes").shown(
                ours.get(found.variant, NAN)
            ),
            "Our ratio": ratio(ours.get(found.variant, NAN) / (ours.get(found.other) or NAN)),
            "Measured there": f"crop {found.row['crop_px']}, {found.row['batch_per_gpu']} images a GPU, "
            f"{found.row['hardware']}; {found.row['protocol']}",
            "Differs in": "; ".join(_differs(results, found.row)) or NOTHING,
            "Known flaw": found.row["flaw"],
            "Source": found.row["source"],
        }
        for each in results.plan.published
        for found in counterparts(results, each, "cost")
        if "cost" in results.plan.stages
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
    recipe, data = results.plan.recipe, results.plan.data
    done = results.done(MeasuredCost)
    here = {
        "data set": ("data", f"{data.name}, {len(data.classes)} classes"),
        "crop": ("crop_px", "x".join(str(side) for side in recipe.get("crop_px", []))),
        "images a step": ("batch_per_gpu", str(recipe.get("batch", ""))),
        "hardware": ("hardware", ", ".join(sorted({str(record.environment.device) for record, _ in done}))),
        "memory": ("protocol", ", ".join(sorted({measured.memory_kind for _, measured in done}))),
    }
    for what, (name, ours) in here.items():
        if ours and ours != row[name]:
            yield f"{what}: {row[name]}, here {ours}"


def _over(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    return math.nan if other is None else float(row["value"]) / float(other["value"])


COLUMNS = (
    "System", "Variant", "Class", "On", "Published (%)", "Ours (%)", "Seeds", "Differs in", "Not stated there",
    "Known flaw", "Source",
)  # fmt: skip


def classes(evidence: Evidence) -> pd.DataFrame:
    """Every published IoU of a class that the study has too, as printed; empty for a study that names no rows."""
    results, names = evidence.results, evidence.labels
    ours = {(row["variant"], plain(row["class"])): row for row in evidence.classes.to_dict("records")}
    rows: list[dict[str, Any]] = []
    for each in results.plan.published:
        for variant, _, row, _ in counterparts(results, each, "accuracy"):
            found = ours.get((variant, plain(row["class"])))
            if row["metric"] != "iou" or found is None:
                continue
            differing = compared(results, variant, row)
            rows.append(
                {
                    "System": each.system,
                    "Variant": names[variant],
                    "Class": found["class"],
                    "On": on(row),
                    "Published (%)": row["value"],
                    "Ours (%)": column(JUDGED).spread(found["mean"], found["sd"]),
                    "Seeds": f"{found['n']}/{found['planned']}",
                    "Differs in": differing.differs or NOTHING,
                    "Not stated there": differing.not_stated or NOTHING,
                    "Known flaw": row["flaw"],
                    "Source": row["source"],
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


SPEED_COLUMNS = (
    "System", "Variant", "Against", "Published", "Times as fast, published", "Images/s, ours", "Times as fast, ours",
    "95 % interval", "Setting, ours", "Differs in", "Known flaw", "Source",
)  # fmt: skip


NAN = float("nan")


SIZE = re.compile(r"(\d+)x(\d+)")


def speeds(evidence: Evidence) -> pd.DataFrame:
    """Every published speed of the study's variants as printed; empty for a study that names none.

    Beside it stands our comparison of the same two variants at the same input, or at the one that is nearest in pixels.
    """
    results = evidence.results
    timed = evidence.speedups.to_dict("records") if "speed" in results.plan.stages else []
    rows = [
        _row(evidence, each.system, found, timed)
        for each in results.plan.published
        for found in counterparts(results, each, "speed")
    ]
    return pd.DataFrame(rows, columns=list(SPEED_COLUMNS), dtype=object)


def _row(evidence: Evidence, system: str, found: Counterpart, timed: Sequence[Mapping[Any, Any]]) -> dict[str, str]:
    names, row = evidence.labels, found.row
    ours = _nearest(row, [each for each in timed if _is_of(each, found)])
    paired = ours is not None and ours["variant"] == found.variant
    times = ours["ratio"] if ours is not None and paired else NAN
    bounds = f"[{ours['low']:.3f}, {ours['high']:.3f}]" if ours is not None and paired and ours["low"] > 0 else NOTHING
    speed = NAN if ours is None else float(ours["images_per_s" if paired else "against_images_per_s"])
    return {
        "System": system,
        "Variant": names.get(found.variant, found.variant),
        "Against": names.get(found.other, found.other) or NOTHING,
        "Published": f"{row['value']} {row['unit']}",
        "Times as fast, published": ratio(_times(row, found.other_row)),
        "Images/s, ours": NOTHING if math.isnan(speed) else f"{speed:.3g}",
        "Times as fast, ours": ratio(times),
        "95 % interval": bounds,
        "Setting, ours": NOTHING if ours is None else _setting(ours).name,
        "Differs in": "; ".join(_differs_in_speed(evidence.results, row, ours)),
        "Known flaw": row["flaw"],
        "Source": row["source"],
    }


def _is_of(timed: Mapping[Any, Any], found: Counterpart) -> bool:
    """Whether a comparison timed the variant: on the one side against the published other side, or as the other."""
    if found.other:
        return bool((timed["variant"], timed["against"]) == (found.variant, found.other))
    return found.variant in (timed["variant"], timed["against"])


def _nearest(row: Mapping[str, str], timed: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any] | None:
    """The comparison whose input is the published one, or nearest in pixels; plain settings before others."""
    size = SIZE.search(row["input"])
    known = [each for each in timed if pd.notna(each["ratio"])]
    if not known or size is None:
        return None
    height, width = (int(side) for side in size.groups())

    def distance(each: Mapping[Any, Any]) -> tuple[float, int]:
        return abs(math.log(each["height"] * each["width"] / (height * width))), len(_setting(each).name)

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
    yield f"protocol: {row['protocol']}; here both sides in turns in one process, {_setting(ours).name}"


def _times(row: Mapping[str, str], other: Mapping[str, str] | None) -> float:
    """How many times as fast as the published other side: of images per second, or of seconds an image."""
    if other is None:
        return NAN
    value, against = float(row["value"]), float(other["value"])
    return against / value if row["unit"] == "ms" else value / against


def _setting(row: Mapping[Any, Any]) -> Setting:
    return Setting(**{name: row[name] for name in speedups.SETTING})
