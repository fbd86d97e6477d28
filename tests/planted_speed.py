"""Comparisons of speed with known ratios, planted into results folders."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.protocol.setting import Setting
from bench.records.files import write_json
from bench.records.record import Record, read_all, write

CROWDED = "other processes used 0.90 CPUs (allowed: 0.15)"
"""A reason why a timing was not alone."""


UNKNOWN = {"isolated": None, "isolation": {"unknown": ["other processes on the GPU are not known: no NVML"]}}
"""The fields of a timing of which it is not known whether it was alone."""


def measured(ours_s: Sequence[float], against_s: Sequence[float], reason: str = "", **fields: Any) -> dict[str, Any]:
    """What a comparison measures: the seconds of both sides, two calls a block.

    Args:
        reason: why the timing was not alone; empty if it was.
        fields: measured values in place of the usual ones.
    """
    blocks = range(0, len(ours_s), 2)
    alone = {"isolated": not reason, "isolation": {"reasons": [reason] if reason else []}}
    return {
        "latency_s": list(ours_s), "against_s": list(against_s), "calls": 1, "steady": True, "step_s": {},
        "log_ratios": [math.log(sum(against_s[at : at + 2]) / sum(ours_s[at : at + 2])) for at in blocks],
        **alone, **fields,
    }  # fmt: skip


def measured_ratios(values: Sequence[float], seconds: float = 1.0, reason: str = "") -> dict[str, Any]:
    """What a comparison measures whose blocks have these ratios; ``seconds`` is the time of each call of ours."""
    return measured([seconds] * 2 * len(values), [seconds * value for value in values for _ in range(2)], reason)


def plant_speed(
    folder: Path,
    comparisons: Mapping[Setting, Mapping[str, Any] | None],
    *,
    variant: str = "neck=jpu",
    against: str = "neck=off",
    hardware: str | None = None,
) -> Path:
    """Add comparisons of speed to a results folder; in a folder without a plan, they are all that is planned.

    Args:
        comparisons: what was measured with each setting, or ``None`` for a trial without a record.
        variant: a variant of the plan; of a new plan, one that has one factor.
        hardware: the hardware that the records name; by default that of the records which are there, if there are any.
    """
    records = read_all(folder / "records") if (folder / "records").exists() else []
    plan = json.loads((folder / "study.json").read_text()) if records else _plan(variant, against)
    known = {cell["variant"]: cell["levels"] for cell in plan["trials"]}
    levels = known[variant] if variant in known else _levels(variant)
    environment = dict(records[0].environment.as_json()) if records else {"host": "aaaa1111"}
    if hardware or not records:
        environment["hardware"] = hardware or "Planted CPU, 2 threads"
    first = 1 + sum(cell["stage"] == "speed" for cell in plan["trials"])
    for number, (setting, values) in enumerate(comparisons.items(), first):
        trial = {"variant": variant, "levels": levels, "stage": "speed", "seed": None, "against": against}
        trial["setting"] = asdict(setting)
        plan["trials"].append({"key": f"s{number}", "excluded": None, **trial})
        if values is not None:
            record = Record(
                key=f"s{number}", trial=trial, choices={}, environment=environment, outcome={"status": "done"},
                measured=values,
            )  # fmt: skip
            write(record, folder / "records")
    plan["stages"] = [*dict.fromkeys([*plan["stages"], "speed"])]
    write_json(plan, folder / "study.json")
    return folder


def planted(folder: Path, sides: Mapping[int, Mapping[str, Any] | None]) -> Path:
    """A results folder with one comparison a side length, of batches of two square images."""
    return plant_speed(folder, {Setting(height=side, width=side, batch=2): values for side, values in sides.items()})


def _levels(variant: str) -> dict[str, str]:
    return dict([variant.split("=")])


def _plan(variant: str, against: str) -> dict[str, Any]:
    return {
        "version": 2, "name": "planted", "question": "Which is faster?", "stages": ["speed"], "seeds": [0],
        "factors": {factor: [_levels(against)[factor], level] for factor, level in _levels(variant).items()},
        "baseline": against, "baseline_levels": _levels(against), "recipe": {}, "command": "bench speed x.py",
        "data": {"name": "planted", "classes": ["a", "b"], "fingerprint": "f"}, "created": {"commit": "c0ffee"},
        "trials": [],
    }  # fmt: skip
