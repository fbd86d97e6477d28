"""The changes that a call may cause: in its arguments, and in definitions that the called function names.

What a call changes is found by the names in it, not by running it. A computed function may change everything that it is
given.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from ..definitions.syntax import walk_executed
from ..definitions.targets import Bound, External, Unit
from ..forms.meaning import is_pure_decorator
from ..forms.writer import Writer
from .functions import HARMLESS, Functions
from .mutation import NOTHING, Changed, Mutation, joined_changes
from .variables import MUTATORS

CHANGING = ("operator.setitem", "operator.delitem", "operator.i", "heapq.heap", "bisect.insort", "random.shuffle")
"""The beginnings of the paths of functions outside this project that change their first argument."""
OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.MatMult: "matmul", ast.Div: "truediv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift", ast.BitOr: "or", ast.BitXor: "xor",
    ast.BitAnd: "and", ast.FloorDiv: "floordiv",
}  # fmt: skip
"""Operator -> the name of its method, without underscores."""


class Changes(Functions):
    """Finds the changes that calls may cause.

    Args:
        reading: the settings by which code is read.
    """

    def by_statement(self, writer: Writer, call: ast.Call) -> Changed:
        """The objects that a call may change as a statement of its own, and what else it may change.

        Such a call must have an effect, because nothing uses its result.
        """
        kind = writer.messages.kind(call)
        if kind:
            return [], Mutation(kinds=frozenset({kind}))
        path = writer.external_called(call)
        if path is not None:
            return [], Mutation(unknown=not path.startswith(HARMLESS))
        builtin = writer.builtin_called(call)
        if builtin in ("setattr", "delattr", "print"):
            return [], NOTHING  # these are handled as in any other expression
        if builtin is not None:
            return [], self._unless_known(writer, call, f"{builtin}() is called")
        targets = writer.resolve(call.func) or ()
        if any(isinstance(target, Bound) and not target.unit.is_variable for target in targets):
            known = [self.by_unit(target.unit) for target in targets if isinstance(target, Bound)]
            return [], Mutation(unknown=not all(known))
        if isinstance(call.func, ast.Attribute):
            return [call.func], NOTHING
        return [call.func], self._unless_known(writer, call, "a computed function is called")

    def _unless_known(self, writer: Writer, call: ast.Call, why: str) -> Mutation:
        """A change of anything, unless it can be seen what a call changes."""
        roots, change = self.by_all_calls(writer, call)
        is_known = bool(change) or any(self.roots.of(writer, root) != (set(), False) for root in roots)
        return (
            NOTHING if is_known else Mutation(unknown=True, whys=frozenset({f"{why} for an effect that is not seen"}))
        )

    def by_all_calls(self, writer: Writer, node: ast.AST) -> Changed:
        """The objects that the calls in an expression may change, and what else they may change."""
        made = [self.by_call(writer, leaf) for leaf in walk_executed(node) if isinstance(leaf, ast.Call)]
        return [root for roots, _ in made for root in roots], joined_changes(change for _, change in made)

    def by_call(self, writer: Writer, call: ast.Call) -> Changed:
        """The objects among a call's receiver and arguments that it may change, and what else it may change."""
        builtin, external = writer.builtin_called(call), writer.external_called(call)
        arguments = [*call.args, *(word.value for word in call.keywords)]
        if builtin in ("setattr", "delattr") and call.args:
            return [call.args[0]], self.by_store(writer, ast.Attribute(call.args[0], "", ast.Store()))
        if builtin in ("exec", "eval", "globals", "locals", "vars", "__import__"):
            return [], Mutation(unknown=True)
        if builtin == "print":
            return [word.value for word in call.keywords if word.arg in ("file", None)], NOTHING
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("__setattr__", "__delattr__"):
            return [call.func.value, *call.args[:1]], NOTHING
        roots, change = self._by_handed_functions(writer, arguments)
        if builtin is not None:
            return roots, change
        if external is not None:
            hears = bool(writer.messages.read_by_call(call, external))
            if external.startswith(CHANGING):
                roots = [*arguments[:1], *roots]
            return roots, joined_changes([change, Mutation(unknown=hears)])
        targets = writer.resolve(call.func)
        if targets is None and isinstance(call.func, ast.Attribute):
            more, by_method = self._by_called_method(writer, call.func, call.args, arguments)
            return [*roots, *more], joined_changes([change, by_method])
        if targets is None:
            more, by_computed = self._by_computed_function(writer, call, arguments)
            return [*roots, *more], joined_changes([change, by_computed])
        called = [target.unit for target in targets if isinstance(target, Bound)]
        if called and not any(_has_functions(unit) for unit in called):  # such as a dataclass, which only keeps values
            roots, change = [], NOTHING
        by_function = joined_changes(self.by_unit(unit) for unit in called)
        if by_function.arguments:
            roots = arguments
            change = joined_changes([change, Mutation(frozenset(self.roots.held(writer, arguments)))])
        return roots, joined_changes([change, replace(by_function, arguments=False)])

    def _by_called_method(
        self, writer: Writer, function: ast.Attribute, positional: Sequence[ast.expr], arguments: Sequence[ast.expr]
    ) -> Changed:
        """The objects that a method of an unknown object, or of one at the top level, may change, and what else."""
        inner = writer.resolve(function.value)
        is_object = any(isinstance(target, Bound) and target.unit.is_variable for target in inner or ())
        is_type = isinstance(function.value, ast.Name) and writer.is_builtin(function.value.id)
        roots: list[ast.expr] = []
        if is_type and function.attr in MUTATORS:  # such as ``list.append(table, value)``
            roots += arguments[:1]
        elif (is_object and function.attr in MUTATORS) or (inner and self.methods.change_self(writer, function.attr)):
            roots.append(function.value)
        hears = Mutation(unknown=bool(writer.messages.read_by_logger(function, positional)))
        if inner is not None and all(isinstance(target, External) for target in inner):
            return roots, hears
        change = self.by_methods(writer, function.attr)
        if change.arguments:
            roots += arguments
        return roots, joined_changes([hears, replace(change, arguments=False)])

    def by_store(self, writer: Writer, node: ast.Attribute | ast.Subscript) -> Mutation:
        """The changes that setting an attribute or an item causes in what the object around it holds."""
        if isinstance(node, ast.Subscript):
            return NOTHING
        hears = bool(writer.messages.read_by_logger(node))
        held = set() if isinstance(node.value, ast.Name) else self.roots.held(writer, [node.value], within_classes=True)
        return Mutation(frozenset(held), unknown=hears)

    def by_operator(self, writer: Writer, node: ast.BinOp | ast.Subscript) -> Changed:
        """The objects that an operator may change which a class of this project defines, and what else it changes."""
        if isinstance(node, ast.Subscript):
            names, operands = ("__getitem__", "__class_getitem__"), [node.value, node.slice]
        else:
            name = OPERATORS.get(type(node.op), "")
            names, operands = (f"__{name}__", f"__r{name}__"), [node.left, node.right]
        change = joined_changes(self.by_methods(writer, name) for name in names)
        return operands if change.arguments else [], replace(change, arguments=False)

    def _by_computed_function(self, writer: Writer, call: ast.Call, arguments: Sequence[ast.expr]) -> Changed:
        """The objects that a function without a name may change, and what else it may change."""
        if isinstance(call.func, ast.Lambda):
            change = self.by_function(writer, call.func, is_method=False)
            return list(arguments) if change.arguments else [], replace(change, arguments=False)
        held = [target.unit for target in self.roots.named(writer, [call.func])]
        change = joined_changes(self.by_unit(unit) for unit in held if not isinstance(unit.single, ast.ClassDef))
        why = "a computed function is called, which may change what it is given"
        return [call.func, *arguments], replace(change, arguments=False, whys=change.whys | {why})

    def _by_handed_functions(self, writer: Writer, arguments: Sequence[ast.expr]) -> Changed:
        """The objects among arguments that functions among them may change, and what else these may change."""
        handed = joined_changes(self.by_value(writer, argument) for argument in arguments)
        methods = [
            leaf.value
            for argument in arguments
            for leaf in ast.walk(argument)
            if isinstance(leaf, ast.Attribute) and self.methods.is_mutator(writer, leaf)
        ]
        if not handed.arguments:
            return methods, handed
        held = Mutation(frozenset(self.roots.held(writer, arguments)))
        return [*arguments, *methods], replace(joined_changes([handed, held]), arguments=False)

    def by_decorator(self, writer: Writer, node: ast.expr) -> Changed:
        """The objects and definitions that a decorator may change besides the definition that it decorates."""
        function = node.func if isinstance(node, ast.Call) else node
        targets = writer.resolve(function)
        if targets is None:
            if isinstance(function, ast.Attribute) and writer.resolve(function.value) is not None:
                return [function.value], NOTHING  # a method of something at the top level, such as a registry
            known = isinstance(function, ast.Name) and writer.is_builtin(function.id)
            return [], NOTHING if known or isinstance(function, ast.Attribute) else Mutation(unknown=True)
        change = NOTHING
        for target in targets:
            if isinstance(target, External):
                pure = is_pure_decorator(target.path) or target.path.partition(".")[0] in ("pytest", "numba")
                change = joined_changes([change, NOTHING if pure else Mutation(unknown=True)])
            elif isinstance(target, Bound):
                change = joined_changes([change, self.by_unit(target.unit)])
            else:
                change = Mutation(unknown=True)
        handed = isinstance(node, ast.Call) and change.arguments
        return [*node.args] if handed and isinstance(node, ast.Call) else [], change


def _has_functions(unit: Unit) -> bool:
    """Return whether a unit defines a function, so that it may call what it is given, or is a value that may be one."""
    leaves = (leaf for statement in unit.statements for leaf in ast.walk(statement))
    return unit.is_variable or any(isinstance(leaf, (ast.FunctionDef, ast.AsyncFunctionDef)) for leaf in leaves)
