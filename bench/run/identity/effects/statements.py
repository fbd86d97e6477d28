"""Top-level statements that change something that is defined elsewhere: tables filled by calls, patched classes.

Importing a module executes them, so they are part of whatever uses the things that they change. A statement that calls
a function of this project by itself may change anything, and so counts wherever its module is imported; one that
changes the state of another package does too. What only binds a name is no effect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..definitions.module import Module
from ..definitions.syntax import bases_of, bound_names, walk_executed
from ..definitions.targets import Bound, Unit
from ..forms.pieces import Reading
from ..forms.writer import Writer
from .calls import Changes
from .mutation import NOTHING, Mutation, joined_changes


@dataclass(frozen=True)
class TopLevelEffect:
    """A top-level statement that changes something.

    Attributes:
        module: the module that the statement stands in.
        statement: the statement.
        unit: the unit that the statement belongs to, if it also binds something.
        change: the definitions that the statement may change, and what else it may change.
    """

    module: str
    statement: ast.stmt
    unit: Unit | None
    change: Mutation


class Effects:
    """Finds the top-level effects in modules.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading, self.project = reading, reading.project
        self._found: dict[str, tuple[TopLevelEffect, ...]] = {}
        self.changes = Changes(reading)

    def of(self, name: str) -> tuple[TopLevelEffect, ...]:
        """The effects of importing a module, in the order of its text."""
        if name not in self._found:
            module = self.project.module(name)
            self._found[name] = () if module is None else tuple(self._effects(module))
        return self._found[name]

    def _effects(self, module: Module) -> Iterator[TopLevelEffect]:
        for statement in module.body:
            change = self._changed(module, statement)
            if change or change.kinds:
                names = list(bound_names(statement))
                unit = module.bound(names[0]) if names else None
                yield TopLevelEffect(module.name, statement, unit, change)

    def _changed(self, module: Module, statement: ast.stmt) -> Mutation:
        """The definitions that executing a top-level statement may change, and what else it may change."""
        writer = Writer(self.reading, module)
        targets: set[Unit] = set()
        always = False
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return NOTHING
        changes: list[Mutation] = []
        for node in walk_executed(statement):
            roots: list[ast.expr] = []
            change = NOTHING
            if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
                roots = [node.value if isinstance(node, ast.Subscript) else node]
                change = self.changes.by_store(writer, node)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                roots = [node.target]
            elif isinstance(node, ast.Call):
                roots, change = self.changes.by_call(writer, node)
            elif isinstance(node, (ast.BinOp, ast.Subscript)):
                roots, change = self.changes.by_operator(writer, node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                roots, change = self.changes.by_statement(writer, node.value)
            if isinstance(node, ast.ClassDef):
                targets |= self._told_of_subclass(writer, node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound = module.bound(node.name)
                for decorator in node.decorator_list:
                    by, change = self.changes.by_decorator(writer, decorator)
                    roots += by
                    if bound is not None and (by or change):
                        targets.add(bound)
                    changes.append(change)
            for root in roots:
                units, unknown = self.changes.roots.of(writer, root)
                targets |= units
                always = always or unknown
            changes.append(change)
        return replace(joined_changes([*changes, Mutation(frozenset(targets), always)]), arguments=False)

    def _told_of_subclass(self, writer: Writer, node: ast.ClassDef) -> set[Unit]:
        """The classes that register a new subclass when it is defined, and the subclass itself."""
        units: set[Unit] = set()
        metaclasses = [word.value for word in node.keywords if word.arg == "metaclass"]
        for base in [*bases_of(node), *metaclasses]:
            for target in writer.resolve(base) or ():
                above = target.unit.single if isinstance(target, Bound) else None
                if not isinstance(target, Bound) or not isinstance(above, ast.ClassDef):
                    continue
                units |= self._told_of_subclass(Writer.of_module(self.reading, target.unit.module), above)
                hooks = {"__new__", "__init__"} if base in metaclasses else {"__init_subclass__"}
                if hooks & {method.name for method in above.body if isinstance(method, ast.FunctionDef)}:
                    units.add(target.unit)
        return units
