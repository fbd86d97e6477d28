"""Columns derived from what one trial measured: mIoU, medians, totals. Plain Python and numpy; no torch, no ray.

A record stores raw counts and samples; every aggregation of them is here, so that any of them can be redone later.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench import scores

NOISY = 0.10
"""A timing whose quartiles lie further apart than this share of its median is kept, and marked."""


def doubts(measured: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Why a timing was left out, or that it is noisy."""
    spread = row.get("latency_iqr_s", 0.0) / row.get("latency_s", 1.0)
    noisy = [f"noisy: the latency's quartiles are {spread:.0%} of its median apart"] if spread > NOISY else []
    return [*measured.get("isolation", {}).get("reasons", []), *noisy]


def quality_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    confusion, losses = np.asarray(measured["confusion"], dtype=np.int64), measured["history"]["loss"]
    ious = scores.iou(confusion)
    return {
        "miou": scores.mean_over_classes(ious),
        "miou_absent_zero": scores.mean_over_classes(ious, absent="zero"),
        "fwiou": scores.frequency_weighted_iou(confusion),
        "pixel_accuracy": scores.pixel_accuracy(confusion),
        "mean_accuracy": scores.mean_accuracy(confusion),
        **_boundary_columns(measured),
        "final_loss": statistics.fmean(losses[-max(1, len(losses) // 10) :]),
        "train_s": measured["train_s"],
    }


def _boundary_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    """What a record has of boundaries and calibration; none of it is required."""
    found: dict[str, float] = {}
    if boundary := measured.get("boundary"):
        images = [measured["images"]] * len(measured["classes"])
        everywhere, present = boundary["sum_over_images"]["f"], boundary["sum_over_images_with_class"]["f"]
        means = (
            scores.means_over_images(everywhere, images),
            scores.means_over_images(present, boundary["images_with_class"]),
        )
        for tolerance, mean, mean_present in zip(boundary["tolerance_px"], *means, strict=True):
            found[f"boundary_f_{tolerance}px"] = mean
            found[f"boundary_f_present_{tolerance}px"] = mean_present
    if near := measured.get("boundary_iou"):
        found["boundary_iou"] = scores.mean_boundary_iou(near["intersection"], near["prediction"], near["label"])
    for key, name, unit in (("trimap", "trimap_miou", "radius_px"), ("distance_crop", "crop_miou", "excluded_px")):
        part = measured.get(key) or {unit: [], "confusion": []}
        for size, mean in zip(part[unit], scores.mean_ious(part["confusion"]), strict=True):
            found[f"{name}_{size}px"] = mean
    if bins := measured.get("calibration"):
        found["ece"] = scores.expected_calibration_error(bins["pixels"], bins["confidence"], bins["correct"])
    return found


def cost_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    deployed = {slot: count for slot, count in measured["parameters"].items() if slot != "auxiliary"}
    return {
        "parameters": float(sum(deployed.values())),
        "macs": float(sum(measured["macs"].values())),
        "peak_bytes": float(measured["peak_bytes"]),
        **_training_columns(measured.get("training_memory")),
        **({} if measured.get("isolated") is False else latency_columns(measured) | _achieved(measured)),
    }


def _training_columns(memory: Mapping[str, Any] | None) -> dict[str, float]:
    if memory is None:
        return {}
    state = sum(memory[f"{what}_bytes"] for what in ("weight", "buffer", "gradient", "optimiser"))
    return {
        "train_peak_bytes": float(memory["peak_bytes"]),
        "train_state_bytes": float(state),
        "train_rest_bytes": float(memory["peak_bytes"] - state - memory["input_bytes"]),
        "activation_bytes": float(sum(memory["saved_bytes"].values())),
    }


def _achieved(measured: Mapping[str, Any]) -> dict[str, float]:
    """What a forward achieves of the device's own peaks."""
    seconds = statistics.median(measured["latency_s"])
    flops_per_s = 2 * float(sum(measured["macs"].values())) / seconds
    peaks = measured.get("peaks") or {}
    nan = float("nan")
    return {
        "flops_per_s": flops_per_s,
        "flops_share": flops_per_s / peaks.get("product_flops_per_s", nan),
        "bytes_share": measured.get("traffic_bytes", nan) / seconds / peaks.get("copy_bytes_per_s", nan),
    }


LEAST_SAMPLES = {0.90: 64, 0.99: 662}
"""How many samples a percentile needs."""


def latency_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    """Median, distance of the quartiles, percentiles that the number of samples supports, energy an image."""
    samples = measured["latency_s"]
    quartiles = [percentile(samples, share) for share in (0.25, 0.75)]
    energy_j = measured.get("isolation", {}).get("gpu_energy_j")
    return {
        "latency_s": statistics.median(samples),
        "latency_iqr_s": quartiles[1] - quartiles[0],
        "latency_p90_s": percentile(samples, 0.90),
        "latency_p99_s": percentile(samples, 0.99),
        "energy_j": float("nan") if energy_j is None else energy_j / len(samples) / measured["batch"],
    }


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that ``share`` of the samples do not exceed, between neighbours by rank; NaN for too few samples."""
    if len(samples) < LEAST_SAMPLES.get(share, 1):
        return float("nan")
    return float(np.quantile(np.asarray(samples, dtype=float), share))


COLUMNS_OF = {"quality": quality_columns, "cost": cost_columns}
"""Stage -> its columns, from what one of its trials measured."""
