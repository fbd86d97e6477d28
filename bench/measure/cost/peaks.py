"""The measured peaks of a device, FLOP/s of a matrix product and bytes/s of a copy, and the bytes that a forward moves.

Reports compare the peaks with the rates that a forward achieves: 2 × MACs, and the bytes of :func:`traffic_bytes`, each
divided by its latency.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.timing.latency import stopwatch
from bench.network.model import LogitsOnly, SegModel
from bench.network.numerics import autocast, halved, operand_type, switches
from bench.protocol.recipe import Precision

PRODUCT_SIDE = {"cpu": 1024, "cuda": 8192}
"""The side of the matrices. The product, 2 GFLOP on a CPU and 1 TFLOP on a GPU, is large enough to reach the peak."""
COPY_BYTES = {"cpu": 2**26, "cuda": 2**28}
"""The bytes of the copy, which exceed every cache but the last level of a server's."""
LEAST_ATTEMPTS = 5
"""The least number of attempts, of which the fastest counts, because a peak is the rate of an undisturbed device."""


def peaks(device: torch.device, precision: Precision, least_s: float) -> dict[str, Any]:
    """The measured peaks of a device, each from attempts for at least ``least_s`` seconds.

    ``product_flops_per_s`` is that of a matrix product in the given ``precision``, the one of the forward that is
    compared with it: otherwise a forward could be faster than the peak.
    ``copy_bytes_per_s`` is that of a copy, with reads and writes added. One follows the other, so that a GPU needs at
    most 0.8 GB for them.
    """
    with switches(precision, "default", device):
        return {
            "precision": precision,
            "product_flops_per_s": 2 * PRODUCT_SIDE[device.type] ** 3 / _product_s(device, precision, least_s),
            "copy_bytes_per_s": 2 * COPY_BYTES[device.type] / _copy_s(device, least_s),
        }


def _product_s(device: torch.device, precision: Precision, least_s: float) -> float:
    side, dtype = PRODUCT_SIDE[device.type], operand_type(precision)
    a, b = torch.randn(2, side, side, dtype=dtype, device=device).unbind()
    out = torch.empty_like(a)
    return _fastest_s(stopwatch(lambda: torch.mm(a, b, out=out), device), least_s)


def _copy_s(device: torch.device, least_s: float) -> float:
    source = torch.ones(COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return _fastest_s(stopwatch(lambda: target.copy_(source), device), least_s)


def _fastest_s(seconds: Callable[[], float], least_s: float) -> float:
    seconds()  # warms up
    ends, attempts = time.perf_counter() + least_s, [seconds() for _ in range(LEAST_ATTEMPTS)]
    while time.perf_counter() < ends:
        attempts.append(seconds())
    return min(attempts)


def traffic_bytes(model: SegModel, height: int, width: int, precision: Precision) -> int:
    """The bytes that one forward of one image reads and writes in a precision, from shapes alone.

    Every operator but a view is assumed to read its inputs once and to write its outputs once. Fusion and caches make
    the real traffic smaller, scratch memory makes it larger. Only a model whose forward looks at values, or has an
    operator without a rule for shapes, is computed, on its device.
    """
    try:
        return _moved(model, torch.zeros(1, 3, height, width, device="meta"), precision)
    except (RuntimeError, TypeError):  # as in bench.measure.cost.shapes.count_shapes
        device = next((parameter.device for parameter in model.parameters()), torch.device("meta"))
        if device.type == "meta":
            raise
        return _moved(model, torch.zeros(1, 3, height, width, device=device), precision)


def _moved(model: SegModel, image: Tensor, precision: Precision) -> int:
    clone = LogitsOnly(copy.deepcopy(model)).to(image.device).eval()
    halved(clone, operand_type(precision))
    # Autocast does not cast on the meta device, where an image in half precision makes every map one.
    casts = contextlib.nullcontext() if image.is_meta else autocast(precision, image.device)
    with casts, _Traffic() as traffic, torch.no_grad():
        clone(image.to(operand_type(precision)))
    moved: int = traffic.count
    return moved


class _Traffic(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.count: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = tree_leaves((args, kwargs, out))
            self.count += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return out
