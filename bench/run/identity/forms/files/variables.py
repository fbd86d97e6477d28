"""The places that variables stand for, by the statements that set them."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod

from ...definitions.targets import Bound
from ..meaning import Meaning
from ..settings import Setting, Settings, settings_of
from .place import Place, combined

ORDERING = ("sorted", "list", "tuple", "reversed")
"""The builtins that give what they are given, in some order."""
NAMED_LISTERS = ("glob", "iglob", "rglob", "iterdir")


class Variables(ABC):
    """Follows variables to the expressions that they stand for.

    Args:
        meaning: the meaning of names where the code stands.
        outer: the statements whose variables' values are being followed already.
    """

    def __init__(self, meaning: Meaning, outer: frozenset[Setting] = frozenset()) -> None:
        self.meaning = meaning
        self._followed = outer
        self.used: set[int] = set()
        """The ids of the expressions that were found to be parts of paths."""

    @abstractmethod
    def place(self, node: ast.expr) -> Place | None:
        """The place that an expression names; ``None`` for one that is no path, or of which nothing is known."""

    def value(self, node: ast.Name) -> Place | None:
        """The place that a variable stands for where an expression reads it."""
        kind, scope = self.meaning.find(node.id)
        if kind == "local" and scope is not None and node.id in scope.looped:
            return self._listed(scope.looped[node.id])
        if kind == "local" and scope is not None and node.id in scope.settings:
            is_own = scope is next((inner for inner in reversed(self.meaning.scopes) if not inner.is_inline), None)
            settings = scope.settings[node.id]
            return self._after(settings, settings.before(node if is_own else None))
        known = self._at_module(node) if kind in ("module", "alias") else None
        if known is None:
            return None
        settings, module = known
        is_own = not self.meaning.scopes and module == self.meaning.module.name
        other = type(self)(self.meaning.elsewhere(module), self._followed)
        return other._after(settings, settings.before(node if is_own else None))

    def _at_module(self, node: ast.Name) -> tuple[Settings, str] | None:
        """The statements that set a variable at the top level of a module, and the module."""
        for target in self.meaning.resolve(node) or ():
            settings = settings_of(target.unit) if isinstance(target, Bound) else None
            if isinstance(target, Bound) and settings is not None:
                module = self.meaning.project.module(target.unit.module)
                if module is not None and target.name not in module.set_by_functions:
                    return settings, module.name
        return None

    def _settings(self, node: ast.Name) -> Settings | None:
        kind, scope = self.meaning.find(node.id)
        if kind == "local" and scope is not None:
            return scope.settings.get(node.id)
        known = self._at_module(node) if kind in ("module", "alias") else None
        return known and known[0]

    def is_followed(self, node: ast.Name) -> bool:
        """Return whether the uses of a variable show all its values."""
        settings = self._settings(node)
        return settings is not None and settings.is_straight

    def is_stepwise(self, node: ast.Name) -> bool:
        """Return whether the value of a variable is made in several steps, so that no expression names its place."""
        settings = self._settings(node)
        return settings is not None and len(settings.statements) > 1

    def _after(self, settings: Settings, index: int | None) -> Place | None:
        """The place that a variable stands for after one of the statements that set it."""
        if index is None or settings.statements[index] in self._followed:
            return None
        outer, self._followed = self._followed, self._followed | {settings.statements[index]}
        try:
            return self._set(settings, index) if settings.is_straight else self._grown(settings)
        finally:
            self._followed = outer

    def _set(self, settings: Settings, index: int) -> Place | None:
        setting = settings.statements[index]
        value = None if setting.value is None else self.place(setting.value)
        if not isinstance(setting, ast.AugAssign):
            return value
        before = self._after(settings, index - 1) if index else None
        return combined(before, setting.op, value)

    def _grown(self, settings: Settings) -> Place | None:
        """The place of a variable that a loop or a condition may add to: anything that begins as it starts."""
        first = settings.statements[0]
        if not settings.is_grown or first.value is None or isinstance(first, ast.AugAssign):
            return None
        start = self.place(first.value)
        return start and start.changed(lambda pattern: f"{pattern}**")

    def _listed(self, node: ast.expr) -> Place | None:
        """The place of the files that a loop goes through."""
        while isinstance(node, ast.Call) and self.meaning.builtin_called(node) in ORDERING:
            if not node.args:
                return None
            node = node.args[0]
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        return self.place(node) if name in NAMED_LISTERS else None
