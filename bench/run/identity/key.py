"""The key of a trial: settings, seed, data, versions and the code that computes its numbers.

Two trials have one key if, and only if, nothing can be seen in which their numbers could differ. What cannot be decided
counts as a difference, and :attr:`Key.notes` say where.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from .definitions.origins import distributions_of, is_standard
from .definitions.project import Project
from .definitions.targets import Unit
from .forms.writer import NEUTRAL
from .known.logic import is_constant
from .library import Root
from .reader import Reader
from .spelling import ReadSource

VERSION = 2
"""The version of keys. 1: classes with their modules, and definitions by their names (2026-11). 2: definitions by their
content (2026-11)."""
PREFIX = f"v{VERSION}"


def digest(value: Any) -> str:
    """A 16-digit hexadecimal digest of JSON-ready data, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_current(key: str) -> bool:
    """Return whether a key has the present version."""
    return key.startswith(PREFIX)


@dataclass(frozen=True)
class Key:
    """A key and its contents.

    Attributes:
        text: the key, ``v2`` and 16 hexadecimal digits.
        settings: dotted name -> value, for every setting in which trials of the same code may differ.
        data: the fingerprint of the data set.
        versions: distribution -> public version, for the distributions that the code refers to.
        source: the code that the trial runs.
    """

    text: str
    settings: Mapping[str, Any]
    data: str
    versions: Mapping[str, str]
    source: ReadSource

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes


@dataclass(frozen=True)
class Computation:
    """One trial to identify. Parts, variants and recipes are read field by field, so those of any version can be read.

    Attributes:
        stage: the name of the stage.
        function: the function that measures the trial.
        variants: the network, or both networks of a speed comparison.
        recipe: the recipe by which the networks are trained and tested.
        seed: the seed of weights and batches.
        data: the fingerprint of the data set.
        setting: the setting of a speed comparison.
        irrelevant: fields of the recipe that cannot change what the stage measures.
        modules: modules that are imported before anything runs, such as the study's own.
    """

    stage: str
    function: Callable[..., Any]
    variants: Sequence[Any]
    recipe: Any
    seed: int | None
    data: str
    setting: Any = None
    irrelevant: frozenset[str] = frozenset()
    modules: Sequence[str] = ()


class Keys:
    """Makes keys. Every definition is read only once.

    Args:
        reader: reads the code of trials.
        versions: distribution -> version, for the distributions whose version is not the installed one.
    """

    def __init__(self, reader: Reader, versions: Mapping[str, str] | None = None) -> None:
        self.reader, self.library = reader, reader.library
        self.versions = {name.lower(): version.partition("+")[0] for name, version in (versions or {}).items()}
        self._sources: dict[Any, ReadSource] = {}

    def key(self, asked: Computation) -> Key:
        """The key of a trial.

        Raises:
            ValueError: for a component whose source cannot be found.
        """
        project = self.library.project
        every_part = list(_parts(asked, project))
        parts = [(role, item) for role, item in every_part if not _is_installed(item, project)]
        installed = [(role, item) for role, item in every_part if _is_installed(item, project)]
        source = self._source(asked, parts)
        settings: dict[str, Any] = {f"recipe.{name}": value for name, value in _recipe_settings(asked, project)}
        for index, variant in enumerate(asked.variants):
            for name, value in _plain_fields(variant, project):
                settings[f"{_side(asked, index)}{name}"] = value
        for (role, _), unwritten in zip(parts, source.unwritten[1:], strict=True):
            for name, value in unwritten.items():
                settings[f"{role}.{name}"] = _readable(value, project)
        for role, item in installed:
            name = f"{item.cls.__module__}.{item.cls.__qualname__}"
            settings[role] = {
                "class": name,
                "choices": [[key, _readable(value, project)] for key, value in item.choices],
            }
        if asked.setting is not None:
            settings |= {f"setting.{name}": _readable(value, project) for name, value in _relevant(asked.setting)}
        foreign = {item.cls.__module__.partition(".")[0] for _, item in installed}
        for _, item in every_part:
            if _is_part(item):
                foreign |= {package for _, value in item.choices for package in _foreign(value, project)}
        versions = self._versions(source.packages | foreign)
        named = {
            "version": VERSION,
            "stage": asked.stage,
            "seed": asked.seed,
            "data": asked.data,
            "settings": settings,
            "versions": versions,
            "source": source.digest,
            "roles": [role for role, _ in parts],
        }
        return Key(PREFIX + digest(named), settings, asked.data, versions, source)

    def _source(self, asked: Computation, parts: Sequence[tuple[str, Any]]) -> ReadSource:
        fields = self._fields(asked)
        roots = [Root("stage", self.library.unit_of(asked.function))]
        roots += [self._root(role, item) for role, item in parts]
        described = tuple((root.role, root.unit, _described(root.choices)) for root in roots)
        values = tuple((unit, _described(fields[unit])) for unit in fields)
        known = (described, values, tuple(asked.modules))
        if known not in self._sources:
            self._sources[known] = self.reader.read(roots, fields, asked.modules)
        return self._sources[known]

    def _root(self, role: str, item: Any) -> Root:
        if not _is_part(item):
            return Root(role, self.library.unit_of(item))
        defaults = {name: default for name, default in _defaults(item.cls).items() if is_constant(default)}
        return Root(role, self.library.unit_of(item.cls), dict(item.choices), defaults)

    def _fields(self, asked: Computation) -> dict[Unit, dict[str, Any]]:
        """The fields of plain values that are the same in every instance of this trial."""
        recipe: dict[str, Any] = {}
        for name, value in _values(asked.recipe):
            neutral = _neutral(asked.recipe, name)
            if name not in asked.irrelevant:
                recipe[name] = value
            elif neutral:
                recipe[name] = neutral[0]
        first, *others = (dict(_values(variant)) for variant in asked.variants)
        shared = {name: value for name, value in first.items() if all(other[name] == value for other in others)}
        known = [(asked.recipe, recipe), (asked.variants[0], shared), (asked.recipe.data, {})]
        if asked.setting is not None:
            known.append((asked.setting, dict(_values(asked.setting))))
        return {
            self.library.unit_of(type(item)): {name: value for name, value in values.items() if is_constant(value)}
            for item, values in known
        }

    def _versions(self, packages: Iterable[str]) -> dict[str, str]:
        versions: dict[str, str] = {}
        for top in sorted(packages):
            if is_standard(top):
                continue
            distributions = distributions_of(top)
            for name, version in distributions:
                versions[name] = self.versions.get(name, version)
            if not distributions:
                versions[top] = self.versions.get(top, "missing")
        return dict(sorted(versions.items()))


def _side(asked: Computation, index: int) -> str:
    return "against." if index else ""


def _parts(asked: Computation, project: Project) -> Iterator[tuple[str, Any]]:
    """Yield every Part of a trial, and every class or function that a choice holds, each with its role in the trial."""
    for index, variant in enumerate(asked.variants):
        for field in dataclasses.fields(variant):
            value = getattr(variant, field.name)
            items = value if isinstance(value, tuple) else (value,)
            for position, item in enumerate(items):
                if _is_part(item):
                    place = f"{position}" if isinstance(value, tuple) else ""
                    yield from _nested(f"{_side(asked, index)}{field.name}{place}", item, project)
    for field in dataclasses.fields(asked.recipe):
        if _is_part(value := getattr(asked.recipe, field.name)):
            yield from _nested(field.name, value, project)


def _nested(role: str, part: Any, project: Project) -> Iterator[tuple[str, Any]]:
    yield role, part
    for name, value in part.choices:
        yield from _held(f"{role}.{name}", value, project)


def _held(role: str, value: Any, project: Project) -> Iterator[tuple[str, Any]]:
    """The Parts, classes and functions that a choice holds. A value of a class of this project stands for its class."""
    for position, item in enumerate(value if isinstance(value, tuple) else (value,)):
        place = f"{role}{position}"
        if _is_part(item):
            yield from _nested(place, item, project)
        elif isinstance(item, tuple):
            yield from _held(place, item, project)
        elif _is_own_code(item, project):
            yield place, item
        elif _is_own_code(type(item), project):
            yield place, type(item)
            for name, inner in _fields_of(item):
                yield from _held(f"{place}.{name}", inner, project)


def _fields_of(item: Any) -> list[tuple[str, Any]]:
    """The fields of a dataclass with their values; empty for any other value."""
    return _values(item) if dataclasses.is_dataclass(item) and not isinstance(item, type) else []


def _foreign(value: Any, project: Project) -> Iterator[str]:
    """The top-level packages of those classes and functions in a choice that do not belong to this project."""
    for item in value if isinstance(value, tuple) else (value,):
        if _is_part(item):
            continue
        if isinstance(item, tuple):
            yield from _foreign(item, project)
            continue
        code = item if isinstance(getattr(item, "__qualname__", None), str) else type(item)
        module = getattr(code, "__module__", None)
        if isinstance(module, str) and not _is_own_code(code, project):
            yield module.partition(".")[0]
        for _, inner in _fields_of(item):
            yield from _foreign(inner, project)


def _is_own_code(item: Any, project: Project) -> bool:
    """Return whether a choice is a class or function of this project, so that its source can be read."""
    if not callable(item) or not isinstance(getattr(item, "__qualname__", None), str):
        return False
    return project.module(str(getattr(item, "__module__", ""))) is not None


def _is_installed(item: Any, project: Project) -> bool:
    """Return whether a Part's class belongs to an installed distribution, so that its version stands for its code."""
    return (
        _is_part(item)
        and project.module(str(item.cls.__module__)) is None
        and bool(distributions_of(str(item.cls.__module__).partition(".")[0]))
    )


def _is_part(item: Any) -> bool:
    return hasattr(item, "cls") and hasattr(item, "choices") and hasattr(item, "build")


def _defaults(cls: type) -> dict[str, Any]:
    import inspect

    return {parameter.name: parameter.default for parameter in inspect.signature(cls).parameters.values()}


def _values(item: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(item, field.name)) for field in dataclasses.fields(item)]


def _neutral(item: Any, name: str) -> tuple[Any] | None:
    """The neutral value that a field declares, in a tuple; ``None`` for a field that declares none."""
    field = next(candidate for candidate in dataclasses.fields(item) if candidate.name == name)
    return (field.metadata[NEUTRAL],) if NEUTRAL in field.metadata else None


def _relevant(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields with their values, except those at a neutral value that they declare."""
    for name, value in _values(item):
        neutral = _neutral(item, name)
        if neutral is None or neutral[0] != value or type(neutral[0]) is not type(value):
            yield name, value


def _recipe_settings(asked: Computation, project: Project) -> Iterator[tuple[str, Any]]:
    for name, value in _relevant(asked.recipe):
        if name not in asked.irrelevant and not _is_part(value):
            yield name, _readable(value, project)


def _plain_fields(variant: Any, project: Project) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a variant that hold no Part, with their values as JSON-ready data."""
    for name, value in _relevant(variant):
        holds = value is None or _is_part(value) or (isinstance(value, tuple) and any(_is_part(item) for item in value))
        if not holds:
            yield name, _readable(value, project)


def _described(values: Mapping[str, Any] | None) -> Any:
    return None if values is None else tuple((name, repr(value)) for name, value in values.items())


def _readable(value: Any, project: Project) -> Any:
    """A value as JSON-ready data, in which a word stands for a Part and for code, since those count as code."""
    if _is_part(value):
        return {"part": [[name, _readable(inner, project)] for name, inner in value.choices if not is_constant(inner)]}
    if isinstance(value, (tuple, list)):
        return [_readable(item, project) for item in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(getattr(value, "__qualname__", None), str):
        return "code" if _is_own_code(value, project) else f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, PurePath):
        return value.as_posix()
    if fields := _fields_of(value):
        return [type(value).__qualname__, *([name, _readable(inner, project)] for name, inner in fields)]
    return repr(value)
