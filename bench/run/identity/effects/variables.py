"""The variables of a function that what it changes may come from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from ..definitions.syntax import bound_names

MUTATORS = frozenset(
    {
        "append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "add",
        "discard", "update", "setdefault", "difference_update", "intersection_update",
        "symmetric_difference_update", "appendleft", "extendleft", "rotate", "register",
    }
)  # fmt: skip
HANDED_THROUGH = frozenset({"next", "iter", "list", "tuple", "reversed", "sorted", "enumerate", "zip", "filter", "map"})
"""The builtins whose results are, or hold, objects that they were given."""
Method = ast.FunctionDef | ast.AsyncFunctionDef
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def changed_places(function: ast.AST) -> Iterator[ast.expr]:
    """The objects that a function changes in place."""
    for leaf in ast.walk(function):
        if isinstance(leaf, (ast.Attribute, ast.Subscript)) and not isinstance(leaf.ctx, ast.Load):
            yield leaf.value
        elif isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Attribute) and leaf.func.attr in MUTATORS:
            yield leaf.func.value
        elif isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Name) and leaf.func.id in ("setattr", "delattr"):
            yield leaf.args[0]


def root_names(node: ast.expr) -> set[str]:
    """The names of the variables that an expression may lead to the objects of."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
            return root_names(node.func).union(*map(root_names, node.args))
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.NamedExpr)):
        parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        return {name for part in parts for name in root_names(part)}
    return set()


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return {name for statement in function.body for name in bound_names(statement)}


def origins(names: set[str], aliases: Mapping[str, set[str]]) -> set[str]:
    """The names from which the objects of some names may come, these included."""
    known: set[str] = set()
    pending = set(names)
    while pending:
        name = pending.pop()
        if name not in known:
            known.add(name)
            pending |= aliases.get(name, set())
    return known


def aliases_of(function: Function) -> dict[str, set[str]]:
    """Local name -> the names from which the objects that it stands for may come."""
    aliases: dict[str, set[str]] = {}
    for leaf in ast.walk(function):
        names: Iterable[str] = ()
        value: ast.expr | None = None
        if isinstance(leaf, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            names, value = bound_names(leaf), leaf.value
            if isinstance(value, ast.Call) and not _hands_through(value):
                continue
        elif isinstance(leaf, (ast.For, ast.AsyncFor, ast.comprehension)):
            names, value = bound_names(leaf.target), leaf.iter
        elif isinstance(leaf, ast.withitem) and leaf.optional_vars is not None:
            names, value = bound_names(leaf.optional_vars), leaf.context_expr
        roots = set() if value is None else root_names(value)
        for name in names if roots else ():
            aliases.setdefault(name, set()).update(roots - {name})
    return aliases


def _hands_through(call: ast.Call) -> bool:
    """Return whether a call gives objects that it was given, such as the next one of an iterator."""
    return isinstance(call.func, ast.Name) and call.func.id in HANDED_THROUGH
