"""The commands and messages that leave this machine, without its paths and so without the names of its users."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

DATA, ADDRESS = '"$DATA"', '"$RAY_ADDRESS"'
RESULTS = "results"
"""The root that results have in an exported command."""

_NAME = r"[^\s/\\'\"<>|:;,()\[\]{}`]+"
_LOGIN = re.compile(r"(?<=://)[^\s/@'\"<>]+@")
"""A user, and what may be a password, in front of the host of an address."""
_PATH = re.compile(
    r"(?<=\")(?:/[^\"/\n]+/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^\"\n]+(?=\")"
    r"|(?<=')(?:/[^'/\n]+/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^'\n]+(?=')"
    rf"|\bfile:/+{_NAME}(?:/{_NAME})*|(?<![\w/.:])//{_NAME}(?:/{_NAME})+"
    rf"|(?<![\w/.])(?:~[\w.-]*(?:/{_NAME})+|(?:/{_NAME}){{2,}})/?"
    rf"|(?:(?:(?<![\w\\])\\{{2,4}}\?\\{{1,2}})?\b[A-Za-z]:\\{{1,2}}|(?<![\w\\])\\{{2,4}})(?:{_NAME}\\{{0,2}})+"
)
"""An absolute path of two components or more, one below a home folder, one of Windows or of a share, or a ``file:``
address; with blanks only where it is quoted. Not ``images/s`` or a URL."""


@dataclass
class Redaction:
    """Replaces paths in texts and remembers how often, by the file that they stood in.

    Attributes:
        known: path -> what stands for it; longer ones first win.
        counts: file -> how many paths were replaced in it.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def text(self, text: str, file: str) -> str:
        """``text`` without absolute paths: a known one by its name, another by its file's name after ``…/``."""
        for path in sorted(self.known, key=len, reverse=True):
            whole, stands = rf"(?<![\w/.]){re.escape(path)}(?![\w.-])", self.known[path]
            text, found = re.subn(whole, lambda match, stands=stands: stands, text)  # type: ignore[misc]
            self._count(file, found)
        text, logins = _LOGIN.subn("…@", text)
        text, paths = _PATH.subn(_shortened, text)
        self._count(file, logins + paths)
        return text

    def tree(self, value: Any, file: str) -> Any:
        """JSON-ready data with :meth:`text` applied to every string in it, keys too."""
        if isinstance(value, str):
            return self.text(value, file)
        if isinstance(value, Mapping):
            return {self.text(name, file): self.tree(each, file) for name, each in value.items()}
        return [self.tree(each, file) for each in value] if isinstance(value, list) else value

    def _count(self, file: str, found: int) -> None:
        if found:
            self.counts[file] = self.counts.get(file, 0) + found


@dataclass(frozen=True)
class Command:
    """A command as it was typed and as it may be shown.

    Attributes:
        words: the words as they may be shown, quoted, with ``"$DATA"`` for the data folder and paths within the
            repository.
        study: the study's file as typed; empty if the command names none.
        known: path -> the text that stands for it in ``words``.
    """

    words: tuple[str, ...]
    study: str
    known: Mapping[str, str]

    @property
    def shown(self) -> str:
        """The command in one line."""
        return " ".join(self.words)

    def of_file(self, study: str) -> str:
        """The command in one line with another text, quoted already, in place of the study's file."""
        shown = shlex.quote(in_repository(self.study))
        return " ".join(study if self.study and word == shown else word for word in self.words)


def command(typed: str) -> Command:
    """A ``bench`` command without what is particular to this machine.

    Raises:
        ValueError: for a quotation that does not end.
    """
    words, shown = shlex.split(typed), []
    known: dict[str, str] = {}
    study = next((word for word in words if word.endswith(".py")), "")
    option = ""
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else (option, "", word)
        text = _option(name, value, known) if equals or option else None
        if word == study:
            text = shlex.quote(in_repository(study))
            _remember(study, in_repository(study), known)
        if text is None:
            text = shlex.quote(_LOGIN.sub("…@", word))
            known |= {word: _LOGIN.sub("…@", word)} if _LOGIN.search(word) else {}
        elif equals:
            text = f"{name}={text}"
        shown.append(text)
        option = word if word.startswith("--") and not equals else ""
    return Command(tuple(shown), study, known)


def in_repository(path: str) -> str:
    """A study's path from ``studies`` on, or its name where it lies elsewhere; a relative one stays."""
    parts = PurePath(path).parts
    if not _is_elsewhere(path):
        return path
    return PurePath(*parts[parts.index("studies") :]).as_posix() if "studies" in parts else parts[-1]


def _option(name: str, value: str, known: dict[str, str]) -> str | None:
    """The text in place of an option's value, ``None`` if the value may be shown. Adds to ``known``."""
    if name == "--data":
        prefix, equals, folder = value.partition("=")
        if "/" in prefix or not equals:
            prefix, equals, folder = "", "", value
        if "/" in folder or folder.startswith((".", "~")):
            _remember(folder, DATA.strip('"'), known)
            return f"{shlex.quote(prefix) if prefix else ''}{equals}{DATA}"
    if name == "--results" and _is_elsewhere(value):
        _remember(value, RESULTS, known)
        return RESULTS
    return ADDRESS if name == "--address" and value != "auto" else None


def _remember(path: str, stands: str, known: dict[str, str]) -> None:
    """Add a path that is replaced wherever it stands; ``/`` and ``..`` alone would be found in everything."""
    if _is_elsewhere(path) and len(PurePath(path).parts) > 1:
        known[path.rstrip("/")] = stands


def _is_elsewhere(path: str) -> bool:
    return PurePath(path).is_absolute() or path.startswith(("~", ".."))


def _shortened(match: re.Match[str]) -> str:
    last = re.split(r"[/\\]", match[0].rstrip("/\\"))[-1]
    return f"…/{last}" if "." in last.strip(".") and not last.startswith("~") else "…"
