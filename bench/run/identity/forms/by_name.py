"""Attributes, docstrings and annotations that a call reads or sets by their names, so that the names count."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..definitions.targets import Bound, External, Whole
from .meaning import is_private, spellings
from .names import METHODS_BY_NAME, Names

READ_BY_NAME = frozenset({"getattr", "hasattr", "__getattribute__", "__getattr__", "inspect.getattr_static"})

SET_BY_NAME = frozenset({"setattr", "delattr", "__setattr__", "__delattr__"})


HINT_READERS = frozenset(
    {
        "typing.get_type_hints",
        "inspect.signature",
        "inspect.get_annotations",
        "inspect.getfullargspec",
        "annotationlib.get_annotations",
    }
)

DOCSTRING_READERS = frozenset({"inspect.getdoc", "inspect.getcomments", "pydoc.getdoc", "pydoc.render_doc"})


class ByName(Names):
    """Notes what a call reads or sets by its name."""

    def _named_by(self, names: Sequence[ast.expr]) -> None:
        for name in names:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                for attribute in name.value.split("."):
                    self.piece.facts.loads.add(attribute)
                    self._reads_attribute(attribute)
            else:
                self.piece.facts.computed_read = True

    def _by_name(self, node: ast.Call, function: str) -> None:
        """Note the attribute that a call like ``getattr(…)`` reads or sets by its name, which may be computed."""
        receiver, name = _named_attribute(node, function)
        reads, facts = function in READ_BY_NAME, self.piece.facts
        targets = None if receiver is None else self.resolve(receiver)
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            if targets and reads and not any(isinstance(target, Bound) for target in targets):
                self.put_targets(t for target in targets for t in self.project.attribute(target, name.value))
            elif targets and not reads:
                self._set_outside(t for target in targets for t in self.project.attribute(target, name.value))
            (facts.loads if reads else facts.stores).add(name.value)
            if receiver is not None and not reads:
                facts.heard |= self.messages.read_by_logger(ast.Attribute(receiver, name.value, ast.Store()))
            if reads:
                self._reads_attribute(name.value)
            return
        whole = [target for target in targets or () if isinstance(target, Whole)]
        if whole:
            self._undecided(f"an attribute of {whole[0].module} is read by a computed name")
        elif (targets and all(isinstance(target, External) for target in targets)) or (
            isinstance(receiver, ast.Name) and self._is_plain(receiver.id)
        ):
            if not reads:
                self._set_outside(
                    External(f"{target.path}.*") for target in targets or () if isinstance(target, External)
                )
        elif name is not None and (known := self._texts_in(name)) is not None:
            (facts.loads if reads else facts.stores).update(known)
            for text in known:
                if reads:
                    self._reads_attribute(text)
                facts.texts |= spellings(text) if is_private(text) else set()
        elif reads and receiver is not None and self._is_own(receiver):
            assert self.own is not None
            facts.computed_self.add(self.own)
        elif reads:
            facts.computed_read = True
        else:
            facts.computed_write = True

    def _texts_in(self, node: ast.expr) -> list[str] | None:
        """The constant texts that a loop variable takes, one after the other; ``None`` where that cannot be told."""
        if not isinstance(node, ast.Name):
            return None
        for scope in reversed(self.scopes):
            if node.id in scope.texts:
                return scope.texts[node.id]
            if node.id in scope.local or node.id in scope.arguments:
                return None
        return None

    def _is_plain(self, name: str) -> bool:
        """Return whether a name is a parameter whose annotation names a class of plain values."""
        kind, scope = self.find(name)
        return kind == "argument" and scope is not None and scope.types.get(name) in self.reading.plain


def _named_attribute(node: ast.Call, function: str) -> tuple[ast.expr | None, ast.expr | None]:
    """The object and the attribute's name in a call like ``getattr(…)``; ``None`` for one that cannot be told."""
    arguments: list[ast.expr | None] = [*node.args]
    if any(isinstance(argument, ast.Starred) for argument in node.args) or node.keywords:
        return None, None
    if isinstance(node.func, ast.Attribute) and METHODS_BY_NAME.get(function) == len(arguments):
        arguments.insert(0, node.func.value)
    receiver, name, *_ = [*arguments, None, None]
    return receiver, name
