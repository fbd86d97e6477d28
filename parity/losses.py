"""Loss terms: values and gradients in their published forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.losses.dual_task import central_differences, dual_task, relative_magnitude, smooth
from bench.network.losses.gscnn import BoundaryRestrictedLoss, ClassWeightedLoss, Frequencies, class_weights
from bench.network.losses.segmentation import (
    AuxiliaryLoss,
    SegmentationLoss,
    SemanticEncodingLoss,
    balanced_cross_entropy,
    class_counts,
)
from bench.network.model import Output
from parity.compare import Verdict, check_alike, check_equal, check_mean, judge
from parity.golden import Case, GoldenError

EDGE_WEIGHT = 20  # the weight of Gated-SCNN's boundary term, which the stated value includes

VOID = -1
"""The label of pixels without a class in DANet and FastFCN."""


class Term(NamedTuple):
    """One of Gated-SCNN's terms: its value, the input for which a gradient is stored, and the key of that gradient."""

    value: Tensor
    given: Tensor
    gradient: str


def run_gscnn_losses(case: Case) -> Verdict:
    """The verdict on Gated-SCNN's four terms, their gradients and the class weights."""
    checks = []
    terms = _gscnn_terms(case)
    stated = {**case.facts["losses"], "dual_loss_dead_code_enabled": case.facts["dual_loss_dead_code_enabled"]}
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term.value, term.given)
        checks.append(check_mean(name, term.value, stated[name]))
        if term.gradient in case.arrays:
            stored = case.array(term.gradient)
            step = case.facts["grad_logits_step"] if stored.ndim == 1 else 1
            checks.append(check_alike(term.gradient, gradient.reshape(-1)[::step], stored.reshape(-1)))
    total = torch.stack([terms[name].value for name in case.facts["losses"]]).sum()
    checks.append(check_mean("total", total, case.facts["total"]))
    if "class_weights" in case.facts:
        rows = torch.tensor(case.facts["class_weights"])
        options = case.options
        weights = class_weights(_label(case), options["classes"], options["upper_bound"], _frequencies(case))
        checks.append(check_alike("class_weights", weights[: len(rows)], rows))
    empty = [name for name, value in case.facts["losses"].items() if math.isnan(value)]
    notes = [f"{name} is NaN as published; as_intended leaves such images out" for name in empty]
    return judge(case, checks, notes)


def _gscnn_terms(case: Case) -> dict[str, Term]:
    options, label = case.options, _label(case)
    weights = {name: options.get(f"{name}_weight", 1.0) for name in ("seg", "edge", "att", "dual")}
    logits, edges = (case.array(key).requires_grad_() for key in ("logits", "edge_prob"))
    output = Output(logits, {}, torch.logit(edges))
    validating = options["mode"] == "val"
    frequencies, bound = _frequencies(case), options["upper_bound"]
    seg: nn.Module = SegmentationLoss(options["classes"], weight=weights["seg"])
    if not validating:
        seg = ClassWeightedLoss(
            options["classes"],
            weight=weights["seg"],
            upper_bound=bound,
            frequencies=frequencies,
            form="as_published",
        )
    att = BoundaryRestrictedLoss(
        options["classes"],
        weight=weights["att"],
        upper_bound=bound,
        frequencies="none" if validating else frequencies,
        form="as_published",
    )
    uniform = case.array("gumbel_uniform").view_as(logits)
    dual = [
        weights["dual"]
        * dual_task(logits, label, uniform, tau=case.facts["tau"], derivative=derivative, exclude_void=False)
        for derivative in (False, True)
    ]
    return {
        "seg_loss": Term(seg(output, label), logits, "grad_logits__seg_loss"),
        "edge_loss": Term(weights["edge"] * _edge_loss(case, edges), edges, "grad_edge__edge_loss"),
        "att_loss": Term(att(output, label), logits, "grad_logits__att_loss"),
        "dual_loss": Term(dual[0], logits, "grad_logits__dual_loss"),
        "dual_loss_dead_code_enabled": Term(dual[1], logits, "grad_logits__dual_loss_deadcode"),
    }


def _edge_loss(case: Case, edges: Tensor) -> Tensor:
    """The published boundary term for the stored target: it takes probabilities as logits, labels above 1 as void."""
    target = case.array("edge_target")
    return EDGE_WEIGHT * balanced_cross_entropy(edges, target == 1, target <= 1, over_all=True)


def _label(case: Case) -> Tensor:
    ignored = case.options.get("ignore_index", IGNORE)
    if ignored != IGNORE:
        raise GoldenError(f"ignore_index {ignored}: here a pixel without a label is {IGNORE}")
    return case.array("labels")


def _frequencies(case: Case) -> Frequencies:
    return "batch" if case.facts["batch_weighting"] else "image"


def run_criteria(case: Case) -> Verdict:
    """The verdict on the training criteria of FastFCN and DANet: sums of cross-entropies and of class presence."""
    classes, target = case.facts["nclass"], case.array("target")
    label = target.where(target != VOID, IGNORE)
    output = Output(
        case.array("p1"), {"c4": case.array("p2"), "third": case.array("p3"), "presence": case.array("se")}, None
    )
    checks = []
    for name, result in case.facts["results"].items():
        terms = [SegmentationLoss(classes)(output, label)]
        if result.get("aux"):
            terms.append(AuxiliaryLoss(classes, weight=result["aux_weight"])(output, label))
        if result.get("se_loss"):
            terms.append(SemanticEncodingLoss(classes, weight=result["se_weight"])(output, label))
        if name == "danet_multi":
            terms.append(AuxiliaryLoss(classes, outputs=("c4", "third"), weight=1.0)(output, label))
        checks.append(check_mean(name, torch.stack(terms).sum(), result["value"]))
    present = class_counts(label, classes) > 0
    checks.append(check_equal("se_target", present, case.array("se_target")))
    return judge(case, checks)


def run_magnitudes(case: Case) -> Verdict:
    """The verdict on the magnitudes that the dual-task term compares, as released and with the paper's derivative."""
    x = case.array("x")
    across, down = central_differences(x)
    ours = {
        "as_released": relative_magnitude(x, derivative=False),
        "dead_code_enabled": relative_magnitude(x, derivative=True),
        "tri_r4": smooth(x),
        "dx": across,
        "dy": down,
    }
    checks = [check_alike(key, value, case.array(key)) for key, value in ours.items()]
    return judge(case, checks)


LOSSES: dict[str, Callable[[Case], Verdict]] = {
    "loss": run_gscnn_losses,
    "segloss": run_criteria,
    "gradmag": run_magnitudes,
}
"""Kind of a case -> function that runs it."""
