"""The changes that a function may cause once it is called."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator

from ..definitions.syntax import collecting_parameters, parameters
from ..definitions.targets import Bound, Unit
from ..forms.pieces import Reading
from ..forms.writer import Writer
from .methods import Methods
from .mutation import NOTHING, Changed, Mutation, joined_changes
from .roots import Roots
from .variables import Function, Method, aliases_of, changed_places, local_names, origins, root_names

HARMLESS = ("warnings.", "logging.", "sys.path.", "typing.", "sys.setrecursionlimit", "faulthandler.")
"""The beginnings of the paths of functions outside this project whose effects change no number."""


class Functions(ABC):
    """Finds the changes that functions, methods and classes may cause, each of them once.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.roots, self.methods = Roots(reading), Methods(reading)
        self._by_unit: dict[Unit, Mutation] = {}
        self._by_method: dict[Method, Mutation] = {}

    @abstractmethod
    def by_call(self, writer: Writer, call: ast.Call) -> Changed:
        """The objects among a call's receiver and arguments that it may change, and what else it may change."""

    def by_unit(self, unit: Unit) -> Mutation:
        """The changes that calling a function or class of this project may cause."""
        if unit not in self._by_unit:
            self._by_unit[unit] = NOTHING  # a unit that calls itself, perhaps through others, adds no further change
            self._by_unit[unit] = self._by_definition(unit)
        return self._by_unit[unit]

    def _by_definition(self, unit: Unit) -> Mutation:
        writer = Writer.of_module(self.reading, unit.module)
        changes = [
            self.by_function(writer, function, is_method=isinstance(statement, ast.ClassDef))
            for statement in unit.statements
            for function in ast.walk(statement)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        ]
        if unit.is_variable:  # it may be a function that it names, or hold one
            held = [target.unit for target in self.roots.named(writer, unit.statements) if target.unit is not unit]
            changes += [self.by_unit(other) for other in held if not isinstance(other.single, ast.ClassDef)]
            for statement in unit.statements:
                for leaf in ast.walk(statement):
                    if isinstance(leaf, ast.Attribute) and self.methods.is_mutator(writer, leaf):
                        changes.append(Mutation(frozenset(self.roots.of(writer, leaf.value)[0])))
        return joined_changes(changes)

    def by_methods(self, writer: Writer, name: str) -> Mutation:
        """The changes that methods of this name may cause, except in their own objects."""
        changes: list[Mutation] = []
        for at, method in self.methods.seen_by(writer, name):
            if method not in self._by_method:
                self._by_method[method] = NOTHING
                words = {word.id for word in method.decorator_list if isinstance(word, ast.Name)}
                self._by_method[method] = self.by_function(at, method, is_method="staticmethod" not in words)
            changes.append(self._by_method[method])
        return joined_changes(changes)

    def by_value(self, writer: Writer, node: ast.expr) -> Mutation:
        """The changes that a function may cause which is a value of an expression, once something calls it."""
        if isinstance(node, ast.Lambda):
            return self.by_function(writer, node, is_method=False)
        if isinstance(node, (ast.Name, ast.Attribute)):
            if isinstance(node, ast.Name) and writer.is_builtin(node.id) and node.id in ("setattr", "delattr"):
                return Mutation(arguments=True)
            if isinstance(node, ast.Attribute) and node.attr in ("__setattr__", "__delattr__"):
                return Mutation(arguments=True)
            targets = writer.resolve(node)
            if targets is None and isinstance(node, ast.Attribute):
                return self.by_methods(writer, node.attr)
            units = [target.unit for target in targets or () if isinstance(target, Bound)]
            return joined_changes(self.by_unit(unit) for unit in units if not isinstance(unit.single, ast.ClassDef))
        if isinstance(node, ast.Call):  # it may make a function, or give one of its arguments
            parts = [node.func, *node.args, *(word.value for word in node.keywords)]
            return joined_changes(self.by_value(writer, part) for part in parts)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.Starred)):
            parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            return joined_changes(self.by_value(writer, part) for part in parts)
        return NOTHING

    def by_function(self, writer: Writer, function: Function, *, is_method: bool) -> Mutation:
        """The changes that calling a function may cause.

        Args:
            writer: the meaning of names in the function's module.
            function: the function.
            is_method: ``True`` for a method, whose own object is no argument.
        """
        taken = parameters(function)
        self_name = taken[0].arg if taken and is_method else ""
        given = {parameter.arg for parameter in [*taken, *collecting_parameters(function)]} - {self_name}
        aliases = aliases_of(function)
        local = set() if isinstance(function, ast.Lambda) else local_names(function)
        named: list[str] = []
        arguments = False
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Global):
                named += leaf.names
        called, changes = self._by_calls_inside(writer, function)
        for place in [*changed_places(function), *called, *self._told(writer, function)]:
            for root in origins(root_names(place), aliases) - {self_name}:
                if root in given:
                    arguments = True
                elif root not in local:
                    named.append(root)
        changes.append(Mutation(arguments=arguments))
        for name in named:
            for target in writer.at_module(name):
                bound = frozenset({target.unit}) if isinstance(target, Bound) else frozenset()
                changes.append(Mutation(bound, unknown=not bound))
        return joined_changes(changes)

    def _by_calls_inside(self, writer: Writer, function: Function) -> tuple[list[ast.expr], list[Mutation]]:
        """The objects that the calls in a function may change, and what else they may change."""
        places: list[ast.expr] = []
        changes: list[Mutation] = []
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Expr) and isinstance(leaf.value, ast.Call):
                path, kind = writer.external_called(leaf.value), writer.messages.kind(leaf.value)
                if kind is not None:
                    changes.append(Mutation(kinds=frozenset({kind})))
                elif path is not None and not path.startswith(HARMLESS):
                    changes.append(Mutation(unknown=True))
            elif isinstance(leaf, ast.Call) and not self._is_given(writer, leaf.func):
                roots, change = self.by_call(writer, leaf)
                places += roots
                changes.append(change)
        return places, changes

    def _is_given(self, writer: Writer, node: ast.expr) -> bool:
        """Return whether a function calls one of its variables: the call that hands it over shows what it changes."""
        return isinstance(node, ast.Name) and not writer.is_builtin(node.id) and not writer.at_module(node.id)

    def _told(self, writer: Writer, function: ast.AST) -> Iterator[ast.expr]:
        """The objects at the top level whose methods a function calls for what they change."""
        for leaf in ast.walk(function):
            call = leaf.value if isinstance(leaf, ast.Expr) else leaf
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if isinstance(leaf, ast.Expr) and not writer.messages.kind(call):
                if isinstance(call.func.value, ast.Name) and writer.at_module(call.func.value.id):
                    yield call.func.value
            elif self.methods.change_self(writer, call.func.attr):
                yield call.func.value
