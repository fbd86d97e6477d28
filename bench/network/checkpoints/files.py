"""Files that hold a state dict, possibly inside other containers. Reading them runs no code from the file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.parts import BenchError

COUNTER = "num_batches_tracked"
"""The buffer of a batch normalisation that files from before PyTorch 0.4.1 lack; evaluation does not read it."""

CONTAINERS = ("state_dict", "model")
"""The names under which files of training scripts hold the state dict, if it is not the file's whole content."""


class StateFileError(BenchError, ValueError):
    """A file that holds no state dict, or a state dict that does not fit."""


def read_state(path: Path, shown: str | None = None) -> Mapping[str, Any]:
    """The state dict in a file.

    Args:
        path: the path of a file that ``torch.save`` wrote.
        shown: the name of the file in messages; by default its path.

    Raises:
        StateFileError: if the file cannot be read without running code from it, or if it holds no state dict.
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
    """The state dict without the prefix ``module.`` of a data-parallel wrapper; unchanged if it has none."""
    if state_dict and all(name.startswith("module.") for name in state_dict):
        return {name.removeprefix("module."): value for name, value in state_dict.items()}
    return dict(state_dict)
