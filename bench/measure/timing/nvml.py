"""The state of a GPU from the NVIDIA management library (NVML): other processes, clock, temperature and energy.

This needs the package nvidia-ml-py (``pip install segbench[gpu]``); without it, or without a driver, every value is
``None``.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Gpu:
    """The state of one GPU at one moment; a value that the GPU does not report is ``None``.

    Attributes:
        foreign_processes: the number of compute processes besides this one.
        clock_hz: the clock of the streaming multiprocessors.
        temperature_c: the temperature of the chip, in degrees Celsius.
        energy_j: the energy consumed since the driver was loaded.
        reason: the reason why no value is known, in that case.
    """

    foreign_processes: int | None = None
    clock_hz: float | None = None
    temperature_c: float | None = None
    energy_j: float | None = None
    reason: str | None = None


def gpu(device: torch.device) -> Gpu:
    """The state of a CUDA device, or the reason why it is not known."""
    if device.type != "cuda":
        return Gpu(reason="not a CUDA device")
    if importlib.util.find_spec("pynvml") is None:
        return Gpu(reason="the package nvidia-ml-py is not installed")
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(_uuid(device))
        return Gpu(
            foreign_processes=foreign([process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]),
            clock_hz=nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
            temperature_c=float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            energy_j=_energy_j(nvml, handle),
        )
    except nvml.NVMLError as error:
        return Gpu(reason=f"NVML: {error}")


def foreign(pids: list[int]) -> int:
    """The number of processes on a GPU besides this one, which is among them.

    In a container NVML may list processes, this one too, by the host's numbers, so one is subtracted from their count.
    """
    return max(0, len(set(pids)) - 1)


def _uuid(device: torch.device) -> str:
    """The unique name of a device. NVML's numbers of devices ignore CUDA_VISIBLE_DEVICES, so names are matched."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def _energy_j(nvml: Any, handle: Any) -> float | None:
    """The energy since the driver was loaded; ``None`` on GPUs older than Volta, which have no such counter."""
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except nvml.NVMLError_NotSupported:
        return None
