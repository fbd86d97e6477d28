"""Published speeds beside ours: each with its ratio to its own other side, what differs, and its known flaw."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bench import speedups
from bench.records import Results
from bench.report.counterparts import Counterpart, counterparts
from bench.report.words import NOTHING, labels, ratio
from bench.setting import Setting

COLUMNS = (
    "System", "Variant", "Against", "Published", "Times as fast, published", "Images/s, ours", "Times as fast, ours",
    "95 % interval", "Setting, ours", "Differs in", "Known flaw", "Source",
)  # fmt: skip
NAN = float("nan")
SIZE = re.compile(r"(\d+)x(\d+)")


def speeds(results: Results) -> pd.DataFrame:
    """Every published speed of the study's variants as printed; empty for a study that names none.

    Beside it stands our comparison of the same two variants at the same input, or at the one that is nearest in pixels.
    """
    timed = speedups.frame(results).to_dict("records") if "speed" in results.plan["stages"] else []
    rows = [
        _row(results, each["system"], found, timed)
        for each in results.plan.get("published", [])
        for found in counterparts(results, each, "speed")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def _row(results: Results, system: str, found: Counterpart, timed: Sequence[Mapping[Any, Any]]) -> dict[str, str]:
    names, row = labels(results), found.row
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
        "Differs in": "; ".join(_differs(results, row, ours)),
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


def _differs(results: Results, row: Mapping[str, str], ours: Mapping[Any, Any] | None) -> Iterator[str]:
    classes = len(results.plan["data"]["classes"])
    yield f"data: {row['data']}, here {results.plan['data']['name']}, {classes} classes"
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
