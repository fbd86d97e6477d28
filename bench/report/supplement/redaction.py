"""Commands and messages for other people, without the paths of this machine and so without the names of its users."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

DATA, ADDRESS = '"$DATA"', '"$RAY_ADDRESS"'
RESULTS = "results"
"""The folder that holds all results folders in an exported command."""

_NAME = r"[^\s/\\'\"<>|:;,()\[\]{}`]+"
_LOGIN = re.compile(r"(?<=://)[^\s/@'\"<>]+@")
"""The name of a user, perhaps with a password, in front of the host in an address."""
_PATH = re.compile(
    r"(?<=\")(?:/[^\"/\n]+/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^\"\n]+(?=\")"
    r"|(?<=')(?:/[^'/\n]+/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^'\n]+(?=')"
    rf"|\bfile:/+{_NAME}(?:/{_NAME})*|(?<![\w/.:])//{_NAME}(?:/{_NAME})+"
    rf"|(?<![\w/.])(?:~[\w.-]*(?:/{_NAME})+|(?:/{_NAME}){{2,}})/?"
    rf"|(?:(?:(?<![\w\\])\\{{2,4}}\?\\{{1,2}})?\b[A-Za-z]:\\{{1,2}}|(?<![\w\\])\\{{2,4}})(?:{_NAME}\\{{0,2}})+"
)
"""An absolute path of two components or more, a path below a home folder, a path of Windows or of a network share, or a
``file:`` address. Blanks belong to it only inside quotation marks. ``images/s`` and a URL do not match."""


@dataclass
class Redaction:
    """Replaces paths in texts, and counts the replacements in each file.

    Attributes:
        known: path -> the text that replaces it; of paths that contain each other, the longest counts.
        counts: file -> the number of paths that were replaced in it.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def text(self, text: str, file: str) -> str:
        """The text with known paths replaced by their names, and other absolute paths by ``…/`` and their last part."""
        replaced = 0
        if self.known:
            longest_first = "|".join(map(re.escape, sorted(self.known, key=len, reverse=True)))
            whole_paths = rf"(?<![\w/.])(?:{longest_first})(?![\w.-])"
            text, replaced = re.subn(whole_paths, lambda match: self.known[match[0]], text)
        text, logins = _LOGIN.subn("…@", text)
        text, paths = _PATH.subn(_shortened, text)
        self._count(file, replaced + logins + paths)
        return text

    def tree(self, value: Any, file: str) -> Any:
        """JSON-ready data in which :meth:`text` was applied to every string, including the keys."""
        if isinstance(value, str):
            return self.text(value, file)
        if isinstance(value, Mapping):
            return {self.text(name, file): self.tree(item, file) for name, item in value.items()}
        return [self.tree(item, file) for item in value] if isinstance(value, list) else value

    def _count(self, file: str, replaced: int) -> None:
        if replaced:
            self.counts[file] = self.counts.get(file, 0) + replaced


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
    """A ``bench`` command without paths and addresses that only this machine has.

    Raises:
        ValueError: for a quotation mark without its pair.
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
    """The path of a study from ``studies`` on, or its file's name if no such folder is in it. A relative path stays."""
    parts = PurePath(path).parts
    if not _is_elsewhere(path):
        return path
    return PurePath(*parts[parts.index("studies") :]).as_posix() if "studies" in parts else parts[-1]


def _option(name: str, value: str, known: dict[str, str]) -> str | None:
    """The text that replaces an option's value, ``None`` if it may be shown. Its path is added to ``known``."""
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
    """Add a path to those that are replaced everywhere, except ``/`` and ``..``, which occur in every text."""
    if _is_elsewhere(path) and len(PurePath(path).parts) > 1:
        known[path.rstrip("/")] = stands


def _is_elsewhere(path: str) -> bool:
    return PurePath(path).is_absolute() or path.startswith(("~", ".."))


def _shortened(match: re.Match[str]) -> str:
    last = re.split(r"[/\\]", match[0].rstrip("/\\"))[-1]
    return f"…/{last}" if "." in last.strip(".") and not last.startswith("~") else "…"
