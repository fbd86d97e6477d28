"""Files with a state dict: what training scripts put around one, and reading that runs no code from the file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.parts import BenchError

COUNTER = "num_batches_tracked"
"""Buffer of a batch normalisation that files from before PyTorch 0.4.1 lack; evaluation does not read it."""

CONTAINERS = ("state_dict", "model")
"""Under which name a training script's file holds the state dict, if it is not the file itself."""


class StateFileError(BenchError, ValueError):
    """A file that does not hold what it should: no state dict, or one that does not fit."""


def read_state(path: Path, shown: str | None = None) -> Mapping[str, Any]:
    """The state dict in a file.

    Args:
        path: a file of ``torch.save``.
        shown: what messages call it; by default its path.

    Raises:
        StateFileError: for a file that cannot be read without running code from it, or that holds no state dict.
    """
    shown = shown or str(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise StateFileError(
            f"{shown} cannot be read: {error}; expected a file of torch.save with tensors and plain containers in it"
        ) from error
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise StateFileError(
            f"{shown} holds no state dict: expected names with tensors, by themselves or under one of "
            f"{', '.join(map(repr, CONTAINERS))}"
        )
    return content


def without_module_prefix(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict of what a data-parallel wrapper held; as it is without one."""
    if state_dict and all(name.startswith("module.") for name in state_dict):
        return {name.removeprefix("module."): value for name, value in state_dict.items()}
    return dict(state_dict)
