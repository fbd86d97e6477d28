"""Columns that are derived from a trial's raw measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench.records.cost import MeasuredCost, latency_columns
from bench.records.forms import build
from bench.records.quality import MeasuredQuality, quality_columns

CONFUSION = [[3, 1], [2, 4]]
PLAIN = {
    "classes": ["a", "b"], "split": "val", "iterations": 2, "confusion": CONFUSION, "images": 2,
    "history": {"iteration": [1, 2], "loss": [2.0, 1.0]}, "train_s": 5,
}  # fmt: skip
COST = {
    "input_px": [8, 8], "batch": 2, "parameters": {}, "macs": {}, "uncounted_operators": {}, "peak_bytes": 1,
    "memory_kind": "planted",
}  # fmt: skip
BOUNDARY = {
    "tolerance_px": [3, 5],
    "sum_over_images": {"f": [[1.0, 0.5], [2.0, 1.0]]},
    "sum_over_images_with_class": {"f": [[1.0, 0.0], [2.0, 0.0]]},
    "images_with_class": [2, 0],
}


def columns(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    return quality_columns([build(MeasuredQuality, trial) for trial in trials])


def latency(latency_s: Sequence[float], **more: Any) -> dict[str, float]:
    return latency_columns(build(MeasuredCost, {**COST, "latency_s": latency_s, **more}))


def test_trials_with_other_parts_have_their_own_columns_and_no_others() -> None:
    """A study's records may be of several ages: some lack a part, some have it with other tolerances or bins."""
    sums = {"sum_over_images": {"f": [[0.4, 0.4]]}, "sum_over_images_with_class": {"f": [[0.4, 0.0]]}}
    other = {**BOUNDARY, "tolerance_px": [5], **sums}
    bins = {"pixels": [4, 6], "confidence": [2.0, 5.0], "correct": [3, 4]}
    calibrated = {"calibration": bins, "trimap": {"radius_px": [], "confusion": []}, "boundary_iou": None}
    one_bin = {"calibration": {"pixels": [10], "confidence": [2.0], "correct": [7]}}
    crop = {"distance_crop": {"excluded_px": [9], "confusion": [[[1, 0], [1, 0]]]}}
    near = {"boundary_iou": {"intersection": [1, 0], "prediction": [2, 0], "label": [3, 0]}}
    plain, both, one, exact, last = columns(
        [
            PLAIN,
            {**PLAIN, "boundary": BOUNDARY},
            {**PLAIN, "boundary": other, **near},
            PLAIN | calibrated | crop,
            PLAIN | one_bin,
        ]
    )
    assert {each["miou"] for each in (plain, both, one, exact, last)} == {(3 / 6 + 4 / 7) / 2}
    assert (plain["final_loss"], plain["train_s"]) == (1.0, 5.0)
    assert all(math.isnan(plain[name]) for name in plain if name.startswith(("boundary", "crop", "ece")))
    assert (both["boundary_f_3px"], both["boundary_f_5px"]) == ((0.5 + 0.25) / 2, (1.0 + 0.5) / 2)
    assert (both["boundary_f_present_3px"], both["boundary_f_present_5px"]) == (0.5, 1.0)
    assert math.isnan(one["boundary_f_3px"])
    assert (one["boundary_f_5px"], one["boundary_iou"]) == (0.2, 1 / 4)
    assert (exact["ece"], exact["crop_miou_9px"]) == (2 / 10, 0.25)
    assert last["ece"] == 0.5
    assert columns([{**PLAIN, "boundary": BOUNDARY}])[0]["boundary_f_5px"] == both["boundary_f_5px"]


def test_a_percentile_needs_as_many_samples_as_it_takes_to_be_one() -> None:
    few = latency([float(value) for value in range(1, 64)])
    assert few["latency_s"] == 32.0
    assert few["latency_iqr_s"] == 47.5 - 16.5
    assert math.isnan(few["latency_p90_s"])
    assert math.isnan(few["energy_j"])
    more = latency([float(value) for value in range(1, 662)], isolation={"gpu_energy_j": 6.61})
    assert more["latency_p90_s"] == 595.0
    assert math.isnan(more["latency_p99_s"])
    assert more["energy_j"] == pytest.approx(0.005)
    assert latency([float(value) for value in range(1, 702)])["latency_p99_s"] == 694.0
