"""Top-level statements that change something that is defined elsewhere: tables filled by calls, patched classes.

Importing a module executes them, so they are part of whatever uses the things that they change. A statement that calls
a function of this project by itself may change anything, and so counts wherever its module is imported; one that
changes the state of another package does too. What only binds a name is no effect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .definitions.module import Module
from .definitions.project import Project
from .definitions.syntax import bound_names, walk_executed
from .definitions.targets import Bound, External, Unit
from .forms.meaning import is_pure_decorator
from .forms.pieces import Reading
from .forms.writer import Writer

MUTATORS = frozenset(
    {
        "append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "add",
        "discard", "update", "setdefault", "difference_update", "intersection_update",
        "symmetric_difference_update", "appendleft", "extendleft", "rotate", "register",
    }
)  # fmt: skip
HARMLESS = ("warnings.", "logging.", "sys.path.", "typing.", "sys.setrecursionlimit", "faulthandler.")


@dataclass(frozen=True)
class TopLevelEffect:
    """A top-level statement that changes something.

    Attributes:
        module: the module that the statement stands in.
        statement: the statement.
        unit: the unit that the statement belongs to, if it also binds something.
        targets: the definitions that the statement may change.
        always: ``True`` if the statement may change something that no name in it leads to.
    """

    module: str
    statement: ast.stmt
    unit: Unit | None
    targets: frozenset[Unit]
    always: bool


@dataclass(frozen=True)
class Mutation:
    """The changes that calling a function may cause.

    Attributes:
        units: the definitions outside of the function that the call may change.
        unknown: ``True`` if the call may change things that no name leads to, such as the state of another package.
        arguments: ``True`` if the call may change its arguments.
    """

    units: frozenset[Unit] = frozenset()
    unknown: bool = False
    arguments: bool = False

    def __bool__(self) -> bool:
        return bool(self.units) or self.unknown or self.arguments


NOTHING = Mutation()


class Effects:
    """Finds the top-level effects in modules.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading, self.project = reading, reading.project
        self._found: dict[str, tuple[TopLevelEffect, ...]] = {}
        self._changes: dict[Unit, Mutation] = {}

    def of(self, name: str) -> tuple[TopLevelEffect, ...]:
        """The effects of importing a module, in the order of its text."""
        if name not in self._found:
            module = self.project.module(name)
            self._found[name] = () if module is None else tuple(self._effects(module))
        return self._found[name]

    def _effects(self, module: Module) -> Iterator[TopLevelEffect]:
        for statement in module.body:
            targets, always = self._changed(module, statement)
            if targets or always:
                names = list(bound_names(statement))
                unit = module.bound(names[0]) if names else None
                yield TopLevelEffect(module.name, statement, unit, frozenset(targets), always)

    def _changed(self, module: Module, statement: ast.stmt) -> tuple[set[Unit], bool]:
        """The definitions that executing a top-level statement may change, and whether it may change anything."""
        writer = Writer(self.reading, module)
        targets: set[Unit] = set()
        always = False
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return targets, always
        for node in walk_executed(statement):
            roots: list[ast.expr] = []
            change = NOTHING
            if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
                roots = [node.value if isinstance(node, ast.Subscript) else node]
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                roots = [node.target]
            elif isinstance(node, ast.Call):
                roots, change = self._changed_by_call(writer, node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                roots, unknown = self._changed_by_statement(writer, node.value)
                always = always or unknown
            if isinstance(node, ast.ClassDef):
                targets |= self._told_of_subclass(writer, node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound = module.bound(node.name)
                for decorator in node.decorator_list:
                    by, change = self._changed_by_decorator(writer, decorator)
                    roots += by
                    if bound is not None and (by or change):
                        targets.add(bound)
                    targets |= change.units
                    always = always or change.unknown
            for root in roots:
                units, unknown = self._roots(writer, root)
                targets |= units
                always = always or unknown
            targets |= change.units
            always = always or change.unknown
        return targets, always

    def _told_of_subclass(self, writer: Writer, node: ast.ClassDef) -> set[Unit]:
        """The classes that register a new subclass when it is defined, and the subclass itself."""
        units: set[Unit] = set()
        for base in [*node.bases, *(word.value for word in node.keywords if word.arg == "metaclass")]:
            for target in writer.resolve(base) or ():
                above = target.unit.single if isinstance(target, Bound) else None
                if not isinstance(target, Bound) or not isinstance(above, ast.ClassDef):
                    continue
                other = self.project.module(target.unit.module)
                assert other is not None
                units |= self._told_of_subclass(Writer(self.reading, other), above)
                hooks = {method.name for method in above.body if isinstance(method, ast.FunctionDef)}
                if hooks & {"__init_subclass__", "__new__", "__init__"} and (
                    "__init_subclass__" in hooks or base not in node.bases
                ):
                    units.add(target.unit)
        return units

    def _changed_by_statement(self, writer: Writer, call: ast.Call) -> tuple[list[ast.expr], bool]:
        """The objects that a call may change as a statement of its own, and whether it may change anything.

        Such a call must have an effect, because nothing uses its result.
        """
        if writer.is_message(call):
            return [], False
        path = writer.external_called(call)
        if path is not None:
            return [], not path.startswith(HARMLESS)
        if writer.builtin_called(call) in ("setattr", "delattr"):
            return [], False  # these are handled as in any other expression
        targets = writer.resolve(call.func) or ()
        if any(isinstance(target, Bound) and not target.unit.is_variable for target in targets):
            known = [self._change(target.unit) for target in targets if isinstance(target, Bound)]
            return [], not all(known)
        return [call.func], False

    def _changed_by_call(self, writer: Writer, call: ast.Call) -> tuple[list[ast.expr], Mutation]:
        """The objects among a call's receiver and arguments that it may change, and what else it may change."""
        builtin = writer.builtin_called(call)
        if builtin in ("setattr", "delattr") and call.args:
            return [call.args[0]], NOTHING
        if builtin in ("exec", "eval", "globals", "locals", "vars", "__import__"):
            return [], Mutation(unknown=True)
        targets = writer.resolve(call.func)
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("__setattr__", "__delattr__"):
            return [call.func.value, *call.args[:1]], NOTHING
        if targets is None and isinstance(call.func, ast.Attribute):
            inner = writer.resolve(call.func.value)
            is_object = inner is not None and any(
                isinstance(target, Bound) and target.unit.is_variable for target in inner
            )
            if is_object and (call.func.attr in MUTATORS or self._method_changes_self(writer, call.func.attr)):
                return [call.func.value], NOTHING
            return [], NOTHING
        change = _joined(self._change(target.unit) for target in targets or () if isinstance(target, Bound))
        arguments = [*call.args, *(word.value for word in call.keywords)] if change.arguments else []
        return arguments, Mutation(change.units, change.unknown)

    def _changed_by_decorator(self, writer: Writer, node: ast.expr) -> tuple[list[ast.expr], Mutation]:
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
                change = _joined([change, NOTHING if pure else Mutation(unknown=True)])
            elif isinstance(target, Bound):
                change = _joined([change, self._change(target.unit)])
            else:
                change = Mutation(unknown=True)
        handed = isinstance(node, ast.Call) and change.arguments
        return [*node.args] if handed and isinstance(node, ast.Call) else [], change

    def _method_changes_self(self, writer: Writer, name: str) -> bool:
        """Return whether a class that the module can see has a method of this name that changes its own object."""
        for unit in _classes(self.project, writer.module):
            single = unit.single
            assert isinstance(single, ast.ClassDef)
            for method in single.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name == name:
                    self_name = method.args.args[0].arg if method.args.args else ""
                    if any(_root_name(place) == self_name for place in _changed_places(method)):
                        return True
        return False

    def _change(self, unit: Unit) -> Mutation:
        """The changes that calling a function or class of this project may cause."""
        if unit not in self._changes:
            self._changes[unit] = NOTHING  # a unit that calls itself, perhaps through others, adds no further change
            self._changes[unit] = self._found_change(unit)
        return self._changes[unit]

    def _found_change(self, unit: Unit) -> Mutation:
        module = self.project.module(unit.module)
        assert module is not None
        writer = Writer(self.reading, module)
        return _joined(
            self._change_by(writer, function, is_method=isinstance(statement, ast.ClassDef))
            for statement in unit.statements
            for function in ast.walk(statement)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        )

    def _change_by(
        self, writer: Writer, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, *, is_method: bool
    ) -> Mutation:
        taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        self_name = taken[0].arg if taken and is_method else ""
        parameters = {parameter.arg for parameter in taken} - {self_name}
        aliases = {} if isinstance(function, ast.Lambda) else _aliases(function)
        local = set() if isinstance(function, ast.Lambda) else _locals(function)
        named: list[str] = []
        arguments = False
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Global):
                named += leaf.names
        for place in [*_changed_places(function), *self._handed_on(writer, function), *self._told(writer, function)]:
            name = _root_name(place)
            for root in {name, *aliases.get(name or "", ())} - {None, self_name}:
                assert root is not None
                if root in parameters:
                    arguments = True
                elif root not in local:
                    named.append(root)
        change = Mutation(arguments=arguments)
        for name in named:
            for target in writer.at_module(name):
                bound = frozenset({target.unit}) if isinstance(target, Bound) else frozenset()
                change = _joined([change, Mutation(bound, unknown=not bound)])
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Call):
                for target in writer.resolve(leaf.func) or ():
                    if isinstance(target, Bound) and not target.unit.is_variable:
                        other = self._change(target.unit)
                        change = _joined([change, Mutation(other.units, other.unknown)])
            elif isinstance(leaf, ast.Expr) and isinstance(leaf.value, ast.Call) and not writer.is_message(leaf.value):
                path = writer.external_called(leaf.value)
                if path is not None and not path.startswith(HARMLESS):
                    change = _joined([change, Mutation(unknown=True)])
        return change

    def _told(self, writer: Writer, function: ast.AST) -> Iterator[ast.expr]:
        """The objects at the top level whose methods a function calls for what they change."""
        for leaf in ast.walk(function):
            call = leaf.value if isinstance(leaf, ast.Expr) else leaf
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if isinstance(leaf, ast.Expr) and not writer.is_message(call):
                if isinstance(call.func.value, ast.Name) and writer.at_module(call.func.value.id):
                    yield call.func.value
            elif self._method_changes_self(writer, call.func.attr):
                yield call.func.value

    def _handed_on(self, writer: Writer, function: ast.AST) -> Iterator[ast.expr]:
        """The arguments that a function hands to other functions which change their arguments."""
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Call):
                for target in writer.resolve(leaf.func) or ():
                    if isinstance(target, Bound) and self._change(target.unit).arguments:
                        yield from [*leaf.args, *(word.value for word in leaf.keywords)]

    def _roots(self, writer: Writer, node: ast.expr) -> tuple[set[Unit], bool]:
        """The definitions that an expression starts from, and whether it may lead anywhere else."""
        targets = writer.resolve(node)
        if targets is not None:
            units = {target.unit for target in targets if isinstance(target, Bound)}
            return units, not all(isinstance(target, Bound) for target in targets)
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            return self._roots(writer, node.value)
        if isinstance(node, ast.Call):
            return self._roots(writer, node.func)
        if isinstance(node, ast.Name):
            return set(), not writer.module.bound(node.id) and not writer.is_builtin(node.id)
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.Lambda)):
            return set(), False
        units, always = set(), False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                more, unknown = self._roots(writer, child)
                units, always = units | more, always or unknown
        return units, always


def _joined(changes: Iterable[Mutation]) -> Mutation:
    units: frozenset[Unit] = frozenset()
    unknown = arguments = False
    for change in changes:
        units, unknown, arguments = units | change.units, unknown or change.unknown, arguments or change.arguments
    return Mutation(units, unknown, arguments)


def _classes(project: Project, module: Module) -> Iterator[Unit]:
    names = [module.name, *module.imports]
    for name in names:
        other = project.module(name)
        for unit in other.units if other is not None else ():
            if isinstance(unit.single, ast.ClassDef):
                yield unit


def _changed_places(function: ast.AST) -> Iterator[ast.expr]:
    """The objects that a function changes in place."""
    for leaf in ast.walk(function):
        if isinstance(leaf, (ast.Attribute, ast.Subscript)) and not isinstance(leaf.ctx, ast.Load):
            yield leaf.value
        elif isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Attribute) and leaf.func.attr in MUTATORS:
            yield leaf.func.value
        elif isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Name) and leaf.func.id in ("setattr", "delattr"):
            yield leaf.args[0]


def _root_name(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return {name for statement in function.body for name in bound_names(statement)}


def _aliases(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, set[str]]:
    """Local name -> the names from which the objects that were assigned to it may come."""
    stores: dict[str, set[str]] = {}
    for leaf in ast.walk(function):
        value = getattr(leaf, "value", None) if isinstance(leaf, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) else None
        root = None if value is None or isinstance(value, ast.Call) else _root_name(value)
        if root is not None:
            for name in bound_names(leaf):
                stores.setdefault(name, set()).add(root)
    return stores
