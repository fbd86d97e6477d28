"""The changes that a call may cause: in its arguments, and in definitions that the called function names.

What a call changes is found by the names in it, not by running it. A computed function may change everything that it is
given.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .definitions.syntax import walk_executed
from .definitions.targets import Bound, External, Unit
from .forms.meaning import is_pure_decorator
from .forms.pieces import Reading
from .forms.writer import Writer
from .variables import MUTATORS, Function, Method, aliases_of, changed_places, local_names, origins, root_names

CHANGING = ("operator.setitem", "operator.delitem", "operator.i", "heapq.heap", "bisect.insort", "random.shuffle")
"""The beginnings of the paths of functions outside this project that change their first argument."""
OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.MatMult: "matmul", ast.Div: "truediv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift", ast.BitOr: "or", ast.BitXor: "xor",
    ast.BitAnd: "and", ast.FloorDiv: "floordiv",
}  # fmt: skip
"""Operator -> the name of its method, without underscores."""
HARMLESS = ("warnings.", "logging.", "sys.path.", "typing.", "sys.setrecursionlimit", "faulthandler.")


@dataclass(frozen=True)
class Mutation:
    """The changes that calling a function may cause.

    Attributes:
        units: the definitions outside of the function that the call may change.
        unknown: ``True`` if the call may change things that no name leads to, such as the state of another package.
        arguments: ``True`` if the call may change its arguments.
        kinds: the kinds of messages that the call makes, which change what reads such messages.
        whys: the reasons for which it cannot be decided what the call changes.
    """

    units: frozenset[Unit] = frozenset()
    unknown: bool = False
    arguments: bool = False
    kinds: frozenset[str] = frozenset()
    whys: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.units) or self.unknown or self.arguments


NOTHING = Mutation()


class Changes:
    """Finds the changes that calls may cause.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading, self.project = reading, reading.project
        self._changes: dict[Unit, Mutation] = {}
        self._by_method: dict[Method, Mutation] = {}
        self._by_name: dict[str, Mapping[str, Sequence[Method]]] = {}

    def by_statement(self, writer: Writer, call: ast.Call) -> tuple[list[ast.expr], Mutation]:
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
            known = [self._change(target.unit) for target in targets if isinstance(target, Bound)]
            return [], Mutation(unknown=not all(known))
        if isinstance(call.func, ast.Attribute):
            return [call.func], NOTHING
        return [call.func], self._unless_known(writer, call, "a computed function is called")

    def _unless_known(self, writer: Writer, call: ast.Call, why: str) -> Mutation:
        """A change of anything, unless it can be seen what a call changes."""
        roots, change = self.by_all_calls(writer, call)
        is_known = bool(change) or any(self.roots(writer, root) != (set(), False) for root in roots)
        return (
            NOTHING if is_known else Mutation(unknown=True, whys=frozenset({f"{why} for an effect that is not seen"}))
        )

    def by_all_calls(self, writer: Writer, node: ast.AST) -> tuple[list[ast.expr], Mutation]:
        """The objects that the calls in an expression may change, and what else they may change."""
        made = [self.by_call(writer, leaf) for leaf in walk_executed(node) if isinstance(leaf, ast.Call)]
        return [root for roots, _ in made for root in roots], joined_changes(change for _, change in made)

    def by_call(self, writer: Writer, call: ast.Call) -> tuple[list[ast.expr], Mutation]:
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
            inner = writer.resolve(call.func.value)
            is_object = inner is not None and any(
                isinstance(target, Bound) and target.unit.is_variable for target in inner
            )
            is_type = isinstance(call.func.value, ast.Name) and writer.is_builtin(call.func.value.id)
            if is_type and call.func.attr in MUTATORS:  # such as ``list.append(table, value)``
                roots = [*arguments[:1], *roots]
            elif (is_object and call.func.attr in MUTATORS) or (
                inner and self._method_changes_self(writer, call.func.attr)
            ):
                roots = [call.func.value, *roots]
            hears = bool(writer.messages.read_by_logger(call.func, call.args))
            change = joined_changes([change, Mutation(unknown=hears)])
            by_method = NOTHING
            if inner is None or not all(isinstance(target, External) for target in inner):
                by_method = self._by_methods(writer, call.func.attr)
            if by_method.arguments:
                roots = [*roots, *arguments]
            return roots, joined_changes([change, replace(by_method, arguments=False)])
        if targets is None:
            more, by_computed = self._by_computed_function(writer, call, arguments)
            return [*roots, *more], joined_changes([change, by_computed])
        called = [target.unit for target in targets if isinstance(target, Bound)]
        if called and not any(_has_functions(unit) for unit in called):  # such as a dataclass, which only keeps values
            roots, change = [], NOTHING
        by_function = joined_changes(self._change(unit) for unit in called)
        if by_function.arguments:
            roots = arguments
            change = joined_changes([change, Mutation(frozenset(self._held(writer, arguments)))])
        return roots, joined_changes([change, replace(by_function, arguments=False)])

    def by_store(self, writer: Writer, node: ast.Attribute | ast.Subscript) -> Mutation:
        """The changes that setting an attribute or an item causes in what the object around it holds."""
        if isinstance(node, ast.Subscript):
            return NOTHING
        hears = bool(writer.messages.read_by_logger(node))
        held = set() if isinstance(node.value, ast.Name) else self._held(writer, [node.value], within_classes=True)
        return Mutation(frozenset(held), unknown=hears)

    def by_operator(self, writer: Writer, node: ast.BinOp | ast.Subscript) -> tuple[list[ast.expr], Mutation]:
        """The objects that an operator may change which a class of this project defines, and what else it changes."""
        if isinstance(node, ast.Subscript):
            names, operands = ("__getitem__", "__class_getitem__"), [node.value, node.slice]
        else:
            name = OPERATORS.get(type(node.op), "")
            names, operands = (f"__{name}__", f"__r{name}__"), [node.left, node.right]
        change = joined_changes(self._by_methods(writer, name) for name in names)
        return operands if change.arguments else [], replace(change, arguments=False)

    def _by_computed_function(
        self, writer: Writer, call: ast.Call, arguments: Sequence[ast.expr]
    ) -> tuple[list[ast.expr], Mutation]:
        """The objects that a function without a name may change, and what else it may change."""
        if isinstance(call.func, ast.Lambda):
            change = self._change_by(writer, call.func, is_method=False)
            return list(arguments) if change.arguments else [], replace(change, arguments=False)
        held = [target.unit for target in self._named(writer, [call.func])]
        change = joined_changes(self._change(unit) for unit in held if not isinstance(unit.single, ast.ClassDef))
        why = "a computed function is called, which may change what it is given"
        return [call.func, *arguments], replace(change, arguments=False, whys=change.whys | {why})

    def _by_handed_functions(self, writer: Writer, arguments: Sequence[ast.expr]) -> tuple[list[ast.expr], Mutation]:
        """The objects among arguments that functions among them may change, and what else these may change."""
        handed = joined_changes(self._change_by_value(writer, argument) for argument in arguments)
        methods = [
            leaf.value
            for argument in arguments
            for leaf in ast.walk(argument)
            if isinstance(leaf, ast.Attribute) and self._changes_own(writer, leaf)
        ]
        if not handed.arguments:
            return methods, handed
        held = Mutation(frozenset(self._held(writer, arguments)))
        return [*arguments, *methods], replace(joined_changes([handed, held]), arguments=False)

    def _changes_own(self, writer: Writer, node: ast.Attribute) -> bool:
        """Return whether an attribute is a method that changes the object which it belongs to."""
        is_method = node.attr in MUTATORS or self._method_changes_self(writer, node.attr)
        return is_method and isinstance(node.ctx, ast.Load) and writer.resolve(node) is None

    def _held(self, writer: Writer, nodes: Iterable[ast.AST], *, within_classes: bool = False) -> set[Unit]:
        """The definitions that are held by the variables, or by the classes too, which some code names."""
        held: set[Unit] = set()
        pending = [target.unit for target in self._named(writer, nodes)]
        while pending:
            unit = pending.pop()
            if unit.is_variable and unit not in held:
                held.add(unit)
                pending += [target.unit for target in self._named(self._writer(unit.module), unit.statements)]
            elif isinstance(unit.single, ast.ClassDef) and unit not in held:
                held.add(unit)
                if within_classes:
                    pending += [target.unit for target in self._named(self._writer(unit.module), unit.statements)]
        return held

    def _change_by_value(self, writer: Writer, node: ast.expr) -> Mutation:
        """The changes that a function may cause which is a value of an expression, once something calls it."""
        if isinstance(node, ast.Lambda):
            return self._change_by(writer, node, is_method=False)
        if isinstance(node, (ast.Name, ast.Attribute)):
            if isinstance(node, ast.Name) and writer.is_builtin(node.id) and node.id in ("setattr", "delattr"):
                return Mutation(arguments=True)
            if isinstance(node, ast.Attribute) and node.attr in ("__setattr__", "__delattr__"):
                return Mutation(arguments=True)
            targets = writer.resolve(node)
            if targets is None and isinstance(node, ast.Attribute):
                return self._by_methods(writer, node.attr)
            units = [target.unit for target in targets or () if isinstance(target, Bound)]
            return joined_changes(self._change(unit) for unit in units if not isinstance(unit.single, ast.ClassDef))
        if isinstance(node, ast.Call):  # it may make a function, or give one of its arguments
            parts = [node.func, *node.args, *(word.value for word in node.keywords)]
            return joined_changes(self._change_by_value(writer, part) for part in parts)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.Starred)):
            parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            return joined_changes(self._change_by_value(writer, part) for part in parts)
        return NOTHING

    def by_decorator(self, writer: Writer, node: ast.expr) -> tuple[list[ast.expr], Mutation]:
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
                change = joined_changes([change, self._change(target.unit)])
            else:
                change = Mutation(unknown=True)
        handed = isinstance(node, ast.Call) and change.arguments
        return [*node.args] if handed and isinstance(node, ast.Call) else [], change

    def _methods(self, writer: Writer, name: str) -> Iterator[tuple[Writer, Method]]:
        """The methods of this name in the classes that a module can see, with the meaning of names around each."""
        for module in (writer.module.name, *writer.module.imports):
            for method in self._methods_of(module).get(name, ()):
                yield self._writer(module), method

    def _methods_of(self, name: str) -> Mapping[str, Sequence[Method]]:
        """Name -> the methods of this name in the classes of a module."""
        if name not in self._by_name:
            methods: dict[str, list[Method]] = {}
            module = self.project.module(name)
            for unit in module.units if module is not None else ():
                for method in unit.single.body if isinstance(unit.single, ast.ClassDef) else ():
                    if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        methods.setdefault(method.name, []).append(method)
            self._by_name[name] = methods
        return self._by_name[name]

    def _method_changes_self(self, writer: Writer, name: str) -> bool:
        """Return whether a class that the module can see has a method of this name that changes its own object."""
        for _, method in self._methods(writer, name):
            self_name = method.args.args[0].arg if method.args.args else ""
            if any(self_name in root_names(place) for place in changed_places(method)):
                return True
        return False

    def _by_methods(self, writer: Writer, name: str) -> Mutation:
        """The changes that methods of this name may cause, except in their own objects."""
        changes: list[Mutation] = []
        for at, method in self._methods(writer, name):
            if method not in self._by_method:
                self._by_method[method] = NOTHING
                words = {word.id for word in method.decorator_list if isinstance(word, ast.Name)}
                self._by_method[method] = self._change_by(at, method, is_method="staticmethod" not in words)
            changes.append(self._by_method[method])
        return joined_changes(changes)

    def _change(self, unit: Unit) -> Mutation:
        """The changes that calling a function or class of this project may cause."""
        if unit not in self._changes:
            self._changes[unit] = NOTHING  # a unit that calls itself, perhaps through others, adds no further change
            self._changes[unit] = self._found_change(unit)
        return self._changes[unit]

    def _writer(self, name: str) -> Writer:
        module = self.project.module(name)
        assert module is not None
        return Writer(self.reading, module)

    def _found_change(self, unit: Unit) -> Mutation:
        writer = self._writer(unit.module)
        changes = [
            self._change_by(writer, function, is_method=isinstance(statement, ast.ClassDef))
            for statement in unit.statements
            for function in ast.walk(statement)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        ]
        if unit.is_variable:  # it may be a function that it names, or hold one
            held = [target.unit for target in self._named(writer, unit.statements) if target.unit is not unit]
            changes += [self._change(other) for other in held if not isinstance(other.single, ast.ClassDef)]
            for statement in unit.statements:
                for leaf in ast.walk(statement):
                    if isinstance(leaf, ast.Attribute) and self._changes_own(writer, leaf):
                        changes.append(Mutation(frozenset(self.roots(writer, leaf.value)[0])))
        return joined_changes(changes)

    def _named(self, writer: Writer, nodes: Iterable[ast.AST]) -> list[Bound]:
        """The definitions of this project that some code names."""
        names = dict.fromkeys(
            leaf.id
            for node in nodes
            for leaf in ast.walk(node)
            if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Load)
        )
        return [target for name in names for target in writer.at_module(name) if isinstance(target, Bound)]

    def _change_by(self, writer: Writer, function: Function, *, is_method: bool) -> Mutation:
        """The changes that calling a function may cause.

        Args:
            writer: the meaning of names in the function's module.
            function: the function.
            is_method: ``True`` for a method, whose own object is no argument.
        """
        taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        varied = [parameter for parameter in (function.args.vararg, function.args.kwarg) if parameter is not None]
        self_name = taken[0].arg if taken and is_method else ""
        parameters = {parameter.arg for parameter in [*taken, *varied]} - {self_name}
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
                if root in parameters:
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
            elif self._method_changes_self(writer, call.func.attr):
                yield call.func.value

    def roots(self, writer: Writer, node: ast.expr) -> tuple[set[Unit], bool]:
        """The definitions that an expression starts from, and whether it may lead anywhere else."""
        targets = writer.resolve(node)
        if targets is not None:
            units = {target.unit for target in targets if isinstance(target, Bound)}
            return units, not all(isinstance(target, Bound) for target in targets)
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            return self.roots(writer, node.value)
        if isinstance(node, ast.Call):
            return self._roots_of_result(writer, node)
        if isinstance(node, ast.Name):
            return set(), not writer.module.bound(node.id) and not writer.is_builtin(node.id)
        if isinstance(node, ast.Lambda):
            return {target.unit for target in self._named(writer, [node.body])}, False
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            return set(), False
        units, always = set(), False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                more, unknown = self.roots(writer, child)
                units, always = units | more, always or unknown
        return units, always

    def _roots_of_result(self, writer: Writer, call: ast.Call) -> tuple[set[Unit], bool]:
        """The definitions from which the result of a call may come, and whether it may come from anywhere else."""
        units, always = self.roots(writer, call.func)
        for unit in list(units):
            if not unit.is_variable and not isinstance(unit.single, ast.ClassDef):
                units |= {target.unit for target in self._named(self._writer(unit.module), unit.statements)}
        for argument in call.args:
            units |= self.roots(writer, argument)[0]
        return units, always


def joined_changes(changes: Iterable[Mutation]) -> Mutation:
    joined = NOTHING
    for change in changes:
        joined = Mutation(
            joined.units | change.units,
            joined.unknown or change.unknown,
            joined.arguments or change.arguments,
            joined.kinds | change.kinds,
            joined.whys | change.whys,
        )
    return joined


def _has_functions(unit: Unit) -> bool:
    """Return whether a unit defines a function, so that it may call what it is given, or is a value that may be one."""
    leaves = (leaf for statement in unit.statements for leaf in ast.walk(statement))
    return unit.is_variable or any(isinstance(leaf, (ast.FunctionDef, ast.AsyncFunctionDef)) for leaf in leaves)
