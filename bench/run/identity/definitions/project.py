"""The modules of this project, and where a name that one of them imports leads."""

from __future__ import annotations

import ast
import sys

from .module import Module
from .origins import Origins
from .targets import Bound, External, Target, Unit, Whole


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
