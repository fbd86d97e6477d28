"""The contents of keys, kept in ``study.json`` so that a plan can say later what has changed.

Definitions, settings and versions that several trials share are stored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .key import VERSION, Key, in_one_form

MOST_NAMED = 3
"""The most changes that a sentence names one by one."""


@dataclass(frozen=True)
class Explained:
    """The contents of one key.

    Attributes:
        text: the key.
        settings: dotted name of a setting -> its value.
        data: the fingerprint of the data.
        versions: distribution -> version.
        definitions: ``file:name`` of a definition -> the digest of its code.
    """

    text: str
    settings: Mapping[str, Any]
    data: str
    versions: Mapping[str, str]
    definitions: Mapping[str, str]


def explained(key: Key) -> Explained:
    """The contents of a key that was made just now."""
    return Explained(key.text, key.settings, key.data, key.versions, key.source.definitions)


def packed(keys: Iterable[Explained]) -> dict[str, Any]:
    """The contents of keys as JSON-ready data, from which :func:`unpacked` restores them."""
    definitions: dict[str, int] = {}
    shared = {name: _Shared() for name in ("sources", "settings", "versions", "data")}
    trials: dict[str, list[int]] = {}
    for key in keys:
        lines = [f"{label} {digest}" for label, digest in key.definitions.items()]
        source = [definitions.setdefault(line, len(definitions)) for line in lines]
        values = (source, dict(key.settings), dict(key.versions), key.data)
        trials[key.text] = [stored.place(value) for stored, value in zip(shared.values(), values, strict=True)]
    tables = {name: stored.values for name, stored in shared.items()}
    return {"version": VERSION, "definitions": list(definitions), **tables, "trials": trials}


class _Shared:
    """Values that several keys share, each stored once.

    Attributes:
        values: the values.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """The place of a value, which is stored if it is new; it is looked up by its text, not compared with others."""
        place = self._places.setdefault(in_one_form(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def unpacked(data: Any) -> dict[str, Explained]:
    """Key -> its contents, from data of :func:`packed`; empty for data of another version or without a version."""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        return {}
    try:
        lines = [line.rpartition(" ") for line in data["definitions"]]
        return {
            text: Explained(
                text,
                data["settings"][settings],
                data["data"][fingerprint],
                data["versions"][versions],
                {lines[index][0]: lines[index][2] for index in data["sources"][source]},
            )
            for text, (source, settings, versions, fingerprint) in data["trials"].items()
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return {}


@dataclass(frozen=True)
class Transition:
    """A setting or version that changed, with its values before and after as texts."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} {self.before} → {self.after}"


@dataclass(frozen=True)
class KeyChanges:
    """The changes by which a trial has another key. As a text, a phrase such as ``source changed: layers.py:resize``.

    Attributes:
        settings: the settings that changed.
        data: ``True`` if the data changed.
        versions: the versions of distributions that changed.
        definitions: the definitions whose code changed, as ``file:name``.
        other: a phrase about a change that cannot be told in more detail; empty for none.
    """

    settings: tuple[Transition, ...] = ()
    data: bool = False
    versions: tuple[Transition, ...] = ()
    definitions: tuple[str, ...] = ()
    other: str = ""

    def __str__(self) -> str:
        phrases = []
        if self.settings:
            phrases.append("settings changed: " + listed(map(str, self.settings)))
        if self.data:
            phrases.append("the data changed")
        if self.versions:
            phrases.append("versions changed: " + listed(map(str, self.versions)))
        if self.definitions:
            phrases.append("source changed: " + listed(self.definitions))
        return "; ".join([*phrases, *filter(None, [self.other])])


def changes_between(old: Explained, new: Explained) -> KeyChanges:
    """The changes between two keys of one trial."""
    changes = KeyChanges(
        settings=tuple(_transition(name, old.settings, new.settings) for name in _changed(old.settings, new.settings)),
        data=old.data != new.data,
        versions=tuple(
            Transition(name, old.versions.get(name, "none"), new.versions.get(name, "none"))
            for name in _changed(old.versions, new.versions)
        ),
        definitions=tuple(_changed_definitions(old.definitions, new.definitions)),
    )
    unseen = "code is reached in another order, or a name that it reads changed"
    return changes if changes != KeyChanges() else KeyChanges(other=unseen)


def difference(old: Explained, new: Explained) -> str:
    """The change between two keys of one trial, as a phrase such as ``source changed: bench/layers.py:resize``."""
    return str(changes_between(old, new))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        name for name in dict.fromkeys([*old, *new]) if name not in old or name not in new or old[name] != new[name]
    ]


def _changed_definitions(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The labels of the definitions that changed, except those that were only moved or renamed."""
    gone = {label: digest for label, digest in old.items() if new.get(label) != digest}
    come = {label: digest for label, digest in new.items() if old.get(label) != digest}
    for label, digest in list(come.items()):
        twin = next((other for other in gone if gone[other] == digest), None)
        if twin is not None:
            del come[label], gone[twin]
    return list(dict.fromkeys([*gone, *come]))


def _transition(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Transition:
    return Transition(name, *(repr(settings.get(name, "as before")) for settings in (old, new)))


def listed(words: Iterable[str]) -> str:
    """The first :data:`MOST_NAMED` of several words, and the number of the others."""
    named = list(words)
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
