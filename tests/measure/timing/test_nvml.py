"""The state of a GPU, from a stand-in of pynvml with each condition of a driver, a package and a divided GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from bench.measure.timing import nvml
from bench.measure.timing.nvml import ABSENT, POWER_CAP, Gpu, NotReportedError, foreign, gpu

CUDA = torch.device("cuda", 0)
UUID = "0b5c9d2e-0000-0000-0000-000000000001"


class NVMLError(Exception):
    pass


class FunctionNotFoundError(NVMLError):
    pass


@dataclass
class Card:
    """What the stand-in's GPU reports; an error in place of a value is raised."""

    processes: list[int] | NVMLError
    mps: list[int] | NVMLError
    reasons: int | NVMLError = 0
    clock_mhz: int | NVMLError = 1980
    energy_mj: int | NVMLError = 5000
    divided: bool = False
    programs: dict[int, bytes | str] | None = None


def answer(value: Any) -> Any:
    if isinstance(value, NVMLError):
        raise value
    return value


def stand_in(card: Card, *, newer: bool = True, older_driver: bool = False) -> ModuleType:
    """A module ``pynvml``; ``newer`` is a package that names the clocks' events, which an older driver lacks."""
    module = ModuleType("pynvml")
    whole = "MIG parent" if card.divided else "GPU"

    def handle(uuid: str) -> str:
        if uuid != f"{'MIG' if card.divided else 'GPU'}-{UUID}":
            raise NVMLError("Not Found")
        return "MIG part" if card.divided else whole

    def of_whole(read: Callable[[], Any]) -> Callable[..., Any]:
        def call(device: str, *_: Any) -> Any:
            assert device == whole, "a part of a divided GPU has no such value"
            return answer(read())

        return call

    def listed(pids: list[int] | NVMLError) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in answer(pids)]

    def too_old(device: str) -> int:
        raise FunctionNotFoundError("Function Not Found")

    def program(pid: int) -> bytes | str:
        if pid not in (card.programs or {}):
            raise NVMLError("Not Found")
        return (card.programs or {})[pid]

    members = {
        "NVMLError": NVMLError,
        "NVMLError_FunctionNotFound": FunctionNotFoundError,
        "NVML_CLOCK_SM": 1,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": handle,
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda part: whole,
        "nvmlDeviceGetComputeRunningProcesses": lambda device: listed(card.processes),
        "nvmlDeviceGetMPSComputeRunningProcesses": lambda device: listed(card.mps),
        "nvmlSystemGetProcessName": program,
        "nvmlDeviceGetCurrentClocksThrottleReasons": of_whole(lambda: card.reasons),
        "nvmlDeviceGetClockInfo": of_whole(lambda: card.clock_mhz),
        "nvmlDeviceGetTemperature": of_whole(lambda: 60),
        "nvmlDeviceGetTotalEnergyConsumption": of_whole(lambda: card.energy_mj),
    }
    if newer:
        members["nvmlDeviceGetCurrentClocksEventReasons"] = too_old if older_driver else of_whole(lambda: card.reasons)
    vars(module).update(members)
    return module


NOT_SUPPORTED = NVMLError("Not Supported")
USUAL = Card(processes=[4711], mps=[])


def read(monkeypatch: pytest.MonkeyPatch, card: Card, uuid: str = UUID, **versions: bool) -> Gpu:
    """The state of the card, as a process sees it that has the package in this version."""
    monkeypatch.setitem(sys.modules, "pynvml", stand_in(card, **versions))
    monkeypatch.setattr(nvml.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid))
    return gpu(CUDA)


def test_a_card_that_works_alone_reports_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, USUAL) == Gpu(0, (), 1.98e9, 60.0, 5.0)


def test_without_the_package_the_reason_has_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml.importlib.util, "find_spec", lambda name: None)
    assert gpu(CUDA) == Gpu(reason=ABSENT)
    assert "pip install segbench[gpu]" in ABSENT
    assert gpu(torch.device("cpu")) == Gpu(reason="not a CUDA device")


def test_a_driver_that_does_not_know_the_card_is_one_reason_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, USUAL, uuid="another") == Gpu(reason="NVML: Not Found")


@pytest.mark.parametrize("versions", [{"newer": True}, {"newer": False}, {"newer": True, "older_driver": True}])
@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x1, ()),
        (0x2, ()),
        (0x4, (POWER_CAP,)),
        (0x8 | 0x40, ("hardware slowdown", "thermal slowdown by the hardware")),
        (0x8 | 0x80, ("hardware slowdown", "power brake")),
        (0x10 | 0x20, ("sync boost with another GPU", "thermal slowdown by the driver")),
    ],
)
def test_slowdowns_are_named_in_every_version_of_package_and_driver(
    bits: int, names: tuple[str, ...], versions: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(monkeypatch, Card([4711], [], reasons=bits), **versions).slowdowns == names


def test_what_is_not_supported_is_unknown_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    state = read(monkeypatch, Card([4711, 4712], NOT_SUPPORTED, reasons=NOT_SUPPORTED, energy_mj=NOT_SUPPORTED))
    assert state.unknown == {"slowdowns": "NVML: Not Supported", "energy_j": "NVML: Not Supported"}
    assert (state.foreign_processes, state.clock_hz, state.slowdowns, state.energy_j) == (1, 1.98e9, None, None)


def test_of_a_divided_gpu_processes_are_those_of_the_part_and_the_energy_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = read(monkeypatch, Card([4711], NOT_SUPPORTED, divided=True))
    assert (state.foreign_processes, state.slowdowns, state.clock_hz) == (0, (), 1.98e9)
    assert state.unknown == {"energy_j": "the GPU is divided (MIG), and its energy is that of all its parts"}


@pytest.mark.parametrize("name", [b"/usr/bin/nvidia-cuda-mps-server", "nvidia-cuda-mps-server"])
def test_the_server_that_shares_a_context_is_no_company_and_its_other_clients_are(
    name: bytes | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Card(processes=[1], mps=[4711], programs={1: name, 4711: b"/usr/bin/python3"})
    assert read(monkeypatch, alone).foreign_processes == 0
    assert read(monkeypatch, Card([1], [4711, 4712], programs={1: name})).foreign_processes == 1


def test_a_driver_that_lists_not_even_this_process_says_nothing_about_others(monkeypatch: pytest.MonkeyPatch) -> None:
    state = read(monkeypatch, Card([], []))
    assert state.foreign_processes is None
    assert state.unknown == {
        "foreign_processes": "NVML lists no process on the GPU, not even this one, as in some containers"
    }


def test_a_gpu_has_other_processes_besides_this_one_whatever_number_it_goes_by() -> None:
    assert foreign([4711]) == 0
    assert foreign([4711, 4712, 4712]) == 1
    with pytest.raises(NotReportedError, match="not even this one"):
        foreign([])
