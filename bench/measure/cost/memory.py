"""Peak memory of a forward and of a training step, and what of it is weights, gradients and optimiser state.

Inference: evaluation mode, auxiliaries off, image ``1 3 H W``. Training: a step in the recipe's precision, from images
``N 3 H W`` to updated weights, in the steady state: gradients of the last step and the optimiser's state are there.

- **CUDA**: the allocator's statistics, allocated and reserved, above what they were before the network was built.
- **CPU**: how far the peak of the process's resident set rises above its size before the network was built. The same
  network has seen a small image first, so what libraries load and keep is in the size and not in the rise. The kernel's
  peak is set back before each measurement and freed pages are returned, so measurements in one process do not see each
  other. Where the kernel does not allow that, only the rise of its peak over the process's life is known: a lower
  bound.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bench.measure.cost.activations import by_slot, watched_saves
from bench.network.model import SegModel
from bench.protocol.recipe import Recipe
from bench.training.loop import Step, layout, prepare

WARM_UP_PX = 64
"""Height and width of what a network sees first, so that what libraries load and keep is no part of its peak.

A whole network of the user's sees the real size instead: it promises nothing about others."""


@dataclass(frozen=True)
class Memory:
    """Peak of one forward or step, and what is known of it to the byte.

    Attributes:
        kind: what was read.
        batch: images.
        input_px: height and width.
        peak_bytes: everything together.
        reserved_bytes: what the CUDA allocator took from the device for it; ``None`` on CPU.
        weight_bytes: parameters.
        buffer_bytes: statistics of normalisation and fixed filters.
        input_bytes: images, and labels in training.
        gradient_bytes: of the parameters; 0 in inference.
        optimiser_bytes: its state, such as momentum; 0 in inference.
        saved_bytes: slot -> what autograd keeps for the backward pass; the loss and last resize are ``outside``.
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
    """Rise of a peak above what was held before; bytes."""

    kind: str
    peak_bytes: int
    reserved_bytes: int | None


def inference_memory(build: Callable[[], SegModel], image: Tensor) -> Memory:
    """Peak memory of one forward of the network that ``build`` returns."""
    networks: list[SegModel] = []

    def run(*, warm_up: bool = False) -> None:
        networks[:] = [build().to(image.device).eval()]
        small = warm_up and networks[0].whole is None
        with torch.inference_mode():
            networks[0](image[..., :WARM_UP_PX, :WARM_UP_PX] if small else image, with_aux=False)

    run(warm_up=True)
    networks.clear()
    peak = peak_of(run, image.device)
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
    """Peak memory of one step of ``recipe``, at its batch, crop and precision, on made-up images.

    The random stream of the process is left as it is.
    """
    steps: list[Step] = []
    input_bytes = 0

    def run(*, warm_up: bool = False) -> None:
        nonlocal input_bytes
        model = build()
        step = prepare(model, recipe, device)
        steps[:] = [step]
        batch = made_up_batch(small if warm_up and model.whole is None else recipe, model.num_classes, device)
        input_bytes = bytes_of(batch)
        _reach_steady_state(step)
        step.backward(step.forward(*batch))
        step.update()

    height, width = (min(size, WARM_UP_PX) for size in recipe.crop_px)
    small = recipe.having(batch=2, crop_px=(height, width))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run(warm_up=True)
        steps.clear()
        saved = saved_bytes(build(), recipe, device)
        peak = peak_of(run, device)
    model, optimiser = steps[0].model, steps[0].optimiser
    state = (value for each in optimiser.state.values() for value in each.values() if isinstance(value, Tensor))
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
    """Slot, or :data:`~bench.measure.cost.activations.OUTSIDE`, -> bytes that autograd keeps of one forward.

    A forward of its own, since watching it changes what the CPU's allocator does.
    """
    step = prepare(model, recipe, device)
    batch = made_up_batch(recipe, model.num_classes, device)
    with watched_saves(model, batch) as by_module:
        step.forward(*batch)
    return by_slot(by_module, [slot for slot, _ in model.slots()])


def made_up_batch(recipe: Recipe, num_classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise ``N 3 H W``, and labels ``N H W`` in upright bands, one a class: loss terms find regions and boundaries."""
    height, width = recipe.crop_px
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(recipe.batch, 3, height, width, generator=generator)
    bands = torch.arange(width) * num_classes // width
    label = bands.expand(recipe.batch, height, width).contiguous()
    return image.to(device, memory_format=layout(device)), label.to(device)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of all elements together."""
    return sum(tensor.nbytes for tensor in tensors)


def peak_of(run: Callable[[], None], device: torch.device) -> Peak:
    """How much more memory ``run`` holds at its peak than was held before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
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
    """Gradients and the optimiser's state as a first step would leave them, without its activations."""
    for parameter in step.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    step.optimiser.step()


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


def _process_peak_bytes() -> int:
    """Largest resident set in the life of this process; getrusage counts KiB on Linux and bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
