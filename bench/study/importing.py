"""The import of a study's file: what it imports from the folder beside it works as with ``python study.py``.

The folder comes last in the search path, because a study may be called as a module of Python is, such as ``enum.py``.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import torch

from bench.study.factors import StudyError
from bench.study.faults import fault_line, fault_place, shown

PACKAGE = "studies"
"""The package in which a study outside of any package is named."""


class StudyFolder(str):
    """An entry of ``sys.path`` that was added for a study, so that it goes when a study of another folder comes."""

    __slots__ = ()


def import_study(path: Path) -> ModuleType:
    """Import a study's file, under a name that is the same in every process.

    Raises:
        StudyError: if there is no such file, or if importing it raises anything; the one line names file and line.
    """
    if not path.is_file():
        raise StudyError(f"no study file {path}; expected the path of a Python file such as studies/quickstart.py")
    if path.suffix != ".py":
        raise StudyError(f"{path} cannot be imported as Python; its name must end in .py")
    path = path.resolve()
    for name in module_names(path):
        return sys.modules[name]
    root = _import_root(path)
    try:
        # A refusal is one line, without what Python warns of before.
        with warnings.catch_warnings(record=True) as caught, _same_draws():
            _look_in(root)
            name = next(name for name in _names(path, root) if _file_of(name) in (None, path))
            module = _imported(name, path) if _file_of(name) == path else _executed(name, path)
    except (Exception, SystemExit) as error:  # a study is a user's code, which may raise anything: the line tells it
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            raise  # the stop that a signal asked for, of a class of its own
        place = "" if fault_place(error) else f"{shown(path)}: "
        raise StudyError(f"{place}{fault_line(error)}{_shadowed(error, root)}") from error
    for warning in caught:
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    return module


@contextmanager
def _same_draws() -> Iterator[None]:
    """Inside the block, let torch, numpy and :mod:`random` draw the same numbers in every process.

    What a module draws when it is imported would else differ between the process that plans and those that measure.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(0)
        np.random.seed(0)
        torch.default_generator.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def module_names(path: Path) -> tuple[str, ...]:
    """The names under which a study's file is imported in this process; none if it is not."""
    path = path.resolve()
    ending = path.name  # there are thousands of modules
    return tuple(
        name
        for name, (_, file) in modules_with_files().items()
        if file.endswith(ending) and Path(file).resolve() == path
    )


def modules_with_files() -> Mapping[str, tuple[ModuleType, str]]:
    """Name -> module and its file, for every module of this process that has one.

    Thousands of modules take milliseconds, so they are looked through again only once one has come or gone.
    """
    if sys.modules != _Looked.through:
        _Looked.through = dict(sys.modules)
        files = ((name, module, getattr(module, "__file__", None)) for name, module in _Looked.through.items())
        _Looked.found = {name: (module, file) for name, module, file in files if isinstance(file, str)}
    return _Looked.found


class _Looked:
    """The modules that were looked through last, and those of them that have a file."""

    through: ClassVar[dict[str, ModuleType]] = {}
    found: ClassVar[dict[str, tuple[ModuleType, str]]] = {}


def _import_root(path: Path) -> Path:
    """The folder that a study's imports start from: its own, or the one that holds its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def _look_in(root: Path) -> None:
    """Add a folder to the end of the search path, in place of that of an earlier study, whose modules are forgotten."""
    for earlier in [entry for entry in sys.path if isinstance(entry, StudyFolder) and Path(entry) != root]:
        sys.path.remove(earlier)
        for name, module in list(sys.modules.items()):
            if _found_in(module) == Path(earlier):
                del sys.modules[name]
    if root not in [Path(entry).resolve() for entry in sys.path]:
        sys.path.append(StudyFolder(root))
    importlib.invalidate_caches()


def _found_in(module: ModuleType) -> Path | None:
    """The folder of the search path that a module was found in; ``None`` for one without a file."""
    file, name = getattr(module, "__file__", None), getattr(module, "__name__", None)
    if not isinstance(file, str) or not isinstance(name, str):
        return None
    steps = name.count(".") + (Path(file).name == "__init__.py")
    parents = Path(file).resolve().parents
    return parents[steps] if steps < len(parents) else None


def _names(path: Path, root: Path) -> Iterator[str]:
    """The names that a study's module may have; it gets the first that is not that of another file.

    Parts of a record are named after the module, so the name depends on the study's place among its own files alone.
    """
    if root != path.parent:
        name_in_package = ".".join(path.relative_to(root).with_suffix("").parts)
        _import_package(name_in_package.partition(".")[0], root)
        yield name_in_package
    yield f"{PACKAGE}.{path.stem}"
    if path.stem not in sys.modules:
        yield path.stem
    yield f"{PACKAGE}.{path.parent.name}.{path.stem}"


def _import_package(name: str, root: Path) -> None:
    """Import the package of a study, even if one of the same name comes before it in the search path."""
    if name in sys.modules or name in sys.stdlib_module_names:
        return
    file = root / name / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    _execute(importlib.util.module_from_spec(spec), spec)


def _file_of(name: str) -> Path | None:
    """The file that an import of ``name`` would find, whatever is imported under that name now."""
    spec = _spec_of(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def _spec_of(name: str) -> ModuleSpec | None:
    parent, _, _ = name.rpartition(".")
    folders = None
    if parent:
        package = sys.modules.get(parent) or _spec_of(parent)
        folders = getattr(package, "__path__", None) or getattr(package, "submodule_search_locations", None)
        if folders is None:
            return None
    specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def _imported(name: str, path: Path) -> ModuleType:
    if name in sys.modules and name not in module_names(path):
        del sys.modules[name]  # a study of another folder
    return importlib.import_module(name)


def _executed(name: str, path: Path) -> ModuleType:
    """A study's file as a module of a name that no import would find."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # As in a script, it lies in no package, so that a relative import fails, rather than finds other studies.
    module.__spec__, module.__package__ = None, ""
    _execute(module, spec)
    return module


def _execute(module: ModuleType, spec: ModuleSpec) -> None:
    assert spec.loader is not None
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise


def _shadowed(error: BaseException, root: Path) -> str:
    """A hint if an import found another module than the one of that name beside the study; else an empty text."""
    name = error.name if isinstance(error, ImportError) else ""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    name = (name or "").partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    beside = [path for path in (root / f"{name}.py", root / name) if name and path.exists()]
    if not beside or file is None or Path(file).is_relative_to(root):
        return ""
    return f"; {name} is {file} here, not {shown(beside[0])}, so give yours another name"
