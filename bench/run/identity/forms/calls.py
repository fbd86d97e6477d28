"""Calls, with everything that counts besides because of what is called, and constants."""

from __future__ import annotations

import ast

from ..definitions.targets import Bound, External
from .by_name import DOCSTRING_READERS, HINT_READERS, READ_BY_NAME, SET_BY_NAME
from .meaning import is_private, spellings
from .names import LOOKERS
from .pieces import ChosenValue, OpenValue, spelled
from .told import Told

COMPUTED_IMPORTS = ("importlib.import_module", "importlib.util.spec_from", "runpy.", "pkgutil.")
"""The beginnings of the paths of what imports modules by computed names, or lists them."""


class Calls(Told):
    """Writes calls and constants."""

    def _write_call(self, node: ast.Call) -> None:
        builtin, external = self.builtin_called(node), self.external_called(node)
        if external == "typing.cast" and len(node.args) == 2:
            self.node(node.args[1])
            return
        if external == "logging.getLogger":
            self._external("logging.getLogger")
            return
        targets = self.resolve(node.func)
        if targets and all(isinstance(target, Bound) and target.unit in self.reading.reports for target in targets):
            self._only_effects([*node.args, *node.keywords])
            return
        self.called, self.calling = node.func, node
        if external is not None:
            is_lost = node in self.unnamed
            self.piece.facts.heard |= self.messages.read_by_call(node, external, is_unnamed=is_lost)
        elif isinstance(node.func, ast.Attribute):
            self.piece.facts.heard |= self.messages.read_by_logger(node.func, node.args)
        name = _imported_name(node) if external == "importlib.import_module" or builtin == "__import__" else None
        if name is not None:
            self.put_targets([self.project.target(name)])
            self.piece.facts.modules[name] = None
            return
        self._note_called(node, builtin, external)
        if builtin in LOOKERS:
            self.put("(Call")
            self.put(f"N:{builtin}")
            for argument in [*node.args, *node.keywords]:
                self.node(argument)
            self.put(")")
        else:
            self._plainly(node)
        if builtin == "type" and len(node.args) == 1 and self._is_own(node.args[0]):
            self._own_class()

    def _note_called(self, node: ast.Call, builtin: str | None, external: str | None) -> None:
        """Note what counts besides the call itself because of the builtin, or the function outside, that is called."""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        by_name = next((name for name in (builtin, external, method) if name in READ_BY_NAME | SET_BY_NAME), None)
        if by_name is not None:
            self._by_name(node, by_name)
        elif builtin in ("vars", "dir") and not node.args:
            self._undecided(f"{builtin}() may reach every name")
        elif builtin in ("vars", "dir"):
            named = self.resolve(node.args[0]) or ()
            self._set_outside(External(f"{target.path}.*") for target in named if isinstance(target, External))
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif builtin == "__import__" or (external is not None and external.startswith(COMPUTED_IMPORTS)):
            self._undecided("a module is imported by a computed name", beside=True)
        elif external is not None and external.startswith("subprocess."):
            self._note_only("another program is started; what it does is not followed")
        elif external in HINT_READERS:
            self._reads_annotations()
        elif external in DOCSTRING_READERS:
            self._reads_attribute("__doc__")
        elif external in ("operator.attrgetter", "operator.methodcaller"):
            self._named_by(node.args)

    def _write_constant(self, node: ast.Constant) -> None:
        self.put(spelled(node.value))
        if isinstance(node.value, str) and is_private(node.value):
            self.piece.facts.texts |= spellings(node.value)

    def _write_chosenvalue(self, node: ChosenValue) -> None:
        self.piece.facts.choices.add(node.choice)
        self._write_constant(node)

    def _write_openvalue(self, node: OpenValue) -> None:
        if node.choice:
            self.piece.facts.choices.add(node.choice)
        if issubclass(node.value_type, str):  # a text may look like a private name
            self._write_constant(node)
        else:
            self.put(node.token())


def _imported_name(node: ast.Call) -> str | None:
    """The module that a call like ``importlib.import_module(…)`` imports, if it is an absolute name in the code."""
    name = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
    return name if isinstance(name, str) and not name.startswith(".") else None
