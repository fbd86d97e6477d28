"""The text of the code that a trial reaches: definitions are numbers, in the order in which they are reached."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .definitions.targets import Bound, Unit, Whole
from .forms.pieces import Private, Token
from .library import Root, own
from .walk import Walk, same


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
        walk = self.walk
        positions = {number: position for position, number in enumerate(walk.root_numbers)}
        whole = hashlib.sha256()
        pieces: dict[int, list[str]] = {}
        loose: dict[str, list[str]] = {}
        for kind, number, piece in walk.emitted:
            head = self._head(kind, number, positions)
            whole.update("\n".join([head, *self._spelled(piece.tokens, number, None)]).encode())
            local = [head if kind.startswith("M") else kind, *self._spelled(piece.tokens, number, {})]
            if number is None:
                loose.setdefault("top-level statements", []).extend(local)
            else:
                pieces.setdefault(number, []).extend(local)
        definitions: dict[str, str] = {}
        for number, parts in pieces.items():
            label = walk.nodes[number].label
            if label in definitions:
                label = f"{label} #{number}"
            definitions[label] = digest(parts)
        definitions |= {label: digest(parts) for label, parts in loose.items()}
        return ReadSource(
            digest=whole.hexdigest(),
            definitions=definitions,
            packages=frozenset(package for package in walk.facts.packages if package not in self.library.silent),
            notes=tuple(walk.facts.notes),
            unwritten=tuple(
                self._unwritten(root, number) for root, number in zip(walk.roots, walk.root_numbers, strict=True)
            ),
            files=tuple(walk.files()),
        )

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
            is_default = name in root.defaults and same(root.defaults[name], value)
            if name not in node.folded or (name not in written and not is_default):
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
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
