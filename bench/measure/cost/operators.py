"""The MACs of single operators from shapes in a traced graph, as closed forms that fvcore lacks or has only in part.

fvcore's own ``matmul`` accepts neither vectors nor a batch on the right alone, its ``einsum`` is a rounded estimate,
and it has no count for attention kernels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fvcore.nn.jit_handles import get_shape

PRODUCTS = frozenset(
    {"conv", "linear", "matmul", "mm", "mv", "addmm", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention"}
)
"""The operators in the headline number: convolutions, linear layers and matrix products."""


class UncountedError(RuntimeError):
    """A product of matrices that a counter does not count, or on which two counters disagree."""


def matmul(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The MACs of a matrix product: each element of the output is a sum over the last dimension of the left operand.

    This also holds for vectors and with broadcasting.
    """
    return math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1]


def baddbmm(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The MACs of the product of two batches of matrices; the sum with a third one is not counted."""
    return matmul(inputs[1:], outputs)


def scaled_dot_product_attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The MACs of attention, ``L S (D + E)``, for ``L`` queries of ``D`` channels and ``S`` keys with values of ``E``.

    These are the energies and the weighted sum. A causal mask does not lower the count, even if a kernel skips the
    masked pairs.
    """
    *batch, queries, channels = _shape(inputs[0])
    *_, keys, value_channels = _shape(inputs[2])
    return math.prod(batch) * queries * keys * (channels + value_channels)


def einsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The MACs of an einsum of two operands, as :func:`contraction_macs` computes them from its equation."""
    return contraction_macs(inputs[0].toIValue(), [_shape(operand) for operand in inputs[1].node().inputs()])


def contraction_macs(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """The MACs of an einsum: the product of the sizes of all indices but those summed within one operand beforehand.

    An outer or elementwise product has no sum, so it is no matrix product and counts 0.

    Raises:
        UncountedError: for three operands or more, whose count depends on the order of contraction.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = [_indices(term, len(shape)) for term, shape in zip(left.split(","), shapes, strict=True)]
    if len(operands) > 2:
        raise UncountedError(
            f"einsum({equation!r}) of {len(operands)} operands has no one count; contract two at a time"
        )
    sizes: dict[str, int] = {}
    for indices, shape in zip(operands, shapes, strict=True):
        for index, size in zip(indices, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    times = Counter(index for indices in operands for index in set(indices))
    free = [index for index in sizes if index.startswith(".")]
    kept = {*_indices(right, len(free) + len(right.replace("...", "")))} if arrow else {
        *free, *(i for i, n in Counter(i for indices in operands for i in indices).items() if n == 1)
    }  # fmt: skip
    summed = [index for index in sizes if times[index] == 2 and index not in kept]
    return math.prod(size for index, size in sizes.items() if index in kept or times[index] == 2) if summed else 0


def _shape(value: Any) -> list[int]:
    return list(get_shape(value))


def _indices(term: str, dimensions: int) -> list[str]:
    """One name for each dimension. Those of an ellipsis are numbered from the right, where broadcasting aligns them."""
    before, dots, after = term.partition("...")
    hidden = dimensions - len(before) - len(after)
    return [*before, *(f".{place}" for place in range(hidden, 0, -1) if dots), *after]


HANDLES: Mapping[str, Callable[[Sequence[Any], Sequence[Any]], int]] = {
    "aten::matmul": matmul,
    "aten::mv": matmul,
    "aten::baddbmm": baddbmm,
    "aten::einsum": einsum,
    "aten::scaled_dot_product_attention": scaled_dot_product_attention,
}
"""The operators of a traced graph that this module counts instead of fvcore."""
