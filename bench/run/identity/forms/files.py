"""The files that code names, whose content counts as the code itself does.

Every file that fits a path counts, wherever a part of the path is only known to a run.
"""

from __future__ import annotations

import ast
import glob
import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..definitions.module import Module
from .meaning import Meaning
from .paths import ANY, LONGEST, Paths, Place

READERS = frozenset(
    {
        "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "numpy.fromfile", "numpy.memmap", "torch.load",
        "pandas.read_csv", "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open", "PIL.Image.open",
        "cv2.imread", "os.open",
    }
)  # fmt: skip
"""The functions outside this project that read the file which their first argument names, as ``open`` does."""
READING_METHODS = frozenset({"read_text", "read_bytes", "open"})
WRITING_METHODS = frozenset({"write_text", "write_bytes", "mkdir", "touch", "unlink"})
LISTERS = frozenset({"iterdir", "glob", "rglob", "iglob", "listdir", "scandir", "walk"})
BLIND = ("sys.path.", "logging.", "warnings.")
"""The beginnings of the paths of functions that are given folders and read no file in them."""
PATHS = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call, ast.Attribute, ast.Subscript)
"""The expressions that name a file by what they say; a name stands for one that is written elsewhere."""
MOST_FILES = 1_000
MOST_BYTES = 64 * 1024 * 1024
"""The most files, and the most bytes in all, whose content is read for one path that fits several."""


@dataclass
class NamedFiles:
    """The files that one expression names, as tokens of a normal form, with sentences about what cannot be decided."""

    tokens: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FileFinder:
    """Finds the files that a module's code names, each at the outermost expression that names it.

    Args:
        meaning: the meaning of names where the code stands.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning, self.paths = meaning, Paths(meaning)
        self._seen: set[int] = set()
        self._found: set[int] = set()
        self._named: set[int] = set()

    def named(self, node: ast.expr) -> NamedFiles:
        """The files that an expression names, apart from those of expressions that it was a part of."""
        named = NamedFiles()
        if isinstance(node, ast.Call):
            self._add_called(named, node)
        is_read = isinstance(getattr(node, "ctx", None), (ast.Load, type(None)))
        if id(node) not in self._seen and isinstance(node, (*PATHS, ast.Name)) and is_read:
            place = self._place(node)
            is_path = place is not None and (place.is_known or _ends_as_file(place) or _is_listing(node))
            if place is not None and is_path and not isinstance(node, ast.Name):
                self._add(named, place)
            if place is not None and id(node) in self._named:
                self._found |= self.paths.used  # the uses of the name show which files are read
            elif place is not None and not isinstance(node, ast.Constant):
                self._add_folder(named, place)
        return named

    def gets_name(self, value: ast.expr) -> None:
        """Note that a value is only kept in a variable, so that the uses of the variable show the files."""
        self._named.add(id(value))

    def _add_called(self, named: NamedFiles, node: ast.Call) -> None:
        """Add the files that a call reads, or may read since it is given their folder."""
        read = self._read_by(node)
        if read is None:
            written = self._written_by(node)
            if written is not None:
                self._place(written)
            else:
                self._pass_over(node)
        elif _is_writing(node):
            self._place(read)
        else:
            self._add_read(named, read)

    def has_found(self, node: ast.expr | None) -> bool:
        """Return whether an expression is part of a path to which a file was found."""
        return id(node) in self._found

    def _place(self, node: ast.expr) -> Place | None:
        self.paths.used.clear()
        place = self.paths.place(node)
        self._seen |= self.paths.used
        return place

    def _read_by(self, node: ast.Call) -> ast.expr | None:
        """The expression for the path of the file that a call reads."""
        path = self.meaning.external_called(node)
        if path in READERS or self.meaning.builtin_called(node) == "open":
            named = [word.value for word in node.keywords if word.arg in ("file", "path", "fname", "filename")]
            return next(iter([*node.args[:1], *named]), None)
        is_method = isinstance(node.func, ast.Attribute) and path is None and node.func.attr in READING_METHODS
        return node.func.value if is_method and isinstance(node.func, ast.Attribute) else None

    def _written_by(self, node: ast.Call) -> ast.expr | None:
        """The expression for the path of the file or folder that a method makes or removes."""
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr in WRITING_METHODS
        return node.func.value if is_method and isinstance(node.func, ast.Attribute) else None

    def _add_read(self, named: NamedFiles, node: ast.expr) -> None:
        place = self._place(node)
        if place is None:
            if not self.meaning.is_measuring:
                named.notes.append("a file is read whose name cannot be seen; its content does not count")
            return
        self._add(named, place, is_read=True)
        if not named.tokens and not named.notes and not place.is_of_system:
            named.notes.append(f"the file {place.shown(self.meaning.module)} is read; its content does not count")

    def _pass_over(self, call: ast.Call) -> None:
        """Note the folders that are handed to a function outside this project which reads no file in them."""
        path = self.meaning.external_called(call)
        if path is None or self.paths.place(call) is not None:
            return
        for argument in [*call.args, *(word.value for word in call.keywords)]:
            place = None if isinstance(argument, ast.Constant) else self.paths.place(argument)
            if place is not None and (path.startswith(BLIND) or self._lies_around(place)):
                self._place(argument)

    def _lies_around(self, place: Place) -> bool:
        """Return whether a place is a folder in which the module itself lies."""
        file = self.meaning.module.origin.file
        return file is not None and Path(place.path) in file.parents

    def _add_folder(self, named: NamedFiles, place: Place) -> None:
        if not place.is_known or place.is_open or not Path(place.path).is_dir():
            return
        self._add(named, place.joined(ANY if self._lies_around(place) else "**"))

    def _add(self, named: NamedFiles, place: Place, *, is_read: bool = False) -> None:
        module = self.meaning.module
        if not place.is_open:
            path = local_path(module, place.path)
            if path is not None and (is_read or path != module.origin.file) and not place.is_of_system:
                named.tokens.append(f"file:{_digest(path)}")
                self._found |= self.paths.used
            return
        if place.is_of_machine:
            return
        files = sorted(itertools.islice(fitting(module, place), MOST_FILES + 1))
        folder = Path() if module.origin.file is None else module.origin.file.parent
        is_too_much = len(files) > MOST_FILES or sum(file.stat().st_size for file in files) > MOST_BYTES
        for file in files:
            content = str(file.stat().st_size) if is_too_much else _digest(file)
            named.tokens.append(f"file {os.path.relpath(file, folder)}:{content}")
        if files:
            self._found |= self.paths.used
            by = "their names and sizes, as they are many" if is_too_much else "their content"
            named.notes.append(f"files are found by a computed name; all that fit {place.shown(module)} count by {by}")
        elif is_read or place.is_known:
            named.notes.append(f"files are found by a computed name; none fits {place.shown(module)}, so none counts")


def _digest(file: Path) -> str:
    """The SHA-256 of a file's content; a word for a file that cannot be read, which a trial cannot read either."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _is_writing(call: ast.Call) -> bool:
    """Return whether ``open`` opens a file only to write it."""
    modes = [word.value for word in call.keywords if word.arg == "mode"]
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr == "open"
    modes += call.args[:1] if is_method else call.args[1:2]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else ""
    return isinstance(mode, str) and mode[:1] in ("w", "x", "a") and "+" not in mode


def _ends_as_file(place: Place) -> bool:
    """Return whether the end of a path is known and looks like that of a file."""
    return re.search(r"\.\w{1,8}$", place.pattern) is not None or (
        not place.is_open and "/" in place.pattern and not place.is_of_machine
    )


def _is_listing(node: ast.expr) -> bool:
    """Return whether an expression lists files."""
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in LISTERS


def fitting(module: Module, place: Place) -> Iterator[Path]:
    """The files that fit a place with unknown parts, without those of code, as code counts by itself."""
    if module.origin.file is None:
        return
    folder = module.origin.file.parent
    pattern = place.pattern
    if pattern.startswith("*/"):  # the folder may be this one, or any below it
        pattern = f"*{pattern}"
    for name in glob.iglob(pattern, root_dir=folder, recursive=True):
        path = folder / name
        is_code = path.suffix in (".py", ".pyc") and not place.pattern.endswith(path.suffix)
        if not is_code and path.is_file():
            yield path


def local_path(module: Module, text: str) -> Path | None:
    """The file beside a module that a text names, if there is one."""
    if module.origin.file is None or not text or len(text) > LONGEST or "\n" in text or "\0" in text:
        return None
    path = module.origin.file.parent / text
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):
        return None
