"""The statements that set a variable, so that a place in the code shows which value the variable has there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..definitions.syntax import SCOPES, bound_names
from ..definitions.targets import Unit

Setting = ast.Assign | ast.AnnAssign | ast.AugAssign
"""A statement that sets one variable, and no other."""


@dataclass(frozen=True)
class Settings:
    """The statements that set a variable which nothing else sets.

    Attributes:
        name: the name of the variable.
        statements: the statements in the order of the text.
        is_straight: ``True`` if they are executed one after the other, so in no loop and on no condition. A single
            statement counts as such wherever it stands.
    """

    name: str
    statements: tuple[Setting, ...]
    is_straight: bool

    @property
    def is_grown(self) -> bool:
        """``True`` if the variable gets a value that is made of an earlier one."""
        return any(isinstance(leaf, ast.AugAssign) or self._is_read_by(leaf) for leaf in self.statements)

    def before(self, node: ast.expr | None) -> int | None:
        """The index of the statement that sets the value at an expression; the last one for an unknown expression."""
        if node is None or len(self.statements) == 1:
            return len(self.statements) - 1
        earlier = [
            index
            for index, statement in enumerate(self.statements)
            if _end(statement) <= (node.lineno, node.col_offset)
        ]
        return earlier[-1] if earlier else None

    def _is_read_by(self, statement: Setting) -> bool:
        leaves = ast.walk(statement.value) if statement.value is not None else ()
        return any(isinstance(leaf, ast.Name) and leaf.id == self.name for leaf in leaves)


def settings_in(statements: Sequence[ast.stmt]) -> dict[str, Settings]:
    """Variable -> the statements that set it, for the variables of one scope that no other kind of statement binds."""
    settings: dict[str, list[Setting]] = {}
    counts: dict[str, int] = {}
    for statement in statements:
        for name in bound_names(statement):
            counts[name] = counts.get(name, 0) + 1
    for leaf in own_leaves(statements):
        if isinstance(leaf, Setting) and (variable := _variable(leaf)) is not None:
            settings.setdefault(variable, []).append(leaf)
    straight = set(_straight(statements))
    return {
        name: Settings(name, tuple(sorted(known, key=_end)), len(known) == 1 or straight.issuperset(known))
        for name, known in settings.items()
        if len(known) == counts[name]
    }


def settings_of(unit: Unit) -> Settings | None:
    """The statements that set the variable of a unit at the top level of a module."""
    single = unit.single
    if isinstance(single, Setting):  # most are of this kind
        name = _variable(single)
        return None if name is None else Settings(name, (single,), is_straight=True)
    if not unit.is_variable or len(unit.names) > 1:
        return None
    return next(iter(settings_in(unit.statements).values()), None)


def _variable(setting: Setting) -> str | None:
    """The variable that a statement sets, if it sets one and no other thing."""
    targets = setting.targets if isinstance(setting, ast.Assign) else [setting.target]
    is_one = len(targets) == 1 and isinstance(targets[0], ast.Name) and setting.value is not None
    return targets[0].id if is_one and isinstance(targets[0], ast.Name) else None


def own_leaves(statements: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes in it."""
    pending: list[ast.AST] = list(statements)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def _straight(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that are executed one after the other, and those in the blocks of ``with`` among them."""
    for statement in statements:
        yield statement
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            yield from _straight(statement.body)


def _end(statement: ast.stmt) -> tuple[int, int]:
    return statement.end_lineno or statement.lineno, statement.end_col_offset or statement.col_offset
