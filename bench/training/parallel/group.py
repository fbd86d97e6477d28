"""The processes that train a network together: on one machine, each on a device of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store, TCPStore

from bench.parts import BenchError
from bench.protocol.recipe import Recipe

HOST = "127.0.0.1"
"""The address at which the processes meet: that of this machine for itself."""
LONGEST = timedelta(days=7)
"""The longest time that a process waits for the others. One that ends is noticed by whoever started it."""
VARIABLES = {
    "GLOO_SOCKET_IFNAME": "lo",  # Linux's interface that leads to this machine alone
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "0",  # else NCCL ends this process in its own way where abort() is called
}
"""Environment variables that torch reads when a group is made."""


class SharingError(BenchError, ValueError):
    """A training that several processes cannot share."""


@dataclass(frozen=True)
class TrainingGroup:
    """The place of this process among those that train a network together.

    Attributes:
        rank: the number of this process, from 0 on. Process 0 keeps states, evaluates and records.
        size: the number of processes.
    """

    rank: int
    size: int


def meeting_point(size: int) -> TCPStore:
    """A store at which ``size`` processes meet, held by this process, on a free port of this machine."""
    return TCPStore(HOST, 0, size, is_master=True, wait_for_workers=False, timeout=LONGEST)


def known_meeting_point(port: int, size: int) -> TCPStore:
    """The store that another process holds at a port of this machine."""
    return TCPStore(HOST, port, size, is_master=False, timeout=LONGEST)


@contextmanager
def joined(store: Store, rank: int, size: int, device: torch.device) -> Iterator[TrainingGroup]:
    """Inside, this process is one of a group, which has met at a store.

    Tensors on a CPU travel by gloo, those on a GPU by NCCL.
    """
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(VARIABLES)
    if not os.path.exists("/sys/class/net/lo"):
        del os.environ["GLOO_SOCKET_IFNAME"]
    try:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=LONGEST)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    try:
        yield TrainingGroup(rank, size)
    finally:
        if device.type == "cuda":
            abort()
        elif dist.is_initialized():
            dist.destroy_process_group()


def abort() -> None:
    """Leave the group at once, if this process is in one, whatever it waits for on its GPU."""
    if dist.is_initialized():
        dist.distributed_c10d._abort_process_group()


def refuse_unshared(recipe: Recipe, size: int) -> None:
    """Refuse a recipe that so many processes cannot share.

    Raises:
        SharingError: if the batch cannot be divided among them, or if the network is to be compiled.
    """
    if size > 1 and recipe.compiled:
        raise SharingError(
            f"{size} processes are to train each network together, but Recipe(compiled=True) trains in one; take "
            "compiled=False, or one GPU for each trial"
        )
    if recipe.batch % (size * recipe.accumulate):
        parts = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
        raise SharingError(
            f"{size} processes cannot share a batch of {recipe.batch}{parts} evenly; take a batch that "
            f"{size * recipe.accumulate} divides, or another number of GPUs for each trial"
        )
