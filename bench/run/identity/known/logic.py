"""The truth of comparisons and of ``and``, ``or`` and ``not`` between constants."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any


def is_constant(value: Any) -> bool:
    """Return whether a value can be written into code: None, a bool, a number, a text, or a tuple of such."""
    if isinstance(value, tuple):
        return all(is_constant(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of one type."""
    return type(one) is type(other) and bool(one == other)


_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip


def _known(node: ast.expr) -> tuple[Any] | None:
    """The value of a constant, or of a tuple, list or set of constants, in a tuple; ``None`` for anything else."""
    if isinstance(node, ast.Constant):
        return (node.value,)
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        items = [_known(element) for element in node.elts]
        return None if any(item is None for item in items) else (tuple(item[0] for item in items if item),)
    return None


def compared(node: ast.Compare) -> ast.expr:
    if len(node.ops) != 1:
        return node
    left, right, kind = _known(node.left), _known(node.comparators[0]), type(node.ops[0])
    if left is None or right is None or kind not in _COMPARED:
        return node
    if kind in (ast.Is, ast.IsNot) and not any(value is None or type(value) is bool for value in (left[0], right[0])):
        return node
    if kind not in (ast.In, ast.NotIn) and not all(
        isinstance(side, ast.Constant) for side in (node.left, node.comparators[0])
    ):
        return node
    try:
        return ast.copy_location(ast.Constant(bool(_COMPARED[kind](left[0], right[0]))), node)
    except TypeError:
        return node


def truth(node: ast.expr) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None


def negated(node: ast.UnaryOp) -> ast.expr:
    known = truth(node.operand) if isinstance(node.op, ast.Not) else None
    return node if known is None else ast.copy_location(ast.Constant(not known), node)


def joined(node: ast.BoolOp) -> ast.expr:
    """``a and b`` without the operands that decide nothing."""
    stops = isinstance(node.op, ast.Or)
    values: list[ast.expr] = []
    for index, operand in enumerate(node.values):
        known = truth(operand)
        last = index == len(node.values) - 1
        if known is None or (last and known is not stops):
            values.append(operand)
        elif known is stops:
            values.append(operand)
            break
    node.values = values
    return values[0] if len(values) == 1 else node
