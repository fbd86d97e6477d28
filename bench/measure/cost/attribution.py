"""The attribution of a network's parameters, MACs, memory and time to its modules, and their growth with the image.

MACs, outputs and times are those of the deployed form at batch 1, with an image ``1 3 H W``. Saved bytes are those of a
training forward with its losses. Counts come from shapes alone and are exact, unless a row says that they are
extrapolated.

Times come from hooks around each module. On a CPU the hooks read a clock, because the work is done when a call returns.
On CUDA they record events in the stream; the time between two events counts for the module, including gaps in which the
device waits for Python. Hooks prevent a compiler from fusing modules, so the times show how the time is divided, not
how long the network takes without hooks.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.measure.cost.activations import watched_saves, within
from bench.measure.cost.shapes import deployed
from bench.measure.cost.whole.saves import SavedBytes, followed_saves
from bench.measure.cost.whole.sizes import Sized, count_at
from bench.network.model import SegModel, Variant
from bench.network.numerics import autocast, switches
from bench.network.shapes_alone import from_shapes
from bench.protocol.recipe import TimedPrecision

QUANTITIES = ("macs", "output_bytes", "saved_bytes", "time_s")
"""The quantities that grow with the image; parameters do not."""

NETWORK = "network"
"""The name of the row for the whole network."""

WARM_UP = 2
"""The number of forwards before the first timed one."""


@dataclass(frozen=True)
class ModuleCost:
    """The cost of one module, including the modules inside it.

    Attributes:
        module: the name of the module; :data:`NETWORK` for the whole network.
        kind: the name of its class.
        depth: 0 for the whole network, 1 for a slot; lists of modules do not count as a level.
        input_px: the height and width of the image.
        parameters: the number of parameters.
        macs: the multiply-accumulates of one forward.
        wasted_macs: those of them that never reach the output.
        output_bytes: the bytes of its outputs, float32.
        saved_bytes: the bytes that autograd saves for a training batch, float32; those of loss terms count for the
            whole network only.
        time_s: the median of the timed forwards, in seconds; NaN if no forward was timed.
        macs_extrapolated: how MACs and outputs were extrapolated; empty if they were counted.
        saved_bytes_extrapolated: how saved bytes were extrapolated; empty if they were counted.
    """

    module: str
    kind: str
    depth: int
    input_px: tuple[int, int]
    parameters: int
    macs: int
    wasted_macs: int
    output_bytes: int
    saved_bytes: int
    time_s: float
    macs_extrapolated: str = ""
    saved_bytes_extrapolated: str = ""


@dataclass(frozen=True)
class Timed:
    """A network whose forwards are timed, as :func:`bench.measure.timing.execution.deployed` gives it.

    Attributes:
        model: the network, with its weights in the memory format and the precision of the timing.
        precision: the precision of products and convolutions.
    """

    model: SegModel
    precision: TimedPrecision = "float32"


@dataclass(frozen=True)
class Growth:
    """The growth of one quantity of a module with the image: ``quantity ~ pixels ** exponent``.

    Attributes:
        module: the name of the module.
        quantity: one of :data:`QUANTITIES`.
        exponent: the slope of log quantity over log pixels, by least squares over all sizes; NaN if it is undefined.
        last_exponent: the same slope between the two largest sizes. It is higher where attention, which grows with the
            square of the number of pixels, begins to dominate.
    """

    module: str
    quantity: str
    exponent: float
    last_exponent: float


def attribute(
    model: SegModel,
    image: Tensor,
    *,
    batch: int,
    depth: int,
    forwards: int,
    timed: Timed,
    progress: Callable[[int, int], None] | None = None,
    sized: Sized | None = None,
) -> list[ModuleCost]:
    """The costs of the network and of its modules down to ``depth``, in the order of building.

    Modules without parameters, MACs and saved bytes are left out.

    Args:
        model: the network in float32, on the device of ``image``; it is not changed.
        image: the image, ``1 3 H W``, in the memory format in which forwards are timed.
        batch: the number of images in the training batch for which saved bytes are counted.
        depth: the number of levels of modules; 1 lists slots alone.
        forwards: the number of timed forwards; 0 for no times.
        timed: the same network as it is timed.
        progress: a function that is called after every timed forward, with (forwards done, forwards in all).
        sized: the network's counts at this size, if they are known.
    """
    height, width = image.shape[-2:]
    if sized is None:
        sized = count_at(model, height, width)
    saved = saved_by_shape(model.variant, model.num_classes, batch, height, width)
    shown = {"": 0, **shown_modules(model, depth)}
    with switches(timed.precision, "default", image.device):
        seconds = time_modules(timed, image, list(shown), forwards, progress)
    rows = [
        _row(model, name, level, sized, saved, seconds.get(name, []), (height, width)) for name, level in shown.items()
    ]
    return [row for row in rows if row.parameters or row.macs or row.saved_bytes]


def growth(rows: Sequence[ModuleCost]) -> list[Growth]:
    """The growth of every module and quantity, from costs at two sizes or more.

    Raises:
        ValueError: if all rows have the same number of pixels.
    """
    sizes = {math.prod(row.input_px) for row in rows}
    if len(sizes) < 2:
        raise ValueError(f"growth needs images of two numbers of pixels at least, got {sorted(sizes)}")
    named = []
    for module in dict.fromkeys(row.module for row in rows):
        mine = sorted((row for row in rows if row.module == module), key=lambda row: math.prod(row.input_px))
        pixels = [math.prod(row.input_px) for row in mine]
        for quantity in QUANTITIES:
            values = [getattr(row, quantity) for row in mine]
            named.append(Growth(module, quantity, exponent(pixels, values), exponent(pixels[-2:], values[-2:])))
    return named


def exponent(pixels: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of log value over log pixels; NaN if a value is not positive or all pixels are equal."""
    if len(set(pixels)) < 2 or not all(value > 0 for value in values):
        return math.nan
    return float(np.polyfit(np.log(pixels), np.log(values), 1)[0])


def shown_modules(model: SegModel, depth: int) -> dict[str, int]:
    """Name -> depth of the modules inside ``model``. Slots have depth 1; lists and dicts do not count as a level."""
    shown: dict[str, int] = {}

    def visit(parent: nn.Module, prefix: str, level: int) -> None:
        for name, child in parent.named_children():
            if isinstance(child, nn.ModuleList | nn.ModuleDict):
                visit(child, f"{prefix}{name}.", level)
            elif level <= depth:
                shown[f"{prefix}{name}"] = level
                visit(child, f"{prefix}{name}.", level + 1)

    visit(model, "", 1)
    return shown


def saved_by_shape(variant: Variant, num_classes: int, batch: int, height: int, width: int) -> SavedBytes:
    """The bytes that autograd saves in one training forward with its losses, float32, from shapes alone.

    Only a network whose forward looks at values, or has an operator without a rule for shapes, is computed; for a whole
    one, few images of small sizes are, and the bytes are followed from these.
    """

    def saved(model: SegModel, batch: int, height: int, width: int) -> Mapping[str, int]:
        with next(model.parameters(), torch.empty(0)).device:
            image, label = torch.zeros(batch, 3, height, width), torch.zeros(batch, height, width, dtype=torch.long)
            losses = [part.build(num_classes) for part in variant.losses]
            with watched_saves(model.train(), (image, label)) as bytes_of:
                output = model(image, with_aux=True)
                kept = [term(output, label) for term in losses]
            del kept
        return bytes_of

    def computed(model: SegModel) -> SavedBytes:
        if variant.whole is None or next(model.parameters(), torch.empty(0)).is_meta:
            return SavedBytes(saved(model, batch, height, width))
        return followed_saves(partial(saved, model), batch, height, width)

    return from_shapes(lambda: SegModel(variant, num_classes), computed)


def time_modules(
    timed: Timed,
    image: Tensor,
    names: Sequence[str],
    forwards: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[float]]:
    """Module -> the seconds of all its calls together, in each timed forward; empty for 0 forwards.

    The name ``""`` stands for the whole network.
    """
    if not forwards:
        return {}
    model, cuda = timed.model, image.device.type == "cuda"
    marks: dict[str, list[tuple[Any, Any]]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with deployed(model), _marked(model, names, marks, cuda), torch.inference_mode():
        for index in range(WARM_UP + forwards):
            marks.clear()
            with autocast(timed.precision, image.device):
                model(image, with_aux=False)
            if cuda:
                torch.cuda.synchronize(image.device)
            if index < WARM_UP:
                continue
            for name in names:
                seconds[name].append(sum(_elapsed_s(start, end) for start, end in marks.get(name, ())))
            if progress is not None:
                progress(index - WARM_UP + 1, forwards)
    return seconds


@contextmanager
def _marked(
    model: nn.Module, names: Sequence[str], marks: dict[str, list[tuple[Any, Any]]], cuda: bool
) -> Iterator[None]:
    """Inside the block, record a pair of marks, its start and its end, for every call of a named module."""
    open_calls: list[Any] = []
    handles: list[Any] = []

    def leave(name: str) -> None:
        start, end = open_calls.pop(), _mark(cuda)
        marks.setdefault(name, []).append((start, end))

    for name in names:
        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(lambda _, __: open_calls.append(_mark(cuda))))
        handles.append(module.register_forward_hook(lambda _, __, ___, name=name: leave(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mark(cuda: bool) -> Any:
    if not cuda:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _elapsed_s(start: Any, end: Any) -> float:
    return end - start if isinstance(start, float) else float(start.elapsed_time(end)) / 1e3


def _row(
    model: SegModel,
    name: str,
    depth: int,
    sized: Sized,
    saved: SavedBytes,
    seconds: Sequence[float],
    input_px: tuple[int, int],
) -> ModuleCost:
    module, counts, of_module = model.get_submodule(name), sized.counts, saved.by_module
    return ModuleCost(
        module=name or NETWORK,
        kind=type(module).__name__,
        depth=depth,
        input_px=input_px,
        parameters=sum(p.numel() for p in module.parameters()),
        macs=counts.macs(name),
        wasted_macs=counts.wasted_macs(name),
        output_bytes=counts.output_bytes.get(name, 0),
        saved_bytes=within(of_module, name) if name else sum(of_module.values()),
        time_s=statistics.median(seconds) if seconds else math.nan,
        macs_extrapolated="" if sized.fit is None else str(sized.fit),
        saved_bytes_extrapolated=saved.how,
    )
