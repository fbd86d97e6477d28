"""The optimiser of a training: the parameters that it updates, in groups with their own learning rate and decay."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Set
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parameter import Parameter

from bench.network.model import SegModel
from bench.parts import BenchError, Part
from bench.protocol.recipe import Recipe

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""The layers that normalise; their weights, like all parameters of one dimension, are not decayed where a recipe says
so. Layers of other libraries with the word ``norm`` in the name of their class count too, if all of their parameters
are vectors: a convolution together with its normalisation, or a block, may have such a name as well."""
POSITIONS = ("pos_embed", "position_embedding", "relative_position_bias_table", "cls_token", "reg_token", "mask_token")
"""Words in the names of parameters that stand for a place or a token rather than multiply features."""


class OptimiserError(BenchError, RuntimeError):
    """A trainable parameter that is in no optimiser group, or in more than one; an optimiser that cannot be used."""


def parameter_groups(model: SegModel, recipe: Recipe) -> list[dict[str, Any]]:
    """One optimiser group for each slot with trainable parameters, after freezing what the recipe freezes.

    The backbone, or a whole network, has the recipe's learning rate; other slots have ``head_lr_factor`` times as much.
    With a decay by layers, the backbone has a group for each layer; with norms that are not decayed, every group is
    two.

    Raises:
        OptimiserError: if a trainable parameter is not in exactly one group. (FastFCN's first release left out JPU's.)
    """
    if recipe.frozen != "nothing":
        freeze(model, recipe.frozen)
    groups: list[dict[str, Any]] = []
    for slot, module in model.slots():
        trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
        factor = 1.0 if slot in ("backbone", "whole") else recipe.head_lr_factor
        if trainable:
            groups.append({"params": trainable, "lr": recipe.learning_rate * factor, "name": slot})
    check_groups(model, groups)
    if recipe.layer_decay < 1:
        groups = [part for group in groups for part in _by_layer(model, group, recipe.layer_decay)]
    if recipe.decayed == "weights":
        undecayed = _undecayed(model)
        groups = [part for group in groups for part in _by_decay(group, undecayed)]
    return groups


def freeze(model: SegModel, what: Literal["norms", "backbone"]) -> None:
    """Keep the backbone's weights, or those of its norms alone, as they are; its norms keep their statistics too.

    Raises:
        OptimiserError: for a network without a backbone.
    """
    if model.backbone is None:
        raise OptimiserError(f"Recipe(frozen={what!r}): {model.variant.whole!r} is a network without a backbone slot")
    for module in model.backbone.modules():
        is_norm = _is_norm(module)
        if is_norm or what == "backbone":
            module.requires_grad_(False)
        if is_norm:
            module.eval()
    if what == "backbone":
        model.backbone.eval()  # dropped paths and layers come back, as in the network that was trained


def optimiser_of(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser of a recipe for groups of parameters, which are on the device that updates them.

    On CUDA it takes one kernel for all parameters (``fused``) where its class has such a form and the recipe's Part
    does not choose another one: it is faster, and GradScaler then need not ask the device whether to skip a step.

    Raises:
        OptimiserError: see :func:`make_optimiser`.
    """
    if recipe.optimiser is not None:
        return make_optimiser(recipe.optimiser, groups, recipe)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True if _can_be_fused(groups) else None,
    )


def make_optimiser(chosen: Part[Any], groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a class that a recipe chooses, with the recipe's weight decay.

    Raises:
        OptimiserError: for a class that is no optimiser, needs the loss computed several times a step, or has no weight
            decay although the recipe asks for one.
    """
    name = chosen.cls.__name__
    if not issubclass(chosen.cls, torch.optim.Optimizer):
        raise OptimiserError(f"Recipe(optimiser={name}): expected a class of torch.optim, or one that derives from it")
    if issubclass(chosen.cls, torch.optim.LBFGS):
        raise OptimiserError(f"Recipe(optimiser={name}): it computes the loss several times a step; choose another")
    settings: dict[str, Any] = {"lr": recipe.learning_rate}
    if "weight_decay" in inspect.signature(chosen.cls).parameters:
        settings["weight_decay"] = recipe.weight_decay
    elif recipe.weight_decay > 0:
        raise OptimiserError(f"Recipe(optimiser={name}): it has no weight decay; take weight_decay=0")
    try:
        optimiser: torch.optim.Optimizer = chosen.cls(groups, **(settings | _form_of_update(chosen, groups)))
    except (TypeError, ValueError) as error:
        raise OptimiserError(f"Recipe(optimiser={name}): {error}") from error
    return optimiser


def _form_of_update(chosen: Part[Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The choices of an optimiser, with its fused form on CUDA where they leave the form of the update open.

    ASGD, which has none, takes the form for graphs: the other one asks the device for two numbers of each parameter.
    """
    choices = dict(chosen.choices)
    is_open = "fused" in choices and not any(choices.get(name) for name in ("foreach", "differentiable"))
    if is_open and choices["fused"] is None and _can_be_fused(groups):
        choices["fused"] = True
    if issubclass(chosen.cls, torch.optim.ASGD) and "capturable" in choices and _can_be_fused(groups):
        choices["capturable"] = True
    return choices


def _can_be_fused(groups: list[dict[str, Any]]) -> bool:
    """True if all parameters are real numbers on a CUDA device."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(parameter.is_cuda and parameter.is_floating_point() for parameter in parameters)


def check_groups(model: nn.Module, groups: list[dict[str, Any]]) -> None:
    """Make sure that every trainable parameter is in exactly one optimiser group.

    Raises:
        OptimiserError: if some are not; the message names them.
    """
    count: dict[int, int] = {}
    for group in groups:
        for parameter in group["params"]:
            count[id(parameter)] = count.get(id(parameter), 0) + 1
    trainable = {name: id(p) for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    wrong = {name: count.get(identity, 0) for name, identity in trainable.items() if count.get(identity, 0) != 1}
    if wrong:
        shown = ", ".join(f"{name} (in {times})" for name, times in list(wrong.items())[:5])
        raise OptimiserError(
            f"{len(wrong)} trainable parameters are not in exactly one optimiser group: {shown}; "
            "a module that two slots share, or one outside the slots, cannot be trained fairly"
        )


def slot_of(group: Mapping[str, Any]) -> str:
    """The slot whose parameters a group of :func:`parameter_groups` has."""
    name: str = group["name"]
    return name.partition(" layer ")[0].partition(", ")[0]


def layers_of(backbone: nn.Module) -> list[list[Parameter]]:
    """The parameters of a backbone layer by layer, from the image to the last feature map.

    A layer is a submodule of the backbone or, where the submodule is a container of modules, each of its elements, in
    the order in which they are defined. Parameters of the backbone itself, such as position embeddings, belong to the
    first layer. For a ViT these are its patch embedding and its blocks; for a ResNet its stem and its residual blocks.
    A module that holds nothing but one other module, as around a network of another library, stands for that one. A
    backbone that adds modules to another one has the member ``inner``, which names that other one: its layers come
    first, and what is added is one more layer.
    """
    inner = getattr(backbone, "inner", None)
    if isinstance(inner, nn.Module):
        before = layers_of(inner)
        known = {id(parameter) for layer in before for parameter in layer}
        return [*before, [parameter for parameter in backbone.parameters() if id(parameter) not in known]]
    inner = _unwrapped(backbone)
    layers = [list(module.parameters()) for module in _elements(inner)]
    layers = [parameters for parameters in layers if parameters]
    direct = list(inner.parameters(recurse=False))
    return [[*direct, *layers[0]], *layers[1:]] if layers else [direct]


def _unwrapped(module: nn.Module) -> nn.Module:
    children = list(module.children())
    is_wrapper = len(children) == 1 and not list(module.parameters(recurse=False))
    return _unwrapped(children[0]) if is_wrapper else module


def _elements(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
            yield from _elements(child)
        else:
            yield child


def _by_layer(model: SegModel, group: dict[str, Any], decay: float) -> Iterator[dict[str, Any]]:
    """A group of the backbone as one group a layer, whose rate is ``decay`` to the number of layers that lie behind it.

    What stands behind the backbone counts as one layer, so that the last of n layers of the backbone has ``decay``
    times the recipe's rate and the first ``decay ** n``, as in BEiT. Source: Bao et al., BEiT, 2022, appendix.
    """
    if group["name"] not in ("backbone", "whole"):
        yield group
        return
    layers = layers_of(getattr(model, group["name"]))
    waiting = {id(parameter) for parameter in group["params"]}
    for index, parameters in enumerate(layers):
        kept = [parameter for parameter in parameters if id(parameter) in waiting]
        waiting -= {id(parameter) for parameter in kept}  # one that two layers share belongs to the first of them
        if kept:
            rate = group["lr"] * decay ** (len(layers) - index)
            yield {**group, "params": kept, "lr": rate, "name": f"{group['name']} layer {index}"}


def _by_decay(group: dict[str, Any], undecayed: Set[int]) -> Iterator[dict[str, Any]]:
    """A group as two: what is decayed by the recipe's weight decay, and what is not decayed at all."""
    decayed = [parameter for parameter in group["params"] if id(parameter) not in undecayed]
    others = [parameter for parameter in group["params"] if id(parameter) in undecayed]
    if decayed:
        yield {**group, "params": decayed}
    if others:
        yield {**group, "params": others, "weight_decay": 0.0, "name": f"{group['name']}, not decayed"}


def _undecayed(model: nn.Module) -> set[int]:
    """Identities of the parameters of norms, of biases and other parameters of one dimension, and of positions."""
    undecayed = set()
    for name, module in model.named_modules():
        is_norm = _is_norm(module)
        for path, parameter in module.named_parameters(prefix=name, recurse=False):
            is_position = any(word in path for word in POSITIONS)
            if is_norm or is_position or parameter.ndim <= 1:
                undecayed.add(id(parameter))
    return undecayed


def _is_norm(module: nn.Module) -> bool:
    if isinstance(module, NORMS):
        return True
    is_called_so = "norm" in type(module).__name__.lower()
    return is_called_so and all(
        parameter.numel() == max(parameter.shape, default=1) for parameter in module.parameters()
    )
