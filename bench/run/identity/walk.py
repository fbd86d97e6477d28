"""The way from the roots of a trial to everything that they reach.

Definitions are taken in the order in which they are reached, breadth first, and a reference to one is written as its
number. So neither the names of definitions nor their modules count, and neither does a definition without references.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .conditions import holds
from .definitions.targets import Bound, Unit, Whole
from .effects.statements import TopLevelEffect
from .forms.pieces import (
    ChosenValue,
    OpenValue,
    Payload,
    Piece,
    PieceFacts,
    Private,
    Token,
)
from .known.folding import Fields
from .known.logic import same
from .library import MADE, Library, Node, Root, own

Attributes = Mapping[int, Mapping[str, ast.Constant]]
"""Index of a root -> attribute of its object -> the constant that the attribute has."""


class Walk:
    """One way through the code, from the roots to everything that they reach.

    Args:
        library: the normal forms of definitions.
        fields: known values of the plain classes that the trial is given instances of.
        modules: modules that are imported whatever is reached.
        roots: the definitions at which the way begins.
        attributes: index of a root -> the constants that its object's attributes have.
        unread: index of a root -> the attributes whose assignments are left out, as nothing reads them.
        plain_form: function that is run -> the function that is read in its place.
    """

    def __init__(
        self,
        library: Library,
        fields: Fields,
        modules: Sequence[str],
        roots: Sequence[Root],
        attributes: Attributes,
        unread: Mapping[int, set[str]],
        *,
        plain_form: Mapping[Unit, Bound],
    ) -> None:
        self.plain_form = plain_form
        self.library, self.project, self.fields, self.modules = library, library.project, fields, modules
        self.facts = PieceFacts()
        self.nodes: list[Node] = []
        self.numbers: dict[Unit, int] = {}
        self.emitted: list[tuple[str, int | None, Piece]] = []
        self.private: dict[Private, int] = {}
        self.payloads: list[Payload] = []
        self.included: set[int] = set()
        self.queue: list[Unit] = []
        self.wholes: set[str] = set()
        self.made: set[Unit] = set()
        self.roots = roots
        self._reach(attributes, unread)

    def unread(self, attributes: Attributes) -> dict[int, set[str]]:
        """Index of a root -> its constant attributes that nothing on this way reads and that have a default's value."""
        unread: dict[int, set[str]] = {}
        for index, values in attributes.items():
            by_all = self.reads_all(self.nodes[self.root_numbers[index]])
            defaults = self.roots[index].defaults
            left = {
                name
                for name, value in values.items()
                if not by_all and name not in self.facts.loads and _is_default(value, defaults)
            }
            if left:
                unread[index] = left
        return unread

    def _reach(self, attributes: Attributes, unread: Mapping[int, set[str]]) -> None:
        self.root_numbers: list[int] = []
        for index, root in enumerate(self.roots):
            values = attributes.get(index, {})
            node = self.library.node(root.unit, self.fields, root, values)
            if index in unread:
                node = self.library.without_unread(node, root, self.fields, values, unread[index])
            self.root_numbers.append(self._add(node))
        for unit in self.fields:
            self._visit(unit)
        done: set[tuple[int, str]] = set()
        effects_done: set[int] = set()
        while True:
            self._drain()
            if self._methods(done) or self._payloads() or self._effects(effects_done):
                continue
            return

    def _add(self, node: Node) -> int:
        number = len(self.nodes)
        self.nodes.append(node)
        self.emitted.append(("D", number, node.text.main))
        self._take(node.text.main, own(node))
        return number

    def _visit(self, unit: Unit) -> None:
        if unit not in self.numbers:
            self.numbers[unit] = -1
            self.queue.append(unit)

    def _drain(self) -> None:
        while self.queue:
            unit = self.queue.pop(0)
            node = self.library.node(unit, self.fields)
            self.numbers[unit] = len(self.nodes)
            self._add(node)

    def _take(self, piece: Piece, owner: Unit | None = None) -> None:
        self.facts.add(piece.facts)
        for token in map(self.read_as, piece.tokens):
            if isinstance(token, str) or (isinstance(token, Bound) and token.unit is owner):
                continue
            if isinstance(token, Bound):
                self.made.add(token.unit)
                self._visit(token.unit)
            elif isinstance(token, Private):
                self.private.setdefault(token, len(self.private))
            elif isinstance(token, Payload):
                self.payloads.append(token)
            else:
                self._visit_whole(token.module)

    def read_as(self, token: Token) -> Token:
        """A token, with the plain form in place of a function that was shown to compute the same."""
        return self.plain_form.get(token.unit, token) if isinstance(token, Bound) else token

    def _visit_whole(self, module: str) -> None:
        if module in self.wholes:
            return
        self.wholes.add(module)
        for target in self.project.whole(module):
            if isinstance(target, Bound):
                self.made.add(target.unit)
                self._visit(target.unit)
            elif isinstance(target, Whole):
                self._visit_whole(target.module)

    def _methods(self, done: set[tuple[int, str]]) -> bool:
        """Add the private methods, and the methods of plain values, whose names have been seen by now."""
        named = self.facts.loads | self.facts.texts
        grown = False
        for number, node in enumerate(self.nodes):
            if len(node.text.methods) == 0:
                continue
            by_all = self.reads_all(node)
            names = {MADE} if node.unit in self.made else set()
            wanted = [
                name for name in node.text.methods
                if (number, name) not in done and (by_all or name in named or name in names)
            ]  # fmt: skip
            for name in sorted(wanted, key=lambda name: (self._first_use(node.unit, name), name)):
                done.add((number, name))
                self.emitted.append((f"M{name}", number, node.text.methods[name]))
                self._take(node.text.methods[name], own(node))
                grown = True
        return grown

    def _first_use(self, unit: Unit, name: str) -> int:
        """The moment at which a method's name was first seen on an object that may belong to the method's class."""
        related = (at for use, at in self.private.items() if use.name == name and self._may_be(use.owner, unit))
        return min(related, default=len(self.private))

    def _may_be(self, owner: Unit | None, unit: Unit) -> bool:
        return owner is None or owner in self.library.ancestors(unit) or unit in self.library.ancestors(owner)

    def reads_all(self, node: Node) -> bool:
        """Return whether every attribute of a class counts as read, because a computed name may read any of them."""
        if node.unit in self.library.reading.plain:
            return False
        if self.facts.computed_read:
            return True
        ancestors = self.library.ancestors(node.unit)
        return any(
            other in ancestors or node.unit in self.library.ancestors(other) for other in self.facts.computed_self
        )

    def _payloads(self) -> bool:
        grown = False
        for payload in self.payloads:
            if id(payload) not in self.included and holds(payload.condition, self.facts, self.library.reading):
                self.included.add(id(payload))
                self._take(payload.piece)
                grown = True
        return grown

    def counting(self, tokens: Sequence[Token]) -> Iterator[Token]:
        """Tokens without the code that counts only on a condition which does not hold."""
        for token in tokens:
            if not isinstance(token, Payload):
                yield token
            elif id(token) in self.included:
                yield from self.counting(token.piece.tokens)

    def _effects(self, done: set[int]) -> bool:
        """Add the top-level statements of imported modules that change what is reached by now.

        They come in the order of what they change, and those of one definition in the order in which they run.
        """
        grown = False
        due: list[tuple[int, TopLevelEffect]] = []
        for name in self._imported():
            for effect in self.library.effects.of(name):
                if id(effect.statement) in done:
                    continue
                changed = self._first_changed(effect.change.units)
                if changed is not None or effect.change.unknown or effect.change.kinds & self.facts.heard:
                    due.append((len(self.nodes) if changed is None else changed, effect))
            module = self.project.module(name)
            if module is not None and module.content is not None and id(module) not in done:
                done.add(id(module))
                self.emitted.append(("B", None, Piece([hashlib.sha256(module.content).hexdigest()])))
                grown = True
        for _, effect in sorted(due, key=lambda item: item[0]):
            done.add(id(effect.statement))
            if effect.unit is None:
                self.emitted.append(("E", None, self.library.loose(effect)))
                self._take(self.library.loose(effect))
                grown = True
            elif effect.unit not in self.numbers:
                self._visit(effect.unit)
                grown = True
        return grown

    def _first_changed(self, targets: Iterable[Unit]) -> int | None:
        """The first definition among those reached that is one of ``targets``, or that one of them holds."""
        roots = {self.nodes[number].unit: number for number in self.root_numbers}
        numbers: list[int] = []
        pending, seen = [(unit, False) for unit in targets], set()
        while pending:
            unit, stands_for_any = pending.pop()
            if (unit, stands_for_any) in seen:
                continue
            seen.add((unit, stands_for_any))
            if unit in self.numbers or unit in roots:
                numbers.append(min(self.numbers.get(unit, len(self.nodes)), roots.get(unit, len(self.nodes))))
            if unit.is_variable:
                pending += self.library.held_by(unit, stands_for_any=stands_for_any)
        return min(numbers, default=None)

    def _imported(self) -> list[str]:
        """The names of the project modules that are imported by the time the trial runs, in the order of imports."""
        pending = [*self.modules, *(node.unit.module for node in self.nodes), *self.facts.modules]
        seen: dict[str, None] = {}
        while pending:
            name = pending.pop(0)
            module = None if name in seen else self.project.module(name)
            if module is not None:
                seen[name] = None
                pending += module.imports
        return list(seen)

    def files(self) -> Iterator[Path]:
        """The files of the imported modules that do not belong to the package which always counts."""
        for name in self._imported():
            module = self.project.module(name)
            is_measuring = self.project.origins.is_measuring(name)
            if module is not None and module.origin.file is not None and not is_measuring:
                yield module.origin.file


def _is_default(value: ast.Constant, defaults: Mapping[str, Any]) -> bool:
    """Return whether a constant stands for a choice at its default value."""
    if isinstance(value, OpenValue):
        return value.is_default
    return isinstance(value, ChosenValue) and value.choice in defaults and same(defaults[value.choice], value.value)
