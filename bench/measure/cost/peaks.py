"""What this device can do at most, measured: a matrix product's FLOP/s and a copy's bytes/s; and what a forward moves.

Beside them stands what a forward achieves: 2 × MACs, and the bytes of :func:`traffic_bytes`, over its latency.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.timing.latency import stopwatch
from bench.network.model import LogitsOnly, SegModel

PRODUCT_SIDE = {"cpu": 1024, "cuda": 8192}
"""Large enough that more FLOP/s are not to be had: 2 GFLOP on a CPU, 1 TFLOP on a GPU."""
COPY_BYTES = {"cpu": 2**26, "cuda": 2**30}
"""Beyond any cache but a server's last level."""
ATTEMPTS = 5
"""The fastest counts: a peak is what the device can do undisturbed."""


def peaks(device: torch.device) -> dict[str, float]:
    """``product_flops_per_s`` of a float32 matrix product, by the precision that torch has set, and
    ``copy_bytes_per_s``, reads and writes added."""
    side = PRODUCT_SIDE[device.type]
    a, b = torch.randn(2, side, side, device=device).unbind()
    out = torch.empty_like(a)
    source = torch.ones(COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = stopwatch(lambda: torch.mm(a, b, out=out), device)
    copied = stopwatch(lambda: target.copy_(source), device)
    product(), copied()
    return {
        "product_flops_per_s": 2 * side**3 / min(product() for _ in range(ATTEMPTS)),
        "copy_bytes_per_s": 2 * source.numel() / min(copied() for _ in range(ATTEMPTS)),
    }


def traffic_bytes(model: SegModel, height: int, width: int) -> int:
    """Bytes that one forward of one image reads and writes if every operator reads its inputs and writes its outputs
    once, views aside; from shapes alone. Fusion and caches make it less, scratch memory more."""
    clone = LogitsOnly(copy.deepcopy(model)).to("meta").eval()
    image = torch.zeros(1, 3, height, width, device="meta")
    with _Traffic() as traffic, torch.no_grad():
        clone(image)
    moved: int = traffic.count
    return moved


class _Traffic(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = tree_leaves((args, kwargs, out))
            self.count += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return out
