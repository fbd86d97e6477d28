"""A parsed module of this project: which top-level statements bind a name, and which modules it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cached_property

from .origins import Origin, Origins
from .syntax import bound_names, executed, walk_executed
from .targets import Unit


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
                body = [statement for top_statement in tree.body for statement in executed(top_statement)]
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
    def set_by_functions(self) -> frozenset[str]:
        """The names that functions of the module set at its top level, by ``global``."""
        leaves = (leaf for statement in self.body for leaf in ast.walk(statement))
        return frozenset(name for leaf in leaves if isinstance(leaf, ast.Global) for name in leaf.names)

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
