"""The paths that code puts together: of texts, of ``__file__``, and of steps such as ``.parent`` and ``with_suffix``.

A part that only a run knows, such as a variable in an f-string, stands for any text.
"""

from __future__ import annotations

import ast
import glob
import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..pieces import OpenValue
from .place import UNKNOWN, Place, combined
from .variables import Variables

SAME_PLACE = frozenset({"os.path.abspath", "os.path.realpath", "os.path.normpath", "os.fspath"})
SAME_PLACE_METHODS = frozenset({"resolve", "absolute", "as_posix"})
JOINING = frozenset(
    {"os.path.join", "posixpath.join", "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath"}
)
LISTING = {"os.listdir": "*", "os.scandir": "*", "os.walk": "**"}
"""Function that lists a folder -> the files below it that it may name."""
SPECIFIER = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")
FIELD = re.compile(r"\{[^{}]*\}")
FOLDERS: dict[str, Callable[[], object]] = {
    "pathlib.Path.home": Path.home, "pathlib.Path.cwd": Path.cwd, "os.getcwd": os.getcwd,
    "tempfile.gettempdir": tempfile.gettempdir,
}  # fmt: skip
"""Function that gives a folder of the machine -> the function itself."""
PACKAGE_READERS = frozenset(
    {
        *(f"importlib.resources.{name}" for name in ("read_text", "read_binary", "open_text", "open_binary", "path")),
        "pkgutil.get_data",
    }
)
"""The functions that read the file which their second argument names in the package that their first one names."""
LONGEST = 500


class Paths(Variables):
    """Puts together the paths that a module's code names.

    Args:
        meaning: the meaning of names where the code stands.
    """

    @property
    def _file(self) -> Path | None:
        return self.meaning.module.origin.file

    def place(self, node: ast.expr) -> Place | None:
        """The place that an expression names; ``None`` for one that is no path, or of which nothing is known."""
        place = self._place(node)
        if place is not None:
            self.used.add(id(node))
        return place

    def _place(self, node: ast.expr) -> Place | None:
        if isinstance(node, OpenValue) and not issubclass(node.value_type, str):
            return None
        if isinstance(node, ast.Constant):
            is_text = isinstance(node.value, str) and UNKNOWN not in node.value
            return _started(glob.escape(str(node.value))) if is_text else None
        if isinstance(node, ast.Name):
            return self._named(node)
        if isinstance(node, ast.JoinedStr):
            return self._joined_text(node)
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            return self._parents(node)
        return self._called(node) if isinstance(node, ast.Call) else None

    def _joined_text(self, node: ast.JoinedStr) -> Place | None:
        place = _started("".join(map(self._text, node.values)))
        first = node.values[0] if node.values else None
        start = self.place(first.value) if isinstance(first, ast.FormattedValue) else None
        return place and Place(place.pattern, start is not None and start.is_known)

    def _text(self, node: ast.expr) -> str:
        """A part of a text, or of a path; ``*`` for an unknown one."""
        if isinstance(node, ast.FormattedValue):
            node = node.value
        place = self.place(node)
        return UNKNOWN if place is None else place.pattern

    def _named(self, node: ast.Name) -> Place | None:
        if node.id == "__file__" and self.meaning.find(node.id)[0] == "module" and self._file is not None:
            return Place(glob.escape(self._file.as_posix()), is_known=True)
        return self.value(node)

    def _operation(self, node: ast.BinOp) -> Place | None:
        if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return _started(_filled(SPECIFIER, node.left.value))
        if isinstance(node.op, (ast.Div, ast.Add)):
            return combined(self.place(node.left), node.op, self.place(node.right))
        return None

    def _attribute(self, node: ast.Attribute) -> Place | None:
        if node.attr == "parent" and (place := self.place(node.value)) is not None:
            return place.changed(posixpath.dirname)
        return None

    def _parents(self, node: ast.Subscript) -> Place | None:
        listed, index = node.value, node.slice
        if not (isinstance(listed, ast.Attribute) and listed.attr == "parents" and isinstance(index, ast.Constant)):
            return None
        place = self.place(listed.value)
        for _ in range(index.value + 1 if place is not None and isinstance(index.value, int) else 0):
            place = place and place.changed(posixpath.dirname)
        return place

    def _called(self, node: ast.Call) -> Place | None:
        path = self.meaning.external_called(node)
        first = node.args[0] if node.args else None
        if path in FOLDERS:
            return _folder_of_machine(path)
        if path is not None and first is not None:
            if path in JOINING:
                return self._joined(node.args)
            if path in SAME_PLACE:
                return self.place(first)
            if path == "os.path.expanduser":
                place = self.place(first)
                return place and place.changed(os.path.expanduser)
            if path == "os.path.dirname":
                place = self.place(first)
                return place and place.changed(posixpath.dirname)
            if path in LISTING:
                place = self.place(first)
                return place and place.joined(LISTING[path])
            if path in ("os.sep.join", "os.path.sep.join") and isinstance(first, (ast.List, ast.Tuple)):
                return self._joined(first.elts)
            if path in ("glob.glob", "glob.iglob"):
                return self._globbed(first)
            if path == "importlib.resources.files":
                return self._package(first)
            if path in PACKAGE_READERS and len(node.args) > 1:
                folder = self._package(first)
                return folder and folder.joined(self._text(node.args[1]))
        if self.meaning.builtin_called(node) == "str" and first is not None:
            place = self.place(first)
            return place if place is not None and place.is_known else None
        return self._by_method(node) if isinstance(node.func, ast.Attribute) and path is None else None

    def _by_method(self, node: ast.Call) -> Place | None:
        assert isinstance(node.func, ast.Attribute)
        method, receiver = node.func.attr, node.func.value
        first = node.args[0] if node.args else None
        if method == "format" and isinstance(receiver, ast.Constant) and isinstance(receiver.value, str):
            return _started(_filled(FIELD, receiver.value))
        if method in SAME_PLACE_METHODS and not node.args:
            return self.place(receiver)
        if method == "expanduser":
            place = self.place(receiver)
            return place and place.changed(os.path.expanduser)
        if method == "join" and isinstance(first, (ast.List, ast.Tuple)):
            is_slash = isinstance(receiver, ast.Constant) and receiver.value == "/"
            return self._joined(first.elts) if is_slash else None
        if method == "replace" and (place := self.place(receiver)) is not None and place.is_known:
            return place.changed(lambda pattern: posixpath.join(posixpath.dirname(pattern), UNKNOWN))
        if method == "joinpath":
            return self._joined([receiver, *node.args])
        if method == "iterdir":
            place = self.place(receiver)
            return place and place.joined("*")
        if first is None or method not in ("with_suffix", "with_name", "with_stem", "glob", "rglob"):
            return None
        place = self.place(receiver)
        if place is None:
            return None
        if method in ("glob", "rglob"):
            inner = self._globbed(first) or Place(UNKNOWN)
            return place.joined(inner.pattern if method == "glob" else posixpath.join("**", inner.pattern))
        folder, name = posixpath.split(place.pattern)
        stem, suffix = posixpath.splitext(name)
        text = self._text(first)
        names = {"with_suffix": f"{stem}{text}", "with_name": text, "with_stem": f"{text}{suffix}"}
        return Place(posixpath.join(folder, names[method]), place.is_known)

    def _joined(self, steps: Sequence[ast.expr]) -> Place | None:
        place: Place | None = None
        for index, step in enumerate(steps):
            found = None if isinstance(step, ast.Starred) else self.place(step)
            if place is None:
                place = found if found is not None or index == 0 else Place(UNKNOWN)
            else:
                place = place.joined(UNKNOWN if found is None else found.pattern)
        return place

    def _globbed(self, node: ast.expr) -> Place | None:
        """The place of a pattern, in which a constant ``*`` has its own meaning."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return _started(node.value)
        place = self.place(node)
        return place and place.changed(lambda pattern: pattern.replace("[*]", "*").replace("[?]", "?"))

    def _package(self, node: ast.expr) -> Place | None:
        """The folder of a package."""
        module = self.meaning.module
        name = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.Name) and node.id in ("__package__", "__name__"):
            name = module.origin.package
        origin = module.origins.project(name) if isinstance(name, str) else None
        if origin is None or not origin.folders:
            return None
        return Place(glob.escape(origin.folders[0].as_posix()), is_known=True)


def _started(text: str) -> Place | None:
    return Place(text) if text and len(text) <= LONGEST and "\n" not in text else None


def _folder_of_machine(path: str) -> Place | None:
    """The folder that a function of Python gives; ``None`` for one that is not there."""
    try:
        return Place(glob.escape(str(FOLDERS[path]())))
    except (OSError, RuntimeError):
        return None


def _filled(blank: re.Pattern[str], text: str) -> str:
    """A text in which ``*`` stands for each blank."""
    return UNKNOWN.join(map(glob.escape, blank.split(text)))
