"""Random edits of random packages: the key changes if, and only if, what is run gives another value.

A package is a random graph of constants, functions, classes and tables over random modules, imported in random ways.
Every definition adds a number of its own to what it returns, so that what was run can be read off the value.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run.identity.conftest import Reader

KINDS = ("function", "class", "constant", "table", "registry")
ONLY_NAMES = ("rename", "local", "comment", "docstring", "annotation", "message", "move", "private", "unused")


@dataclass(frozen=True)
class Definition:
    """One definition of a random package.

    Attributes:
        name: at the top level of its module.
        kind: one of :data:`KINDS`.
        module: where it is defined.
        number: what it adds to a value.
        uses: names of the definitions that it reads.
        style: how it imports them: names, the module, through the package, in the function, or all names.
        local: the name of its local variable.
        private: the name of its private method.
        note: its docstring, comment, annotation and message.
    """

    name: str
    kind: str
    module: str
    number: int
    uses: tuple[str, ...]
    style: str
    local: str = "total"
    private: str = "_own"
    note: str = "plain"


Package = tuple[Definition, ...]


def random_package(draw: random.Random) -> Package:
    """Definitions that use earlier ones; the last is the class ``Mine``."""
    count = draw.randint(3, 8)
    modules = [f"part{index}" for index in range(draw.randint(1, 3))]
    made: list[Definition] = []
    for index in range(count):
        last = index == count - 1
        uses = draw.sample([each.name for each in made], k=min(len(made), draw.randint(1 if last else 0, 2)))
        kind = "class" if last else draw.choice(KINDS)
        made.append(
            Definition(
                name="Mine" if last else f"{'C' if kind == 'class' else 'd'}{index}",
                kind=kind,
                module="study" if last else draw.choice(modules),
                number=draw.randint(1, 10**6),
                uses=() if kind in ("constant", "table") else tuple(uses),
                style=draw.choice(("names", "module", "package", "inside", "alias")),
            )
        )
    return tuple(made)


def written(package: Package) -> dict[str, str]:
    """The files of a package."""
    by_name = {each.name: each for each in package}
    files: dict[str, list[str]] = {}
    for each in package:
        lines = files.setdefault(each.module, ['"""A module."""\n'])
        lines.append(_text(each, by_name))
    exported = [f"from .{each.module} import {each.name}\n" for each in package if each.module != "study"]
    texts = {f"pack/{module}.py": "\n".join(lines) for module, lines in files.items() if module != "study"}
    texts["pack/__init__.py"] = "import sys\n"
    texts["shown/__init__.py"] = "".join(line.replace("from .", "from pack.") for line in exported)
    texts["study.py"] = "\n".join(files["study"])
    return texts


def _reference(name: str, each: Definition, other: Definition) -> tuple[str, str]:
    """The import that a definition needs for another, and how it then names it."""
    if other.module == each.module:
        return "", name
    if each.style == "module":
        return f"import pack.{other.module}\n", f"pack.{other.module}.{name}"
    if each.style == "alias":
        return f"from pack import {other.module} as m_{other.module}\n", f"m_{other.module}.{name}"
    if each.style == "package":
        return f"import shown\n", f"shown.{name}"  # noqa: F541 - the same shape as its neighbours
    return f"from pack.{other.module} import {name}\n", name


def _text(each: Definition, by_name: dict[str, Definition]) -> str:
    imports, terms = [], []
    for name in each.uses:
        line, reference = _reference(name, each, by_name[name])
        imports.append(line)
        terms.append(_called(reference, by_name[name]))
    lazily = each.style in ("inside", "package")
    head = "" if lazily else "".join(imports)
    value = " + ".join([str(each.number), *terms])
    if each.kind == "constant":
        return f"{each.name} = {each.number}  # {each.note}\n"
    if each.kind == "table":
        return f"{each.name} = []\n{each.name}.append({each.number})  # {each.note}\n"
    if each.kind == "registry":
        return (
            f"{head}{each.name}_known = {{}}\n"
            f"def {each.name}_add(f):\n    {each.name}_known['f'] = f\n    return f\n"
            f"@{each.name}_add\ndef {each.name}_entry():\n"
            + _body(imports if lazily else [], each, value, "    ")
            + f"def {each.name}():\n    return {each.name}_known['f']()\n"
        )
    if each.kind == "function":
        return f"{head}def {each.name}():\n" + _body(imports if lazily else [], each, value, "    ")
    return (
        f"{head}class {each.name}:\n    '''{each.note}'''\n"
        f"    def value(self):\n        return self.{each.private}()\n"
        f"    def {each.private}(self):\n" + _body(imports if lazily else [], each, value, "        ")
    )


def _body(imports: list[str], each: Definition, value: str, indent: str) -> str:
    lines = [f"'''{each.note}'''", *(line.strip() for line in imports if line)]
    lines += [f"{each.local}: '{each.note}' = {value}", f"if {each.local} < 0:"]
    lines += [f"    raise ValueError('{each.note}')", f"return {each.local}"]
    return "".join(f"{indent}{line}\n" for line in lines)


def _called(reference: str, other: Definition) -> str:
    if other.kind == "constant":
        return reference
    if other.kind == "table":
        return f"{reference}[0]"
    return f"{reference}().value()" if other.kind == "class" else f"{reference}()"


def edited(package: Package, draw: random.Random, edit: str) -> Package:
    """The same package with one definition edited; ``number`` is the only edit that computes something else."""
    index = draw.randrange(len(package))
    each = package[index]
    changes: dict[str, Any] = {}
    if edit == "number":
        changes["number"] = each.number + 1
    elif edit == "local":
        changes["local"] = "result"
    elif edit == "private":
        changes["private"] = "_part"
    elif edit in ("comment", "docstring", "annotation", "message"):
        changes["note"] = "other"
    elif edit == "move" and each.name != "Mine":
        changes["module"] = "moved"
    elif edit == "unused":
        extra = Definition("spare", draw.choice(KINDS), package[0].module, 7, (), "names")
        return (extra, *package)
    elif edit == "rename" and each.name != "Mine":
        return tuple(
            replace(
                other,
                name="renamed" if other.name == each.name else other.name,
                uses=tuple("renamed" if name == each.name else name for name in other.uses),
            )
            for other in package
        )
    return tuple(replace(other, **changes) if other is each else other for other in package)


def has_circle(package: Package) -> bool:
    """Whether importing a package's modules goes round in a circle, which Python itself refuses."""
    by_name = {each.name: each for each in package}
    arrows: dict[str, set[str]] = {}
    for each in package:
        for name in each.uses:
            if each.style not in ("inside", "package") and by_name[name].module != each.module:
                arrows.setdefault(each.module, set()).add(by_name[name].module)

    def reaches(start: str) -> set[str]:
        seen: set[str] = set()
        pending = [start]
        while pending:
            for other in arrows.get(pending.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    pending.append(other)
        return seen

    return any(module in reaches(module) for module in arrows)


def value_of(files: dict[str, str], folder: Path) -> int:
    """What the package gives when it is run."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with _imports_from(folder):
        import study

        value: int = study.Mine().value()
        return value


class _imports_from:  # noqa: N801 - reads as a statement
    """A folder first on the path; what was imported from it is forgotten afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __enter__(self) -> None:
        sys.path.insert(0, self.folder)
        self.wrote, sys.dont_write_bytecode = sys.dont_write_bytecode, True

    def __exit__(self, *raised: object) -> None:
        sys.path.remove(self.folder)
        sys.dont_write_bytecode = self.wrote
        for name in [each for each in sys.modules if each.partition(".")[0] in ("study", "pack", "shown")]:
            del sys.modules[name]
        sys.path_importer_cache.pop(self.folder, None)


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(seed=st.integers(0, 2**32), edit=st.sampled_from(("number",) * len(ONLY_NAMES) + ONLY_NAMES))
def test_the_key_changes_if_and_only_if_what_is_run_changes(
    read: Reader, tmp_path_factory: pytest.TempPathFactory, seed: int, edit: str
) -> None:
    draw = random.Random(seed)
    package = random_package(draw)
    other = edited(package, draw, edit)
    if has_circle(package) or has_circle(other):
        return
    before, after = written(package), written(other)
    values = [value_of(files, tmp_path_factory.mktemp("run")) for files in (before, after)]
    keys = [read(files).digest for files in (before, after)]
    assert (values[0] == values[1]) == (keys[0] == keys[1])


def test_random_packages_have_edits_that_are_run_and_edits_that_are_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    changed = 0
    for seed in range(40):
        draw = random.Random(seed)
        package = random_package(draw)
        other = edited(package, draw, "number")
        if not has_circle(package):
            changed += len({value_of(written(each), tmp_path_factory.mktemp("run")) for each in (package, other)}) - 1
    assert 8 < changed < 36
