"""The origin of a module: this project, an installed distribution, Python itself, or nowhere.

Project code is every module whose file lies neither in the standard library nor in the folder of an installed
distribution; the package that measures is project code wherever it is installed. Modules are found without
being imported: those that are loaded already by the file that they were loaded from.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import itertools
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Origin:
    """A module of this project.

    Attributes:
        name: the dotted name under which it is imported.
        file: the file of source or library code; ``None`` for a package without ``__init__``.
        folders: the folders in which its submodules lie; empty for a module that is no package.
    """

    name: str
    file: Path | None
    folders: tuple[Path, ...] = ()

    @property
    def package(self) -> str:
        """The name of the package from which relative imports start."""
        return self.name if self.folders else self.name.rpartition(".")[0]


class Origins:
    """Finds modules, and remembers their origins.

    Args:
        package: the top-level package that always counts as project code.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._found: dict[str, Origin | None] = {}

    def project(self, name: str) -> Origin | None:
        """The project module of this name; ``None`` for any other, or if there is none."""
        if name not in self._found:
            self._found[name] = self._project(name)
        return self._found[name]

    def is_measuring(self, name: str) -> bool:
        """Return whether a module belongs to the package that measures, which always counts as project code."""
        return name.partition(".")[0] == self.package

    def is_same(self, origin: Origin) -> bool:
        """Return whether no other file was imported under the module's name since the module was found."""
        loaded = _loaded(origin.name)
        return loaded is None or loaded.file == origin.file

    def _project(self, name: str) -> Origin | None:
        origin = _loaded(name) or self._searched(name)
        if origin is None:
            return None
        places = [path for path in (origin.file, *origin.folders) if path is not None]
        top = name.partition(".")[0]
        if not self.is_measuring(name) and any(_is_installed(place, top) for place in places):
            return None
        return origin

    def _searched(self, name: str) -> Origin | None:
        parent, _, _ = name.rpartition(".")
        if not parent:
            try:
                spec = importlib.util.find_spec(name)
            except (ValueError, ImportError):
                return None
        else:
            package = self.project(parent)
            if package is None or not package.folders:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, [str(folder) for folder in package.folders])
        return _origin(name, spec)


def _loaded(name: str) -> Origin | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    folders = tuple(Path(folder) for folder in getattr(module, "__path__", ()))
    if module is None or (file is None and not folders):
        return None
    return Origin(name, Path(file) if file else None, folders)


def _origin(name: str, spec: importlib.machinery.ModuleSpec | None) -> Origin | None:
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    folders = tuple(Path(folder) for folder in spec.submodule_search_locations or ())
    if spec.origin is None and not folders:
        return None
    return Origin(name, Path(spec.origin) if spec.origin else None, folders)


@functools.cache
def _standard_folders() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")})


def is_standard(name: str) -> bool:
    """Return whether a dotted name belongs to Python itself."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def _is_installed(place: Path, top: str) -> bool:
    if any(part in PACKAGE_FOLDERS for part in place.parts):
        # A file there that belongs to no distribution has no version, so its content must count.
        return top in _distributions()
    resolved = place.resolve()
    return any(resolved.is_relative_to(folder) for folder in _standard_folders())


def is_brought_along(file: Path) -> bool:
    """Return whether a file lies in an installed distribution's folder, such as a copy of another library in it."""
    for part, inner in itertools.pairwise(file.parts):
        if part in PACKAGE_FOLDERS:
            return inner in _distributions()
    return False


@functools.cache
def _distributions() -> dict[str, tuple[str, ...]]:
    return {top: tuple(sorted(set(names))) for top, names in importlib.metadata.packages_distributions().items()}


@functools.cache
def distributions_of(top: str) -> tuple[tuple[str, str], ...]:
    """(name, public version) of each distribution that installs a top-level package, without a local build tag."""
    names = _distributions().get(top, ())
    return tuple((name.lower(), importlib.metadata.version(name).partition("+")[0]) for name in names)


def forget() -> None:
    """Look installed distributions up anew at the next question."""
    _distributions.cache_clear()
    distributions_of.cache_clear()
    importlib.invalidate_caches()
