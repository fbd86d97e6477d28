"""The contents of files as they count in a key: whole, or by name and size where they are too much to read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILES = 1_000
MOST_BYTES = 64 * 1024 * 1024
"""The most files, and the most bytes in all, whose content is read for one place that several fit."""


@dataclass
class NamedFiles:
    """The files that one expression names, as tokens of a normal form, with sentences about what cannot be decided."""

    tokens: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, files: Sequence[Path]) -> None:
        """Add files whose names do not count, since the code has them."""
        self.tokens += [f"file:{_digest(file)}" for file in files]

    def add_fitting(self, files: Sequence[tuple[str, Path]]) -> str:
        """Add files with their names, and return in words what counts of them; empty for no files."""
        sizes = [_size(file) for _, file in files]
        is_too_much = len(files) > MOST_FILES or sum(sizes) > MOST_BYTES
        for (name, file), size in zip(files, sizes, strict=True):
            self.tokens.append(f"file {name}:{size if is_too_much else _digest(file)}")
        return "" if not files else "their names and sizes, as they are many" if is_too_much else "their content"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _digest(file: Path) -> str:
    """The SHA-256 of a file's content; a word for a file that cannot be read, which a trial cannot read either."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
