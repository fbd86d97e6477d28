"""The files that code names, each at the outermost expression that names it.

Every file that fits a path counts, wherever a part of the path is only known to a run.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ..meaning import Meaning
from .access import is_listing, is_writing, read_by, written_by
from .contents import NamedFiles
from .paths import Paths
from .place import UNKNOWN, Place
from .search import MOST_SEEN, Search

BLIND = ("sys.path.", "logging.", "warnings.")
"""The beginnings of the paths of functions that are given folders and read no file in them."""
PATHS = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call, ast.Attribute, ast.Subscript)
"""The expressions that name a file by what they say; a name stands for one that is written elsewhere."""
COMPUTED = "files are found by a computed name"


class FileFinder:
    """Finds the files that a module's code names.

    Args:
        meaning: the meaning of names where the code stands.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning, self.paths = meaning, Paths(meaning)
        self.search = Search(meaning.module, is_measuring=meaning.is_measuring)
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
            is_path = place is not None and (place.is_known or _ends_as_file(place) or is_listing(node))
            if place is not None and is_path and (not isinstance(node, ast.Name) or self.paths.is_stepwise(node)):
                self._add(named, place)
            if place is not None and id(node) in self._named:
                self._found |= self.paths.used  # the uses of the name show which files are read
            elif place is not None and not isinstance(node, ast.Constant):
                self._add_folder(named, place)
        return named

    def gets_name(self, target: ast.expr, value: ast.expr) -> None:
        """Note that a value is only kept in a variable, if the uses of the variable show the files."""
        if isinstance(target, ast.Name) and self.paths.is_followed(target):
            self._named.add(id(value))

    def has_found(self, node: ast.expr | None) -> bool:
        """Return whether an expression is part of a path to which a file was found."""
        return id(node) in self._found

    def _place(self, node: ast.expr) -> Place | None:
        self.paths.used.clear()
        place = self.paths.place(node)
        self._seen |= self.paths.used
        return place

    def _add_called(self, named: NamedFiles, node: ast.Call) -> None:
        """Add the files that a call reads, or may read since it is given their folder."""
        read, written = read_by(self.meaning, node), written_by(self.meaning, node)
        if read is not None and is_writing(node):
            self._place(read)
        elif read is not None:
            self._add_read(named, read)
        elif written is not None:
            self._place(written)
        else:
            self._pass_over(node)

    def _add_read(self, named: NamedFiles, node: ast.expr) -> None:
        place = self._place(node)
        if place is None:
            self._add_unseen(named)
        elif place.is_of_system:
            if not self.meaning.is_measuring:
                named.notes.append(f"{self._shown(place)} of the machine is read; its content does not count")
        else:
            self._add(named, place, is_read=True)
            if not named.tokens and not named.notes:
                named.notes.append(f"the file {self._shown(place)} is read; its content does not count")

    def _add_unseen(self, named: NamedFiles) -> None:
        """Add the files beside the module, any of which may be read by a name that cannot be seen."""
        if self.meaning.is_measuring:
            return
        files, _ = self.search.fitting(Place(UNKNOWN))
        by = named.add_fitting(files)
        which = f"those beside this one count by {by}, and no others" if by else "its content does not count"
        named.notes.append(f"a file is read whose name cannot be seen; {which}")

    def _pass_over(self, call: ast.Call) -> None:
        """Note the folders that are handed to a function outside this project which reads no file in them."""
        path = self.meaning.external_called(call)
        if path is None or self.paths.place(call) is not None:
            return
        for argument in [*call.args, *(word.value for word in call.keywords)]:
            place = None if isinstance(argument, ast.Constant) else self.paths.place(argument)
            if place is not None and (path.startswith(BLIND) or self.search.surrounds(Path(place.path))):
                self._place(argument)

    def _add_folder(self, named: NamedFiles, place: Place) -> None:
        if place.is_known and not place.is_open and self.search.is_folder(place):
            self._add(named, place.joined("*" if self.search.surrounds(Path(place.path)) else "**"))

    def _add(self, named: NamedFiles, place: Place, *, is_read: bool = False) -> None:
        if place.is_of_system or (place.is_open and place.is_of_machine and not is_read):
            return
        if place.is_open:
            self._add_fitting(named, place, is_read=is_read)
            return
        own = self.meaning.module.origin.file  # it counts if it is read, but not where a path starts from it
        if files := [file for file in self.search.at(place) if is_read or file != own]:
            named.add(files)
            self._found |= self.paths.used

    def _add_fitting(self, named: NamedFiles, place: Place, *, is_read: bool) -> None:
        files, is_cut = self.search.fitting(place)
        by, shown = named.add_fitting(files), self._shown(place)
        if files:
            self._found |= self.paths.used
            among = f", but only among the first {MOST_SEEN} files there" if is_cut else ""
            named.notes.append(f"{COMPUTED}; all that fit {shown} count by {by}{among}")
        elif is_read or place.is_known:
            named.notes.append(f"{COMPUTED}; none fits {shown}, so none counts")

    def _shown(self, place: Place) -> str:
        """The path of a place for people, from the module's folder on where it lies in there."""
        file = self.meaning.module.origin.file
        return place.shown("" if file is None else file.parent.as_posix())


def _ends_as_file(place: Place) -> bool:
    """Return whether the end of a path is known and looks like that of a file."""
    return re.search(r"\.\w{1,8}$", place.pattern) is not None or (
        not place.is_open and "/" in place.pattern and not place.is_of_machine
    )
