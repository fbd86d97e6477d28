"""A folder of golden vectors: cases as JSON beside NPZ, with weights and inputs drawn by a rule instead of stored.

A case's JSON lists ``entries`` ``[name, shape, kind, sum]`` and ``inputs``; each tensor has a generator of its own,
seeded by its name, so their order does not matter.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.network.normalisation import MEAN, STD
from bench.parts import BenchError

SUM_TOLERANCE = 1e-3
"""The tolerance of a drawn tensor's sum: processors differ in the last bits, while another rule differs by more."""

DAMPING = 0.25
"""The factor of the last normalisation in a residual branch, so that activations do not grow with depth."""


class GoldenError(BenchError):
    """A folder or a case that cannot be used as it is."""


@dataclass(frozen=True)
class Case:
    """One case: the content of its JSON, and the arrays beside it, which are read when they are first needed."""

    path: Path
    facts: Mapping[str, Any]
    rows: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.facts["case"])

    @property
    def kind(self) -> str:
        """The stated kind, or the original's class for a network or a module."""
        return str(self.facts.get("kind") or self.facts.get("cls"))

    @property
    def options(self) -> Mapping[str, Any]:
        """The constructor arguments of the original."""
        options: Mapping[str, Any] = self.facts.get("ctor", {})
        return options

    def shape(self, entry: str) -> tuple[int, ...]:
        """The shape of one of the original's tensors."""
        return tuple(self.rows[entry][1])

    @cached_property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        path = self.path.with_suffix(".npz")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise GoldenError(f"{path.name} cannot be read: {error}") from error

    def array(self, key: str) -> Tensor:
        """One of the stored arrays, whole."""
        if key not in self.arrays:
            raise GoldenError(f"{self.path.stem}.npz has no array {key!r}; it has {', '.join(sorted(self.arrays))}")
        return torch.from_numpy(self.arrays[key])

    def weights(self) -> dict[str, Tensor]:
        """All tensors of the original, by their names there.

        Raises:
            GoldenError: if the sum of a drawn tensor is not the stated one.
        """
        salt = str(self.facts.get("salt", ""))
        state = {}
        for name, shape, kind, *stated in self.rows.values():
            state[name] = draw_weight(f"{salt}{name}", shape, kind)
            if stated:
                _check_sum(name, state[name], stated[0])
        return state

    def inputs(self) -> list[Tensor]:
        """The inputs in order.

        Raises:
            GoldenError: if a drawn input is not the stated one.
        """
        return [self._input(spec) for spec in self.facts["inputs"]]

    def probe(self, shape: tuple[int, ...]) -> Tensor:
        """The tensor by which an output is multiplied before the backward pass."""
        return torch.randn(shape, generator=generator_of(f"{self.name}/R"))

    def _input(self, spec: Mapping[str, Any]) -> Tensor:
        if "stored" in spec:
            drawn = normalised(self.array(spec["stored"]))
        elif "seed_text" in spec:
            drawn = torch.randn(spec["shape"], generator=generator_of(spec["seed_text"])) * float(spec.get("scale", 1))
        else:
            raise GoldenError(f"input {spec.get('name')!r} has neither 'seed_text' nor 'stored': {dict(spec)}")
        if list(drawn.shape) != list(spec["shape"]):
            raise GoldenError(f"input {spec['name']!r} has the shape {list(drawn.shape)}, stated is {spec['shape']}")
        if "sum" in spec:
            _check_sum(spec["name"], drawn, spec["sum"])
        first = drawn.flatten()[:4]
        if "first4" in spec and not torch.allclose(first, torch.tensor(spec["first4"]), rtol=0, atol=SUM_TOLERANCE):
            raise GoldenError(f"input {spec['name']!r} starts with {first.tolist()}, stated is {spec['first4']}")
        return drawn


class Folder(NamedTuple):
    """The content of a folder.

    Attributes:
        cases: the cases by name.
        unreadable: name of a file that is not valid JSON -> reason.
    """

    cases: list[Case]
    unreadable: dict[str, str]


def read_folder(folder: Path) -> Folder:
    """The cases of a folder.

    Raises:
        GoldenError: if the folder does not exist or has no cases.
    """
    if not folder.is_dir():
        raise GoldenError(f"{folder} is no folder; give one with golden cases (NAME.json beside NAME.npz)")
    found = Folder([], {})
    for path in sorted(folder.glob("*.json")):
        try:
            facts = read_json(path)
        except GoldenError as error:
            found.unreadable[path.stem] = str(error)
            continue
        if isinstance(facts, dict) and "case" in facts:
            found.cases.append(Case(path, facts, {row[0]: tuple(row) for row in facts.get("entries", [])}))
    if not found.cases:
        raise GoldenError(f"{folder} holds no golden case (NAME.json with a 'case' in it, beside NAME.npz)")
    return found


def listed(folder: Path) -> set[str]:
    """The names of the cases that the folder's index lists; none without an index."""
    index = folder / "index.json"
    return {str(each["case"]) for each in read_json(index)["cases"]} if index.exists() else set()


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GoldenError(f"{path.name} cannot be read: {error}") from error


def generator_of(text: str) -> torch.Generator:
    """A generator seeded with the first four bytes of the text's SHA-256, big endian."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(seed)


def draw_weight(text: str, shape: list[int], kind: str) -> Tensor:
    """A tensor of the original network: a float32 draw of the whole shape, scaled as its kind demands.

    Raises:
        GoldenError: if there is no rule for the kind.
    """
    generator = generator_of(text)
    match kind:
        case "num_batches_tracked":
            return torch.zeros(shape, dtype=torch.int64)
        case "attn_gamma":
            return torch.full(shape, 0.5)
        case "weight":
            return torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
        case "bias" | "running_mean":
            return torch.randn(shape, generator=generator) * 0.1
        case "norm_weight" | "running_var":
            return 0.5 + torch.rand(shape, generator=generator)
        case "norm_weight_damped":
            return (0.5 + torch.rand(shape, generator=generator)) * DAMPING
        case "enc_scale":
            return (0.5 + torch.rand(shape, generator=generator)) * (-1 / 256)
        case "enc_scale_init":
            return -torch.rand(shape, generator=generator)
    raise GoldenError(f"no rule for a tensor of the kind {kind!r}")


def normalised(image: Tensor) -> Tensor:
    """A stored image ``H W 3`` of bytes as a network's input ``1 3 H W``."""
    scaled = (image.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(2, 0, 1).unsqueeze(0).contiguous()


def _check_sum(name: str, drawn: Tensor, stated: float) -> None:
    total = float(drawn.double().sum())
    if not abs(total - float(stated)) <= SUM_TOLERANCE:
        raise GoldenError(
            f"{name} was drawn with the sum {total}, stated is {stated}: this machine's random numbers are others"
        )
