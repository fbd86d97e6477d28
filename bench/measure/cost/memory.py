"""The peak memory of a forward and of a training step, and its parts: weights, gradients, optimiser state and others.

In inference, the network is in evaluation mode with auxiliary heads off, in the recipe's precision and the device's
memory format, as :mod:`bench.measure.timing.execution` deploys it, and the image is ``1 3 H W``. In training, one step
in the recipe's precision goes from images ``N 3 H W`` to updated weights. It is measured in the steady state, so the
gradients of a previous step and the optimiser's state exist.

- **CUDA**: the rise of the allocator's statistics, allocated and reserved, above those before the network was built.
- **CPU**: the rise of the peak of the process's resident set above its size before the network was built. The same
  network has processed a small image before, so that memory which libraries load and keep belongs to that size and not
  to the rise. Before each measurement the kernel's peak is reset and freed pages are returned, so that measurements in
  one process do not affect each other. If the kernel does not allow the reset, only the rise of the peak over the life
  of the process is known, which is a lower bound.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.measure.cost.activations import by_slot, watched_saves
from bench.measure.timing.execution import deployed, memory_format_of
from bench.network.model import SegModel
from bench.network.numerics import autocast
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from bench.training.average import MovingAverage
from bench.training.step import Step, in_parts, layout, prepare

WARM_UP_PX = 64
"""The height and width of the warm-up image, after which memory that libraries load and keep is no part of the peak.

A user's whole network is warmed up at the real size instead, because it may not accept others."""


@dataclass(frozen=True)
class Memory:
    """The peak memory of one forward or step, and those of its parts that are known exactly.

    Attributes:
        kind: the source of the peak, such as ``cuda allocator`` or ``cpu resident set``.
        batch: the number of images.
        input_px: the height and width of the images.
        peak_bytes: the peak, with all its parts.
        reserved_bytes: the memory that the CUDA allocator reserved on the device; ``None`` on CPU.
        weight_bytes: the bytes of the parameters.
        buffer_bytes: the bytes of normalisation statistics and fixed filters.
        input_bytes: the bytes of the images and, in training, of the labels.
        gradient_bytes: the bytes of the parameters' gradients; 0 in inference.
        optimiser_bytes: the bytes of the optimiser's state, such as momentum; 0 in inference.
        saved_bytes: slot -> bytes that autograd saves for the backward pass; ``outside`` is the loss and last resize.
    """

    kind: str
    batch: int
    input_px: list[int]
    peak_bytes: int
    reserved_bytes: int | None
    weight_bytes: int
    buffer_bytes: int
    input_bytes: int
    gradient_bytes: int = 0
    optimiser_bytes: int = 0
    saved_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Peak:
    """The rise of a memory peak above the memory that was held before, in bytes."""

    kind: str
    peak_bytes: int
    reserved_bytes: int | None


def inference_memory(build: Callable[[], SegModel], setting: Setting, device: torch.device) -> Memory:
    """The peak memory of one forward of the network that ``build`` returns, in a setting; the image is of zeros."""
    networks: list[SegModel] = []
    image = torch.zeros(setting.batch, 3, setting.height, setting.width)
    image = image.to(device, memory_format=memory_format_of(setting))

    def run(*, warm_up: bool = False) -> None:
        networks[:] = [deployed(build(), setting, device)]
        small = warm_up and networks[0].whole is None
        with torch.inference_mode(), autocast(setting.precision, device):
            networks[0](image[..., :WARM_UP_PX, :WARM_UP_PX] if small else image, with_aux=False)

    run(warm_up=True)
    networks.clear()
    peak = peak_of(run, device)
    return Memory(
        peak.kind,
        len(image),
        list(image.shape[-2:]),
        peak.peak_bytes + image.nbytes,
        peak.reserved_bytes,
        bytes_of(networks[0].parameters()),
        bytes_of(networks[0].buffers()),
        image.nbytes,
    )


def training_memory(build: Callable[[], SegModel], recipe: Recipe, device: torch.device) -> Memory:
    """The peak memory of one training step with the recipe's batch, crop and precision, on random images.

    The state of the process's random number generators is not changed.
    """
    steps: list[Step] = []
    input_bytes = 0

    def run(*, warm_up: bool = False) -> None:
        nonlocal input_bytes
        model = build()
        step = prepare(model, recipe, device)
        steps[:] = [step]
        if recipe.ema_decay > 0:
            average = MovingAverage(model, recipe.ema_decay)  # noqa: F841 - it takes memory until the step is over
        batch = made_up_batch(small if warm_up and model.whole is None else recipe, model.num_classes, device)
        input_bytes = bytes_of(batch)
        _reach_steady_state(step)
        if recipe.accumulate > 1:
            in_parts(step, *batch)
        else:
            step.backward(step.forward(*batch))
        step.update()

    height, width = (min(size, WARM_UP_PX) for size in recipe.crop_px)
    if recipe.accumulate > 1:  # a case of its own, so that the keys of finished trials without parts stay
        small = replace(recipe, batch=2 * recipe.accumulate, crop_px=(height, width))
    else:
        small = replace(recipe, batch=2, crop_px=(height, width))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run(warm_up=True)
        steps.clear()
        saved = saved_bytes(build(), recipe, device)
        peak = peak_of(run, device)
    model, optimiser = steps[0].model, steps[0].optimiser
    state = (value for values in optimiser.state.values() for value in values.values() if isinstance(value, Tensor))
    return Memory(
        peak.kind,
        recipe.batch,
        list(recipe.crop_px),
        peak.peak_bytes,
        peak.reserved_bytes,
        bytes_of(model.parameters()),
        bytes_of(model.buffers()),
        input_bytes,
        bytes_of(p.grad for p in model.parameters() if p.grad is not None),
        bytes_of(state),
        saved,
    )


def saved_bytes(model: SegModel, recipe: Recipe, device: torch.device) -> dict[str, int]:
    """Slot, or :data:`~bench.measure.cost.activations.OUTSIDE`, -> bytes that autograd saves in one training forward.

    This forward is separate from the measured one, because watching it changes the behaviour of the CPU's allocator.
    """
    step = prepare(model, recipe, device)
    batch = made_up_batch(recipe, model.num_classes, device)
    with watched_saves(model, batch) as by_module:
        step.forward(*batch)
    return by_slot(by_module, [slot for slot, _ in model.slots()])


def made_up_batch(recipe: Recipe, num_classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images of noise, ``N 3 H W``, and labels ``N H W`` in one upright band for each class.

    The bands give the loss terms regions and boundaries to work on.
    """
    height, width = recipe.crop_px
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(recipe.batch, 3, height, width, generator=generator)
    bands = torch.arange(width) * num_classes // width
    label = bands.expand(recipe.batch, height, width).contiguous()
    return image.to(device, memory_format=layout(device)), label.to(device)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """The bytes of all tensors together."""
    return sum(tensor.nbytes for tensor in tensors)


def give_back_gpu_memory() -> None:
    """Give the GPU back what torch's allocator holds for later, and let the allocator's peaks begin anew.

    Objects that nothing refers to any more are collected first, which is all that happens without a GPU.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_of(run: Callable[[], None], device: torch.device) -> Peak:
    """The memory that ``run`` holds at its peak, above the memory that was held before."""
    give_back_gpu_memory()
    if device.type == "cuda":
        allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        run()
        torch.cuda.synchronize(device)
        return Peak(
            "cuda allocator",
            torch.cuda.max_memory_allocated(device) - allocated,
            torch.cuda.max_memory_reserved(device) - reserved,
        )
    _give_back_freed_memory()
    if not _reset_peak():
        before = _process_peak_bytes()
        run()
        return Peak("cpu resident set, at least", _process_peak_bytes() - before, None)
    before = _status_bytes("VmRSS")
    run()
    return Peak("cpu resident set", _status_bytes("VmHWM") - before, None)


def _reach_steady_state(step: Step) -> None:
    """Create gradients and the optimiser's state as a first step would, but without its activations."""
    for parameter in step.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    step.optimiser.step()


def _give_back_freed_memory() -> None:
    """Make glibc return freed pages, which could hide later allocations; other C libraries have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> bool:
    """Reset the kernel's peak of this process's resident set to its present size; false if that is not allowed."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _process_peak_bytes() -> int:
    """The largest resident set in the life of this process; getrusage counts KiB on Linux and bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
