"""The definitions that an expression starts from, names or holds, so that what is done to its value is done to them."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ..definitions.targets import Bound, Unit
from ..forms.pieces import Reading
from ..forms.writer import Writer


class Roots:
    """Finds the definitions that the value of an expression may belong to.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def of(self, writer: Writer, node: ast.expr) -> tuple[set[Unit], bool]:
        """The definitions that an expression starts from, and whether it may lead anywhere else."""
        targets = writer.resolve(node)
        if targets is not None:
            units = {target.unit for target in targets if isinstance(target, Bound)}
            return units, not all(isinstance(target, Bound) for target in targets)
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            return self.of(writer, node.value)
        if isinstance(node, ast.Call):
            return self._of_result(writer, node)
        if isinstance(node, ast.Name):
            return set(), not writer.module.bound(node.id) and not writer.is_builtin(node.id)
        if isinstance(node, ast.Lambda):
            return {target.unit for target in self.named(writer, [node.body])}, False
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            return set(), False
        units, always = set(), False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                more, unknown = self.of(writer, child)
                units, always = units | more, always or unknown
        return units, always

    def _of_result(self, writer: Writer, call: ast.Call) -> tuple[set[Unit], bool]:
        """The definitions from which the result of a call may come, and whether it may come from anywhere else."""
        units, always = self.of(writer, call.func)
        for unit in list(units):
            if not unit.is_variable and not isinstance(unit.single, ast.ClassDef):
                units |= {
                    target.unit for target in self.named(Writer.of_module(self.reading, unit.module), unit.statements)
                }
        for argument in call.args:
            units |= self.of(writer, argument)[0]
        return units, always

    def named(self, writer: Writer, nodes: Iterable[ast.AST]) -> list[Bound]:
        """The definitions of this project that some code names."""
        names = dict.fromkeys(
            leaf.id
            for node in nodes
            for leaf in ast.walk(node)
            if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Load)
        )
        return [target for name in names for target in writer.at_module(name) if isinstance(target, Bound)]

    def held(self, writer: Writer, nodes: Iterable[ast.AST], *, within_classes: bool = False) -> set[Unit]:
        """The definitions that are held by the variables, or by the classes too, which some code names."""
        held: set[Unit] = set()
        pending = [target.unit for target in self.named(writer, nodes)]
        while pending:
            unit = pending.pop()
            if unit.is_variable and unit not in held:
                held.add(unit)
                pending += [
                    target.unit for target in self.named(Writer.of_module(self.reading, unit.module), unit.statements)
                ]
            elif isinstance(unit.single, ast.ClassDef) and unit not in held:
                held.add(unit)
                if within_classes:
                    pending += [
                        target.unit
                        for target in self.named(Writer.of_module(self.reading, unit.module), unit.statements)
                    ]
        return held
