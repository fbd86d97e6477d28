"""A place: the path of one file, or a pattern that the paths of several files fit."""

from __future__ import annotations

import ast
import glob
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

ESCAPED = re.compile(r"\[([*?[])\]")
"""A letter of a path that would otherwise stand for others, as :func:`glob.escape` writes it."""
UNKNOWN = "\0"
"""The part of a pattern that stands for a text which only a run knows, with slashes or without."""
SYSTEM = ("/proc/", "/sys/", "/dev/", "/run/")
"""The folders whose files Linux makes up while they are read, and which say nothing that could be compared."""
PART = re.compile(
    r"\[(?P<letter>[*?[])\]|(?P<folders>\*\*/)|(?P<rest>\*\*)|(?P<star>\*)|(?P<one>\?)"
    rf"|\[(?P<letters>!?[^]/]+)\]|(?P<unknown>{UNKNOWN})|(?P<text>.)",
    re.DOTALL,
)
"""The parts of a pattern."""
STANDING_FOR = {"folders": r"(?:.*/)?", "rest": ".*", "star": "[^/]*", "one": "[^/]"}
"""Kind of part -> the regular expression for the texts that it stands for."""


@dataclass(frozen=True)
class Place:
    """The files that an expression may name.

    Attributes:
        pattern: their path, in which ``*`` and ``**`` mean what they do in :mod:`glob`, and :data:`UNKNOWN` any text.
        is_known: ``True`` if the path starts at the module's own file. One that starts at the root as a text says is a
            place of the machine; any other is taken from the module's folder and from the working folder on.
    """

    pattern: str
    is_known: bool = False

    @property
    def is_open(self) -> bool:
        """``True`` if a part of the path stands for any text."""
        return is_open(self.pattern)

    @property
    def path(self) -> str:
        """The path of a place of which every part is known."""
        return ESCAPED.sub(r"\1", self.pattern)

    @property
    def folder(self) -> str:
        """The path of the folder in which all files that fit lie, down to the first part that stands for any text."""
        folder = "/".join(self.pattern.split("/")[: self._known_steps])
        return ESCAPED.sub(r"\1", folder or ("/" if self.pattern.startswith("/") else ""))

    @property
    def rest(self) -> str:
        """The pattern from :attr:`folder` on."""
        return "/".join(self.pattern.split("/")[self._known_steps :])

    @property
    def _known_steps(self) -> int:
        *folders, _ = self.pattern.split("/")
        return next((index for index, step in enumerate(folders) if is_open(step)), len(folders))

    @property
    def is_relative(self) -> bool:
        """``True`` for a path that starts at no place that is known."""
        return not self.pattern.startswith("/")

    @property
    def is_of_machine(self) -> bool:
        """``True`` for a path that starts at the root because a text says so."""
        return not self.is_relative and not self.is_known

    @property
    def is_of_system(self) -> bool:
        """``True`` for a path whose file says nothing that could be compared."""
        return self.is_of_machine and self.pattern.startswith(SYSTEM)

    def shown(self, folder: str) -> str:
        """The path for people, from a folder on where it lies in there."""
        return self.path.removeprefix(f"{folder}/").replace(UNKNOWN, "*")

    def joined(self, step: str) -> Place:
        """The place at a step from this one."""
        return Place(posixpath.join(self.pattern, step), self.is_known and not step.startswith("/"))

    def changed(self, by: Callable[[str], str]) -> Place:
        return Place(by(self.pattern), self.is_known)


def is_open(pattern: str) -> bool:
    return UNKNOWN in pattern or glob.has_magic(ESCAPED.sub("", pattern))


def combined(left: Place | None, operator: ast.operator, right: Place | None) -> Place | None:
    """The place that ``/`` or ``+`` makes of two, either of which may be unknown."""
    if isinstance(operator, ast.Div):
        return right if left is None else left.joined(UNKNOWN if right is None else right.pattern)
    if not isinstance(operator, ast.Add) or (left is None and right is None):
        return None
    pattern = (left.pattern if left else UNKNOWN) + (right.pattern if right else UNKNOWN)
    return Place(pattern, left is not None and left.is_known)


def expression(pattern: str, unknown: str) -> re.Pattern[str]:
    """The regular expression of a pattern.

    Args:
        pattern: the pattern.
        unknown: the regular expression for an unknown part.
    """

    def translated(part: re.Match[str]) -> str:
        kind, text = str(part.lastgroup), str(part[part.lastgroup or 0])
        if kind == "unknown":
            return unknown
        if kind == "letters":
            return f"[{text.replace('!', '^', 1) if text.startswith('!') else text}]".replace("\\", "\\\\")
        return STANDING_FOR.get(kind) or re.escape(text)

    return re.compile(PART.sub(translated, pattern), re.DOTALL)
