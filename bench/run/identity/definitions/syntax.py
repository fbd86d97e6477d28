"""The statements and names of Python's syntax: what an import executes, and which names a statement binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def executed(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the parts of a top-level statement that an import executes: not those for type checkers and scripts."""
    if isinstance(statement, ast.If):
        if _is_for_checkers(statement.test) or _is_script(statement.test):
            for alternative in statement.orelse:
                yield from executed(alternative)
            return
    elif isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return
    yield statement


def _is_for_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _is_script(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == "__main__"
    )


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring or another bare constant."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def walk_executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and everything in it that it executes by itself: bodies of classes, but not those of functions."""
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        children: list[ast.AST] = list(evaluated_outside(node))
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from walk_executed(child)


def evaluated_outside(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.expr]:
    """The expressions of a function that are evaluated where it is defined."""
    defaults = [*function.args.defaults, *(default for default in function.args.kw_defaults if default is not None)]
    return defaults if isinstance(function, ast.Lambda) else [*function.decorator_list, *defaults]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """The parameters of a function that take one argument each."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def collecting_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """The parameters of a function that collect arguments, such as ``*args``."""
    return [parameter for parameter in (function.args.vararg, function.args.kwarg) if parameter is not None]


def bases_of(node: ast.ClassDef) -> list[ast.expr]:
    """The bases of a class, without what generic ones hold: ``Base`` for ``Base[int]``."""
    return [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]


def bound_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in the scope that it stands in, in the order of the text."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id
        return
    if isinstance(node, ast.alias):
        if node.name != "*":
            yield node.asname or node.name.partition(".")[0]
        return
    if isinstance(node, COMPREHENSIONS):
        for leaf in ast.walk(node):
            if isinstance(leaf, ast.NamedExpr) and isinstance(leaf.target, ast.Name):
                yield leaf.target.id
        return
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    if isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        yield from bound_names(child)
