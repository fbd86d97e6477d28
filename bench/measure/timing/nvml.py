"""What the NVIDIA management library (NVML) knows of a GPU: who else uses it, clock, temperature, energy.

Needs the package nvidia-ml-py (``pip install segbench[gpu]``); without it, or without a driver, every fact is ``None``.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Gpu:
    """State of one GPU at one moment; ``None`` is what it does not tell.

    Attributes:
        foreign_processes: compute processes besides this one.
        clock_hz: of the streaming multiprocessors.
        temperature_c: of the chip, in degrees Celsius.
        energy_j: consumed since the driver was loaded.
        reason: why nothing is known, if so.
    """

    foreign_processes: int | None = None
    clock_hz: float | None = None
    temperature_c: float | None = None
    energy_j: float | None = None
    reason: str | None = None


def gpu(device: torch.device) -> Gpu:
    """The state of a CUDA device, or why it cannot be told."""
    if device.type != "cuda":
        return Gpu(reason="not a CUDA device")
    if importlib.util.find_spec("pynvml") is None:
        return Gpu(reason="the package nvidia-ml-py is not installed")
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(_uuid(device))
        return Gpu(
            foreign_processes=foreign([each.pid for each in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]),
            clock_hz=nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
            temperature_c=float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            energy_j=_energy_j(nvml, handle),
        )
    except nvml.NVMLError as error:
        return Gpu(reason=f"NVML: {error}")


def foreign(pids: list[int]) -> int:
    """How many of the processes on a GPU are not this one, which is one of them.

    In a container NVML may list processes by the host's numbers, this one too, so it is taken off by count.
    """
    return max(0, len(set(pids)) - 1)


def _uuid(device: torch.device) -> str:
    """NVML numbers devices without regard to CUDA_VISIBLE_DEVICES, so they are matched by name."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def _energy_j(nvml: Any, handle: Any) -> float | None:
    """Since Volta; older GPUs have no such counter."""
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except nvml.NVMLError_NotSupported:
        return None
