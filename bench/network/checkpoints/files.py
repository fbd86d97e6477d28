"""Files that hold a state dict, possibly inside other containers. Reading them runs no code from the file.

A file of ``torch.save`` is a zip archive, whose checksums are verified, or of the older kind, which has none. Files of
safetensors are read too; they have no checksums either, but every byte of them belongs to a named tensor.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.parts import BenchError

COUNTER = "num_batches_tracked"
"""The buffer of a batch normalisation that files from before PyTorch 0.4.1 lack; evaluation does not read it."""

CONTAINERS = ("state_dict", "model")
"""The names under which files of training scripts hold the state dict, if it is not the file's whole content."""

ZIP_START = b"PK\x03\x04"
MOST_SHOWN = 3
"""The most places of one kind that a refusal names."""
LONGEST_REASON = 200
"""The most characters of another library's message that a refusal repeats."""

SAFETENSORS_TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
"""The names of types in safetensors (huggingface/safetensors, README, "Format") -> torch's types."""

DAMAGE = (
    OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""The exceptions that damaged files were seen to raise in torch's reader and in zipfile."""


class StateFileError(BenchError, ValueError):
    """A file that holds no state dict, or a state dict that does not fit."""


def read_state(path: Path, shown: str | None = None) -> Mapping[str, Any]:
    """The state dict in a file.

    Args:
        path: the path of a file of ``torch.save`` or safetensors.
        shown: the name of the file in messages; by default its path.

    Raises:
        StateFileError: if the file is damaged or cannot be read without running code from it, or if it holds no state
            dict.
    """
    shown = shown or str(path)
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise StateFileError(f"{shown} {what}; name a file of torch.save or safetensors")
    try:
        content = _content(path)
    except DAMAGE as error:
        raise StateFileError(
            f"{shown} cannot be read: {_reason(error)}; expected a file of torch.save or safetensors with nothing but "
            "tensors and plain containers in it: fetch it again or, if you trust it, save its state dict alone"
        ) from error
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if (
        not isinstance(content, Mapping)
        or not all(isinstance(name, str) for name in content)
        or not any(isinstance(value, Tensor) for value in content.values())
    ):
        raise StateFileError(
            f"{shown} holds no state dict: expected names with tensors, by themselves or under one of "
            f"{', '.join(map(repr, CONTAINERS))}"
        )
    return content


def has_checksums(path: Path) -> bool:
    """True for a zip archive, whose checksums :func:`read_state` verifies."""
    with path.open("rb") as file:
        return file.read(len(ZIP_START)) == ZIP_START


def _content(path: Path) -> Any:
    """The object in a file."""
    with path.open("rb") as file:
        start = file.read(9)
    size = path.stat().st_size
    if start.startswith(ZIP_START):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} in it is wrong")
    elif len(start) == 9 and start.endswith(b"{") and int.from_bytes(start[:8], "little") <= size - 8:
        return _safetensors(path.read_bytes())
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it then refuses
        # By its path alone, torch would take the ending of the name for the kind of the file.
        return torch.load(file, map_location="cpu", weights_only=True)


def _safetensors(content: bytes) -> dict[str, Tensor]:
    """The tensors in the content of a file of safetensors.

    Raises:
        ValueError: if the header and the rest of the file do not describe each other.
    """
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin].decode())
    header.pop("__metadata__", None)
    tensors: dict[str, Tensor] = {}
    position = begin
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        kind, shape = SAFETENSORS_TYPES[entry["dtype"]], [int(side) for side in entry["shape"]]
        start, end = (begin + int(offset) for offset in entry["data_offsets"])
        count = math.prod(shape)
        if start != position or end - start != count * kind.itemsize or end > len(content) or min(shape, default=0) < 0:
            raise ValueError(f"the place or the shape of {name} in it is wrong")
        data = bytearray(content[start:end])
        tensors[name] = (torch.frombuffer(data, dtype=kind) if count else torch.empty(0, dtype=kind)).reshape(shape)
        position = end
    if position != len(content):
        raise ValueError("it is longer or shorter than its header says")
    return {name: tensors[name] for name in header}


def _reason(error: BaseException) -> str:
    """The message of an error in one short line."""
    if isinstance(error, (EOFError, LookupError, zipfile.BadZipFile)):  # their messages are about a reader's insides
        return "it is damaged, or of another kind"
    text = str(error)
    _, mark, detail = text.partition("WeightsUnpickler error: ")  # the last part of torch's explanation of ten lines
    lines = (detail if mark else text).strip().splitlines()
    reason = shown_name(lines[0].strip()) if lines else type(error).__name__
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


def shown_name(text: str) -> str:
    """A name from a file as a message may show it: in one line, without characters that a terminal acts on."""
    return text if text.isprintable() else repr(text)


def misfit(problems: Mapping[str, Sequence[str]]) -> str:
    """The places in which a state dict does not fit, as a phrase such as `` in 2 places (missing: a, b)``.

    Args:
        problems: kind of problem, such as ``missing`` -> a text about each place, which begins with a tensor's name. Of
            more than a few places, the first is shown and the others are counted by the slot that they are in.
    """
    kinds = []
    for kind, places in problems.items():
        if 0 < len(places) <= MOST_SHOWN:
            kinds.append(f"{kind}: {', '.join(map(shown_name, places))}")
        elif places:
            slots = Counter(shown_name(re.split(r"[. ]", place)[0]) for place in places).most_common()
            others = sum(count for _, count in slots[MOST_SHOWN:])
            listed = [f"{count} in {slot}" for slot, count in slots[:MOST_SHOWN]] + [f"{others} elsewhere"] * (
                others > 0
            )
            kinds.append(f"{kind}: {len(places)} ({', '.join(listed)}), such as {shown_name(places[0])}")
    count = sum(map(len, problems.values()))
    return f" in {count} place{'' if count == 1 else 's'} ({'; '.join(kinds)})"


def without_module_prefix(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict without the prefix ``module.`` of a data-parallel wrapper; unchanged if it has none."""
    if state_dict and all(name.startswith("module.") for name in state_dict):
        return {name.removeprefix("module."): value for name, value in state_dict.items()}
    return dict(state_dict)
