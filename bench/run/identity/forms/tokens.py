"""The tokens of code in its normal form, and the notes about what cannot be decided."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..definitions.module import Module
from ..definitions.syntax import is_text
from ..definitions.targets import Unit, Whole
from .files.finder import FileFinder
from .meaning import Meaning, Scope
from .messages import Messages
from .pieces import DOCSTRING, Condition, Payload, Piece, Reading, spelled

SKIPPED = frozenset(
    {"ctx", "type_comment", "kind", "type_params", "annotation", "returns", "lineno", "col_offset", "decorator_list"}
)


class Tokens(Meaning):
    """Writes syntax trees field by field, unless a subclass has a method for the kind of node, such as ``_write_name``.

    Args:
        reading: the settings by which code is read.
        module: the module that the code stands in.
    """

    def __init__(self, reading: Reading, module: Module) -> None:
        super().__init__(reading, module)
        self.piece = Piece()
        self.selves: list[str | None] = [None]
        self.messages, self.files = Messages(self), FileFinder(self)
        self.count = 0
        self.uses: dict[int, int] = {}
        self.gives_numbers = True
        """``False`` while code is written that may not count, in which a local variable without a number keeps its
        name, so that the numbers of others do not depend on it."""
        self.own: Unit | None = None
        self.single = False

    def put(self, token: str) -> None:
        self.piece.tokens.append(token)

    def _note_only(self, why: str) -> None:
        note = f"{self.project.file_label(self.module.name)}:{getattr(self.at, 'lineno', 0)} {why}"
        self.piece.facts.notes[note] = None

    def _undecided(self, why: str, *, beside: bool = False, node: ast.AST | None = None) -> None:
        """Count everything that may be meant: this whole module, or all modules beside it."""
        line = getattr(node or self.at, "lineno", 0)
        note = f"{self.project.file_label(self.module.name)}:{line} {why}"
        self.piece.facts.notes[note] = None
        for name in self.project.files_beside(self.module.name) if beside else [self.module.name]:
            self.piece.tokens.append(Whole(name))

    at: ast.AST | None = None

    def node(self, node: ast.AST) -> None:
        special = getattr(self, f"_write_{type(node).__name__.lower()}", None)
        if isinstance(node, (ast.stmt, ast.expr)):
            self.at = node
        if isinstance(node, ast.expr):
            self._put_files(node)
        if special is not None:
            special(node)
        else:
            self._plainly(node)

    def _put_files(self, node: ast.expr) -> None:
        """Write the contents of the files that an expression names."""
        named = self.files.named(node)
        for token in named.tokens:
            self.put(token)
        for note in named.notes:
            self._note_only(note)

    def _plainly(self, node: ast.AST) -> None:
        self.put(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if name in SKIPPED or value is None or value == []:
                continue
            self.put(f"{name}=")
            self._value(value)
        self.put(")")

    def _value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            if value and isinstance(value[0], ast.stmt):
                self.block(value)
            else:
                for item in value:
                    self._value(item)
        else:
            self.put(spelled(value))

    def statement(self, node: ast.stmt) -> None:
        if not is_text(node):
            self.node(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self.piece.tokens.append(Payload(DOCSTRING, Piece([spelled(node.value.value)])))

    def block(self, statements: Sequence[ast.stmt]) -> None:
        self.put("{")
        for statement in statements:
            self.statement(statement)
        self.put("}")

    def _write_unaryop(self, node: ast.UnaryOp) -> None:
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(node.op, ast.USub) and isinstance(value, (int, float)) and not isinstance(value, bool):
            self.put(spelled(-value))
        else:
            self._plainly(node)

    def _write_joinedstr(self, node: ast.JoinedStr) -> None:
        self.put("(JoinedStr")
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            if text:
                self.put(spelled(text))
            text = ""
            self.node(part)
        if text:
            self.put(spelled(text))
        self.put(")")

    def _only_if(self, condition: Condition, nodes: Sequence[ast.AST]) -> None:
        """Write nodes that count only on a condition."""
        with self._payload(condition):
            for node in nodes:
                self.node(node)

    @contextmanager
    def _payload(self, condition: Condition) -> Iterator[None]:
        """Inside the block, write code that counts only on a condition."""
        outer, self.piece = self.piece, Piece()
        gives_numbers, self.gives_numbers = self.gives_numbers, False
        try:
            yield
        finally:
            inner, self.piece = self.piece, outer
            self.gives_numbers = gives_numbers
        if inner.tokens:
            self.piece.tokens.append(Payload(condition, inner))

    @contextmanager
    def _inside(self, scope: Scope) -> Iterator[None]:
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()
