"""The way from the roots of a trial to one digest of its code.

Definitions are taken in the order in which they are reached, breadth first, and a reference to one is written as its
number. So neither the names of definitions nor their modules count, and neither does a definition without references.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .canonical import Writer
from .effects import Effects, TopLevelEffect
from .pieces import ANNOTATION, DOCSTRING, FIELD_ANNOTATION, Payload, Piece, PieceFacts, Private, Reading, Text, Token
from .source import Bound, Project, Target, Unit, Whole, bound_names
from .specialise import Fields, Folding, constant_attributes, is_constant, with_attributes

GROUPS = ("ExceptionGroup", "BaseExceptionGroup")
"""The exceptions that hold others, which handlers of these others catch too."""
MADE = "="
"""The name for the defaults of a class of plain values, which count only where code makes an instance of the class."""


@dataclass(frozen=True)
class Root:
    """A function or class that a trial's code starts from.

    Attributes:
        role: the role of the function or class in the trial, such as ``neck``.
        unit: the function or class.
        choices: name -> value of each choice of a component; ``None`` for a root that is no component.
        defaults: name -> default, for the choices with a default.
    """

    role: str
    unit: Unit
    choices: Mapping[str, Any] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """Two functions that were shown to compute the same: a plain one, and one that is run because it is faster.

    A key reads the plain one in place of the other, as long as the other's own code is that of the proof.

    Attributes:
        run: the function that is run.
        plain: the function that defines what is computed.
        digest: the digest of the code that only ``run`` reaches, from :meth:`Library.own_code`, when it was shown.
    """

    run: Callable[..., Any]
    plain: Callable[..., Any]
    digest: str


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


@dataclass(eq=False)
class _Node:
    """A definition as a key reads it: a unit, or the class of a component with its choices put in."""

    unit: Unit
    text: Text
    label: str
    folded: frozenset[str] = frozenset()


Attributes = Mapping[int, Mapping[str, ast.Constant]]
"""Index of a root -> attribute of its object -> the constant that the attribute has."""


class Library:
    """The normal forms of definitions, each of which is made only once.

    Args:
        package: the package that always counts as project code.
        plain: the classes of plain values, whose constructors check their values and compute nothing.
        reports: the classes of progress reports, whose content does not count.
        silent: the packages that read the machine and compute nothing, so neither they nor their versions count.
        observers: the classes of objects that watch a computation and keep what it made, but compute nothing of it. A
            parameter that may hold one counts as ``None``, so that the computation is read as it is without it.
        proofs: the functions in whose place others are read.
    """

    def __init__(
        self,
        package: str,
        plain: Iterable[type],
        reports: Iterable[type],
        silent: Iterable[str],
        observers: Iterable[type] = (),
        proofs: Iterable[Proof] = (),
    ) -> None:
        self.project = Project(package)
        self.silent = frozenset(silent)
        self.reading = Reading(
            self.project,
            {unit: unit.names[0] for unit in map(self.unit_of, plain)},
            frozenset(map(self.unit_of, reports)),
            {unit: unit.names[0] for unit in map(self.unit_of, observers)},
        )
        self.effects = Effects(self.reading)
        self._texts: dict[Any, tuple[Text, frozenset[str]]] = {}
        self._loose: dict[int, Piece] = {}
        self._folded: dict[Any, tuple[Unit, frozenset[str]]] = {}
        self._readers: dict[Unit, bool] = {}
        self._ancestors: dict[Unit, frozenset[Unit]] = {}
        self._proofs = tuple(proofs)

    @cached_property
    def plain_form(self) -> Mapping[Unit, Bound]:
        """Function that is run -> the plain form that is read in its place, for the proofs that hold."""
        forms = {}
        for proof in self._proofs:
            if self.own_code(proof) == proof.digest:
                unit = self.unit_of(proof.plain)
                forms[self.unit_of(proof.run)] = Bound(unit, unit.names[0])
        return forms

    def own_code(self, proof: Proof) -> str:
        """The digest of the code that a proof's function which is run reaches, and that its plain form does not."""
        run, plain = (self._reached(self.unit_of(function)) for function in (proof.run, proof.plain))
        own = [tokens for unit, tokens in run.items() if unit not in plain]
        return _digest(sorted(_digest([self._unplaced(token) for token in tokens]) for tokens in own))

    def _unplaced(self, token: Token) -> str:
        """A token as text in which a definition is known by its own code, whatever its name and wherever it lies."""
        if isinstance(token, Bound):
            tokens = self.node(token.unit, {}).text.main.tokens
            return f"R{_digest([part for part in tokens if isinstance(part, str)])}"
        return token if isinstance(token, str) else f"{type(token).__name__} {getattr(token, 'name', '')}"

    def _reached(self, unit: Unit) -> dict[Unit, list[Token]]:
        """The definitions that a function reaches, with their code."""
        walk = _Walk(self, {}, (), [Root("function", unit)], {}, {}, plain_form={})
        tokens: dict[Unit, list[Token]] = {}
        for _, number, piece in walk.emitted:
            if number is not None:
                tokens.setdefault(walk.nodes[number].unit, []).extend(walk.counting(piece.tokens))
        return tokens

    def unit_of(self, item: Any) -> Unit:
        """The definition of a class or function.

        Raises:
            ValueError: for a definition whose source cannot be found, such as one that was typed into a console.
        """
        module, name = item.__module__, item.__qualname__
        if "<locals>" in name:  # a function made it, so the name at the top level leads to the call that did
            names = [name for name, value in vars(sys.modules[module]).items() if value is item]
            name = names[0] if names else name
        for target in self.project.lookup(module, name.partition(".")[0]):
            if isinstance(target, Bound):
                return target.unit
        raise ValueError(f"cannot find the source of {module}:{name}; define it in a file, at the top level")

    def read(self, roots: Sequence[Root], fields: Fields, modules: Sequence[str]) -> ReadSource:
        """The code that is reached from ``roots``.

        Args:
            roots: the roots in a fixed order.
            fields: known values of the plain classes that the trial is given instances of.
            modules: modules that are imported whatever is reached, such as the study's own.
        """

        def walk(attributes: Attributes, unread: Mapping[int, set[str]]) -> _Walk:
            return _Walk(self, fields, modules, roots, attributes, unread, plain_form=self.plain_form)

        facts = walk({}, {}).facts
        attributes = {index: self._attributes(root, fields, facts) for index, root in enumerate(roots)}
        unread = walk(attributes, {}).unread(roots, attributes)
        return walk(attributes, unread).source(roots)

    def _attributes(self, root: Root, fields: Fields, facts: PieceFacts) -> dict[str, ast.Constant]:
        if root.choices is None or not isinstance(root.unit.single, ast.ClassDef) or facts.computed_write:
            return {}
        unit, _ = self.folded(root.unit, fields, root.choices)
        node = unit.statements[0]
        assert isinstance(node, ast.ClassDef)
        constants = constant_attributes(self.project, node, unit.module)
        return {name: value for name, value in constants.items() if name not in facts.stores}

    def folded(self, unit: Unit, fields: Fields, choices: Mapping[str, Any] | None) -> tuple[Unit, frozenset[str]]:
        """A unit with known values put in, and the choices among them."""
        if choices is None and not self._reads_fields(unit):
            return unit, frozenset()
        key = (unit, _frozen_fields(fields), None if choices is None else _frozen(choices))
        if key not in self._folded:
            made = Folding(self.project, unit.module, fields, self.reading.observers).fold(unit, choices or {})
            self._folded[key] = made.unit, made.choices
        return self._folded[key]

    def _reads_fields(self, unit: Unit) -> bool:
        """Return whether a unit names a class of plain values or of observers, in an annotation or anywhere else."""
        if unit not in self._readers:
            names = {*self.reading.plain.values(), *self.reading.observers.values()}
            self._readers[unit] = any(
                (isinstance(leaf, ast.Name) and leaf.id in names)
                or (isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value in names)
                for statement in unit.statements
                for leaf in ast.walk(statement)
            )
        return self._readers[unit]

    def node(
        self,
        unit: Unit,
        fields: Fields,
        root: Root | None = None,
        attributes: Mapping[str, ast.Constant] | None = None,
    ) -> _Node:
        """The definition with everything that a key reads of it."""
        choices = None if root is None else root.choices
        label = self.project.label(unit) + (f"({root.role})" if root is not None and choices is not None else "")
        if unit in self.reading.plain and root is None:
            return _Node(unit, self._plain_text(unit, fields), label)
        made, folded = self.folded(unit, fields, choices)
        names = tuple(sorted(attributes or {}))
        key = (unit, id(made), names)
        if key not in self._texts:
            text = self._text(made)
            if attributes:
                text = self._text(self._with_attributes(made, fields, attributes, set()))
            self._texts[key] = text, folded
        text, folded = self._texts[key]
        return _Node(unit, text, label, folded)

    def without_unread(
        self, node: _Node, root: Root, fields: Fields, attributes: Mapping[str, ast.Constant], unread: set[str]
    ) -> _Node:
        """A component's class without assignments to attributes that nothing reads."""
        made, folded = self.folded(node.unit, fields, root.choices)
        key = (node.unit, id(made), tuple(sorted(attributes)), tuple(sorted(unread)))
        if key not in self._texts:
            self._texts[key] = self._text(self._with_attributes(made, fields, attributes, unread)), folded
        return _Node(node.unit, self._texts[key][0], node.label, folded)

    def _with_attributes(
        self, unit: Unit, fields: Fields, attributes: Mapping[str, ast.Constant], unread: set[str]
    ) -> Unit:
        return with_attributes(
            Folding(self.project, unit.module, fields, self.reading.observers), unit, attributes, unread
        )

    def _text(self, unit: Unit) -> Text:
        module = self.project.module(unit.module)
        assert module is not None
        return Writer(self.reading, module).unit(unit)

    def _plain_text(self, unit: Unit, fields: Fields) -> Text:
        """The text of a class of plain values: its instances are known by their fields, and methods count if named."""
        key = (unit, "plain")
        if key not in self._texts:
            module = self.project.module(unit.module)
            assert module is not None
            node = unit.single
            methods: dict[str, Piece] = {}
            for statement in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and not statement.name.startswith(
                    "__"
                ):
                    shell = Unit(unit.module, [ast.ClassDef("", [], [], [statement], [])], list(unit.names))
                    methods[statement.name] = Writer(self.reading, module).unit(shell).main
            methods[MADE] = Writer(self.reading, module).defaults(node) if isinstance(node, ast.ClassDef) else Piece()
            self._texts[key] = Text(Piece(["plain"]), methods), frozenset()
        return self._texts[key][0]

    def ancestors(self, unit: Unit) -> frozenset[Unit]:
        """The class itself and every class of this project that it derives from."""
        if unit not in self._ancestors:
            self._ancestors[unit] = frozenset({unit})
            module, node = self.project.module(unit.module), unit.single
            above = {unit}
            if module is not None and isinstance(node, ast.ClassDef):
                writer = Writer(self.reading, module)
                for base in node.bases:
                    for target in writer.resolve(base) or ():
                        if isinstance(target, Bound):
                            above |= self.ancestors(target.unit)
            self._ancestors[unit] = frozenset(above)
        return self._ancestors[unit]

    def held_by(self, unit: Unit) -> list[Unit]:
        """The variables that a variable's statements name, so that it may hold their values.

        A loop's variable and another name for a definition may stand for a function or class too.
        """
        names = {leaf.id for statement in unit.statements for leaf in ast.walk(statement) if isinstance(leaf, ast.Name)}
        names -= {name for statement in unit.statements for name in bound_names(statement)}
        targets = [target for name in sorted(names) for target in self.project.lookup(unit.module, name)]
        stands_for_any = isinstance(unit.single, (ast.For, ast.With)) or (
            isinstance(unit.single, (ast.Assign, ast.AnnAssign)) and isinstance(unit.single.value, ast.Name)
        )
        return [
            target.unit
            for target in targets
            if isinstance(target, Bound) and (target.unit.is_variable or stands_for_any)
        ]

    def loose(self, effect: TopLevelEffect) -> Piece:
        """The normal form of a top-level statement."""
        key = id(effect.statement)
        if key not in self._loose:
            module = self.project.module(effect.module)
            assert module is not None
            self._loose[key] = Writer(self.reading, module).loose(effect.statement)
        return self._loose[key]


class _Walk:
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
        self.nodes: list[_Node] = []
        self.numbers: dict[Unit, int] = {}
        self.emitted: list[tuple[str, int | None, Piece]] = []
        self.private: dict[Private, int] = {}
        self.payloads: list[Payload] = []
        self.included: set[int] = set()
        self.queue: list[Unit] = []
        self.wholes: set[str] = set()
        self.made: set[Unit] = set()
        self._reach(roots, attributes, unread)

    def unread(self, roots: Sequence[Root], attributes: Attributes) -> dict[int, set[str]]:
        """Index of a root -> its constant attributes that nothing on this way reads and that have a default's value."""
        unread: dict[int, set[str]] = {}
        for index, values in attributes.items():
            by_all = self._by_all(self.nodes[self.roots[index]])
            defaults = roots[index].defaults
            left = {
                name
                for name, value in values.items()
                if not by_all and name not in self.facts.loads and _is_default(value, defaults)
            }
            if left:
                unread[index] = left
        return unread

    def _reach(self, roots: Sequence[Root], attributes: Attributes, unread: Mapping[int, set[str]]) -> None:
        self.roots: list[int] = []
        for index, root in enumerate(roots):
            values = attributes.get(index, {})
            node = self.library.node(root.unit, self.fields, root, values)
            if index in unread:
                node = self.library.without_unread(node, root, self.fields, values, unread[index])
            self.roots.append(self._add(node))
        for unit in self.fields:
            self._visit(unit)
        done: set[tuple[int, str]] = set()
        effects_done: set[int] = set()
        while True:
            self._drain()
            if self._methods(done) or self._payloads() or self._effects(effects_done):
                continue
            return

    def _add(self, node: _Node) -> int:
        number = len(self.nodes)
        self.nodes.append(node)
        self.emitted.append(("D", number, node.text.main))
        self._take(node.text.main, _own(node))
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
        for token in map(self._read_as, piece.tokens):
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

    def _read_as(self, token: Token) -> Token:
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
            by_all = self._by_all(node)
            names = {MADE} if node.unit in self.made else set()
            wanted = [
                name for name in node.text.methods
                if (number, name) not in done and (by_all or name in named or name in names)
            ]  # fmt: skip
            for name in sorted(wanted, key=lambda name: (self._first_use(node.unit, name), name)):
                done.add((number, name))
                self.emitted.append((f"M{name}", number, node.text.methods[name]))
                self._take(node.text.methods[name], _own(node))
                grown = True
        return grown

    def _first_use(self, unit: Unit, name: str) -> int:
        """The moment at which a method's name was first seen on an object that may belong to the method's class."""
        related = (at for use, at in self.private.items() if use.name == name and self._may_be(use.owner, unit))
        return min(related, default=len(self.private))

    def _may_be(self, owner: Unit | None, unit: Unit) -> bool:
        return owner is None or owner in self.library.ancestors(unit) or unit in self.library.ancestors(owner)

    def _by_all(self, node: _Node) -> bool:
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
            if id(payload) not in self.included and self._is_read(payload):
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

    def _is_read(self, payload: Payload) -> bool:
        known = {FIELD_ANNOTATION: self.facts.hints, ANNOTATION: self.facts.all_hints, DOCSTRING: self.facts.docs}
        if isinstance(payload.condition, str) and payload.condition in known:
            return known[payload.condition]
        return any(self._catches(handler, payload.condition) for handler in self.facts.handlers)

    def _catches(self, handler: Target | str | None, raised: Target | str | None) -> bool:
        if handler is None or raised is None or handler in ("Exception", "BaseException") or raised in GROUPS:
            return True
        if isinstance(raised, str):
            return isinstance(handler, str) and _is_subclass(raised, handler)
        if isinstance(raised, Bound):
            if raised == handler or (isinstance(handler, Bound) and handler.unit is raised.unit):
                return True
            node = raised.unit.single
            if not isinstance(node, ast.ClassDef):
                return True
            module = self.project.module(raised.unit.module)
            assert module is not None
            writer = Writer(self.library.reading, module)
            for base in node.bases:
                above: list[Target | str | None] = list(writer.resolve(base) or ())
                if not above:
                    above.append(base.id if isinstance(base, ast.Name) else None)
                if any(self._catches(handler, raised) for raised in above):
                    return True
            return False
        return raised == handler or not isinstance(handler, Bound)

    def _effects(self, done: set[int]) -> bool:
        """Add the top-level statements of imported modules that change what is reached by now.

        They come in the order of what they change, and those of one definition in the order in which they run.
        """
        grown = False
        due: list[tuple[int, TopLevelEffect]] = []
        for name in self._imported():
            for effect in self.library.effects.of(name):
                changed = self._first_changed(effect.targets) if id(effect.statement) not in done else None
                if changed is not None or (effect.always and id(effect.statement) not in done):
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
        roots = {self.nodes[number].unit: number for number in self.roots}
        numbers: list[int] = []
        pending, seen = list(targets), set()
        while pending:
            unit = pending.pop()
            if unit in seen:
                continue
            seen.add(unit)
            if unit in self.numbers or unit in roots:
                numbers.append(min(self.numbers.get(unit, len(self.nodes)), roots.get(unit, len(self.nodes))))
            if unit.is_variable:
                pending += self.library.held_by(unit)
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

    def _files(self) -> Iterator[Path]:
        """The files of the imported modules that do not belong to the package which always counts."""
        for name in self._imported():
            module = self.project.module(name)
            is_own = name.partition(".")[0] == self.project.origins.package
            if module is not None and module.origin.file is not None and not is_own:
                yield module.origin.file

    # The text

    def source(self, roots: Sequence[Root]) -> ReadSource:
        """The code that was reached: one digest, and the digests of its parts, which explain a change."""
        blocked = set(self.facts.texts)
        numbered: set[str] = set()
        for node in self.nodes:
            blocked |= node.text.kept
            if self._by_all(node):
                blocked |= set(node.text.methods)
            elif node.unit not in self.library.reading.plain:
                numbered |= set(node.text.methods)
        self.renamed = numbered - blocked
        positions = {number: position for position, number in enumerate(self.roots)}
        whole = hashlib.sha256()
        pieces: dict[int, list[str]] = {}
        loose: dict[str, list[str]] = {}
        self.shared = {use.name for use in self.private if use.owner is None}
        self.family = _families(self.library.ancestors(node.unit) for node in self.nodes)
        self.order: dict[Any, int] = {}
        for kind, number, piece in self.emitted:
            head = self._head(kind, number, positions)
            whole.update("\n".join([head, *self._spelled(piece.tokens, number, None)]).encode())
            local = [head if kind.startswith("M") else kind, *self._spelled(piece.tokens, number, {})]
            if number is None:
                loose.setdefault("top-level statements", []).extend(local)
            else:
                pieces.setdefault(number, []).extend(local)
        definitions: dict[str, str] = {}
        for number, parts in pieces.items():
            label = self.nodes[number].label
            if label in definitions:
                label = f"{label} #{number}"
            definitions[label] = _digest(parts)
        definitions |= {label: _digest(parts) for label, parts in loose.items()}
        return ReadSource(
            digest=whole.hexdigest(),
            definitions=definitions,
            packages=frozenset(package for package in self.facts.packages if package not in self.library.silent),
            notes=tuple(self.facts.notes),
            unwritten=tuple(self._unwritten(root, number) for root, number in zip(roots, self.roots, strict=True)),
            files=tuple(self._files()),
        )

    def _head(self, kind: str, number: int | None, positions: Mapping[int, int]) -> str:
        if number is None:
            return kind
        node = self.nodes[number]
        role = f" root {positions[number]}" if number in positions else ""
        name = ""
        single = node.unit.single
        if self.facts.all_names or (self.facts.class_names and isinstance(single, ast.ClassDef)):
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
        owner = None if number is None else _own(self.nodes[number])
        for token in map(self._read_as, tokens):
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
                    place = number if owner is token.unit and number is not None else self.numbers.get(token.unit, -1)
                made.append(f"R{place}.{token.unit.names.index(token.name)}")
            elif isinstance(token, Whole):
                made.append("whole module")
            elif id(token) in self.included:
                made += ["(payload", *self._spelled(token.piece.tokens, number, local), ")"]
        return made

    def _outside(self, token: str) -> str:
        return token if token[2:].partition(".")[0] not in self.library.silent else "X:"

    def _unwritten(self, root: Root, number: int) -> dict[str, Any]:
        """The choices of a root whose values the code does not show."""
        if root.choices is None:
            return {}
        node = self.nodes[number]
        written = set(node.text.main.facts.choices)
        for kind, owner, piece in self.emitted:
            if owner == number and kind.startswith("M"):
                written |= piece.facts.choices
        kept = {}
        for name, value in root.choices.items():
            is_default = name in root.defaults and _same(root.defaults[name], value)
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


def _is_default(value: ast.Constant, defaults: Mapping[str, Any]) -> bool:
    """Return whether a constant stands for a choice at its default value."""
    choice: str = getattr(value, "choice", "")
    return choice in defaults and _same(defaults[choice], value.value)


def _own(node: _Node) -> Unit | None:
    """The unit that a definition means by its own name; with choices put in, a class means the class as it stands."""
    return None if node.folded else node.unit


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _frozen(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, type(value).__name__, repr(value)) for name, value in values.items() if is_constant(value))


def _frozen_fields(fields: Fields) -> tuple[Any, ...]:
    return tuple((unit, _frozen(values)) for unit, values in fields.items())


def _is_subclass(raised: str, handler: str) -> bool:
    one, other = getattr(builtins, raised, None), getattr(builtins, handler, None)
    return not (isinstance(one, type) and isinstance(other, type)) or issubclass(one, other)
