"""Peak memory of a forward in evaluation mode, auxiliaries off, image ``N 3 H W``."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.model import SegModel


@dataclass(frozen=True)
class Memory:
    """Peak of one forward, weights included, and what kind of memory was read."""

    peak_bytes: int
    kind: str


def peak_memory(build: Callable[[], SegModel], image: Tensor) -> Memory:
    """Peak memory of one forward of the network that ``build`` returns, its weights included.

    CUDA: the allocator's peak. CPU: how far the peak of the process's resident set rises above what it was before the
    network was built; for a process that has already run a forward of something small, so that libraries are loaded.
    """
    if image.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(image.device)
        before = torch.cuda.memory_allocated(image.device)
        _run_once(build().to(image.device), image)
        return Memory(torch.cuda.max_memory_allocated(image.device) - before, "cuda allocated")
    _run_small_convolution()
    _give_back_freed_memory()
    reset = _reset_peak()
    before = _status_bytes("VmRSS") if reset else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _run_once(build(), image)
    after = _status_bytes("VmHWM") if reset else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Memory(after - before, "cpu resident set")


def _run_once(model: SegModel, image: Tensor) -> None:
    with torch.inference_mode():
        model.eval()(image, with_aux=False)


def _run_small_convolution() -> None:
    with torch.inference_mode():
        torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 16, 16))


def _give_back_freed_memory() -> None:
    """Make glibc return freed pages, so that they do not hide what comes next; other C libraries have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> bool:
    """Set the kernel's peak of this process's resident set to its present size; false where that is not allowed."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status_bytes(name: str) -> int:
    lines: Iterable[str] = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
