"""The environment of a measurement, as a record keeps it: the machine, the versions and the state of the source.

Nothing here raises for a value that cannot be known, such as the name of a GPU on the head node of a cluster, which has
none: the value is ``None`` then, and the record has the reason.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench.run.identity.key import digest

UNKNOWABLE = (AssertionError, OSError, RuntimeError, torch.cuda.DeferredCudaCallError)
"""The errors by which torch and the system say that they cannot tell a value: no driver, no GPU, a build without CUDA,
a cuDNN of another version than torch was built for, a GPU that is lost."""


@dataclass(frozen=True)
class Machine:
    """The device and the number of CPU threads that a trial has.

    Attributes:
        device: ``cuda`` or ``cpu``.
        threads: the number of CPU threads, which also prepare the work of a GPU.
        name: the name of the device, if the process that has the device told it; ``None`` if this process has it.
        elsewhere: ``True`` for a machine that may not be this one, whose device this process must not ask for its name.
    """

    device: str
    threads: int
    name: str | None = None
    elsewhere: bool = False

    def shared_by(self, processes: int) -> Machine:
        """The part of the machine that each of several processes has: a device like this, and its share of threads."""
        return replace(self, threads=max(1, self.threads // processes))

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def device_name(self) -> str | None:
        """The maker's name of the device, such as ``NVIDIA H200``, or the model of the CPU; ``None`` if not known."""
        return self.name_or_reason()[0]

    def name_or_reason(self) -> tuple[str | None, str]:
        """:attr:`device_name`, and the reason why there is none."""
        if self.name is not None:
            return self.name, ""
        if self.elsewhere:
            return None, "the process of the trial was lost before it told the name of its device"
        return _known(torch.cuda.get_device_name if self.device == "cuda" else _cpu_name)

    @property
    def hardware(self) -> str | None:
        """The hardware class. Timings of different classes are never compared. ``None`` if the device is not known."""
        name = self.device_name
        return None if name is None else f"{name}, {self.threads} threads"

    @property
    def hardware_key(self) -> str | None:
        """Six digits of a digest of the hardware class; ``None`` if that is not known."""
        return None if self.hardware is None else digest(self.hardware)[:6]


def describe(machine: Machine, source: Path, distributions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The environment that a record keeps; values that cannot be known are ``None``, with the reasons in ``unknown``.

    Args:
        machine: the machine on which the trial runs.
        source: the study's file.
        distributions: the versions of further distributions that the trial executes.
    """
    values: dict[str, Any] = {"cuda": None, "cudnn": None, "driver": None}
    reasons: dict[str, str] = {}
    if machine.device == "cuda":
        values["cuda"] = torch.version.cuda
        values["cudnn"], reasons["cudnn"] = _known(torch.backends.cudnn.version)
        values["driver"], reasons["driver"] = _known(_driver)
    values["device"], reasons["device"] = machine.name_or_reason()
    unknown = {name: reason for name, reason in reasons.items() if reason}
    return {
        **harness_state(),
        **_study_state(source.resolve()),
        "bench": {**_packages(), **{name: used for name, used in (distributions or {}).items() if name != "torch"}},
        "python": platform.python_version(),
        "torch": torch.__version__,
        **values,
        "hardware": machine.hardware,
        "threads": machine.threads,
        "platform": f"{platform.system()} {platform.machine()}",
        "host": host_tag(),
        **({"unknown": unknown} if unknown else {}),
    }


Value = TypeVar("Value")


def _known(read: Callable[[], Value]) -> tuple[Value | None, str]:
    """A value that the system tells and no reason, or no value and the reason why it cannot be known."""
    try:
        return read(), ""
    except UNKNOWABLE as error:
        return None, f"{type(error).__name__}: {error}".partition("\n")[0]


@functools.cache
def host_tag() -> str:
    """Eight hexadecimal digits that tell hosts apart without naming them."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@functools.cache
def harness_state() -> dict[str, Any]:
    """The commit of the harness and ``dirty``; both ``None`` for an installed copy, whatever repository it lies in."""
    this_file = Path(__file__).resolve()
    tracked = _are_tracked(this_file.parent, (this_file,))
    return commit(this_file.parent) if tracked else {"commit": None, "dirty": None}


def _study_state(source: Path) -> dict[str, Any]:
    """The commit of the study's repository, and whether it lacks the study's file or a module beside it, or differs."""
    state = commit(source.parent)
    if state["commit"] is None:
        return {"study_commit": None, "study_dirty": None}
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file).resolve() for file in loaded if file}
    beside = {file for file in files if file.is_relative_to(source.parent) and "site-packages" not in file.parts}
    dirty = state["dirty"] or not _are_tracked(source.parent, tuple(sorted({source, *beside})))
    return {"study_commit": state["commit"], "study_dirty": dirty}


@functools.cache
def _are_tracked(folder: Path, files: tuple[Path, ...]) -> bool:
    """True if git has all of the files."""
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", *map(str, files))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@functools.cache
def repository(folder: Path) -> Path | None:
    """The top folder of the git repository that ``folder`` lies in; ``None`` if there is none."""
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel"))
    except (OSError, subprocess.CalledProcessError):
        return None


@functools.cache
def commit(folder: Path) -> dict[str, Any]:
    """The git commit of ``folder`` and ``dirty``, true if tracked files differ from it; both ``None`` without git."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an installed package
        return {"commit": None, "dirty": None}
    return {"commit": head, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()  # it may be a path, in whatever encoding


@functools.cache
def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _driver() -> str | None:
    """The version of the NVIDIA driver, from the kernel's file; ``None`` if there is no such file, as in containers."""
    version_file = Path("/sys/module/nvidia/version")
    return version_file.read_text().strip() if version_file.exists() else None


@functools.cache
def _packages() -> dict[str, str]:
    versions = {}
    for name in ("segbench", "numpy", "fvcore", "ray", "timm"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def cpu_count() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
