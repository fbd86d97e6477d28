"""The things that a name may stand for: definitions of this project, its modules, and objects outside of it.

A *unit* is the smallest set of top-level statements that must be read together: all that bind one name, and whatever
else these bind. A function is a unit; so are ``A, B = pair()``, and a ``try`` with the imports and functions inside.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


@dataclass(frozen=True)
class External:
    """An object outside this project: of an installed distribution, of Python, or of a module that is not found."""

    path: str


@dataclass(frozen=True)
class Whole:
    """A project module as a value."""

    module: str


@dataclass(eq=False)
class Unit:
    """Top-level statements that bind names together.

    Attributes:
        module: the dotted name of its module.
        statements: its statements in the order of the file.
        names: the names that the statements bind, in the order of the file.
    """

    module: str
    statements: list[ast.stmt] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def single(self) -> ast.stmt | None:
        """The statement of a unit that has only one; ``None`` for any other."""
        return self.statements[0] if len(self.statements) == 1 else None

    @property
    def is_variable(self) -> bool:
        """True for a unit that is no single function or class, so that other statements may change its object."""
        return not isinstance(self.single, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


@dataclass(frozen=True)
class Bound:
    """A name that a unit binds."""

    unit: Unit
    name: str


Target = External | Whole | Bound
