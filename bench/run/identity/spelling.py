"""The text of the code that a trial reaches: definitions are numbers, in the order in which they are reached."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .definitions.targets import Bound, Unit, Whole
from .forms.pieces import OpenSlot, OpenToken, OpenValue, Private, Token, spelled
from .library import Root, own
from .walk import Walk


@dataclass(frozen=True)
class ReadSource:
    """The code of a trial.

    Attributes:
        digest: the digest of all of the code.
        definitions: ``file:name`` of a definition -> the digest of its code alone.
        packages: the top-level packages outside this project that the code refers to.
        notes: sentences about the places, as ``file:line``, where everything that may be reached counts, because what
            is reached cannot be decided.
        unwritten: for each root, the choices whose values are not written into the code and so count separately.
        files: the files of the project's modules, apart from the package that always counts as project code, that are
            imported by the time the trial runs.
    """

    digest: str
    definitions: Mapping[str, str]
    packages: frozenset[str]
    notes: tuple[str, ...]
    unwritten: tuple[Mapping[str, Any], ...]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OpenText:
    """A text in which some values may be others.

    Attributes:
        parts: the text in order, with the slot of each value in its place.
    """

    parts: tuple[str | OpenSlot, ...]

    @classmethod
    def of(cls, tokens: Iterable[str]) -> OpenText:
        """The text of several tokens, one a line."""
        parts: list[str | OpenSlot] = []
        fixed: list[str] = []
        for token in tokens:
            if isinstance(token, OpenToken):
                parts += ["".join(f"{line}\n" for line in fixed), token.slot]
                fixed = [""]
            else:
                fixed.append(token)
        return cls((*parts, "\n".join(fixed)))

    def filled(self, values: Mapping[OpenSlot, Any]) -> str:
        """The text with these values."""
        return "".join(part if isinstance(part, str) else spelled(values[part]) for part in self.parts)


@dataclass(frozen=True)
class OpenSource:
    """The code of all trials that differ in open values alone.

    Attributes:
        text: all of the code.
        definitions: ``file:name`` of a definition -> its code alone.
        packages: as in :class:`ReadSource`, like all that follow.
        notes: likewise.
        unwritten: likewise, with open values.
        files: likewise.
    """

    text: OpenText
    definitions: Mapping[str, OpenText]
    packages: frozenset[str]
    notes: tuple[str, ...]
    unwritten: tuple[Mapping[str, Any], ...]
    files: tuple[Path, ...]

    def with_values(self, values: Mapping[OpenSlot, Any]) -> ReadSource:
        """The code of the trial that has these values."""
        return ReadSource(
            hashlib.sha256(self.text.filled(values).encode()).hexdigest(),
            {label: _short(text.filled(values)) for label, text in self.definitions.items()},
            self.packages,
            self.notes,
            tuple({name: _value_in(values, value) for name, value in names.items()} for names in self.unwritten),
            self.files,
        )


def _value_in(values: Mapping[OpenSlot, Any], value: Any) -> Any:
    return values[value.slot] if isinstance(value, OpenValue) else value


class Spelling:
    """Writes the code that a way reached as text.

    Args:
        walk: the way to the code.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk, self.library = walk, walk.library
        self.renamed = self._renamed()
        self.shared = {use.name for use in walk.private if use.owner is None}
        self.family = _families(self.library.ancestors(node.unit) for node in walk.nodes)
        self.order: dict[Any, int] = {}

    def _renamed(self) -> set[str]:
        """The names of private methods that may have any other name, so that a number stands for each."""
        blocked = set(self.walk.facts.texts)
        numbered: set[str] = set()
        for node in self.walk.nodes:
            blocked |= node.text.kept
            if self.walk.reads_all(node):
                blocked |= set(node.text.methods)
            elif node.unit not in self.library.reading.plain:
                numbered |= set(node.text.methods)
        return numbered - blocked

    def source(self) -> ReadSource:
        """The code that was reached: one digest, and the digests of its parts, which explain a change."""
        whole = hashlib.sha256()
        definitions = self._written(lambda tokens: whole.update("\n".join(tokens).encode()))
        return ReadSource(
            whole.hexdigest(),
            {label: digest(parts) for label, parts in definitions.items()},
            self._packages(),
            tuple(self.walk.facts.notes),
            self._all_unwritten(),
            tuple(self.walk.files()),
        )

    def open_source(self) -> OpenSource:
        """The code that was reached, for all values in its open slots."""
        parts: list[str | OpenSlot] = []
        definitions = self._written(lambda tokens: parts.extend(OpenText.of(tokens).parts))
        return OpenSource(
            OpenText(tuple(parts)),
            {label: OpenText.of(tokens) for label, tokens in definitions.items()},
            self._packages(),
            tuple(self.walk.facts.notes),
            self._all_unwritten(),
            tuple(self.walk.files()),
        )

    def _packages(self) -> frozenset[str]:
        return frozenset(package for package in self.walk.facts.packages if package not in self.library.silent)

    def _all_unwritten(self) -> tuple[Mapping[str, Any], ...]:
        walk = self.walk
        return tuple(self._unwritten(root, number) for root, number in zip(walk.roots, walk.root_numbers, strict=True))

    def _written(self, take: Callable[[list[str]], object]) -> dict[str, list[str]]:
        """Give the tokens of one piece of code after the other to ``take``, and return those of each definition."""
        walk = self.walk
        positions = {number: position for position, number in enumerate(walk.root_numbers)}
        pieces: dict[int, list[str]] = {}
        loose: dict[str, list[str]] = {}
        for kind, number, piece in walk.emitted:
            head = self._head(kind, number, positions)
            take([head, *self._spelled(piece.tokens, number, None)])
            local = [head if kind.startswith("M") else kind, *self._spelled(piece.tokens, number, {})]
            if number is None:
                loose.setdefault("top-level statements", []).extend(local)
            else:
                pieces.setdefault(number, []).extend(local)
        definitions: dict[str, list[str]] = {}
        for number, parts in pieces.items():
            label = walk.nodes[number].label
            if label in definitions:
                label = f"{label} #{number}"
            definitions[label] = parts
        return definitions | loose

    def _head(self, kind: str, number: int | None, positions: Mapping[int, int]) -> str:
        if number is None:
            return kind
        node = self.walk.nodes[number]
        role = f" root {positions[number]}" if number in positions else ""
        name = ""
        single = node.unit.single
        if self.walk.facts.all_names or (self.walk.facts.class_names and isinstance(single, ast.ClassDef)):
            name = f" {' '.join(node.unit.names)}"
        if kind.startswith("M"):
            kind = "M" + self._private(Private(kind[1:], node.unit))
        return f"{kind} {number}{role}{name}"

    def _private(self, used: Private) -> str:
        """The name of a private attribute; a number in its place if only one class and its relatives have it."""
        if used.name not in self.renamed:
            return used.name
        return f"_{self.order.setdefault(self._known_as(used), len(self.order))}"

    def _known_as(self, used: Private) -> Any:
        if used.owner is None or used.name in self.shared:
            return used.name
        return used.name, self.family.get(used.owner, used.owner)

    def _spelled(self, tokens: Sequence[Token], number: int | None, local: dict[Any, int] | None) -> list[str]:
        """The tokens as text, with the numbers of the whole key or, for ``local``, of this definition alone."""
        made: list[str] = []
        owner = None if number is None else own(self.walk.nodes[number])
        for token in map(self.walk.read_as, tokens):
            if isinstance(token, str):
                made.append(token if not token.startswith("X:") else self._outside(token))
            elif isinstance(token, Private):
                if local is None or token.name not in self.renamed:
                    made.append(f".{self._private(token)}")
                else:
                    made.append(f"._{local.setdefault(self._known_as(token), len(local))}")
            elif isinstance(token, Bound):
                if local is not None:
                    place = local.setdefault(token.unit, len(local))
                else:
                    place = (
                        number if owner is token.unit and number is not None else self.walk.numbers.get(token.unit, -1)
                    )
                made.append(f"R{place}.{token.unit.names.index(token.name)}")
            elif isinstance(token, Whole):
                made.append("whole module")
            elif id(token) in self.walk.included:
                made += ["(payload", *self._spelled(token.piece.tokens, number, local), ")"]
        return made

    def _outside(self, token: str) -> str:
        return token if token[2:].partition(".")[0] not in self.library.silent else "X:"

    def _unwritten(self, root: Root, number: int) -> dict[str, Any]:
        """The choices of a root whose values the code does not show."""
        if root.choices is None:
            return {}
        node = self.walk.nodes[number]
        written = set(node.text.main.facts.choices)
        for kind, owner, piece in self.walk.emitted:
            if owner == number and kind.startswith("M"):
                written |= piece.facts.choices
        kept = {}
        for name, value in root.choices.items():
            if name not in node.folded or (name not in written and not root.is_default(name)):
                kept[name] = value
        return kept


def _families(related: Iterable[frozenset[Unit]]) -> dict[Unit, Unit]:
    """Class -> one class that stands for it and every class that it is related to."""
    standing: dict[Unit, Unit] = {}
    for group in related:
        known = {standing[unit] for unit in group if unit in standing}
        first = min(known or group, key=id)
        for unit, old in list(standing.items()):
            if old in known:
                standing[unit] = first
        standing.update(dict.fromkeys(group, first))
    return standing


def digest(parts: Sequence[str]) -> str:
    return _short("\n".join(parts))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
