"""Counts of a network: parameters and multiply-accumulates (MACs), a slot each.

What is counted is the deployed form: evaluation mode, auxiliaries off, batch 1, image ``1 3 H W``.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import dataclass

import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from bench.model import LogitsOnly, SegModel

PRODUCTS = frozenset({"conv", "linear", "matmul", "bmm", "addmm", "einsum", "mv"})
"""fvcore's names of the operators in the headline number: convolutions, linear layers and matrix products."""


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
