"""Texts for people, which do not count: messages, progress, and the texts of errors unless a handler reads them."""

from __future__ import annotations

import ast

from .by_name import ByName


class Told(ByName):
    """Writes messages, errors and their handlers."""

    def _write_expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and self.is_message(node.value):
            self._only_effects(node.value)
        elif isinstance(node.value, ast.Call) and self.tells(node.value):
            self.put("(Expr")
            self.node(node.value.func)
            for argument in [*node.value.args, *(word.value for word in node.value.keywords)]:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    self.node(argument)
            self.put(")")
        else:
            self._plainly(node)

    def _only_effects(self, call: ast.Call) -> None:
        """The calls in the arguments of a message that may do more than make text."""
        kept = [
            part
            for argument in [*call.args, *(word.value for word in call.keywords)]
            for part in self.effective(argument)
        ]
        if kept:
            self.put("(message")
            for part in kept:
                self.node(part)
            self.put(")")

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
        self.put(")")

    def _write_assert(self, node: ast.Assert) -> None:
        self.put("(Assert")
        self.node(node.test)
        self.put(")")

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
        self.block(node.body)
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
