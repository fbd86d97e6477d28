"""Trainings whose measured memory is more than their share of a GPU has, so that they are not tried beside others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from bench.records.agreement import paired
from bench.records.cost import MeasuredCost
from bench.records.files import RecordError
from bench.records.plan.plan import read_plan
from bench.records.record import read_all
from bench.run.resources import Resources
from bench.run.trial import Trial

OF_A_PROCESS_BYTES = 2**29
"""The memory that CUDA and its libraries take for a process, besides that which torch allocates."""


def too_large(trials: Sequence[Trial], folder: Path, resources: Resources) -> list[Trial]:
    """The trainings among trials that need more than their share of this machine's smallest GPU.

    The need is the memory of a training step that the cost trial of the same variant measured on a GPU. Where it was
    not measured, or on a cluster, whose GPUs are not known here, no training is named.
    """
    if not 0 < resources.gpus < 1 or resources.address is not None:
        return []
    peaks = measured_peaks(folder)
    if not peaks:
        return []
    room_bytes = resources.gpus * smallest_gpu_bytes() - OF_A_PROCESS_BYTES
    return [trial for trial in trials if trial.stage == "quality" and peaks.get(trial.variant, 0) > room_bytes]


def measured_peaks(folder: Path) -> dict[str, float]:
    """Variant -> bytes of a training step on a GPU, by the cost records that belong to the plan of a results folder.

    A folder with a damaged file has none: the report names that file.
    """
    try:
        plan = read_plan(folder)
        records = read_all(folder / "records")
    except RecordError:
        return {}
    return {
        row.variant: record.measured.training_memory.peak_bytes
        for row, record in paired(plan, records)
        if isinstance(record.measured, MeasuredCost)
        and record.measured.training_memory is not None
        and record.measured.memory_kind.startswith("cuda")
    }


def smallest_gpu_bytes() -> int:
    """The bytes of the smallest GPU of this machine."""
    return min(torch.cuda.get_device_properties(place).total_memory for place in range(torch.cuda.device_count()))
