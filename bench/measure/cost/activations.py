"""What a training forward keeps for its backward pass: bytes that autograd saves, by the module that saved them.

Exact and independent of the device's allocator, so it holds on the meta device too, where any batch and size are free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

OUTSIDE = "outside"
"""Stands for what no slot saves: the network's last resize, and the loss terms."""


@contextmanager
def watched_saves(model: nn.Module, given: Iterable[Tensor]) -> Iterator[Counter[str]]:
    """Inside, forwards and losses; yields module -> bytes that autograd keeps, each storage once.

    A storage belongs to the innermost module whose forward saves it first. Parameters, buffers and the tensors that
    were ``given`` are left out, since they are there anyway. What the network saves itself goes by ``""``; what is
    saved while it is not running, by :data:`OUTSIDE`.
    """
    known = {_storage_id(tensor) for tensor in (*model.parameters(), *model.buffers(), *given)}
    alive: list[torch.UntypedStorage] = []  # an address is not used again while its storage lives
    saved: Counter[str] = Counter()
    running: list[str] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            known.add(storage._cdata)
            alive.append(storage)
            saved[running[-1] if running else OUTSIDE] += storage.nbytes()
        return tensor

    handles: list[Any] = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _, __, name=name: running.append(name)))
        handles.append(module.register_forward_hook(lambda _, __, ___: _leave(running)))
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield saved
    finally:
        alive.clear()  # the graph holds on to pack, and must not hold on to what it has done with
        for handle in handles:
            handle.remove()


def by_slot(saved: Mapping[str, int], slots: Iterable[str]) -> dict[str, int]:
    """Slot -> bytes, with all of its modules; the rest under :data:`OUTSIDE`."""
    total = {slot: within(saved, slot) for slot in slots}
    return {**total, OUTSIDE: sum(saved.values()) - sum(total.values())}


def within(saved: Mapping[str, int], module: str) -> int:
    """Bytes that a module and those inside it save."""
    return sum(count for name, count in saved.items() if name == module or name.startswith(f"{module}."))


def _storage_id(tensor: Tensor) -> int:
    """What tells one storage from another while both live."""
    return int(tensor.untyped_storage()._cdata)


def _leave(running: list[str]) -> None:
    running.pop()
