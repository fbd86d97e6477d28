"""The state of a study's own modules, which a trial may change and a later trial would then compute with.

The digest of a module covers its variables, those of its classes, and what its functions keep: default values,
closures, attributes. Modules of this package and of installed distributions are left out. Tensors, arrays, random
generators, networks, containers and objects of the modules' own classes are looked into. An object of any other class
counts by its identity. A function that remembers results (:func:`functools.cache`) counts by the number of its calls,
since what it remembers cannot be seen. For the same reason an iterator always counts as changed.
"""

from __future__ import annotations

import collections
import enum
import functools
import hashlib
import itertools
import random
import secrets
import types
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.run.identity.definitions.origins import Origins, is_brought_along
from bench.study.importing import modules_with_files

PACKAGE = "bench"
PLAIN = (type(None), bool, int, float, complex, str, bytes, enum.Enum, torch.dtype, torch.device, np.generic)
"""The classes of values that differ whenever their ``repr`` does, and only then."""
REMEMBERING = type(functools.cache(len))
"""The class of functions that :func:`functools.cache` makes."""
NO_STATE = ("__dict__", "__weakref__", "__doc__", "__module__", "__builtins__", "__cached__", "__loader__", "__spec__")
"""Variables of modules and classes that are about the module or class itself."""


def own_state() -> dict[str, str]:
    """``module <name>`` -> the digest of the state of each of the study's own modules."""
    own = _own_modules()
    return {f"module {name}": _Reader(frozenset(own)).digest(vars(module)) for name, module in own.items()}


def state_of(variables: Mapping[str, Any], without: Iterable[object] = ()) -> str:
    """The digest of some variables, as if they were a module's. The objects in ``without`` are not looked into."""
    return _Reader(frozenset(_own_modules()), without).digest(variables)


def _own_modules() -> dict[str, types.ModuleType]:
    return {name: module for name, (module, file) in modules_with_files().items() if _is_own(name, file)}


@functools.cache
def _is_own(name: str, file: str) -> bool:
    """True for a module of the project; this package and modules without a file are left out."""
    top, origins = name.partition(".")[0], Origins(PACKAGE)
    if not file or top in (PACKAGE, "__main__"):
        return False
    if origins.project(top) is None or origins.project(name) is None:
        return False
    return not is_brought_along(Path(file))


class _Reader:
    """Digests values. A value that was met before counts by its number, so that circles end.

    Args:
        own: the names of the study's own modules.
        met: values that count as met.
    """

    def __init__(self, own: frozenset[str], met: Iterable[object] = ()) -> None:
        self._own = own
        self._met: list[Any] = list(met)  # kept, so that no other value gets the identity of one that was met
        self._numbers = {id(value): number for number, value in enumerate(self._met)}
        self._hash = hashlib.sha256()

    def digest(self, variables: Mapping[str, Any]) -> str:
        try:
            self._add_variables(variables)
        except RecursionError:
            return secrets.token_hex(8)  # it cannot be seen, so it counts as changed
        return self._hash.hexdigest()

    def _write(self, *words: object) -> None:
        self._hash.update(" ".join(map(str, words)).encode(errors="surrogatepass") + b"\n")

    def _add(self, value: Any) -> None:
        if isinstance(value, PLAIN):
            self._write(type(value).__qualname__, repr(value))
            return
        is_new = id(value) not in self._numbers
        self._write(type(value).__qualname__, self._numbers.setdefault(id(value), len(self._numbers)))
        if is_new:
            self._met.append(value)
            self._look_into(value)

    def _look_into(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, np.ndarray):
            self._write(value.dtype, value.shape)
            if value.dtype.hasobject:
                self._add_all(value.ravel().tolist())
            else:
                self._write(zlib.crc32(value.tobytes()))
        elif isinstance(value, (dict, types.MappingProxyType)):
            self._add_all(itertools.chain.from_iterable(value.items()))
        elif isinstance(value, (list, tuple, collections.deque)):
            self._add_all(value)
        elif isinstance(value, (set, frozenset)):
            self._write(sorted(repr(item) if isinstance(item, PLAIN) else str(id(item)) for item in value))
        elif isinstance(value, (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)):
            self._write(_random_state(value))
        elif isinstance(value, types.ModuleType):
            self._write(value.__name__)
        elif isinstance(value, (type, types.FunctionType)):
            self._write(value.__module__, value.__qualname__)
            if value.__module__ in self._own:
                self._add_code(value)
        else:
            self._add_object(value)

    def _add_all(self, values: Iterable[Any]) -> None:
        for value in values:
            self._add(value)

    def _add_variables(self, variables: Any) -> None:
        for name, value in variables.items():
            if name not in NO_STATE:
                self._write(name)
                self._add(value)

    def _add_tensor(self, value: Tensor) -> None:
        self._write(value.dtype, tuple(value.shape), value.device, value.layout, value.requires_grad)
        if value.layout == torch.strided and not value.is_meta and not value.is_quantized:
            numbers = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
            self._write(zlib.crc32(numbers.view(torch.uint8).numpy().tobytes()) if len(numbers) else "")

    def _add_code(self, value: type | types.FunctionType) -> None:
        if isinstance(value, type):
            self._add_variables(vars(value))
        else:
            self._write(id(value.__code__))
            self._add_all([value.__defaults__, value.__kwdefaults__, vars(value)])
            self._add_all(_content(cell) for cell in value.__closure__ or ())

    def _add_object(self, value: Any) -> None:
        if isinstance(value, (staticmethod, classmethod)):
            self._add(value.__func__)
        elif isinstance(value, property):
            self._add_all([value.fget, value.fset, value.fdel])
        elif isinstance(value, functools.partial):
            self._add_all([value.func, value.args, value.keywords])
        elif isinstance(value, REMEMBERING):
            self._write(value.cache_info())
        elif isinstance(value, itertools.count):
            self._write(repr(value))
        elif isinstance(value, nn.Module) or type(value).__module__ in self._own:
            self._add_variables(getattr(value, "__dict__", {}))
            self._add_all(getattr(value, name, None) for name in getattr(type(value), "__slots__", ()))
        elif isinstance(value, Iterator):
            self._write(secrets.token_hex(8))  # where it stands cannot be seen, so it counts as changed
        else:
            self._write(id(value))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is bound yet
        return None


def _random_state(value: Any) -> str:
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes().hex()
    return repr(value.getstate())
