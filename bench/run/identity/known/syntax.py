"""The parts of functions and classes into which known values are written, and copies of them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import TypeVar

from ..definitions.syntax import bound_names
from ..forms.meaning import MIRRORS

FRAME_READERS = frozenset({"currentframe", "_getframe", "signature", "getfullargspec"})

Node = TypeVar("Node", bound=ast.AST)


def copied(node: Node) -> Node:
    """A syntax tree with nothing in common with another, made faster than by :func:`copy.deepcopy`."""
    made = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            setattr(made, name, copied(value))
        elif isinstance(value, list):
            setattr(made, name, [copied(item) if isinstance(item, ast.AST) else item for item in value])
    return made


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """The ``__init__`` that a class itself defines; ``None`` unless it defines exactly one."""
    constructors = [
        statement for statement in node.body if isinstance(statement, ast.FunctionDef) and statement.name == "__init__"
    ]
    return constructors[0] if len(constructors) == 1 else None


def looks_at_names(node: ast.AST) -> bool:
    """Return whether a function may read its own variables by name, or may hand its frame to another function."""
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.Name) and leaf.id in {*MIRRORS, "globals"}:
            return True
        if isinstance(leaf, ast.Attribute) and leaf.attr in FRAME_READERS:
            return True
    return False


def all_bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, those declared nonlocal in functions inside of it too."""
    yield from bound_names(statement)
    for leaf in ast.walk(statement):
        if isinstance(leaf, (ast.Nonlocal, ast.Global)):
            yield from leaf.names


def stored_on(statement: ast.stmt, self_name: str) -> str | None:
    """The attribute that a statement like ``self.x = …`` sets."""
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == self_name:
        return target.attr
    return None


def stores(node: ast.AST) -> dict[str, int]:
    """Attribute -> how often it is set or deleted anywhere in a node, on whatever object."""
    counts: dict[str, int] = {}
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.Attribute) and not isinstance(leaf.ctx, ast.Load):
            counts[leaf.attr] = counts.get(leaf.attr, 0) + 1
    return counts
