"""A small project in a folder, and the key of what one of its classes computes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.run.identity.definitions.targets import Bound
from bench.run.identity.library import Library, Root
from bench.run.identity.reader import Reader as CodeReader
from bench.run.identity.spelling import ReadSource

Reader = Callable[..., ReadSource]
Changes = Callable[..., bool]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Writes files into a new folder and reads the code that starts from ``study.Mine``; nothing is imported.

    ``choices`` are put into the class; ``defaults`` are those of its signature.
    """
    count = itertools.count()

    def reader(
        files: Mapping[str, str],
        choices: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        name: str = "Mine",
    ) -> ReadSource:
        folder = tmp_path / str(next(count))
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            library = Library("bench", (), (), ())
            (found,) = library.project.lookup("study", name)
            assert isinstance(found, Bound)
            root = Root("head", found.unit, choices, defaults or choices or {})
            return CodeReader(library).read([root], {}, ["study"])

    return reader


@pytest.fixture
def changes_key(read: Reader) -> Changes:
    """Says whether an edit changes the key of ``study.Mine``.

    The files are those of ``read``, or the text of ``study.py``; the edit puts ``new`` in the place of ``old``.
    """

    def changes(files: Mapping[str, str] | str, old: str = "1.0", new: str = "10.25", **choices: Any) -> bool:
        before = {"study.py": files} if isinstance(files, str) else files
        after = {path: text.replace(old, new) for path, text in before.items()}
        assert after != before
        return read(before, **choices).digest != read(after, **choices).digest

    return changes
