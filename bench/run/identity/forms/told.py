"""Texts for people, which do not count: messages, progress, and the texts of errors unless a handler reads them."""

from __future__ import annotations

import ast

from ..definitions.module import Module
from .by_name import ByName
from .meaning import LISTENERS
from .pieces import Reading

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
            self._only_effects(call)
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

    def _only_effects(self, call: ast.Call) -> None:
        """The calls in the arguments of a message that may do more than make text."""
        kept = [
            part
            for argument in [*call.args, *(word.value for word in call.keywords)]
            for part in self.messages.effective(argument)
        ]
        if kept:
            self.put("(message")
            for part in kept:
                self.node(part)
            self.put(")")

    def _message(self, kind: str, call: ast.Call) -> None:
        """Write a message, which counts only if something reads the messages of its kind."""
        uses, self.uses = self.uses, {}
        gives_numbers, self.gives_numbers = self.gives_numbers, False
        with self._payload(kind):
            self._plainly(call)
            for number, handled in self.caught:
                if self.uses.get(number, 0):
                    self._note_handler(handled)
        self.uses, self.gives_numbers = uses, gives_numbers

    def _write_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is None and isinstance(node.context_expr, ast.Call):
            self.unnamed.add(node.context_expr)
        self._plainly(node)

    def _write_raise(self, node: ast.Raise) -> None:
        self.put("(Raise")
        if isinstance(node.exc, ast.Call):
            self.node(node.exc.func)
            targets = self.resolve(node.exc.func)
            builtin = self.builtin_called(node.exc)
            raised = targets[0] if targets and len(targets) == 1 else builtin
            self._only_if(raised, [*node.exc.args, *node.exc.keywords])
        elif node.exc is not None:
            self.node(node.exc)
        if isinstance(node.cause, ast.Call):
            self._if_read("BaseException", node.cause)
        self.put(")")

    def _write_assert(self, node: ast.Assert) -> None:
        self.put("(Assert")
        self.node(node.test)
        if node.msg is not None:
            self._if_read("AssertionError", node.msg)
        self.put(")")

    def _if_read(self, raised: str, part: ast.expr) -> None:
        """Write a part of an error that counts only if something reads the error."""
        uses, self.uses = self.uses, {}
        gives_numbers, self.gives_numbers = self.gives_numbers, False
        self._only_if(raised, [part])
        self.uses, self.gives_numbers = uses, gives_numbers

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
        read = node.name is not None and (number is None or self.uses.get(number, 0) > before)
        if read:
            self._note_handler(node.type)
        self.put(")")

    def _note_handler(self, node: ast.expr | None) -> None:
        handlers = self.piece.facts.handlers
        for handled in node.elts if isinstance(node, ast.Tuple) else [node]:
            targets = None if handled is None else self.resolve(handled)
            if targets:
                handlers.update(targets)
            elif isinstance(handled, ast.Name) and self.is_builtin(handled.id):
                handlers.add(handled.id)
            else:
                handlers.add("BaseException" if handled is None else None)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
