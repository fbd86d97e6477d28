"""The search for the files that fit a place, from the module's folder and from the working folder on."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...definitions.module import Module
from .place import UNKNOWN, Place, expression, is_open

MOST_SEEN = 100_000
"""The most files in one folder that are compared with a place, in the order of their names."""
UNREAD = frozenset({".py", ".pyc", ".log", ".out"})
"""The endings of files that only count where the place has them: code counts by itself, and logs grow in every run."""
NO_DATA = frozenset({"study.json", "pyvenv.cfg"})
"""The files by which folders are known that count nowhere: those of results, and those of installed packages."""
BEGINNING = re.compile(r"[^*?[\0]*")
"""The beginning of a pattern that stands for itself."""


class Search:
    """Finds the files at the places that a module's code names.

    Args:
        module: the module.
        is_measuring: ``True`` for a module of the package that measures, which reads no file of the working folder.
    """

    def __init__(self, module: Module, *, is_measuring: bool) -> None:
        self.file, self.is_measuring = module.origin.file, is_measuring

    def surrounds(self, folder: Path) -> bool:
        """Return whether the module itself lies in a folder."""
        return self.file is not None and folder in self.file.parents

    def is_folder(self, place: Place) -> bool:
        """Return whether there is a folder at a place without unknown parts."""
        return any(_holds((start / place.path).is_dir) for start in self._starts(place))

    def at(self, place: Place) -> list[Path]:
        """The files at a place without unknown parts."""
        paths = [start / place.path for start in self._starts(place)]
        return [path for path in paths if _holds(path.is_file)]

    def fitting(self, place: Place) -> tuple[list[tuple[str, Path]], bool]:
        """The files that fit a place with unknown parts, and whether its folder has more files than can be looked at.

        Each comes with its path from the folder on that the place is taken from.
        """
        files: list[tuple[str, Path]] = []
        is_cut = False
        for start in self._starts(place):
            folder = Path(os.path.normpath(start / place.folder))
            names, cut = self._fitting_in(folder, place)
            origin = folder if place.is_of_machine else start
            files += [(os.path.relpath(folder / name, origin), folder / name) for name in names]
            is_cut = is_cut or cut
        return sorted(files), is_cut

    def _starts(self, place: Place) -> list[Path]:
        """The folders that a place is taken from: the module's, and the working folder if its start is known."""
        if self.file is None:
            return []
        starts = [self.file.parent]
        if place.is_relative and not self.is_measuring and not is_open(place.pattern[:1]):
            starts += [folder for folder in _working_folder() if folder != self.file.parent]
        return starts

    def _fitting_in(self, folder: Path, place: Place) -> tuple[list[str], bool]:
        """The files in a folder that fit a place, and whether there are more files than can be looked at.

        An unknown part stands for steps too, as in ``a/b``, but for a single one where the module lies in the folder.
        """
        pattern = place.rest
        if pattern.startswith(f"{UNKNOWN}/"):  # the folder may be this one, or any below it
            pattern = f"**/{pattern.removeprefix(f'{UNKNOWN}/')}"
        is_around = self.surrounds(folder) or any(folder in (here, *here.parents) for here in _working_folder())
        fits = expression(pattern, unknown="[^/]*" if is_around else ".*").fullmatch
        is_deep = "**" in pattern or (UNKNOWN in pattern and not is_around)
        below = _files_below(folder, pattern, None if is_deep else pattern.count("/"))
        seen = list(itertools.islice(below, MOST_SEEN + 1))
        names = [name for name in seen[:MOST_SEEN] if fits(name) and _may_be_read(Path(name).suffix, pattern)]
        return [name for name in names if _holds((folder / name).is_file)], len(seen) > MOST_SEEN


def _working_folder() -> Sequence[Path]:
    """The folder that trials run in, which is the present one; empty if it was removed."""
    try:
        return [Path.cwd()]
    except OSError:
        return []


def _may_be_read(suffix: str, pattern: str) -> bool:
    return suffix not in UNREAD or pattern.endswith(suffix)


def _files_below(folder: Path, pattern: str, depth: int | None) -> Iterator[str]:
    """The paths of the files in a folder and below it that may fit a pattern, in the order of their names.

    Hidden files are among them only if the pattern names such files.

    Args:
        folder: the folder.
        pattern: the pattern from the folder on.
        depth: the number of folders below it on the way to the deepest files; ``None`` for any number.
    """
    match = BEGINNING.match(pattern)
    beginning = match[0] if match else ""
    shows_hidden = "/." in f"/{pattern}"

    def may_fit(steps: Sequence[str], name: str) -> bool:
        path = "/".join([*steps, name])
        is_on_the_way = path.startswith(beginning) or beginning.startswith(path)
        return is_on_the_way and (shows_hidden or not name.startswith("."))

    seen: set[str] = set()
    for path, folders, names in os.walk(folder, followlinks=True):
        steps = [] if path == os.fspath(folder) else os.path.relpath(path, folder).split(os.sep)
        place = os.path.realpath(path)
        if place in seen or (steps and NO_DATA.intersection(names)):
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if may_fit(steps, name))
        if depth is not None and len(steps) >= depth:
            folders.clear()
        yield from ("/".join([*steps, name]) for name in sorted(names) if may_fit(steps, name))


def _holds(check: Callable[[], bool]) -> bool:
    """Return whether a check of a path holds; a path that the system refuses, such as one too long, is nowhere."""
    try:
        return check()
    except (OSError, ValueError):
        return False
