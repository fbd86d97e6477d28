"""The values in the settings of a trial: its Parts, the code that their choices hold, and plain values.

They are read field by field, so that those of any version of the package can be read.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from .definitions.origins import distributions_of
from .definitions.project import Project
from .forms.writer import NEUTRAL
from .known.logic import is_constant


def side(index: int) -> str:
    """The beginning of the roles in one of a trial's variants: the second is that which the first is compared with."""
    return "against." if index else ""


def parts_of(variants: Sequence[Any], recipe: Any, project: Project) -> Iterator[tuple[str, Any]]:
    """Yield every Part of a trial, and every class or function that a choice holds, each with its role in the trial."""
    for index, variant in enumerate(variants):
        for field in dataclasses.fields(variant):
            value = getattr(variant, field.name)
            items = value if isinstance(value, tuple) else (value,)
            for position, item in enumerate(items):
                if is_part(item):
                    place = f"{position}" if isinstance(value, tuple) else ""
                    yield from _nested(f"{side(index)}{field.name}{place}", item, project)
    for field in dataclasses.fields(recipe):
        if is_part(value := getattr(recipe, field.name)):
            yield from _nested(field.name, value, project)


def _nested(role: str, part: Any, project: Project) -> Iterator[tuple[str, Any]]:
    yield role, part
    for name, value in part.choices:
        yield from _held(f"{role}.{name}", value, project)


def _held(role: str, value: Any, project: Project) -> Iterator[tuple[str, Any]]:
    """The Parts, classes and functions that a choice holds. A value of a class of this project stands for its class."""
    for position, item in enumerate(value if isinstance(value, tuple) else (value,)):
        place = f"{role}{position}"
        if is_part(item):
            yield from _nested(place, item, project)
        elif isinstance(item, tuple):
            yield from _held(place, item, project)
        elif _is_own_code(item, project):
            yield place, item
        elif _is_own_code(type(item), project):
            yield place, type(item)
            for name, inner in _fields_if_any(item):
                yield from _held(f"{place}.{name}", inner, project)


def foreign_packages(value: Any, project: Project) -> Iterator[str]:
    """The top-level packages of those classes and functions in a choice that do not belong to this project."""
    for item in value if isinstance(value, tuple) else (value,):
        if is_part(item):
            continue
        if isinstance(item, tuple):
            yield from foreign_packages(item, project)
            continue
        code = item if isinstance(getattr(item, "__qualname__", None), str) else type(item)
        module = getattr(code, "__module__", None)
        if isinstance(module, str) and not _is_own_code(code, project):
            yield module.partition(".")[0]
        for _, inner in _fields_if_any(item):
            yield from foreign_packages(inner, project)


def is_part(item: Any) -> bool:
    return hasattr(item, "cls") and hasattr(item, "choices") and hasattr(item, "build")


def is_installed(item: Any, project: Project) -> bool:
    """Return whether a Part's class belongs to an installed distribution, so that its version stands for its code."""
    return (
        is_part(item)
        and project.module(str(item.cls.__module__)) is None
        and bool(distributions_of(str(item.cls.__module__).partition(".")[0]))
    )


def _is_own_code(item: Any, project: Project) -> bool:
    """Return whether a choice is a class or function of this project, so that its source can be read."""
    if not callable(item) or not isinstance(getattr(item, "__qualname__", None), str):
        return False
    return project.module(str(getattr(item, "__module__", ""))) is not None


def fields_of(item: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(item, field.name)) for field in dataclasses.fields(item)]


def _fields_if_any(item: Any) -> list[tuple[str, Any]]:
    """The fields of a dataclass with their values; empty for any other value."""
    return fields_of(item) if dataclasses.is_dataclass(item) and not isinstance(item, type) else []


def neutral_value(item: Any, name: str) -> tuple[Any] | None:
    """The neutral value that a field declares, in a tuple; ``None`` for a field that declares none."""
    field = next(candidate for candidate in dataclasses.fields(item) if candidate.name == name)
    return (field.metadata[NEUTRAL],) if NEUTRAL in field.metadata else None


def relevant_fields(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields with their values, except those at a neutral value that they declare."""
    for name, value in fields_of(item):
        if not is_neutral(item, name, value):
            yield name, value


def is_neutral(item: Any, name: str, value: Any) -> bool:
    """Return whether a value is the neutral one that its field declares."""
    neutral = neutral_value(item, name)
    return neutral is not None and neutral[0] == value and type(neutral[0]) is type(value)


def plain_fields(variant: Any, project: Project) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a variant that hold no Part, with their values as JSON-ready data."""
    for name, value in relevant_fields(variant):
        holds = value is None or is_part(value) or (isinstance(value, tuple) and any(is_part(item) for item in value))
        if not holds:
            yield name, readable(value, project)


def readable(value: Any, project: Project) -> Any:
    """A value as JSON-ready data, in which a word stands for a Part and for code, since those count as code."""
    if is_part(value):
        return {"part": [[name, readable(inner, project)] for name, inner in value.choices if not is_constant(inner)]}
    if isinstance(value, (tuple, list)):
        return [readable(item, project) for item in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(getattr(value, "__qualname__", None), str):
        return "code" if _is_own_code(value, project) else f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, PurePath):
        return value.as_posix()
    if fields := _fields_if_any(value):
        return [type(value).__qualname__, *([name, readable(inner, project)] for name, inner in fields)]
    return repr(value)
