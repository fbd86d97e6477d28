"""The methods that a call of an unknown object may mean: those of its name in every class that a module can see."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from ..forms.pieces import Reading
from ..forms.writer import Writer
from .variables import MUTATORS, Method, changed_places, root_names


class Methods:
    """Finds methods by their names.

    Args:
        reading: the settings by which code is read.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._by_name: dict[str, Mapping[str, Sequence[Method]]] = {}

    def seen_by(self, writer: Writer, name: str) -> Iterator[tuple[Writer, Method]]:
        """The methods of this name in the classes that a module can see, with the meaning of names around each."""
        for module in (writer.module.name, *writer.module.imports):
            for method in self._of_module(module).get(name, ()):
                yield Writer.of_module(self.reading, module), method

    def _of_module(self, name: str) -> Mapping[str, Sequence[Method]]:
        """Name -> the methods of this name in the classes of a module."""
        if name not in self._by_name:
            methods: dict[str, list[Method]] = {}
            module = self.reading.project.module(name)
            for unit in module.units if module is not None else ():
                for method in unit.single.body if isinstance(unit.single, ast.ClassDef) else ():
                    if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        methods.setdefault(method.name, []).append(method)
            self._by_name[name] = methods
        return self._by_name[name]

    def change_self(self, writer: Writer, name: str) -> bool:
        """Return whether a class that the module can see has a method of this name that changes its own object."""
        for _, method in self.seen_by(writer, name):
            self_name = method.args.args[0].arg if method.args.args else ""
            if any(self_name in root_names(place) for place in changed_places(method)):
                return True
        return False

    def is_mutator(self, writer: Writer, node: ast.Attribute) -> bool:
        """Return whether an attribute is a method that changes the object which it belongs to."""
        is_method = node.attr in MUTATORS or self.change_self(writer, node.attr)
        return is_method and isinstance(node.ctx, ast.Load) and writer.resolve(node) is None
