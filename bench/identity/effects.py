"""Top-level statements that change something that is defined elsewhere: tables filled by calls, patched classes.

Importing a module executes them, so they are part of whatever uses the things that they change. A statement that calls
a function of this project by itself may change anything, and so counts wherever its module is imported; one that
changes the state of another package does too. What only binds a name is no effect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .canonical import Writer
from .meaning import is_pure_decorator
from .pieces import Reading
from .source import Bound, External, Module, Project, Unit, bound_names, walk_executed

MUTATORS = frozenset(
    {
        "append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "add",
        "discard", "update", "setdefault", "difference_update", "intersection_update",
        "symmetric_difference_update", "appendleft", "extendleft", "rotate", "register",
    }
)  # fmt: skip
HARMLESS = ("warnings.", "logging.", "sys.path.", "typing.", "sys.setrecursionlimit", "faulthandler.")


@dataclass(frozen=True)
class Effect:
    """A top-level statement that changes something.

    Attributes:
        module: where it stands.
        statement: the statement.
        unit: the unit that it belongs to, if it binds something too.
        targets: the definitions that it may change.
        always: whether it may change something that no name tells.
    """

    module: str
    statement: ast.stmt
    unit: Unit | None
    targets: frozenset[Unit]
    always: bool


@dataclass(frozen=True)
class Change:
    """What calling a function may change.

    Attributes:
        elsewhere: what is defined outside of it.
        arguments: what it is handed.
    """

    elsewhere: bool
    arguments: bool


NOTHING = Change(False, False)


class Effects:
    """Finds effects in modules.

    Args:
        reading: how code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading, self.project = reading, reading.project
        self._found: dict[str, tuple[Effect, ...]] = {}
        self._changes: dict[Unit, Change] = {}

    def of(self, name: str) -> tuple[Effect, ...]:
        """The effects of importing a module, in the order of its text."""
        if name not in self._found:
            module = self.project.module(name)
            self._found[name] = () if module is None else tuple(self._effects(module))
        return self._found[name]

    def _effects(self, module: Module) -> Iterator[Effect]:
        for statement in module.body:
            targets, always = self._changed(module, statement)
            if targets or always:
                names = list(bound_names(statement))
                unit = module.bound(names[0]) if names else None
                yield Effect(module.name, statement, unit, frozenset(targets), always)

    def _changed(self, module: Module, statement: ast.stmt) -> tuple[set[Unit], bool]:
        """What executing a top-level statement may change."""
        writer = Writer(self.reading, module)
        targets: set[Unit] = set()
        always = False
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return targets, always
        for node in walk_executed(statement):
            roots: list[ast.expr] = []
            if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
                roots = [node.value if isinstance(node, ast.Subscript) else node]
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                roots = [node.target]
            elif isinstance(node, ast.Call):
                roots = self._changed_by_call(writer, node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                roots = self._changed_by_statement(writer, node.value)
                made = writer.resolve(node.value.func) or ()
                always = always or any(isinstance(each, Bound) and not each.unit.is_variable for each in made)
            if isinstance(node, ast.ClassDef):
                targets |= self._told_of_subclass(writer, node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                for decorator in node.decorator_list:
                    if self._decorator_changes(writer, decorator):
                        roots.append(decorator)
                        own = module.bound(node.name)
                        if own is not None:
                            targets.add(own)
            for root in roots:
                units, unknown = self._roots(writer, root)
                targets |= units
                always = always or unknown
        return targets, always

    def _told_of_subclass(self, writer: Writer, node: ast.ClassDef) -> set[Unit]:
        """The classes that take note of a new subclass, and the subclass."""
        units: set[Unit] = set()
        for base in [*node.bases, *(word.value for word in node.keywords if word.arg == "metaclass")]:
            for target in writer.resolve(base) or ():
                above = target.unit.single if isinstance(target, Bound) else None
                if not isinstance(target, Bound) or not isinstance(above, ast.ClassDef):
                    continue
                other = self.project.module(target.unit.module)
                assert other is not None
                units |= self._told_of_subclass(Writer(self.reading, other), above)
                hooks = {each.name for each in above.body if isinstance(each, ast.FunctionDef)}
                if hooks & {"__init_subclass__", "__new__", "__init__"} and (
                    "__init_subclass__" in hooks or base not in node.bases
                ):
                    units.add(target.unit)
        return units

    def _changed_by_statement(self, writer: Writer, call: ast.Call) -> list[ast.expr]:
        """What a call that stands as a statement may change: it is there for nothing else."""
        if writer.is_message(call):
            return []
        path = writer.external_called(call)
        if path is not None and path.startswith(HARMLESS):
            return []
        builtin = writer.builtin_called(call)
        if builtin in ("setattr", "delattr") and call.args:
            return [call.args[0]]
        return [call.func]

    def _changed_by_call(self, writer: Writer, call: ast.Call) -> list[ast.expr]:
        """What a call within an expression may change."""
        builtin = writer.builtin_called(call)
        if builtin in ("setattr", "delattr") and call.args:
            return [call.args[0]]
        if builtin in ("exec", "eval", "globals", "locals", "vars", "__import__"):
            return [call.func]
        targets = writer.resolve(call.func)
        if targets is None and isinstance(call.func, ast.Attribute):
            inner = writer.resolve(call.func.value)
            is_object = inner is not None and any(isinstance(each, Bound) and each.unit.is_variable for each in inner)
            if is_object and (call.func.attr in MUTATORS or self._method_changes_self(writer, call.func.attr)):
                return [call.func.value]
            return []
        arguments = [*call.args, *(word.value for word in call.keywords)]
        for target in targets or ():
            change = self._change(target.unit) if isinstance(target, Bound) else NOTHING
            if change.elsewhere:
                return [call.func, *arguments]
            if change.arguments:
                return arguments
        return []

    def _decorator_changes(self, writer: Writer, node: ast.expr) -> bool:
        function = node.func if isinstance(node, ast.Call) else node
        targets = writer.resolve(function)
        if targets is None:
            if isinstance(function, ast.Attribute):
                inner = writer.resolve(function.value)
                return inner is not None  # a method of something at the top level, such as a registry
            return not (isinstance(function, ast.Name) and writer.is_builtin(function.id))
        for target in targets:
            if isinstance(target, External):
                if not is_pure_decorator(target.path) and target.path.partition(".")[0] not in ("pytest", "numba"):
                    return True
            elif (
                not isinstance(target, Bound)
                or self._change(target.unit).elsewhere
                or (isinstance(node, ast.Call) and self._change(target.unit).arguments)
            ):
                return True
        return False

    def _method_changes_self(self, writer: Writer, name: str) -> bool:
        """Whether some class that the module can see has a method of this name that changes its object."""
        for unit in _classes(self.project, writer.module):
            single = unit.single
            assert isinstance(single, ast.ClassDef)
            for method in single.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name == name:
                    own = method.args.args[0].arg if method.args.args else ""
                    if any(_root_name(each) == own for each in _changed_places(method)):
                        return True
        return False

    def _change(self, unit: Unit) -> Change:
        """What calling a function or class of this project may change."""
        if unit not in self._changes:
            self._changes[unit] = NOTHING  # a circle changes what its members change
            self._changes[unit] = self._found_change(unit)
        return self._changes[unit]

    def _found_change(self, unit: Unit) -> Change:
        module = self.project.module(unit.module)
        assert module is not None
        writer = Writer(self.reading, module)
        elsewhere = arguments = False
        for statement in unit.statements:
            for function in ast.walk(statement):
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                    change = self._change_by(writer, function, is_method=isinstance(statement, ast.ClassDef))
                    elsewhere, arguments = elsewhere or change.elsewhere, arguments or change.arguments
        return Change(elsewhere, arguments)

    def _change_by(
        self, writer: Writer, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, *, is_method: bool
    ) -> Change:
        taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        own = taken[0].arg if taken and is_method else ""
        parameters = {each.arg for each in taken} - {own}
        aliases = {} if isinstance(function, ast.Lambda) else _aliases(function)
        local = set() if isinstance(function, ast.Lambda) else _locals(function)
        elsewhere = any(isinstance(leaf, ast.Global) for leaf in ast.walk(function))
        arguments = False
        for place in [*_changed_places(function), *self._handed_on(writer, function)]:
            name = _root_name(place)
            for root in {name, *aliases.get(name or "", ())} - {None, own}:
                assert root is not None
                if root in parameters:
                    arguments = True
                elif root not in local and writer.at_module(root):
                    elsewhere = True
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Call):
                for target in writer.resolve(leaf.func) or ():
                    if isinstance(target, Bound) and not target.unit.is_variable:
                        elsewhere = elsewhere or self._change(target.unit).elsewhere
        return Change(elsewhere, arguments)

    def _handed_on(self, writer: Writer, function: ast.AST) -> Iterator[ast.expr]:
        """What a function hands to others that change their arguments."""
        for leaf in ast.walk(function):
            if isinstance(leaf, ast.Call):
                for target in writer.resolve(leaf.func) or ():
                    if isinstance(target, Bound) and self._change(target.unit).arguments:
                        yield from [*leaf.args, *(word.value for word in leaf.keywords)]

    def _roots(self, writer: Writer, node: ast.expr) -> tuple[set[Unit], bool]:
        """The definitions that an expression starts from, and whether it may lead anywhere else."""
        targets = writer.resolve(node)
        if targets is None:
            if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
                return self._roots(writer, node.value)
            if isinstance(node, ast.Call):
                return self._roots(writer, node.func)
            if isinstance(node, ast.Name):
                return set(), not writer.module.bound(node.id) and node.id not in ("print",)
            if isinstance(node, (ast.Constant, ast.JoinedStr, ast.Lambda)):
                return set(), False
            units: set[Unit] = set()
            always = False
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    more, unknown = self._roots(writer, child)
                    units, always = units | more, always or unknown
            return units, always
        units, always = set(), False
        for target in targets:
            if isinstance(target, Bound):
                units.add(target.unit)
                # A function that is called by itself is there for what it changes, wherever that is.
                always = always or isinstance(target.unit.single, (ast.FunctionDef, ast.AsyncFunctionDef))
            else:
                always = True
        return units, always


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
    """Local name -> the names that the objects which it was assigned may start from."""
    found: dict[str, set[str]] = {}
    for leaf in ast.walk(function):
        value = getattr(leaf, "value", None) if isinstance(leaf, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) else None
        root = None if value is None or isinstance(value, ast.Call) else _root_name(value)
        if root is not None:
            for name in bound_names(leaf):
                found.setdefault(name, set()).add(root)
    return found
