"""What makes two trials the same: a digest of their settings and of the source that computes their numbers.

Source is followed definition by definition: a component's class, and every function, class and constant of this project
that it names, wherever that is defined. So editing JPU makes JPU's records stale and nothing else, adding a level to a
study makes none stale, and comments, docstrings and layout never count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_OWN = "bench"


class _Place(NamedTuple):
    """A top-level definition: module and name; the name ``*`` is the whole module."""

    module: str
    name: str


def digest(value: Any) -> str:
    """A 16-digit hexadecimal digest of JSON-ready data, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_digest(objects: Iterable[Any]) -> str:
    """A digest of the definitions of classes and functions and of all that they use in this project.

    Raises:
        ValueError: for an object whose source cannot be found (defined in a REPL, say).
    """
    return digest(definitions(objects))


def definitions(objects: Iterable[Any]) -> dict[str, str]:
    """``module:name`` -> digest of the normalised source, for ``objects`` and everything they name in this project."""
    starts = [_Place(each.__module__, each.__qualname__.partition(".")[0]) for each in objects]
    projects = {_OWN, *(place.module.partition(".")[0] for place in starts)}
    found: dict[str, str] = {}
    pending = list(starts)
    while pending:
        place = pending.pop()
        label = f"{place.module}:{place.name}"
        if label in found:
            continue
        definition = _definition(place)
        if definition is not None:
            found[label] = definition.digest
            pending.extend(used for used in definition.uses if used.module.partition(".")[0] in projects)
        elif place in starts:
            raise ValueError(f"cannot find the source of {label}; define it in a file, at the top level")
    return dict(sorted(found.items()))


class _Definition(NamedTuple):
    """The normalised source of a name, as a digest, and where the names that it uses are defined."""

    digest: str
    uses: frozenset[_Place]


@functools.cache
def _definition(place: _Place) -> _Definition | None:
    """What a place holds; ``None`` if it binds no such name."""
    tree = _tree(place.module)
    nodes = [_stripped(node) for node in ([tree] if place.name == "*" else _defining(tree, place.name))]
    if not nodes:
        return None
    text = "\n".join(ast.dump(node, annotate_fields=False) for node in nodes)
    return _Definition(hashlib.sha256(text.encode()).hexdigest()[:16], frozenset(_named(nodes, place.module)))


@functools.cache
def _tree(module: str) -> ast.Module:
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(module)
        file = spec.origin if spec else None
    if file is None or not file.endswith(".py"):
        raise ValueError(f"cannot find the source of module {module}; define components in .py files")
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def forget_sources() -> None:
    """Read every source file anew at the next digest; for a process that outlives an edit."""
    for cached in (_tree, _definition, _imported, _bound):
        cached.cache_clear()


_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _defining(tree: ast.Module, name: str) -> list[ast.AST]:
    """The top-level statements that bind ``name``."""
    nodes: list[ast.AST] = []
    for node in tree.body:
        leaves = (leaf for target in _targets(node) for leaf in ast.walk(target))
        if (isinstance(node, _NAMED) and node.name == name) or any(
            isinstance(leaf, ast.Name) and leaf.id == name for leaf in leaves
        ):
            nodes.append(node)
    return nodes


def _targets(node: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def _named(nodes: Iterable[ast.AST], module: str) -> Iterator[_Place]:
    """Where the names that ``nodes`` use are defined, in whatever project."""
    leaves = [leaf for node in nodes for leaf in ast.walk(node)]
    imports = dict(_imported(module))
    for leaf in leaves:
        if isinstance(leaf, (ast.Import, ast.ImportFrom)):  # an import inside a function
            imports.update(_imports(ast.Module([leaf], []), module))
    for name in {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)}:
        if name in imports:
            yield imports[name]
        elif name in _bound(module):
            yield _Place(module, name)


@functools.cache
def _imported(module: str) -> Mapping[str, _Place]:
    """Every name that a module imports, at any depth of its code."""
    return dict(_imports(_tree(module), module))


@functools.cache
def _bound(module: str) -> frozenset[str]:
    """The names that a module binds at its top level."""
    names = {node.name for node in _tree(module).body if isinstance(node, _NAMED)}
    leaves = (leaf for node in _tree(module).body for target in _targets(node) for leaf in ast.walk(target))
    return frozenset(names | {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)})


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[str, _Place]]:
    """Local name -> what it was imported from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], _Place(alias.name, "*")
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, module)
            for alias in node.names:
                whole = _is_module(f"{source}.{alias.name}")
                place = _Place(f"{source}.{alias.name}", "*") if whole else _Place(source, alias.name)
                yield alias.asname or alias.name, place


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.rsplit(".", node.level)[0]
    return f"{package}.{node.module}" if node.module else package


@functools.cache
def _is_module(name: str) -> bool:
    if not name.startswith(f"{_OWN}."):
        return name in sys.modules
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, not a package
        return False


class _Strip(ast.NodeTransformer):
    """Drops what computes nothing: docstrings, bare strings, annotations."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if is_text else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _stripped(node: ast.AST) -> ast.AST:
    """A copy of ``node`` without comments, docstrings and annotations."""
    return _Strip().visit(ast.parse(ast.unparse(node)))  # type: ignore[no-any-return]  # visit() is typed as Any
