"""The counts that follow from shapes alone: MACs by torch's counter and bytes of outputs, module by module.

The network is counted in its deployed form: evaluation mode, auxiliary heads off, batch 1, image ``1 3 H W``, float32.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
    """The counts of one forward on shapes alone.

    Attributes:
        by_module: called module -> torch's operator -> MACs, including those of the modules inside; ``""`` is the
            network.
        output_bytes: called module -> bytes of its outputs, float32, over all its calls.
        output_shape: the shape of the logits.
    """

    by_module: dict[str, Operators]
    output_bytes: dict[str, int]
    output_shape: tuple[int, ...]

    def macs(self, module: str = "") -> int:
        """The MACs of a module; 0 if the module was not called."""
        return sum(self.by_module.get(module, {}).values())


def count_shapes(model: SegModel, height: int, width: int) -> ShapeCounts:
    """Count every module's MACs by torch's counter, and its output bytes, without computing any tensor.

    Only a model whose forward looks at values is computed, on its device. The model is not changed.
    """
    tensors: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    try:
        return _count(model, shapes, torch.empty(1, 3, height, width, device="meta"))
    except (RuntimeError, TypeError):  # a value was asked for, which a tensor on the meta device does not have
        devices = {tensor.device for tensor in tensors.values()}
        if len(devices) != 1 or torch.device("meta") in devices:
            raise
        return _count(model, tensors, torch.zeros(1, 3, height, width, device=devices.pop()))


def _count(model: SegModel, tensors: dict[str, Tensor], image: Tensor) -> ShapeCounts:
    output_bytes: Counter[str] = Counter()
    counter = FlopCounterMode(display=False, custom_mapping=dict(FLOPS))
    with deployed(model), _watched_outputs(model, output_bytes), plain_attention(), counter, torch.no_grad():
        logits: Tensor = functional_call(model, tensors, (image,), {"with_aux": False}).logits
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
    """Inside the block, set the model to evaluation mode; afterwards each module has its former mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def plain_attention() -> Iterator[None]:
    """Inside the block, compute attention as matrix products, which counters see, instead of by fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def distinct_bytes(value: object) -> int:
    """The bytes of all tensors in a nested value; each storage counts once."""
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


def _bmm_flops(left: list[int], right: list[int], out_dtype: torch.dtype | None = None, *, out_shape: list[int]) -> int:
    return 2 * math.prod(left) * right[-1]


FLOPS: Mapping[Any, Callable[..., int]] = {torch.ops.aten.mv: _mv_flops, torch.ops.aten.bmm: _bmm_flops}
"""Operators that torch's counter lacks, or whose forms it does not all accept (``bmm`` with an ``out_dtype``)."""
