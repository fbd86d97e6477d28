"""Modules of the originals compared with ours: weights by name, outputs and gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.network.checkpoints.table import translate
from parity.compare import Verdict, check_count, check_outputs, judge
from parity.counterparts import MODULES, Counterpart
from parity.golden import Case, GoldenError


def run_module(case: Case) -> Verdict:
    """The verdict on all stored outputs, gradients and parameter counts of a module."""
    ours = MODULES[case.kind](case)
    _load(ours, case.weights())
    ours.module.eval()
    inputs = case.inputs()
    wants_gradients = any(key.startswith("grad__") for key in case.facts["outputs"])
    with torch.inference_mode(not wants_gradients):
        for given in inputs:
            given.requires_grad_(wants_gradients)
        outputs = ours.call(inputs)
    if wants_gradients:
        outputs |= _gradients(case, ours, inputs, outputs["out__out"])
    count = sum(parameter.numel() for parameter in ours.module.parameters())
    return judge(case, [*check_outputs(case, outputs), check_count("parameters", count, case.facts["n_params"])])


def _load(ours: Counterpart, weights: dict[str, Tensor]) -> None:
    renamed = {}
    for key, value in weights.items():
        name = translate(key, ours.names)
        if name is None:
            raise GoldenError(f"{key} has no counterpart in {type(ours.module).__name__}")
        renamed[name] = value
    ours.module.load_state_dict(renamed)


def _gradients(case: Case, ours: Counterpart, inputs: list[Tensor], output: Tensor) -> dict[str, Tensor]:
    """The gradients of the sum of the output times the case's probe, by stored key."""
    (output * case.probe(tuple(output.shape))).sum().backward()
    found = {f"grad__x{index}": given.grad for index, given in enumerate(inputs)}
    parameters = dict(ours.module.named_parameters())
    for key in case.rows:
        name = translate(key, ours.names)
        if name in parameters:
            found[f"grad__{key}"] = parameters[name].grad
    return {key: grad for key, grad in found.items() if grad is not None}
