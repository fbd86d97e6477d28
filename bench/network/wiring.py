"""The contract between a network's slots: what each component must return, and which of its parameters a loss reads.

:class:`~bench.network.model.SegModel` hands the output of one slot to the next and looks at none of it, so that a
network computes nothing but itself. The check of a study looks here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.network.layers import WiringError
from bench.network.model import SegModel
from bench.parts import Level

MOST_NAMED = 3
"""The parameters that a line names; of more, their number is told."""

Fault = str | None
"""The rest of a sentence that begins with the component's name; ``None`` for an output as it must be."""


def watch(model: SegModel) -> None:
    """Have a network refuse, in each forward, an output that the next slot cannot take.

    Raises:
        WiringError: at once if a layer has no size yet, and in a forward if the output of a slot has another form; the
            message names the slot, its class and the form.
    """
    for slot, module in model.slots():
        _refuse_lazy_layers(slot, module)
        module.register_forward_hook(_refusal(slot, model))


def unread(model: SegModel, loss: Tensor) -> dict[str, list[str]]:
    """Slot -> the names of its trainable parameters that ``loss`` does not depend on; slots without any are left out.

    Nothing is computed: the graph that the forward left is followed back. A graph with a part that is computed again in
    the backward (reentrant checkpoints) does not show its parameters, so that nothing is named.
    """
    reached: set[int] = set()
    for node in _graph(loss):
        if "CheckpointFunction" in node.name():
            return {}
        if (variable := getattr(node, "variable", None)) is not None:
            reached.add(id(variable))
    names = {
        slot: [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and id(parameter) not in reached
        ]
        for slot, module in model.slots()
    }
    return {slot: missing for slot, missing in names.items() if missing}


def unread_line(model: SegModel, slot: str, names: Sequence[str]) -> str:
    """A sentence about the parameters of a slot that no loss reads, with the remedy."""
    module = model.get_submodule(slot)
    component = f"{_called(slot)} {type(module).__name__}"
    if len(names) == sum(parameter.requires_grad for parameter in module.parameters()):
        term = "adding(part(AuxiliaryLoss, outputs=('c4',)))" if slot == "auxiliary" else "a term that reads its output"
        return f"no loss reads {component}, so it is never trained; give losses {term}, or leave the slot empty"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    named = ", ".join(names[:MOST_NAMED]) + more
    return f"no loss reads {named} of {component}, so they are never trained; use them in forward, or leave them out"


def _graph(loss: Tensor) -> Iterator[Any]:
    """The nodes of autograd's graph that ``loss`` depends on."""
    seen: set[Any] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions]


def _refuse_lazy_layers(slot: str, module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if any(is_lazy(tensor) for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False))):
            raise WiringError(
                f"{_called(slot)} {type(module).__name__} has a lazy layer, {name} ({type(layer).__name__}), whose "
                "weights are not there yet; give a layer its number of channels, such as levels[-1].channels"
            )


def _refusal(slot: str, model: SegModel) -> Callable[[nn.Module, Any, Any], None]:
    def refuse(module: nn.Module, _: Any, output: Any) -> None:
        fault = _FORMS[slot](output, module, model)
        if fault is not None:
            raise WiringError(f"{_called(slot)} {type(module).__name__} returns {fault}")

    return refuse


def _features(output: Any, module: nn.Module, model: SegModel) -> Fault:
    levels: Sequence[Level] = module.out_levels  # type: ignore[assignment]  # SegModel has looked at it
    rule = "it must return a list with one map N C H W for each of its out_levels"
    if not isinstance(output, (list, tuple)) or not all(isinstance(item, Tensor) for item in output):
        return f"{_form(output)}; {rule}"
    if len(output) != len(levels):
        return f"{len(output)} maps; {rule}, which are {len(levels)}"
    for index, (item, level) in enumerate(zip(output, levels, strict=True)):
        if item.ndim != 4 or item.shape[1] != level.channels:
            return (
                f"a map of the shape {tuple(item.shape)} for out_levels[{index}], which says {level.channels} channels"
            )
    return None


def _logits(output: Any, module: nn.Module, model: SegModel) -> Fault:
    rule = "it must return the logits and a dict of side outputs: return logits, {}"
    if not (isinstance(output, (tuple, list)) and len(output) == 2 and isinstance(output[1], Mapping)):
        return f"{_form(output)}; {rule}"
    if not all(isinstance(side, Tensor) for side in output[1].values()):
        return f"side outputs that are no tensors; {rule}"
    return _of_classes(output[0], model)


def _boundary(output: Any, module: nn.Module, model: SegModel) -> Fault:
    if isinstance(output, (tuple, list)) and len(output) == 2 and all(isinstance(item, Tensor) for item in output):
        return None
    return f"{_form(output)}; it must return two maps, boundary logits N 1 H W and the map for the head"


def _whole(output: Any, module: nn.Module, model: SegModel) -> Fault:
    if isinstance(output, tuple) and getattr(module, "has_side_outputs", False):
        return _logits(output, module, model)
    if isinstance(output, Tensor):
        return _of_classes(output, model)
    key = next(iter(output), None) if isinstance(output, Mapping) else None
    remedy = f"return output[{key!r}]" if key is not None else "return the logits alone"
    return f"{_form(output)}; forward(image) must return the logits N K H W, so {remedy}"


def _of_classes(logits: Any, model: SegModel) -> Fault:
    """The fault of logits that are no map with one channel a class."""
    if not isinstance(logits, Tensor):
        return f"{_form(logits)} for logits; they must be a tensor N K H W"
    if logits.ndim != 4 or logits.shape[1] != model.num_classes:
        return (
            f"logits of the shape {tuple(logits.shape)}; they must be N K H W with K = {model.num_classes}, the number "
            "of classes"
        )
    return None


_FORMS: Mapping[str, Callable[[Any, nn.Module, SegModel], Fault]] = {
    "backbone": _features,
    "neck": _features,
    "head": _logits,
    "auxiliary": _logits,
    "shape_stream": _boundary,
    "whole": _whole,
}


def _called(slot: str) -> str:
    return {"auxiliary": "the auxiliary head", "whole": "the network"}.get(slot, f"the {slot.replace('_', ' ')}")


def _form(value: Any) -> str:
    """The output of a component, in words."""
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(repr(name) for name in value) or 'nothing'}"
    if isinstance(value, (tuple, list)):
        inside = "tensors" if value and all(isinstance(item, Tensor) for item in value) else "values"
        return f"a {type(value).__name__} of {len(value)} {inside}"
    return "None" if value is None else f"a {type(value).__name__}"
