"""The counts of a network, slot by slot: parameters, and multiply-accumulates (MACs) by two independent counters.

The network is counted in its deployed form: evaluation mode, auxiliary heads off, batch 1, image ``1 3 H W``, float32.

- **fvcore** follows a traced graph, so it names every operator, including those that it cannot count. It needs real
  tensors.
- **torch** (:mod:`torch.utils.flop_counter`) follows the operators that are dispatched. It needs shapes alone, so that
  large images take no longer than small ones. It only counts products of matrices.

Both count attention by its matrix products, whatever kernel runs it, and both must agree in every slot.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis

from bench.measure.cost.operators import HANDLES, PRODUCTS, UncountedError
from bench.measure.cost.shapes import Operators, ShapeCounts, count_shapes, plain_attention
from bench.network.model import LogitsOnly, SegModel

DIRECT_MACS = 2 * 10**10
"""The MACs up to which fvcore traces the image itself, in about a second. Above, it traces small images, and the count
is computed from theirs."""

GRID_PX = 32
"""The step in which images may grow so that the maps of all strides grow along: the stride of the coarsest level."""

PROBE_TILES = (4, 5, 6), (1, 2, 3)
"""The heights and widths of the small images, in steps of the grid. No map is square, and none is as small as a pooled
map."""


@dataclass(frozen=True)
class Macs:
    """The multiply-accumulates of one forward.

    Attributes:
        by_slot: slot -> MACs of convolutions, linear layers and matrix products, by fvcore: the headline number.
        by_slot_torch: the same by torch's counter; if they differ, :func:`count_macs` raises.
        by_operator: slot -> operator -> fvcore's count, for all operators; ``outside`` is the last resize.
        uncounted: operator that fvcore does not count -> number of its calls in the largest traced image. Operators
            that only move or select values (views, concatenation, ReLU) are not reported by fvcore.
        counted_px: the height and width of the images that fvcore traced: the measured size alone, or small ones.
        output_bytes: slot -> bytes of its outputs; 0 for a slot that is not called.
    """

    by_slot: dict[str, int]
    by_slot_torch: dict[str, int]
    by_operator: dict[str, Operators]
    uncounted: Operators
    counted_px: list[tuple[int, int]]
    output_bytes: dict[str, int]


def parameters(model: SegModel, *, trainable: bool = False) -> dict[str, int]:
    """Slot -> number of its parameters, of all or, with ``trainable``, of those that are trained."""
    return {
        slot: sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
        for slot, module in model.slots()
    }


def buffer_bytes(model: SegModel) -> dict[str, int]:
    """Slot -> bytes of its buffers, which are stored but not trained: normalisation statistics and fixed filters."""
    return {slot: sum(b.nbytes for b in module.buffers()) for slot, module in model.slots()}


def count_macs(model: SegModel, height: int, width: int) -> Macs:
    """The MACs of one image ``1 3 height width`` by both counters. The model is not changed.

    If it takes about a second, fvcore traces the image itself. Otherwise it traces small images with the same
    remainders by the grid, and the count follows from theirs: the area of a map is linear in the tiles of height and of
    width, and attention multiplies two areas. If a network does not follow this form (because of windows, for example),
    fvcore traces the image after all. A user's whole network is never traced at another size than the measured one.

    Raises:
        UncountedError: if an attention kernel or a matrix product has no count, or if the counters disagree.
    """
    by_shape = count_shapes(model, height, width)
    clone = LogitsOnly(copy.deepcopy(model)).to("cpu", torch.float32).eval()
    direct = model.whole is not None or by_shape.macs() <= DIRECT_MACS
    probes = {(height, width): Fraction(1)} if direct else _probes(height, width)
    counted = _fitted(clone, probes)
    if len(probes) > 1 and (counted is None or _disagreement(counted[0], by_shape, model)):
        probes = {(height, width): Fraction(1)}
        counted = _fitted(clone, probes)
    assert counted is not None
    by_module, uncounted = counted
    problem = _disagreement(by_module, by_shape, model)
    if problem:
        raise UncountedError(problem)
    slots = [slot for slot, _ in model.slots()]
    by_operator = {slot: by_module.get(slot, {}) for slot in slots}
    everything = Counter(by_module[""])
    for operators in by_operator.values():
        everything.subtract(operators)
    by_operator["outside"] = {name: count for name, count in everything.items() if count}
    return Macs(
        {slot: products(by_operator[slot]) for slot in slots},
        {slot: by_shape.macs(slot) for slot in slots},
        by_operator,
        uncounted,
        list(probes),
        {slot: by_shape.output_bytes.get(slot, 0) for slot in slots},
    )


def _probes(height: int, width: int) -> dict[tuple[int, int], Fraction]:
    """The sizes of small images and their weights. The weighted sum of their counts is that at ``height`` x ``width``.

    If both sizes are multiples of the grid, only the number of pixels matters and three images suffice; else nine.
    """
    tall, wide = (size // GRID_PX for size in (height, width))
    if not height % GRID_PX and not width % GRID_PX:
        rows = PROBE_TILES[0][0]
        return {
            (rows * GRID_PX, column * GRID_PX): weight
            for column, weight in _lagrange(PROBE_TILES[1], Fraction(tall * wide, rows)).items()
        }
    return {
        (row * GRID_PX + height % GRID_PX, column * GRID_PX + width % GRID_PX): down * across
        for row, down in _lagrange(PROBE_TILES[0], Fraction(tall)).items()
        for column, across in _lagrange(PROBE_TILES[1], Fraction(wide)).items()
    }


def _lagrange(nodes: tuple[int, ...], at: Fraction) -> dict[int, Fraction]:
    """The weight of each node in the value at ``at`` of the polynomial through all nodes (Lagrange's form)."""
    weights = dict.fromkeys(nodes, Fraction(1))
    for node in nodes:
        for other in nodes:
            if other != node:
                weights[node] *= (at - other) / (node - other)
    return weights


def _fitted(
    clone: LogitsOnly, probes: Mapping[tuple[int, int], Fraction]
) -> tuple[dict[str, Operators], Operators] | None:
    """fvcore's counts by module and operator, and its uncounted operators; ``None`` if a count is no whole number."""
    uncounted: Operators = {}
    sums: dict[tuple[str, str], Fraction] = {}
    for (height, width), weight in probes.items():
        totals, uncounted = traced(clone, height, width)
        for module, operators in totals.items():
            for name, count in operators.items():
                sums[module, name] = sums.get((module, name), Fraction(0)) + weight * Fraction(count)
    if any(value.denominator != 1 or value < 0 for value in sums.values()):
        return None
    by_module: dict[str, Operators] = {"": {}}
    for (module, name), value in sums.items():
        by_module.setdefault(module.removeprefix("model").removeprefix("."), {})[name] = int(value)
    return by_module, uncounted


def traced(clone: LogitsOnly, height: int, width: int) -> tuple[dict[str, Counter[str]], Operators]:
    """fvcore's counts of one image by module and operator, and the operators that it does not count with their calls.

    Raises:
        UncountedError: if one of these is an attention kernel or a matrix product.
    """
    image = torch.zeros(1, 3, height, width)
    with warnings.catch_warnings(), plain_attention():
        warnings.simplefilter("ignore")  # fvcore traces with torch.jit, which is deprecated and warns of every branch
        analysis: Any = FlopCountAnalysis(clone, image).set_op_handle(**HANDLES)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_module, uncounted = analysis.by_module_and_operator(), dict(analysis.unsupported_ops())
    unseen = sorted(name for name in uncounted if "attention" in name or "transformer" in name or "mm" in name)
    if unseen:
        raise UncountedError(f"there is no count for {', '.join(unseen)}; write it as matrix products")
    return by_module, uncounted


def _disagreement(by_module: Mapping[str, Operators], by_shape: ShapeCounts, model: SegModel) -> str | None:
    """A message about the first slot, or the whole network, on which the counters disagree; ``None`` if they agree."""
    for slot in (*(slot for slot, _ in model.slots()), ""):
        ours, theirs = by_module.get(slot, {}), by_shape.by_module.get(slot, {})
        if products(ours) != sum(theirs.values()):
            headline = {name: count for name, count in ours.items() if name in PRODUCTS}
            return f"the counters disagree on {slot or 'the network'}: fvcore counts {headline}, torch {theirs}"
    outside = products(by_module[""]) - sum(products(by_module.get(slot, {})) for slot, _ in model.slots())
    return f"{outside} MACs are in no slot" if outside else None


def products(by_operator: Mapping[str, int]) -> int:
    """The sum of fvcore's counts that belong to the headline number."""
    return sum(count for name, count in by_operator.items() if name in PRODUCTS)
