"""The counters of the null CUDA device, and of its host's side (``host.c``)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

GPU = torch.device("cuda")
Name = Literal["synchronisations", "illegal in capture", "bytes in use", "pageable copies"]
PLACES: Mapping[Name, int] = {"synchronisations": 3, "illegal in capture": 7, "bytes in use": 8}


def counter(name: Name) -> int:
    """The present value of a counter of this process."""
    library = ctypes.CDLL(None)
    if name == "pageable copies":
        function = library.host_pageable_copies
        function.restype = ctypes.c_long
        return int(function())
    function = library.nullcuda_stat
    function.restype = ctypes.c_long
    return int(function(PLACES[name]))


@dataclass
class Counted:
    """The rises of the counters in a block, known at its end."""

    synchronisations: int = 0
    illegal_in_capture: int = 0
    pageable_copies: int = 0


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what happens inside the block."""
    names: tuple[Name, ...] = ("synchronisations", "illegal in capture", "pageable copies")
    before = [counter(name) for name in names]
    result = Counted()
    yield result
    result.synchronisations, result.illegal_in_capture, result.pageable_copies = (
        counter(name) - value for name, value in zip(names, before, strict=True)
    )


def memory_in_use() -> tuple[int, int]:
    """The bytes of tensors on the device, and those that the device has given to this process."""
    gc.collect()
    torch.cuda.synchronize(GPU)
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(GPU), counter("bytes in use")
