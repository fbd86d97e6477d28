"""The key of a trial: settings, seed, data, versions and the code that computes its numbers.

Two trials have one key if, and only if, nothing can be seen in which their numbers could differ. What cannot be decided
counts as a difference, and :attr:`Key.notes` say where.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .definitions.origins import distributions_of, is_standard
from .definitions.project import Project
from .definitions.targets import Unit
from .known.logic import is_constant
from .library import Root
from .reader import Reader
from .spelling import ReadSource
from .values import (
    fields_of,
    foreign_packages,
    is_installed,
    is_part,
    neutral_value,
    parts_of,
    plain_fields,
    readable,
    relevant_fields,
    side,
)

VERSION = 2
"""The version of keys. 1: classes with their modules, and definitions by their names (2026-11). 2: definitions by their
content (2026-11)."""
PREFIX = f"v{VERSION}"


def digest(value: Any) -> str:
    """A 16-digit hexadecimal digest of JSON-ready data, independent of key order."""
    return digest_of_text(in_one_form(value))


def in_one_form(value: Any) -> str:
    """JSON-ready data as the one text that stands for it, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of_text(text: str) -> str:
    """The digest of data that :func:`in_one_form` has written."""
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
        processes: the number of processes that compute it together; it counts where there are several.
        made: class of plain values that the trial makes by itself -> the fields that are the same in every instance.
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
    processes: int = 1
    made: Mapping[type, Mapping[str, Any]] = field(default_factory=dict)


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
        roots = self.roots(asked)
        fields = self.fields(asked)
        described = tuple((root.role, root.unit, _described(root.choices)) for root in roots)
        values = tuple((unit, _described(fields[unit])) for unit in fields)
        known = (described, values, tuple(asked.modules))
        if known not in self._sources:
            self._sources[known] = self.reader.read(roots, fields, asked.modules)
        return self.made(asked, self._sources[known])

    def made(self, asked: Computation, source: ReadSource) -> Key:
        """The key of a trial whose code is ``source``."""
        contents = self.contents(asked, source)
        named = {**contents, "source": source.digest}
        settings, versions = contents["settings"], contents["versions"]
        return Key(PREFIX + digest(named), settings, asked.data, versions, source)

    def contents(self, asked: Computation, source: ReadSource) -> dict[str, Any]:
        """All that is in the key of a trial, as JSON-ready data, apart from the digest of its code."""
        project = self.library.project
        every_part = list(parts_of(asked.variants, asked.recipe, project))
        parts = [(role, item) for role, item in every_part if not is_installed(item, project)]
        installed = [(role, item) for role, item in every_part if is_installed(item, project)]
        settings: dict[str, Any] = {f"recipe.{name}": value for name, value in recipe_settings(asked, project)}
        for index, variant in enumerate(asked.variants):
            for name, value in plain_fields(variant, project):
                settings[f"{side(index)}{name}"] = value
        for (role, _), unwritten in zip(parts, source.unwritten[1:], strict=True):
            for name, value in unwritten.items():
                settings[f"{role}.{name}"] = readable(value, project)
        for role, item in installed:
            name = f"{item.cls.__module__}.{item.cls.__qualname__}"
            settings[role] = {
                "class": name,
                "choices": [[key, readable(value, project)] for key, value in item.choices],
            }
        if asked.setting is not None:
            settings |= {f"setting.{name}": readable(value, project) for name, value in relevant_fields(asked.setting)}
        if asked.processes > 1:
            settings["processes"] = asked.processes
        foreign = {item.cls.__module__.partition(".")[0] for _, item in installed}
        for _, item in every_part:
            if is_part(item):
                foreign |= {package for _, value in item.choices for package in foreign_packages(value, project)}
        return {
            "version": VERSION,
            "stage": asked.stage,
            "seed": asked.seed,
            "data": asked.data,
            "settings": settings,
            "versions": self._versions(source.packages | foreign),
            "roles": [role for role, _ in parts],
        }

    def roots(self, asked: Computation) -> list[Root]:
        """The function that measures a trial, and the classes and functions of its own code."""
        project = self.library.project
        parts = parts_of(asked.variants, asked.recipe, project)
        roots = [Root("stage", self.library.unit_of(asked.function))]
        return roots + [self.root(role, item) for role, item in parts if not is_installed(item, project)]

    def root(self, role: str, item: Any) -> Root:
        """The class of a Part with its choices, or a function or class that a choice holds."""
        if not is_part(item):
            return Root(role, self.library.unit_of(item))
        defaults = {name: default for name, default in _defaults(item.cls).items() if is_constant(default)}
        return Root(role, self.library.unit_of(item.cls), dict(item.choices), defaults)

    def fields(self, asked: Computation) -> dict[Unit, dict[str, Any]]:
        """Class of plain values -> the constants among its fields that are the same in every instance of this trial."""
        recipe: dict[str, Any] = {}
        for name, value in fields_of(asked.recipe):
            neutral = neutral_value(asked.recipe, name)
            if name not in asked.irrelevant:
                recipe[name] = value
            elif neutral:
                recipe[name] = neutral[0]
        first, *others = (dict(fields_of(variant)) for variant in asked.variants)
        shared = {name: value for name, value in first.items() if all(other[name] == value for other in others)}
        known = {type(asked.recipe): recipe, type(asked.variants[0]): shared, type(asked.recipe.data): {}, **asked.made}
        if asked.setting is not None:
            known[type(asked.setting)] = dict(fields_of(asked.setting))
        return {
            self.library.unit_of(cls): {name: value for name, value in values.items() if is_constant(value)}
            for cls, values in known.items()
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


def recipe_settings(asked: Computation, project: Project) -> Iterator[tuple[str, Any]]:
    """The fields of the recipe that are settings of a trial, with their values as JSON-ready data."""
    for name, value in relevant_fields(asked.recipe):
        if name not in asked.irrelevant and not is_part(value):
            yield name, readable(value, project)


def _defaults(cls: type) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in inspect.signature(cls).parameters.values()}


def _described(values: Mapping[str, Any] | None) -> Any:
    return None if values is None else tuple((name, repr(value)) for name, value in values.items())
