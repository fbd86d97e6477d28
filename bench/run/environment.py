"""Where a measurement is made: machine, versions and the state of the source. Every fact is one that a record keeps."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench.run.identity.key import digest


@dataclass(frozen=True)
class Machine:
    """The device and the number of CPU threads that a trial has.

    Attributes:
        device: ``cuda`` or ``cpu``.
        threads: CPU threads, on a GPU too (they prepare its work).
    """

    device: str
    threads: int

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def device_name(self) -> str:
        """As its maker calls it: ``NVIDIA H200``; a CPU's model for the CPU."""
        return torch.cuda.get_device_name() if self.device == "cuda" else _cpu_name()

    @property
    def hardware(self) -> str:
        """The hardware class: timings of different classes are never compared."""
        return f"{self.device_name}, {self.threads} threads"

    @property
    def hardware_key(self) -> str:
        return digest(self.hardware)[:6]


def describe(machine: Machine, source: Path) -> dict[str, Any]:
    """The environment of a record.

    Args:
        machine: what the trial runs on.
        source: the study's file.
    """
    cuda = machine.device == "cuda"
    return {
        **commit(Path(__file__).resolve().parent),
        "study_commit": commit(source.resolve().parent)["commit"],
        "bench": dict(_packages()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "driver": _driver() if cuda else None,
        "device": machine.device_name,
        "hardware": machine.hardware,
        "threads": machine.threads,
        "platform": f"{platform.system()} {platform.machine()}",
        "host": host_tag(),
    }


@functools.cache
def host_tag() -> str:
    """Eight hexadecimal digits that tell hosts apart without naming them."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@functools.cache
def commit(folder: Path) -> dict[str, Any]:
    """The git commit of ``folder`` and whether tracked files differ from it; both ``None`` outside a repository."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an installed package
        return {"commit": None, "dirty": None}
    return {"commit": head, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@functools.cache
def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _driver() -> str | None:
    """The NVIDIA driver's version, from the kernel's own file; ``None`` where it has none (a container without it)."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.exists() else None


def _packages() -> dict[str, str]:
    found = {}
    for name in ("segbench", "numpy", "fvcore", "ray", "timm"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
