"""The measurements of a cost trial: their form in a record, and the columns that follow from them.

A record stores raw counts and samples; every aggregation of them is here, so that any of them can be redone later. A
field with a default is one that older records lack, or that a recipe may leave out.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from bench.records.forms import Amount, Counted, Form, Samples, Seconds, Size, Whole
from bench.records.measured import Measured


class Clock(Form):
    """The clock that latencies were taken with."""

    clock: str
    warm_up_calls: Whole
    warm_up_s: Amount | None = None
    steady: bool | None = None


class TrainingMemory(Form):
    """The memory of one training step, in bytes."""

    peak_bytes: Counted
    input_bytes: Counted
    weight_bytes: Counted
    buffer_bytes: Counted
    gradient_bytes: Counted
    optimiser_bytes: Counted
    saved_bytes: dict[str, Counted]


class Peaks(Form):
    """The largest rates that the device reaches; those of an earlier bench do not say in which precision."""

    precision: str | None = None
    product_flops_per_s: Seconds
    copy_bytes_per_s: Seconds


class MeasuredCost(Measured):
    """The parameters, MACs, memory and latencies of one network.

    Attributes:
        macs: slot -> multiply-accumulates; empty where an operator has no count.
        macs_problem: the reason why there are none.
        macs_wasted: module of a whole network -> its multiply-accumulates that run and never reach the output.
        macs_difference: how another counter's number differs from that of a whole network; empty if they are equal.
        macs_extrapolated: how the count of a whole network was extrapolated; empty if it was counted at its size.
        training_problem: the reason why the memory of a training step is not known: the step did not fit.
        peaks_problem: the reason why the peaks are not known: there was too little memory for them.
        precision: the precision of the forward; that of an earlier bench was float32 as torch was set.
        memory_format: the memory format of the forward; that of an earlier bench was ``contiguous``.
    """

    input_px: Size
    batch: Annotated[Whole, Field(ge=1)]
    parameters: dict[str, Counted]
    macs: dict[str, Counted]
    uncounted_operators: dict[str, Any]
    macs_problem: str = ""
    macs_wasted: dict[str, Counted] = Field(default_factory=dict)
    macs_difference: str = ""
    macs_extrapolated: str = ""
    latency_s: Samples
    peak_bytes: Counted
    memory_kind: str
    latency_protocol: Clock | None = None
    training_memory: TrainingMemory | None = None
    training_problem: str = ""
    precision: str | None = None
    memory_format: str | None = None
    peaks: Peaks | None = None
    peaks_problem: str = ""
    traffic_bytes: Counted | None = None


def cost_columns(measured: MeasuredCost) -> dict[str, float]:
    """The columns of one trial; those of a timing that was not alone are left out."""
    deployed = {slot: count for slot, count in measured.parameters.items() if slot != "auxiliary"}
    return {
        "parameters": float(sum(deployed.values())),
        "macs": _macs(measured),
        "macs_unused": float("nan") if measured.macs_problem else float(sum(measured.macs_wasted.values())),
        "peak_bytes": measured.peak_bytes,
        **_training_columns(measured.training_memory),
        **({} if measured.isolated is False else latency_columns(measured) | _achieved(measured)),
    }


def _macs(measured: MeasuredCost) -> float:
    return float("nan") if measured.macs_problem else float(sum(measured.macs.values()))


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
    flops_per_s = 2 * _macs(measured) / seconds
    peaks, nan = measured.peaks, float("nan")
    bytes_per_s = nan if measured.traffic_bytes is None else measured.traffic_bytes / seconds
    return {
        "flops_per_s": flops_per_s,
        "flops_share": flops_per_s / (peaks.product_flops_per_s if peaks else nan),
        "bytes_share": bytes_per_s / (peaks.copy_bytes_per_s if peaks else nan),
    }


LEAST_SAMPLES = {0.90: 64, 0.99: 662}
"""Percentile, as a share -> the fewest samples that support it."""


def latency_columns(measured: MeasuredCost) -> dict[str, float]:
    """The median, the distance of the quartiles, the percentiles that the samples support, and the energy an image."""
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
