"""The meaning of names, calls and decorators in a piece of code: where a name is bound, and what a call does."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from ..definitions.module import Module
from ..definitions.syntax import bases_of, bound_names, collecting_parameters, parameters
from ..definitions.targets import Bound, External, Target, Unit
from .pieces import Reading
from .settings import Settings, own_leaves, settings_in

LISTENERS = frozenset({"tell", "progress"})
"""The names of the parameters that take a listener to progress, in the package that measures."""
MIRRORS = frozenset({"eval", "exec", "locals", "vars", "dir"})
PURE_DECORATORS = ("functools.", "contextlib.", "abc.", "typing.", "dataclasses.", "enum.", "torch.")
BUILTINS = "builtins."
PLAIN_DECORATORS = frozenset({"property", "staticmethod", "classmethod"})


@dataclass
class Scope:
    """The names of one function, class or comprehension."""

    is_class: bool = False
    is_inline: bool = False  # of a comprehension, which runs where it stands
    local: dict[str, int | None] = field(default_factory=dict)  # None until its first occurrence
    arguments: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)  # declared global or nonlocal
    aliases: dict[str, list[Target]] = field(default_factory=dict)
    types: dict[str, Unit] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Settings] = field(default_factory=dict)  # of variables that only such statements set
    looped: dict[str, ast.expr] = field(default_factory=dict)  # variable of one loop -> what the loop goes through
    listeners: set[str] = field(default_factory=set)  # parameters that are told of progress
    keeps_names: bool = False


class Meaning:
    """Tells what names in a module mean, inside of the scopes that are entered.

    Args:
        reading: the settings by which code is read.
        module: the module that the code stands in.
    """

    def __init__(self, reading: Reading, module: Module) -> None:
        self.reading, self.project, self.module = reading, reading.project, module
        self.scopes: list[Scope] = []
        self.plain_names = set(reading.plain.values())
        self.is_measuring = self.project.origins.is_measuring(module.name)

    @classmethod
    def of_module(cls, reading: Reading, name: str) -> Self:
        """The meaning of names at the top level of a module of this project."""
        module = reading.project.module(name)
        assert module is not None
        return cls(reading, module)

    def elsewhere(self, module: str) -> Meaning:
        """The meaning of names at the top level of another module."""
        return Meaning.of_module(self.reading, module)

    # Names

    def find(self, name: str) -> tuple[str, Scope | None]:
        """The place that binds a name, with its scope: ``local``, ``argument``, ``class``, ``alias`` or ``module``."""
        innermost = True
        for scope in reversed(self.scopes):
            if name in scope.elsewhere:
                innermost = False
                continue
            if scope.is_class:
                if innermost and name in scope.local:
                    return "class", scope
            elif name in scope.aliases:
                return "alias", scope
            elif name in scope.arguments:
                return "argument", scope
            elif name in scope.local:
                return "local", scope
            innermost = False
        return "module", None

    def at_module(self, name: str) -> list[Target]:
        """The targets that a name may stand for at the top level of the module."""
        return self.project.lookup(self.module.name, name)

    def is_builtin(self, name: str) -> bool:
        """Return whether a name stands for a Python builtin here."""
        return self.find(name)[0] == "module" and not self.at_module(name) and hasattr(builtins, name)

    def resolve(self, node: ast.expr) -> list[Target] | None:
        """The targets of a dotted name at the top level of some module; ``None`` for any other expression."""
        if isinstance(node, ast.Name):
            kind, scope = self.find(node.id)
            if kind == "alias" and scope is not None:
                return scope.aliases[node.id]
            return (self.at_module(node.id) or None) if kind == "module" else None
        if isinstance(node, ast.Attribute):
            bases = self.resolve(node.value)
            if not bases or any(isinstance(base, Bound) for base in bases):
                return None
            targets = [target for base in bases for target in self.project.attribute(base, node.attr)]
            return targets or None
        return None

    def constant_texts(self, node: ast.expr) -> list[str] | None:
        """The texts of a tuple or list of constants, at the top level of a module or in place."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else None
        if isinstance(node, (ast.Tuple, ast.List)):
            parts = [
                self.constant_texts(element.value if isinstance(element, ast.Starred) else element)
                for element in node.elts
            ]
            return None if any(part is None for part in parts) else [text for part in parts for text in part or ()]
        targets = self.resolve(node) or []
        if len(targets) == 1 and isinstance(targets[0], Bound):
            unit = targets[0].unit
            single = unit.single
            if len(unit.names) == 1 and isinstance(single, (ast.Assign, ast.AnnAssign)):
                value = single.value
                return None if value is None else self.elsewhere(unit.module).constant_texts(value)
        return None

    def annotated(self, annotation: ast.expr | None) -> Unit | None:
        """The class of plain values that an annotation names."""
        annotation = None if annotation is None else parsed_annotation(annotation)
        if annotation is None:
            return None
        name = annotation.id if isinstance(annotation, ast.Name) else getattr(annotation, "attr", "")
        if name not in self.plain_names:
            return None
        for target in self.resolve(annotation) or ():
            if isinstance(target, Bound) and target.unit in self.reading.plain:
                return target.unit
        return None

    def function_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Scope:
        """The names of a function, with the facts that are known about them."""
        scope = Scope()
        scope.arguments = {parameter.arg for parameter in parameters(node)}
        counts = counted(name for statement in node.body for name in bound_names(statement))
        leaves = list(own_leaves(node.body))
        for leaf in leaves:
            if isinstance(leaf, (ast.Global, ast.Nonlocal)):
                scope.elsewhere.update(leaf.names)
        collecting = [parameter.arg for parameter in collecting_parameters(node)]
        names = [name for name in [*collecting, *counts] if name not in scope.arguments and name not in scope.elsewhere]
        scope.local = dict.fromkeys(names)
        imported: dict[str, list[list[Target]]] = {}
        for leaf in leaves:
            if isinstance(leaf, (ast.Import, ast.ImportFrom)):
                for alias in leaf.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    imported.setdefault(name, []).append(self.project.imported(self.module, leaf, alias))
        for name, targets in imported.items():
            if (
                counts.get(name) == len(targets)
                and name in scope.local
                and all(target == targets[0] for target in targets)
            ):
                scope.aliases[name] = targets[0]
        for parameter in parameters(node):
            plain = self.annotated(parameter.annotation)
            if plain is not None:
                scope.types[parameter.arg] = plain
            if parameter.arg in LISTENERS and self._is_listener(parameter.annotation):
                scope.listeners.add(parameter.arg)
        for leaf in leaves:
            if isinstance(leaf, ast.For) and isinstance(leaf.target, ast.Name) and counts.get(leaf.target.id) == 1:
                scope.looped[leaf.target.id] = leaf.iter
                texts = self.constant_texts(leaf.iter)
                if texts is not None:
                    scope.texts[leaf.target.id] = texts
        mirrors = {
            leaf.func.id for leaf in ast.walk(node) if isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Name)
        }
        scope.keeps_names = bool(mirrors & MIRRORS)
        own = scope.local.keys() - collecting
        scope.settings = {name: known for name, known in settings_in(node.body).items() if name in own}
        return scope

    def _is_listener(self, annotation: ast.expr | None) -> bool:
        """Return whether an annotation of the package that measures names a function that returns nothing."""
        if annotation is None or not self.is_measuring:
            return False
        annotation = parsed_annotation(annotation)
        if isinstance(annotation, ast.BinOp):  # ``Listener | None``
            return self._is_listener(annotation.left)
        if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
            returned = annotation.slice.elts[-1]
            return isinstance(returned, ast.Constant) and returned.value is None
        return any(
            isinstance(target, Bound)
            and isinstance(target.unit.single, ast.Assign)
            and self.elsewhere(target.unit.module)._is_listener(target.unit.single.value)
            for target in self.resolve(annotation) or ()
        )

    def builtin_called(self, node: ast.Call) -> str | None:
        """The name of the builtin that is called, if it is one."""
        if isinstance(node.func, ast.Name) and self.is_builtin(node.func.id):
            return node.func.id
        path = self.external_called(node) or ""
        return path.removeprefix(BUILTINS) if path.startswith(BUILTINS) else None

    def external_called(self, node: ast.Call) -> str | None:
        """The dotted path of what is called, if it lies outside this project."""
        targets = self.resolve(node.func)
        if targets and len(targets) == 1 and isinstance(targets[0], External):
            return targets[0].path
        return None

    # Bases and decorators

    def inherited_names(self, node: ast.ClassDef) -> set[str] | None:
        """The private names in those bases of a class that lie outside this project; ``None`` if they are unknown."""
        names: set[str] = set()
        for base in bases_of(node):
            targets = self.resolve(base)
            if targets is None and isinstance(base, ast.Name) and self.is_builtin(base.id):
                names |= private_names(getattr(builtins, base.id))
                continue
            if not targets:
                return None
            for target in targets:
                if isinstance(target, External):
                    live = live_object(target.path)
                    if live is None:
                        return None
                    names |= private_names(live)
                elif isinstance(target, Bound) and isinstance(target.unit.single, ast.ClassDef):
                    above = self.elsewhere(target.unit.module).inherited_names(target.unit.single)
                    if above is None:
                        return None
                    names |= above
                else:
                    return None
        return None if any(word.arg == "metaclass" for word in node.keywords) else names

    def has_no_effect(self, node: ast.expr) -> bool:
        """Return whether a decorator is known to do nothing but wrap the function or class that it decorates."""
        node = node.func if isinstance(node, ast.Call) else node
        targets = self.resolve(node)
        if targets is None:
            return isinstance(node, ast.Name) and node.id in PLAIN_DECORATORS and self.is_builtin(node.id)
        return all(isinstance(target, External) and is_pure_decorator(target.path) for target in targets)


def is_private(name: str) -> bool:
    """Return whether a name begins with an underscore and is not one of Python's own."""
    return name.startswith("_") and name.isidentifier() and not (name.startswith("__") and name.endswith("__"))


def private_names(live: Any) -> set[str]:
    """The private names that a class or another object has. An enumeration's ``dir`` leaves out those of its hooks."""
    known = [*dir(live), *(name for cls in getattr(live, "__mro__", ()) for name in vars(cls))]
    return {name for name in known if is_private(name)}


def spellings(name: str) -> set[str]:
    """A name, and the name within its class that it stands for: ``_Mine__scale`` stands for ``__scale`` of ``Mine``."""
    start = name.find("__", 1)
    return {name, name[start:]} if name.startswith("_") and start > 0 else {name}


def parsed_annotation(annotation: ast.expr) -> ast.expr:
    """The expression that an annotation stands for; a text that is no expression stands for itself."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError):
            return annotation
    return annotation


def is_pure_decorator(path: str) -> bool:
    """Return whether a decorator outside this project is known to do nothing but wrap its function or class."""
    return path.startswith(PURE_DECORATORS) and not path.startswith(("torch.library", "functools.singledispatch"))


def live_object(path: str) -> Any:
    """The object that a dotted path leads to in the modules that are loaded; ``None`` if there is none."""
    steps = path.split(".")
    for count in range(len(steps), 0, -1):
        module: Any = sys.modules.get(".".join(steps[:count]))
        if module is not None:
            for step in steps[count:]:
                module = getattr(module, step, None)
            return module
    return getattr(builtins, path, None)


def counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
