"""Activation memory: the bytes that autograd saves in a forward for the backward pass, by the module that saves them.

The count is exact and does not depend on the device's allocator, so it also holds on the meta device, where tensors of
any batch and size need no memory.
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
"""The name under which bytes are counted that no slot saves: those of the last resize and of the loss terms."""


@contextmanager
def watched_saves(model: nn.Module, given: Iterable[Tensor]) -> Iterator[Counter[str]]:
    """Watch the forward and the losses that run inside the block; yields module -> bytes that autograd saves.

    Each storage counts once, for the innermost module whose forward saves it first. Parameters, buffers and the
    ``given`` tensors are left out, because they exist anyway. Storages that the network itself saves count for ``""``,
    and those saved while no module is running count for :data:`OUTSIDE`.
    """
    known = {_storage_id(tensor) for tensor in (*model.parameters(), *model.buffers(), *given)}
    alive: list[torch.UntypedStorage] = []  # keeps storages alive, so that none of their addresses is used again
    saved: Counter[str] = Counter()
    running: list[str] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            known.add(storage._cdata)
            alive.append(storage)
            saved[running[-1] if running else OUTSIDE] += storage.nbytes()
        return tensor.detach()  # the tensor itself would hold the graph that saves it, and neither would ever be freed

    handles: list[Any] = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _, __, name=name: running.append(name)))
        handles.append(module.register_forward_hook(lambda _, __, ___: _leave(running)))
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield saved
    finally:
        alive.clear()  # the graph keeps a reference to pack, which must not keep the storages alive
        for handle in handles:
            handle.remove()


def by_slot(saved: Mapping[str, int], slots: Iterable[str]) -> dict[str, int]:
    """Slot -> bytes that all of its modules save; all other bytes count for :data:`OUTSIDE`."""
    total = {slot: within(saved, slot) for slot in slots}
    return {**total, OUTSIDE: sum(saved.values()) - sum(total.values())}


def within(saved: Mapping[str, int], module: str) -> int:
    """The bytes that a module and the modules inside it save."""
    return sum(count for name, count in saved.items() if name == module or name.startswith(f"{module}."))


def _storage_id(tensor: Tensor) -> int:
    """A number that distinguishes a storage from all others that are alive."""
    return int(tensor.untyped_storage()._cdata)


def _leave(running: list[str]) -> None:
    running.pop()
