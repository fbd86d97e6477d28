"""The changes that a call may cause."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from ..definitions.targets import Unit


@dataclass(frozen=True)
class Mutation:
    """The changes that calling a function may cause.

    Attributes:
        units: the definitions outside of the function that the call may change.
        unknown: ``True`` if the call may change things that no name leads to, such as the state of another package.
        arguments: ``True`` if the call may change its arguments.
        kinds: the kinds of messages that the call makes, which change what reads such messages.
        whys: the reasons for which it cannot be decided what the call changes.
    """

    units: frozenset[Unit] = frozenset()
    unknown: bool = False
    arguments: bool = False
    kinds: frozenset[str] = frozenset()
    whys: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.units) or self.unknown or self.arguments


NOTHING = Mutation()
Changed = tuple[list[ast.expr], Mutation]
"""The objects that some code may change, and what else it may change."""


def joined_changes(changes: Iterable[Mutation]) -> Mutation:
    joined = NOTHING
    for change in changes:
        joined = Mutation(
            joined.units | change.units,
            joined.unknown or change.unknown,
            joined.arguments or change.arguments,
            joined.kinds | change.kinds,
            joined.whys | change.whys,
        )
    return joined
