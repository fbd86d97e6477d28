"""The state of a GPU from the NVIDIA management library (NVML): other processes, slowdowns, clock, temperature, energy.

This needs the package nvidia-ml-py (``pip install segbench[gpu]``). Each value is read by itself: a value that the GPU,
the driver or a part of a divided GPU (MIG) does not report is ``None``, with the reason, and the others are known.

**Source**: NVIDIA, NVML API reference, "Device Queries" and "Clocks Event Reasons".
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import torch

from bench.protocol.words import REPEAT_UNKNOWN

REMEDY = "pip install segbench[gpu]"
ABSENT = f"the package nvidia-ml-py is not installed ({REMEDY}, then {REPEAT_UNKNOWN})"
POWER_CAP = "power cap"
SLOWDOWNS: Mapping[int, str] = {
    0x004: POWER_CAP,
    0x008: "hardware slowdown",
    0x010: "sync boost with another GPU",
    0x020: "thermal slowdown by the driver",
    0x040: "thermal slowdown by the hardware",
    0x080: "power brake",
}
"""The bits of NVML's reasons for lower clocks, and their names here. Bits are left out for an idle GPU and for clocks
that a person has set, since neither changes while a timing runs."""
MPS_SERVER = "nvidia-cuda-mps-server"
"""The process that forwards the work of others, and has none of its own."""


@dataclass(frozen=True)
class Gpu:
    """The state of one GPU at one moment; a value that is not known is ``None``.

    Attributes:
        foreign_processes: the number of compute processes besides this one.
        slowdowns: the names of the reasons for which the clock is lower than it could be, from :data:`SLOWDOWNS`.
        clock_hz: the clock of the streaming multiprocessors.
        temperature_c: the temperature of the chip, in degrees Celsius.
        energy_j: the energy consumed since the driver was loaded.
        unknown: name of a value -> the reason why it is not known, where other values are.
        reason: the reason why no value is known, in that case.
    """

    foreign_processes: int | None = None
    slowdowns: tuple[str, ...] | None = None
    clock_hz: float | None = None
    temperature_c: float | None = None
    energy_j: float | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


class NotReportedError(LookupError):
    """A value that NVML gives no answer about, although it raises no error."""


@dataclass(frozen=True)
class Handles:
    """The two handles of a device; they differ for a part of a divided GPU (MIG).

    Attributes:
        part: the device that this process uses.
        whole: the GPU that the device is a part of, whose clock and temperature are those of all parts.
    """

    part: Any
    whole: Any

    @property
    def is_divided(self) -> bool:
        return self.part is not self.whole


def gpu(device: torch.device) -> Gpu:
    """The state of a CUDA device, or the reason why it is not known."""
    if device.type != "cuda":
        return Gpu(reason="not a CUDA device")
    if importlib.util.find_spec("pynvml") is None:
        return Gpu(reason=ABSENT)
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handles = _handles(nvml, str(torch.cuda.get_device_properties(device).uuid))
    except nvml.NVMLError as error:
        return Gpu(reason=f"NVML: {error}")
    values: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, read in READERS.items():
        try:
            values[name] = read(nvml, handles)
        except nvml.NVMLError as error:
            unknown[name] = f"NVML: {error}"
        except NotReportedError as error:
            unknown[name] = str(error)
    return Gpu(**values, unknown=unknown)


def foreign(pids: Collection[int]) -> int:
    """The number of processes on a GPU besides this one, which has to be among them.

    In a container, NVML may list processes by the host's numbers, this one too, so one is subtracted from their count
    whatever this process is called. This assumes that the list is whole: a driver that hides the processes of other
    containers, but lists this one, hides them here too.

    Raises:
        NotReportedError: if the list is empty. This process works on the GPU, so the driver does not show processes.
    """
    if not pids:
        raise NotReportedError("NVML lists no process on the GPU, not even this one, as in some containers")
    return len(set(pids)) - 1


def _handles(nvml: Any, uuid: str) -> Handles:
    """The handles of the device with this unique name. NVML's numbers of devices ignore CUDA_VISIBLE_DEVICES."""
    try:
        whole = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        part = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
        return Handles(part, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part))
    return Handles(whole, whole)


def _foreign_processes(nvml: Any, handles: Handles) -> int:
    pids = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handles.part)}
    with suppress(nvml.NVMLError):  # a driver or a part of a divided GPU that knows no such list shares no context
        pids |= {process.pid for process in nvml.nvmlDeviceGetMPSComputeRunningProcesses(handles.part)}
    return foreign({pid for pid in pids if _program(nvml, pid) != MPS_SERVER})


def _program(nvml: Any, pid: int) -> str:
    """The name of a process's program; empty for one that this container does not see."""
    try:
        path = nvml.nvmlSystemGetProcessName(pid)
    except nvml.NVMLError:
        return ""
    text = path.decode(errors="replace") if isinstance(path, bytes) else str(path)
    return PurePosixPath(text).name


def _slowdowns(nvml: Any, handles: Handles) -> tuple[str, ...]:
    """The present reasons for a lower clock. Drivers and packages before 2023 call these events throttling."""
    newer = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    older = nvml.nvmlDeviceGetCurrentClocksThrottleReasons
    try:
        bits = (newer or older)(handles.whole)
    except nvml.NVMLError_FunctionNotFound:
        bits = older(handles.whole)
    return tuple(name for bit, name in SLOWDOWNS.items() if bits & bit)


def _clock_hz(nvml: Any, handles: Handles) -> float:
    return float(nvml.nvmlDeviceGetClockInfo(handles.whole, nvml.NVML_CLOCK_SM)) * 1e6


def _temperature_c(nvml: Any, handles: Handles) -> float:
    return float(nvml.nvmlDeviceGetTemperature(handles.whole, nvml.NVML_TEMPERATURE_GPU))


def _energy_j(nvml: Any, handles: Handles) -> float:
    """The energy since the driver was loaded; GPUs older than Volta have no such counter."""
    if handles.is_divided:
        raise NotReportedError("the GPU is divided (MIG), and its energy is that of all its parts")
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handles.whole)) / 1e3


READERS: Mapping[str, Callable[[Any, Handles], Any]] = {
    "foreign_processes": _foreign_processes,
    "slowdowns": _slowdowns,
    "clock_hz": _clock_hz,
    "temperature_c": _temperature_c,
    "energy_j": _energy_j,
}
"""Name of a value of :class:`Gpu` -> the function that reads it."""
