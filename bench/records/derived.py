"""Columns derived from what one trial measured: mIoU, medians, totals. Plain Python and numpy; no torch, no ray.

A record stores raw counts and samples; every aggregation of them is here, so that any of them can be redone later.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from bench.protocol import scores
from bench.protocol.scores import Floats
from bench.records.measured import Measured, MeasuredCost, MeasuredQuality, TrainingMemory

Cells = tuple[str, list[int], Floats]
"""A column, some trials' rows and their values in it."""

NOISY = 0.10
"""A timing whose quartiles lie further apart than this share of its median is kept, and marked."""


def doubts(measured: Measured, row: Mapping[str, Any]) -> list[str]:
    """Why a timing was left out, or that it is noisy."""
    spread = row.get("latency_iqr_s", 0.0) / row.get("latency_s", 1.0)
    noisy = [f"noisy: the latency's quartiles are {spread:.0%} of its median apart"] if spread > NOISY else []
    return [*measured.isolation.reasons, *noisy]


def quality_columns(trials: Sequence[MeasuredQuality]) -> list[dict[str, float]]:
    """The columns of each of several trials on the same classes; NaN for what one lacks and another has."""
    confusions = np.asarray([trial.confusion for trial in trials], dtype=np.int64)
    ious = scores.iou(confusions)
    found = {
        "miou": scores.mean_over_classes(ious),
        "miou_absent_zero": scores.mean_over_classes(ious, absent="zero"),
        "fwiou": scores.frequency_weighted_iou(confusions),
        "pixel_accuracy": scores.pixel_accuracy(confusions),
        "mean_accuracy": scores.mean_accuracy(confusions),
        **_optional_columns(trials),
        "final_loss": np.array([_final_loss(trial.history.loss) for trial in trials]),
        "train_s": np.array([trial.train_s for trial in trials], dtype=np.float64),
    }
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    return [dict(zip(found, row, strict=True)) for row in rows]


def _final_loss(losses: Sequence[float]) -> float:
    return statistics.fmean(losses[-max(1, len(losses) // 10) :])


def _optional_columns(trials: Sequence[MeasuredQuality]) -> dict[str, Floats]:
    """Column -> a value for each trial, for boundaries and calibration; NaN where a record lacks the counts."""
    found: dict[str, Floats] = defaultdict(lambda: np.full(len(trials), np.nan))
    for measured in (_boundary_f(trials), _near_boundaries(trials), _calibration(trials)):
        for name, rows, values in measured:
            found[name][rows] = values
    return found


def _boundary_f(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for tolerances, rows, parts in _alike(trials, "boundary", lambda part: part.tolerance_px):
        images = [[[trials[row].images]] for row in rows]
        with_class = [[part.images_with_class] for part in parts]
        for family, sums, count in (
            ("boundary_f", "sum_over_images", images),
            ("boundary_f_present", "sum_over_images_with_class", with_class),
        ):
            means = scores.mean_over_images([getattr(part, sums).f for part in parts], count)
            for tolerance, mean in zip(tolerances, means.T, strict=True):
                yield f"{family}_{tolerance}px", rows, mean


def _near_boundaries(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for _, rows, parts in _alike(trials, "boundary_iou", lambda part: [len(part.label)]):
        counts = ([getattr(part, name) for part in parts] for name in ("intersection", "prediction", "label"))
        yield "boundary_iou", rows, scores.mean_boundary_iou(*counts)
    for key, family, unit in (("trimap", "trimap_miou", "radius_px"), ("distance_crop", "crop_miou", "excluded_px")):
        for sizes, rows, parts in _alike(trials, key, attrgetter(unit)):
            means = scores.mean_iou([part.confusion for part in parts])
            for size, mean in zip(sizes, means.T, strict=True):
                yield f"{family}_{size}px", rows, mean


def _calibration(trials: Sequence[MeasuredQuality]) -> Iterator[Cells]:
    for _, rows, parts in _alike(trials, "calibration", lambda part: [len(part.pixels)]):
        bins = ([getattr(part, name) for part in parts] for name in ("pixels", "confidence", "correct"))
        yield "ece", rows, scores.expected_calibration_error(*bins)


def _alike(
    trials: Sequence[MeasuredQuality], key: str, form: Callable[[Any], Sequence[int]]
) -> Iterator[tuple[Sequence[int], list[int], list[Any]]]:
    """The forms of one part of the measurements, each with the rows of the trials that have it and their parts."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, trial in enumerate(trials):
        if part := getattr(trial, key):
            groups.setdefault(tuple(form(part)), []).append(row)
    for found, rows in groups.items():
        if found:
            yield found, rows, [getattr(trials[row], key) for row in rows]


def cost_columns(measured: MeasuredCost) -> dict[str, float]:
    """The columns of one trial; those of a timing that was not alone are left out."""
    deployed = {slot: count for slot, count in measured.parameters.items() if slot != "auxiliary"}
    return {
        "parameters": float(sum(deployed.values())),
        "macs": float(sum(measured.macs.values())),
        "peak_bytes": measured.peak_bytes,
        **_training_columns(measured.training_memory),
        **({} if measured.isolated is False else latency_columns(measured) | _achieved(measured)),
    }


def _training_columns(memory: TrainingMemory | None) -> dict[str, float]:
    if memory is None:
        return {}
    state = memory.weight_bytes + memory.buffer_bytes + memory.gradient_bytes + memory.optimiser_bytes
    return {
        "train_peak_bytes": memory.peak_bytes,
        "train_state_bytes": state,
        "train_rest_bytes": memory.peak_bytes - state - memory.input_bytes,
        "activation_bytes": float(sum(memory.saved_bytes.values())),
    }


def _achieved(measured: MeasuredCost) -> dict[str, float]:
    """The rates that a forward achieves, and their shares of the device's own peaks."""
    seconds = statistics.median(measured.latency_s)
    flops_per_s = 2 * float(sum(measured.macs.values())) / seconds
    peaks, nan = measured.peaks, float("nan")
    bytes_per_s = nan if measured.traffic_bytes is None else measured.traffic_bytes / seconds
    return {
        "flops_per_s": flops_per_s,
        "flops_share": flops_per_s / (peaks.product_flops_per_s if peaks else nan),
        "bytes_share": bytes_per_s / (peaks.copy_bytes_per_s if peaks else nan),
    }


LEAST_SAMPLES = {0.90: 64, 0.99: 662}
"""How many samples a percentile needs."""


def latency_columns(measured: MeasuredCost) -> dict[str, float]:
    """Median, distance of the quartiles, percentiles that the number of samples supports, energy an image."""
    samples = measured.latency_s
    quartiles = [percentile(samples, share) for share in (0.25, 0.75)]
    energy_j = measured.isolation.gpu_energy_j
    return {
        "latency_s": statistics.median(samples),
        "latency_iqr_s": quartiles[1] - quartiles[0],
        "latency_p90_s": percentile(samples, 0.90),
        "latency_p99_s": percentile(samples, 0.99),
        "energy_j": float("nan") if energy_j is None else energy_j / len(samples) / measured.batch,
    }


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that ``share`` of the samples do not exceed, between neighbours by rank; NaN for too few samples."""
    if len(samples) < LEAST_SAMPLES.get(share, 1):
        return float("nan")
    return float(np.quantile(np.asarray(samples, dtype=float), share))
