"""The constant attributes of a component, which its constructor sets and nothing else can set."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from ..definitions.project import Project
from ..definitions.syntax import bases_of, bound_names
from ..definitions.targets import Bound, External, Unit
from ..forms.meaning import live_object
from .folding import Folding
from .syntax import constructor, copied, stored_on, stores

HARMLESS_BASES = frozenset(
    {"torch.nn.Module", "torch.nn.modules.module.Module", "typing.Generic", "typing.Protocol", "abc.ABC"}
)

ATTRIBUTE_HOOKS = frozenset({"__setattr__", "__getattr__", "__getattribute__"})

MODULE_ATTRIBUTES = frozenset({"training", "call_super_init", "dump_patches"})


def constant_attributes(project: Project, node: ast.ClassDef, module: str) -> dict[str, ast.Constant]:
    """Attribute -> constant, for attributes that the constructor sets once and that nothing else in the class can set.

    The result is empty for a class with a base that may set or read them, so any base but ``nn.Module`` and classes of
    this project.
    """
    init = constructor(node)
    above = _names_above(project, node, module)
    if init is None or above is None or not init.args.args:
        return {}
    self_name, counts = init.args.args[0].arg, stores(node)
    defining = [statement for statement in node.body if not _only_annotated(statement)]
    taken = above | {name for statement in defining for name in bound_names(statement)}
    constants: dict[str, ast.Constant] = {}
    for statement in init.body:
        name = stored_on(statement, self_name)
        value = getattr(statement, "value", None)
        if name and isinstance(value, ast.Constant) and counts[name] == 1 and name not in taken:
            constants[name] = value
    return constants


def _only_annotated(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.AnnAssign) and statement.value is None


def _names_above(project: Project, node: ast.ClassDef, module: str) -> set[str] | None:
    """The names that the bases of a class have or set; ``None`` if they cannot be found out or a hook makes others."""
    names = set(MODULE_ATTRIBUTES)
    bound = {name for statement in node.body for name in bound_names(statement)}
    if node.keywords or node.decorator_list or bound & ATTRIBUTE_HOOKS:
        return None
    for base in bases_of(node):
        for target in _base(project, base, module) or [None]:
            if isinstance(target, External) and target.path in HARMLESS_BASES:
                names |= set(dir(live_object(target.path)))
            elif isinstance(target, Bound) and isinstance(target.unit.single, ast.ClassDef):
                above = _names_above(project, target.unit.single, target.unit.module)
                if above is None:
                    return None
                names |= above | set(stores(target.unit.single))
                names |= {name for statement in target.unit.single.body for name in bound_names(statement)}
            elif not (isinstance(base, ast.Name) and base.id == "object"):
                return None
    return names


def _base(project: Project, node: ast.expr, module: str) -> list[Any]:
    if isinstance(node, ast.Name):
        return list(project.lookup(module, node.id))
    if isinstance(node, ast.Attribute):
        return [
            target for owner in _base(project, node.value, module) for target in project.attribute(owner, node.attr)
        ]
    return []


def with_attributes(folder: Folding, unit: Unit, values: Mapping[str, ast.Constant], unread: set[str]) -> Unit:
    """A folded class with constants for its attributes, and without the assignments that nothing reads any more."""
    statements = [copied(statement) for statement in unit.statements]
    node = statements[0]
    assert isinstance(node, ast.ClassDef)
    init = constructor(node)
    folder.attributes, folder.init, folder.choices = dict(values), None, {}
    folder.visit(node)
    if init is not None and init.args.args:
        self_name = init.args.args[0].arg
        left = [statement for statement in init.body if stored_on(statement, self_name) not in unread]
        init.body = left or [ast.Pass()]
    return Unit(unit.module, list(statements), list(unit.names))
