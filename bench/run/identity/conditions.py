"""The conditions on which code counts that makes a message, an error or an annotation: that other code reads it."""

from __future__ import annotations

import ast
import builtins

from .definitions.syntax import bases_of
from .definitions.targets import Bound, Target
from .forms.messages import EVERY
from .forms.pieces import ANNOTATION, DOCSTRING, FIELD_ANNOTATION, Caught, Condition, PieceFacts, Reading
from .forms.writer import Writer

BY_PYTHON: frozenset[Target | str | None] = frozenset(
    {"StopIteration", "StopAsyncIteration", "AttributeError", "IndexError"}
)
"""The exceptions that Python itself catches, in loops and in ``getattr`` with a default."""
GROUPS = ("ExceptionGroup", "BaseExceptionGroup")
"""The exceptions that hold others, which handlers of these others catch too."""


def holds(condition: Condition, facts: PieceFacts, reading: Reading) -> bool:
    """Return whether code on this condition counts.

    Args:
        condition: the condition.
        facts: the facts about all code that is reached.
        reading: the settings by which code is read.
    """
    known = {kind: kind in facts.heard for kind in EVERY}
    known |= {FIELD_ANNOTATION: facts.hints, ANNOTATION: facts.all_hints, DOCSTRING: facts.docs}
    if isinstance(condition, str) and condition in known:
        return known[condition]
    if isinstance(condition, Caught):
        going_on = facts.caught | facts.handlers | BY_PYTHON
        return any(_catches(handler, condition.raised, reading) for handler in going_on)
    return any(_catches(handler, condition, reading) for handler in facts.handlers)


def _catches(handler: Target | str | None, raised: Target | str | None, reading: Reading) -> bool:
    """Return whether a handler of one class may catch an exception of another; ``None`` is an unknown class."""
    if handler is None or raised is None or handler in ("Exception", "BaseException") or raised in GROUPS:
        return True
    if isinstance(raised, str):
        return isinstance(handler, str) and _is_subclass(raised, handler)
    if not isinstance(raised, Bound):
        return raised == handler or not isinstance(handler, Bound)
    if isinstance(handler, Bound) and handler.unit is raised.unit:
        return True
    node = raised.unit.single
    if not isinstance(node, ast.ClassDef):
        return True
    writer = Writer.of_module(reading, raised.unit.module)
    for base in bases_of(node):
        above: list[Target | str | None] = list(writer.resolve(base) or ())
        if not above:
            above.append(base.id if isinstance(base, ast.Name) else None)
        if any(_catches(handler, inherited, reading) for inherited in above):
            return True
    return False


def _is_subclass(raised: str, handler: str) -> bool:
    one, other = getattr(builtins, raised, None), getattr(builtins, handler, None)
    return not (isinstance(one, type) and isinstance(other, type)) or issubclass(one, other)
