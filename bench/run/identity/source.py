"""The definitions of project modules: which top-level statements bind a name, and where an imported name leads.

A *unit* is the smallest set of top-level statements that must be read together: all that bind one name, and whatever
else these bind. A function is a unit; so are ``A, B = pair()``, and a ``try`` with the imports and functions inside.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .origins import Origin, Origins


@dataclass(frozen=True)
class External:
    """An object outside this project: of an installed distribution, of Python, or of a module that is not found."""

    path: str


@dataclass(frozen=True)
class Whole:
    """A project module as a value."""

    module: str


@dataclass(eq=False)
class Unit:
    """Top-level statements that bind names together.

    Attributes:
        module: the dotted name of its module.
        statements: its statements in the order of the file.
        names: the names that the statements bind, in the order of the file.
    """

    module: str
    statements: list[ast.stmt] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def single(self) -> ast.stmt | None:
        """The statement of a unit that has only one; ``None`` for any other."""
        return self.statements[0] if len(self.statements) == 1 else None

    @property
    def is_variable(self) -> bool:
        """True for a unit that is no single function or class, so that other statements may change its object."""
        return not isinstance(self.single, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


@dataclass(frozen=True)
class Bound:
    """A name that a unit binds."""

    unit: Unit
    name: str


Target = External | Whole | Bound


class Module:
    """A parsed project module.

    Attributes:
        name: the dotted name under which it is imported.
        origin: the place where it lies.
        units: its definitions in the order of the file.
        body: its top-level statements, without those that an import never executes.
        imports: every module that importing this one imports, parents first.
        content: the bytes of a file that is no Python source.
        docstring: the text at the head of the file; ``None`` if there is none.
    """

    def __init__(self, origin: Origin, origins: Origins) -> None:
        self.name = origin.name
        self.origin = origin
        self.origins = origins
        self.units: list[Unit] = []
        self.content: bytes | None = None
        self.docstring: str | None = None
        self._aliases: dict[str, ast.alias] = {}
        self._sources: dict[str, ast.ImportFrom | ast.Import] = {}
        self._stars: list[ast.ImportFrom] = []
        body: list[ast.stmt] = []
        if origin.file is not None:
            content = origin.file.read_bytes()
            try:
                if origin.file.suffix != ".py":
                    raise SyntaxError(f"{origin.file} is no Python source")
                tree = ast.parse(content)
                self.docstring = ast.get_docstring(tree)
                body = [statement for top_statement in tree.body for statement in _executed(top_statement)]
            except (SyntaxError, ValueError):  # a library of machine code, or source for another version of Python
                self.content = content
        self.body = body
        self._sort(body)
        if "__getattr__" in self._owner and origin.file is not None and origin.file.with_suffix(".pyi").is_file():
            for statement in ast.parse(origin.file.with_suffix(".pyi").read_bytes()).body:
                if isinstance(statement, ast.ImportFrom):  # the module's __getattr__ imports its names on demand
                    self._note_import(statement)

    def _sort(self, body: Sequence[ast.stmt]) -> None:
        counts: dict[str, int] = {}
        names_of = [list(dict.fromkeys(bound_names(statement))) for statement in body]
        for statement, names in zip(body, names_of, strict=True):
            if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                for name in names:
                    counts[name] = counts.get(name, 0) + 1
        owner: dict[str, Unit] = {}
        for statement, names in zip(body, names_of, strict=True):
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                self._note_import(statement)
                if not any(name in counts for name in names):
                    continue
            else:
                inside = (node for node in walk_executed(statement) if isinstance(node, ast.ImportFrom))
                self._stars += [node for node in inside if node.names[0].name == "*"]
            if not names:
                continue
            joined = list(dict.fromkeys(owner[name] for name in names if name in owner))
            unit = joined[0] if joined else Unit(self.name)
            for other in joined[1:]:
                unit.statements += other.statements
                unit.names += other.names
                self.units.remove(other)
            if not joined:
                self.units.append(unit)
            unit.statements.append(statement)
            unit.names += [name for name in names if name not in unit.names]
            owner.update(dict.fromkeys(unit.names, unit))
        for unit in self.units:
            unit.statements.sort(key=lambda statement: statement.lineno)
        self._owner = owner

    def _note_import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for alias in statement.names:
            if alias.name == "*":
                assert isinstance(statement, ast.ImportFrom)
                self._stars.append(statement)
                continue
            name = alias.asname or (alias.name.partition(".")[0] if isinstance(statement, ast.Import) else alias.name)
            self._aliases[name], self._sources[name] = alias, statement

    def bound(self, name: str) -> Unit | None:
        """The unit that binds a name at the top level; ``None`` if there is none."""
        return self._owner.get(name)

    def imported(self, name: str) -> tuple[ast.Import | ast.ImportFrom, ast.alias] | None:
        """The import statement that binds a name; ``None`` if no import binds it."""
        if name not in self._aliases:
            return None
        return self._sources[name], self._aliases[name]

    @property
    def imported_names(self) -> Sequence[str]:
        """The names that imports bind."""
        return list(self._aliases)

    @property
    def stars(self) -> Sequence[ast.ImportFrom]:
        return self._stars

    def absolute(self, statement: ast.ImportFrom) -> str:
        """The module that ``from … import`` names."""
        if statement.level == 0:
            return statement.module or ""
        package = self.origin.package.split(".")
        base = ".".join(package[: len(package) - statement.level + 1])
        return f"{base}.{statement.module}" if statement.module else base

    @cached_property
    def imports(self) -> tuple[str, ...]:
        modules: dict[str, None] = {}
        for statement in self.body:
            for name in self.imported_modules(statement):
                modules[name] = None
        parents = self.name.split(".")[:-1]
        above = [".".join(parents[: count + 1]) for count in range(len(parents))]
        return tuple(dict.fromkeys([*above, *modules]))

    def imported_modules(self, node: ast.AST) -> Iterator[str]:
        """The project modules that the imports in a node import, those inside of functions left out."""
        for leaf in walk_executed(node):
            if isinstance(leaf, ast.Import):
                for alias in leaf.names:
                    yield from self._with_parents(alias.name)
            elif isinstance(leaf, ast.ImportFrom):
                source = self.absolute(leaf)
                yield from self._with_parents(source)
                for alias in leaf.names:
                    if self.origins.project(f"{source}.{alias.name}") is not None:
                        yield f"{source}.{alias.name}"

    def _with_parents(self, name: str) -> Iterator[str]:
        steps = name.split(".")
        for count in range(len(steps)):
            parent = ".".join(steps[: count + 1])
            if self.origins.project(parent) is not None:
                yield parent

    @cached_property
    def public(self) -> frozenset[str] | None:
        """The names that ``__all__`` lists; ``None`` without a literal one."""
        unit = self.bound("__all__")
        if unit is None or not isinstance(unit.single, ast.Assign):
            return None
        try:
            return frozenset(ast.literal_eval(unit.single.value))
        except (ValueError, TypeError):
            return None


class Project:
    """The project modules, each of which is parsed once.

    Args:
        package: the top-level package that always counts as project code.
    """

    def __init__(self, package: str) -> None:
        self.origins = Origins(package)
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """The project module of this name; ``None`` for any other."""
        if name not in self._modules:
            origin = self.origins.project(name)
            self._modules[name] = None if origin is None else Module(origin, self.origins)
        return self._modules[name]

    def is_current(self) -> bool:
        """Return whether every module that was read still is the one that is imported under its name."""
        return all(module is None or self.origins.is_same(module.origin) for module in self._modules.values())

    def target(self, name: str) -> Target:
        """The target that a module's dotted name stands for."""
        return Whole(name) if self.origins.project(name) is not None else External(name)

    def lookup(self, module: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> list[Target]:
        """The targets that a name at the top level of a project module may stand for; empty for an unknown name."""
        source = self.module(module)
        if source is None or (module, name) in seen:
            return []
        seen |= {(module, name)}
        targets: list[Target] = []
        unit = source.bound(name)
        importing = source.imported(name)
        if unit is not None:
            targets.append(Bound(unit, name))
        elif importing is not None:
            targets += self.imported(source, *importing, seen)
        for star in source.stars:
            targets += self._through_star(source, star, name, seen, otherwise_unbound=not targets)
        if not targets and source.origin.folders and self.origins.project(f"{module}.{name}") is not None:
            targets.append(Whole(f"{module}.{name}"))
        if not targets:
            targets += self._lazily(module, name)
        return list(dict.fromkeys(targets))

    def imported(
        self,
        module: Module,
        statement: ast.Import | ast.ImportFrom,
        alias: ast.alias,
        seen: frozenset[tuple[str, str]] = frozenset(),
    ) -> list[Target]:
        """The targets that an import binds its name to."""
        if isinstance(statement, ast.Import):
            return [self.target(alias.name if alias.asname else alias.name.partition(".")[0])]
        source = module.absolute(statement)
        if self.module(source) is None:
            return [External(f"{source}.{alias.name}")]
        if (source, alias.name) in seen:
            return []
        return self.lookup(source, alias.name, seen) or [Whole(source)]  # some code in that module makes the name

    def attribute(self, target: Target, name: str) -> list[Target]:
        """The targets that an attribute of a target may stand for; empty for an attribute of an unknown object."""
        if isinstance(target, External):
            return [External(f"{target.path}.{name}")]
        if isinstance(target, Whole):
            return self.lookup(target.module, name)
        return []

    def _through_star(
        self,
        module: Module,
        star: ast.ImportFrom,
        name: str,
        seen: frozenset[tuple[str, str]],
        *,
        otherwise_unbound: bool,
    ) -> list[Target]:
        source = module.absolute(star)
        other = self.module(source)
        if other is None:
            loaded = sys.modules.get(source)
            has = loaded is not None and hasattr(loaded, name) and otherwise_unbound
            return [External(f"{source}.{name}")] if has else []
        if name not in other.public if other.public is not None else name.startswith("_"):
            return []
        return self.lookup(source, name, seen)

    def _lazily(self, module: str, name: str) -> list[Target]:
        """The targets of a name that a module's own ``__getattr__`` gives; else ``__getattr__`` itself."""
        source = self.module(module)
        getter = None if source is None or name.startswith("__") else source.bound("__getattr__")
        if getter is None:
            return []
        value = getattr(sys.modules.get(module), name, None)
        place, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        targets: list[Target] = []
        if isinstance(place, str) and isinstance(qualified, str) and (place, qualified) != (module, name):
            targets = self.lookup(place, qualified.partition(".")[0])
        return targets or [Bound(getter, "__getattr__")]

    def whole(self, module: str) -> list[Target]:
        """The targets that a module holds: its definitions, and its imports from this project."""
        source = self.module(module)
        if source is None:
            return []
        targets: dict[Target, None] = {Bound(unit, unit.names[0]): None for unit in source.units}
        for name in source.imported_names:
            targets |= dict.fromkeys(self.lookup(module, name))
        for star in source.stars:
            targets[self.target(source.absolute(star))] = None
        return [target for target in targets if not isinstance(target, External)]

    def files_beside(self, module: str) -> list[str]:
        """Every module of the same top-level package, or for a lone module of the same folder."""
        source = self.module(module)
        if source is None or source.origin.file is None:
            return [module]
        top = self.origins.project(module.partition(".")[0]) if "." in module else None
        if top is not None and top.folders and source.origin.file.is_relative_to(top.folders[0]):
            root, prefix = top.folders[0], f"{top.name}."
        else:
            root, prefix = source.origin.file.parent, module.rpartition(".")[0] + "." if "." in module else ""
        names = []
        for path in sorted(root.rglob("*.py")):
            relative = path.relative_to(root)
            if any(part.startswith(".") or part in ("build", "site-packages") for part in relative.parts):
                continue
            steps = [*relative.parent.parts] + ([] if path.stem == "__init__" else [path.stem])
            name = prefix + ".".join(steps) if steps else prefix.rstrip(".")
            if name and self.module(name) is not None:
                names.append(name)
        return list(dict.fromkeys([module, *names]))

    def label(self, unit: Unit) -> str:
        """The label ``file:name`` by which people find a definition."""
        return f"{self.file_label(unit.module)}:{unit.names[0] if unit.names else ''}"

    def file_label(self, module: str) -> str:
        """The file of a module, from its top-level package on."""
        source = self.module(module)
        file = None if source is None else source.origin.file
        steps = module.count(".") + (1 if source is not None and source.origin.folders else 0)
        return module if file is None else "/".join(file.parts[-(steps + 1) :])


def _executed(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the parts of a top-level statement that an import executes: not those for type checkers and scripts."""
    if isinstance(statement, ast.If):
        if _is_for_checkers(statement.test) or _is_script(statement.test):
            for alternative in statement.orelse:
                yield from _executed(alternative)
            return
    elif isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return
    yield statement


def _is_for_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _is_script(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == "__main__"
    )


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring or another bare constant."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def walk_executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and everything in it that it executes by itself: bodies of classes, but not those of functions."""
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        children: list[ast.AST] = list(evaluated_outside(node))
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from walk_executed(child)


def evaluated_outside(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.expr]:
    """The expressions of a function that are evaluated where it is defined."""
    defaults = [*function.args.defaults, *(default for default in function.args.kw_defaults if default is not None)]
    return defaults if isinstance(function, ast.Lambda) else [*function.decorator_list, *defaults]


def bound_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in the scope that it stands in, in the order of the text."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id
        return
    if isinstance(node, ast.alias):
        if node.name != "*":
            yield node.asname or node.name.partition(".")[0]
        return
    if isinstance(node, COMPREHENSIONS):
        for leaf in ast.walk(node):
            if isinstance(leaf, ast.NamedExpr) and isinstance(leaf.target, ast.Name):
                yield leaf.target.id
        return
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    if isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        yield from bound_names(child)


def local_path(module: Module, text: str) -> Path | None:
    """The file beside a module that a constant text names, if there is one."""
    if module.origin.file is None or not text or len(text) > 200 or "\n" in text or "\0" in text:
        return None
    path = module.origin.file.parent / text
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):
        return None
