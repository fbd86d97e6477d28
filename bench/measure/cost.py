"""Cost of a network: parameters and MACs a slot, peak memory and latency of one forward.

What is measured is the deployed form: evaluation mode, auxiliaries off, batch 1, image ``1 3 H W``.
"""

from __future__ import annotations

import copy
import ctypes
import resource
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.model import LogitsOnly, SegModel

PRODUCTS = frozenset({"conv", "linear", "matmul", "bmm", "addmm", "einsum", "mv"})
"""fvcore's names of the operators in the headline number: convolutions, linear layers and matrix products."""

WARM_UP = 5
"""Forwards before the first timed one; more follow until two in a row agree within 10 %."""


class UncountedError(RuntimeError):
    """A matrix product that the counter does not see, so that MACs would be too low."""


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one forward.

    Attributes:
        by_slot: slot -> MACs of convolutions, linear layers and matrix products.
        by_operator: every operator that fvcore counts -> its count, headline operators or not.
        uncounted: operators without a count -> number of calls.
    """

    by_slot: dict[str, int]
    by_operator: dict[str, int]
    uncounted: dict[str, int]


def parameters(model: SegModel) -> dict[str, int]:
    """Slot -> number of parameters, frozen ones included."""
    return {slot: sum(p.numel() for p in module.parameters()) for slot, module in model.slots()}


def count_macs(model: SegModel, height: int, width: int) -> Macs:
    """MACs of one ``1 3 height width`` image by fvcore, on a CPU copy; the model itself is left as it is.

    Raises:
        UncountedError: if an attention kernel is called that fvcore does not count.
    """
    clone = LogitsOnly(copy.deepcopy(model)).to("cpu", torch.float32).eval()
    image = torch.zeros(1, 3, height, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore traces with torch.jit, which warns of its age and of every branch
        analysis = FlopCountAnalysis(clone, image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_module, uncounted = analysis.by_module_and_operator(), dict(analysis.unsupported_ops())
    fused = sorted(name for name in uncounted if "attention" in name or "matmul" in name or "mm" in name.split("_"))
    if fused:
        raise UncountedError(
            f"fvcore counts no {', '.join(fused)}; write the attention as matrix products in evaluation mode"
        )
    by_slot = {slot: _products(by_module[f"model.{slot}"]) for slot, _ in model.slots()}
    by_slot["auxiliary"] = 0
    outside = _products(by_module[""]) - sum(by_slot.values())
    if outside:
        raise UncountedError(f"{outside} MACs are in no slot")
    if model.auxiliary is None:
        del by_slot["auxiliary"]
    return Macs(by_slot, {name: round(n) for name, n in by_module[""].items()}, uncounted)


def count_by_shape(model: SegModel, height: int, width: int) -> tuple[int, tuple[int, ...]]:
    """MACs of one image by torch's counter, and the shape of the logits; ``model`` may be on the meta device.

    The model is left as it is. A second counter beside :func:`count_macs`, and the one that needs no real tensors.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = model(torch.zeros(1, 3, height, width, device=device), with_aux=False).logits
    model.train(was_training)
    return int(counter.get_total_flops()) // 2, tuple(logits.shape)


def _products(by_operator: Counter[str]) -> int:
    return round(sum(count for name, count in by_operator.items() if name in PRODUCTS))


def latency(
    model: SegModel, image: Tensor, samples: int, *, progress: Callable[[int, int], None] | None = None
) -> list[float]:
    """Seconds of each of ``samples`` forwards of ``image``, the device synchronised before and after each.

    Warm-up comes first: :data:`WARM_UP` forwards, then until two in a row agree within 10 %, 20 at most.
    """
    forward = _forward(model, image)
    last = float("inf")
    for attempt in range(WARM_UP + 20):
        now = forward()
        if attempt >= WARM_UP and abs(now - last) <= 0.1 * min(now, last):
            break
        last = now
    times = []
    for index in range(samples):
        times.append(forward())
        if progress is not None:
            progress(index + 1, samples)
    return times


def _forward(model: SegModel, image: Tensor) -> Callable[[], float]:
    """One synchronised forward that returns its seconds."""

    def synchronise() -> None:
        if image.device.type == "cuda":
            torch.cuda.synchronize(image.device)

    def forward() -> float:
        with torch.inference_mode():
            synchronise()
            start = time.perf_counter()
            model(image, with_aux=False)
            synchronise()
            return time.perf_counter() - start

    return forward


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
