"""Counts from shapes alone: MACs by torch's counter and bytes of outputs, module by module, at any size in a moment.

The deployed form: evaluation mode, auxiliaries off, batch 1, image ``1 3 H W``, float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bench.network.model import SegModel

Operators = dict[str, int]


@dataclass(frozen=True)
class ShapeCounts:
    """What one forward on shapes alone tells.

    Attributes:
        by_module: module that was called -> operator of torch's -> MACs, what it calls included; ``""`` is the network.
        output_bytes: module that was called -> bytes of its outputs, of all calls together; float32.
        output_shape: of the logits.
    """

    by_module: dict[str, Operators]
    output_bytes: dict[str, int]
    output_shape: tuple[int, ...]

    def macs(self, module: str = "") -> int:
        """MACs of a module; 0 for one that was not called."""
        return sum(self.by_module.get(module, {}).values())


def count_by_shape(model: SegModel, height: int, width: int) -> tuple[int, tuple[int, ...]]:
    """MACs of one image by torch's counter, and the shape of the logits; from shapes alone, as :func:`count_shapes`."""
    counts = count_shapes(model, height, width)
    return counts.macs(), counts.output_shape


def count_shapes(model: SegModel, height: int, width: int) -> ShapeCounts:
    """Every module's MACs by torch's counter and output bytes, from shapes alone: no tensor is computed.

    The model may be on any device and is left as it is.
    """
    tensors: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    image = torch.empty(1, 3, height, width, device="meta")
    output_bytes: Counter[str] = Counter()
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mv: _mv_flops})
    with deployed(model), _watched_outputs(model, output_bytes), plain_attention(), counter, torch.no_grad():
        logits: Tensor = functional_call(model, shapes, (image,), {"with_aux": False}).logits
    by_module = {
        name.removeprefix(type(model).__name__).removeprefix("."): {
            str(operator).removeprefix("aten."): flops // 2 for operator, flops in counts.items()
        }
        for name, counts in counter.get_flop_counts().items()
        if name != "Global"
    }
    return ShapeCounts(by_module, dict(output_bytes), tuple(logits.shape))


@contextmanager
def deployed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; outside, each module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention as products of matrices that counters see, instead of fused kernels that they do not."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def distinct_bytes(value: object) -> int:
    """Bytes of all tensors in a nested value, each storage once."""
    tensors = (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


@contextmanager
def _watched_outputs(model: nn.Module, output_bytes: Counter[str]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: output_bytes.update({name: distinct_bytes(out)}))
        for name, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mv_flops(matrix: list[int], vector: list[int], *, out_shape: list[int]) -> int:
    return 2 * matrix[0] * matrix[1]
