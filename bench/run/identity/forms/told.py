"""Texts for people, which do not count: messages, progress, and the texts of errors unless a handler reads them."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..definitions.module import Module
from ..definitions.targets import Target
from .by_name import ByName
from .meaning import LISTENERS
from .pieces import Caught, Reading
from .settings import own_leaves

Parts = Sequence[ast.expr | ast.keyword]
OWN_NAMES = frozenset({"argument", "local"})


class Told(ByName):
    """Writes messages, errors and their handlers.

    Args:
        reading: the settings by which code is read.
        module: the module that the code stands in.
    """

    def __init__(self, reading: Reading, module: Module) -> None:
        super().__init__(reading, module)
        self.caught: list[tuple[int, ast.expr | None]] = []
        """The variables of the handlers around what is being written, by their numbers, with what they catch."""
        self.unnamed: set[ast.Call] = set()
        """The calls whose context managers have no name."""

    def _write_expr(self, node: ast.Expr) -> None:
        call = node.value
        kind = self.messages.kind(call) if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and kind is not None:
            self._only_effects([*call.args, *call.keywords])
            self._message(kind, call)
        elif isinstance(call, ast.Call) and self._is_named_listener(call.func):
            tells = self.messages.tells(call)
            self.put("(Expr")
            self.node(call.func)
            for argument in call.args:
                if not (tells and _is_text(argument)):
                    self.node(argument)
            for word in call.keywords:
                if not tells:
                    self.put(f"{word.arg}=")
                if not (tells and _is_text(word.value)):
                    self.node(word.value)
            self.put(")")
        else:
            self._plainly(node)

    def _is_named_listener(self, function: ast.expr) -> bool:
        """Return whether a parameter or a local variable has the name of a listener, whatever it does."""
        return isinstance(function, ast.Name) and function.id in LISTENERS and self.find(function.id)[0] in OWN_NAMES

    def _only_effects(self, arguments: Parts) -> None:
        """The calls in the arguments of a message or an error that may do more than make text."""
        kept = [part for argument in arguments for part in self.messages.effective(argument)]
        if kept:
            self.put("(message")
            for part in kept:
                self.node(part)
            self.put(")")

    def _message(self, kind: str, call: ast.Call) -> None:
        """Write a message, which counts only if something reads the messages of its kind."""
        uses, self.uses = self.uses, {}
        with self._payload(kind):
            self._plainly(call)
            for number, handled in self.caught:
                if self.uses.get(number, 0):
                    self.piece.facts.handlers |= self._handled(handled)
        self.uses = uses

    def _write_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is None and isinstance(node.context_expr, ast.Call):
            self.unnamed.add(node.context_expr)
        self._plainly(node)

    def _write_raise(self, node: ast.Raise) -> None:
        self.put("(Raise")
        raised = None if node.exc is None else self._raised(node.exc)
        if isinstance(node.exc, ast.Call):
            self.node(node.exc.func)
            self._error(raised, [*node.exc.args, *node.exc.keywords])
        elif node.exc is not None:
            self.node(node.exc)
        if isinstance(node.cause, ast.Call):
            self._if_caught(raised, [*node.cause.args, *node.cause.keywords])
            self._only_if("BaseException", [node.cause])
        self.put(")")

    def _raised(self, node: ast.expr) -> Target | str | None:
        """The class of the exception that is raised; ``None`` for an unknown one."""
        function = node.func if isinstance(node, ast.Call) else node
        targets = self.resolve(function)
        if targets and len(targets) == 1:
            return targets[0]
        return function.id if isinstance(function, ast.Name) and self.is_builtin(function.id) else None

    def _write_assert(self, node: ast.Assert) -> None:
        self.put("(Assert")
        self.node(node.test)
        if node.msg is not None:
            self._error("AssertionError", [node.msg])
        self.put(")")

    def _error(self, raised: Target | str | None, parts: Parts) -> None:
        """Write the content of an error, which counts only if something reads the error."""
        self._if_caught(raised, parts)
        self._only_if(raised, parts)

    def _if_caught(self, raised: Target | str | None, parts: Parts) -> None:
        """Write the calls in an error that do more than make text, which count if the trial goes on after the error.

        Those in the errors of the package that measures make text only.
        """
        if not self.is_measuring:
            with self._payload(Caught(raised)):
                self._only_effects(parts)

    def _write_excepthandler(self, node: ast.ExceptHandler) -> None:
        self.put("(except")
        if node.type is not None:
            self.node(node.type)
        self.put(";")
        number = None
        if node.name is not None:
            self._binding(node.name)
            kind, scope = self.find(node.name)
            number = scope.local[node.name] if kind == "local" and scope is not None else None
        before = self.uses.get(number, 0) if number is not None else 0
        if number is not None:
            self.caught.append((number, node.type))
        self.block(node.body)
        if number is not None:
            self.caught.pop()
        self.piece.facts.caught |= self._handled(node.type)
        read = node.name is not None and (number is None or self.uses.get(number, 0) > before)
        if read:
            self.piece.facts.handlers |= self._handled(node.type)
        self.put(")")

    def _write_try(self, node: ast.Try | ast.TryStar) -> None:
        self._plainly(node)
        if any(isinstance(leaf, (ast.Return, ast.Break, ast.Continue)) for leaf in own_leaves(node.finalbody)):
            self.piece.facts.caught.add(None)  # leaving the block drops whatever was raised

    _write_trystar = _write_try

    def _handled(self, node: ast.expr | None) -> set[Target | str | None]:
        """The exceptions that a handler catches; ``None`` stands for an unknown one."""
        handled: set[Target | str | None] = set()
        for kind in node.elts if isinstance(node, ast.Tuple) else [node]:
            targets = None if kind is None else self.resolve(kind)
            if targets:
                handled.update(targets)
            elif isinstance(kind, ast.Name) and self.is_builtin(kind.id):
                handled.add(kind.id)
            else:
                handled.add("BaseException" if kind is None else None)
        return handled


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
