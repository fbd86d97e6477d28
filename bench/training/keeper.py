"""The state of a training: everything that its next iteration reads, to be taken and given back.

That is the weights and buffers, the plain values that modules hold in attributes, the optimiser, its schedule, the
average of the weights, the losses, every random generator, the history and the number of iterations that are done.
Batches depend on the seed and the iteration alone. A training that goes on from a state therefore ends with the same
numbers as one that was never interrupted, bit for bit on a CPU.

A keeper watches a training and computes nothing of it, so a trial's key is the same with and without one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

OF_HOOKS = ("_output_capturing_hooks_installed",)
"""The names of attributes that tell that a module has hooks, as those of transformers that gather hidden states. Hooks
are functions, which no state holds, so a network that goes on is not told that it has them, and installs its own."""


class Stateful(Protocol):
    """An object whose state can be taken and given back, such as an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Keeper(Protocol):
    """An object that keeps the state of a training and its last weights.

    Attributes:
        first: the number of iterations that were done before :meth:`resume`.
    """

    first: int

    def resume(self, state: State) -> None:
        """Give a training what is kept of it, if anything."""

    def after(self, done: int, total: int) -> None:
        """Look at a training after ``done`` of ``total`` iterations; the state given to :meth:`resume` is current."""

    def earlier_s(self) -> float:
        """The seconds that the iterations took which were done before :meth:`resume`."""

    def finish(self, model: nn.Module) -> None:
        """Keep the weights of a network that was trained and evaluated."""


@dataclass(frozen=True)
class State:
    """The objects of a training that change from one iteration to the next.

    Attributes:
        modules: the network and every other module that training changes, by name.
        others: the optimiser, its schedule and so on, by name.
        history: an object whose attributes hold what was recorded of the iterations so far.
        settle: brings the history up to date, where losses are read some iterations late.
    """

    modules: Mapping[str, nn.Module]
    others: Mapping[str, Stateful]
    history: Any
    settle: Callable[[], None] = lambda: None

    def taken(self, done: int) -> dict[str, Any]:
        """The state after ``done`` iterations, as tensors and plain values."""
        self.settle()
        return {
            "done": done,
            "modules": {name: _module_state(module) for name, module in self.modules.items()},
            "others": {name: other.state_dict() for name, other in self.others.items()},
            "history": dict(vars(self.history)),
            "random": random_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> int:
        """Give the objects a state that :meth:`taken` returned; returns the number of iterations that were done."""
        for name, module in self.modules.items():
            _give_state(module, state["modules"][name])
        for name, other in self.others.items():
            other.load_state_dict(state["others"][name])
        vars(self.history).update(state["history"])
        give_random_state(state["random"])
        return int(state["done"])


def _module_state(module: nn.Module) -> dict[str, Any]:
    saved = module.state_dict()
    others = {name: buffer for name, buffer in module.named_buffers() if name not in saved}
    attributes = {
        path: plain for path, inner in module.named_modules() if (plain := dict(_attributes(inner, plain=True)))
    }
    return {"saved": saved, "other_buffers": others, "attributes": attributes}


def unkept_attributes(module: nn.Module) -> dict[str, Any]:
    """Name -> value of each attribute of a module, and of those inside it, that no state holds."""
    return {
        f"{path}.{name}": value
        for path, inner in module.named_modules()
        for name, value in _attributes(inner, plain=False)
    }


def _attributes(module: nn.Module, *, plain: bool) -> Iterator[tuple[str, Any]]:
    """The attributes in which a component may count or remember something: those of plain values, or the others."""
    of_torch = vars(nn.Module())
    for name, value in vars(module).items():
        if name not in of_torch and name not in OF_HOOKS and _is_plain(value) == plain:
            yield name, value


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, [*value, *value.values()]))
    return value is None or type(value) in (bool, int, float, str, Tensor)


def _give_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    module.load_state_dict(state["saved"])
    inner = dict(module.named_modules())
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    for name, buffer in state["other_buffers"].items():
        path, _, leaf = name.rpartition(".")
        inner[path].register_buffer(leaf, buffer.to(device), persistent=False)
    for path, attributes in state["attributes"].items():
        for name, value in attributes.items():
            if name not in OF_HOOKS:  # states of earlier versions have them
                setattr(inner[path], name, value)


def random_state() -> dict[str, Any]:
    """The states of the generators of torch, on the host and a GPU, of Python and of numpy."""
    kind, keys, *place = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(np.asarray(keys).copy()), *place),
    }


def give_random_state(state: Mapping[str, Any]) -> None:
    """Give the generators states that :func:`random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
    random.setstate(state["python"])
    kind, keys, *place = state["numpy"]
    np.random.set_state((kind, keys.numpy(), *place))
