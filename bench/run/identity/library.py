"""The normal forms of definitions, each of which is made only once."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .definitions.project import Project
from .definitions.syntax import bases_of, bound_names
from .definitions.targets import Bound, Unit
from .effects.statements import Effects, TopLevelEffect
from .forms.pieces import OpenSlot, OpenValue, Piece, Reading, Text
from .forms.writer import Writer
from .known.attributes import with_attributes
from .known.folding import Fields, Folding
from .known.logic import is_constant, same

MADE = "="
"""The name for the defaults of a class of plain values, which count only where code makes an instance of the class."""


@dataclass(frozen=True)
class Root:
    """A function or class that a trial's code starts from.

    Attributes:
        role: the role of the function or class in the trial, such as ``neck``.
        unit: the function or class.
        choices: name -> value of each choice of a component; ``None`` for a root that is no component.
        defaults: name -> default, for the choices with a default.
    """

    role: str
    unit: Unit
    choices: Mapping[str, Any] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def is_default(self, name: str) -> bool:
        """Return whether a choice has the value of its default."""
        value = (self.choices or {})[name]
        if isinstance(value, OpenValue):
            return value.is_default
        return name in self.defaults and same(self.defaults[name], value)


@dataclass(eq=False)
class Node:
    """A definition as a key reads it: a unit, or the class of a component with its choices put in."""

    unit: Unit
    text: Text
    label: str
    folded: frozenset[str] = frozenset()


@dataclass(eq=False)
class Opened:
    """A unit with open values put in.

    Attributes:
        unit: the unit.
        choices: the choices among the values.
        looked: the slots whose values were looked at, as it was made or as its normal form was written.
        values: slot -> the value with which it was made, as written into code.
    """

    unit: Unit
    choices: frozenset[str]
    looked: set[OpenSlot]
    values: Mapping[OpenSlot, str]

    def holds_for(self, values: Mapping[OpenSlot, str]) -> bool:
        """Return whether the unit is the same with these values, wherever they are not written."""
        return all(values.get(slot) == self.values[slot] for slot in self.looked)


@dataclass(eq=False)
class OpenReading:
    """One reading of code with open values.

    Attributes:
        frame: all that is known of fields of plain values, apart from open values.
        values: slot -> the value in it, as written into code.
        used: the units with open values that were reached, by their numbers.
    """

    frame: Any
    values: Mapping[OpenSlot, str]
    used: dict[int, Opened] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Fields, roots: Iterable[Root]) -> OpenReading:
        known = [*fields.values(), *(root.choices for root in roots if root.choices is not None)]
        given = [value for values in known for value in values.values() if isinstance(value, OpenValue)]
        return cls(_frozen_fields(fields), {value.slot: str(value.token()) for value in given})

    @property
    def holds(self) -> bool:
        """False if something looked only now at a value of an earlier reading, so that all must be read once more."""
        return all(opened.holds_for(self.values) for opened in self.used.values())

    @property
    def looked(self) -> frozenset[OpenSlot]:
        """The slots at whose values something looked in this reading."""
        return frozenset(slot for opened in self.used.values() for slot in opened.looked)


class Library:
    """The normal forms of definitions, each of which is made only once.

    Args:
        package: the package that always counts as project code.
        plain: the classes of plain values, whose constructors check their values and compute nothing.
        reports: the classes of progress reports, whose content does not count.
        silent: the packages that read the machine and compute nothing, so neither they nor their versions count.
        observers: the classes of objects that watch a computation and keep what it made, but compute nothing of it. A
            parameter that may hold one counts as ``None``, so that the computation is read as it is without it.
    """

    def __init__(
        self,
        package: str,
        plain: Iterable[type],
        reports: Iterable[type],
        silent: Iterable[str],
        observers: Iterable[type] = (),
    ) -> None:
        self.project = Project(package)
        self.silent = frozenset(silent)
        self.reading = Reading(
            self.project,
            {unit: unit.names[0] for unit in map(self.unit_of, plain)},
            frozenset(map(self.unit_of, reports)),
            {unit: unit.names[0] for unit in map(self.unit_of, observers)},
        )
        self.effects = Effects(self.reading)
        self._texts: dict[Any, tuple[Text, frozenset[str]]] = {}  # of units as they stand
        self._written: dict[Any, tuple[Text, frozenset[str]]] = {}  # of those with known values put in
        self._loose: dict[int, Piece] = {}
        self._folded: dict[Any, tuple[Unit, frozenset[str]]] = {}
        self._readers: dict[Unit, bool] = {}
        self._ancestors: dict[Unit, frozenset[Unit]] = {}
        self._opened: dict[Any, list[Opened]] = {}
        self._looked: dict[
            int, set[OpenSlot]
        ] = {}  # number of a unit with open values -> the slots that were looked at
        self.reading_openly: OpenReading | None = None

    def opened(self, fields: Fields, roots: Iterable[Root]) -> tuple[Library, OpenReading]:
        """The library for one reading with open values, which shares all normal forms with this one."""
        library = copy.copy(self)
        library.reading_openly = OpenReading.of(fields, roots)
        return library, library.reading_openly

    def unit_of(self, item: Any) -> Unit:
        """The definition of a class or function.

        Raises:
            ValueError: for a definition whose source cannot be found, such as one that was typed into a console.
        """
        module, name = item.__module__, item.__qualname__
        if "<locals>" in name:  # a function made it, so the name at the top level leads to the call that did
            names = [name for name, value in vars(sys.modules[module]).items() if value is item]
            name = names[0] if names else name
        for target in self.project.lookup(module, name.partition(".")[0]):
            if isinstance(target, Bound):
                return target.unit
        raise ValueError(f"cannot find the source of {module}:{name}; define it in a file, at the top level")

    def folded(self, unit: Unit, fields: Fields, choices: Mapping[str, Any] | None) -> tuple[Unit, frozenset[str]]:
        """A unit with known values put in, and the choices among them."""
        if choices is None and not self._reads_fields(unit):
            return unit, frozenset()
        if self.reading_openly is not None:
            opened = self._opened_unit(unit, fields, choices, self.reading_openly)
            return opened.unit, opened.choices
        key = (unit, _frozen_fields(fields), None if choices is None else _frozen(choices))
        if key not in self._folded:
            made = self._folding(unit, fields, set()).fold(unit, choices or {})
            self._folded[key] = made.unit, made.choices
        return self._folded[key]

    def _opened_unit(
        self, unit: Unit, fields: Fields, choices: Mapping[str, Any] | None, reading: OpenReading
    ) -> Opened:
        """A unit with open values put in: one that was made before with the same values wherever it was looked at."""
        key = (unit, reading.frame, None if choices is None else _frozen(choices))
        made_before = self._opened.setdefault(key, [])
        opened = next((opened for opened in made_before if opened.holds_for(reading.values)), None)
        if opened is None:
            looked: set[OpenSlot] = set()
            made = self._folding(unit, fields, looked).fold(unit, choices or {})
            opened = Opened(made.unit, made.choices, looked, reading.values)
            self._looked[id(made.unit)] = looked
            made_before.append(opened)
        reading.used[id(opened)] = opened
        return opened

    def _folding(self, unit: Unit, fields: Fields, looked: set[OpenSlot]) -> Folding:
        return Folding(self.project, unit.module, fields, self.reading.observers, looked)

    def _reads_fields(self, unit: Unit) -> bool:
        """Return whether a unit names a class of plain values or of observers, in an annotation or anywhere else."""
        if unit not in self._readers:
            names = {*self.reading.plain.values(), *self.reading.observers.values()}
            self._readers[unit] = any(
                (isinstance(leaf, ast.Name) and leaf.id in names)
                or (isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value in names)
                for statement in unit.statements
                for leaf in ast.walk(statement)
            )
        return self._readers[unit]

    def node(
        self,
        unit: Unit,
        fields: Fields,
        root: Root | None = None,
        attributes: Mapping[str, ast.Constant] | None = None,
    ) -> Node:
        """The definition with everything that a key reads of it."""
        choices = None if root is None else root.choices
        label = self.project.label(unit) + (f"({root.role})" if root is not None and choices is not None else "")
        if unit in self.reading.plain and root is None:
            return Node(unit, self._plain_text(unit, fields), label)
        made, folded = self.folded(unit, fields, choices)
        names = tuple(sorted(attributes or {}))
        key = (unit, id(made), names)
        texts = self._texts if made is unit and not names else self._written
        if key not in texts:
            text = self._text(self._with_attributes(made, fields, attributes, set()) if attributes else made)
            texts[key] = text, folded
        text, folded = texts[key]
        return Node(unit, text, label, folded)

    def without_unread(
        self, node: Node, root: Root, fields: Fields, attributes: Mapping[str, ast.Constant], unread: set[str]
    ) -> Node:
        """A component's class without assignments to attributes that nothing reads."""
        made, folded = self.folded(node.unit, fields, root.choices)
        key = (node.unit, id(made), tuple(sorted(attributes)), tuple(sorted(unread)))
        if key not in self._written:
            self._written[key] = self._text(self._with_attributes(made, fields, attributes, unread)), folded
        return Node(node.unit, self._written[key][0], node.label, folded)

    def _with_attributes(
        self, unit: Unit, fields: Fields, attributes: Mapping[str, ast.Constant], unread: set[str]
    ) -> Unit:
        folding = self._folding(unit, fields, self._looked.get(id(unit), set()))
        return with_attributes(folding, unit, attributes, unread)

    def _text(self, unit: Unit) -> Text:
        return Writer.of_module(self.reading, unit.module).unit(unit)

    def _plain_text(self, unit: Unit, fields: Fields) -> Text:
        """The text of a class of plain values: its instances are known by their fields, and methods count if named."""
        key = (unit, "plain")
        if key not in self._texts:
            node = unit.single
            methods: dict[str, Piece] = {}
            for statement in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and not statement.name.startswith(
                    "__"
                ):
                    shell = Unit(unit.module, [ast.ClassDef("", [], [], [statement], [])], list(unit.names))
                    methods[statement.name] = Writer.of_module(self.reading, unit.module).unit(shell).main
            methods[MADE] = (
                Writer.of_module(self.reading, unit.module).defaults(node)
                if isinstance(node, ast.ClassDef)
                else Piece()
            )
            self._texts[key] = Text(Piece(["plain"]), methods), frozenset()
        return self._texts[key][0]

    def ancestors(self, unit: Unit) -> frozenset[Unit]:
        """The class itself and every class of this project that it derives from."""
        if unit not in self._ancestors:
            self._ancestors[unit] = frozenset({unit})
            node = unit.single
            above = {unit}
            if isinstance(node, ast.ClassDef):
                writer = Writer.of_module(self.reading, unit.module)
                for base in bases_of(node):
                    for target in writer.resolve(base) or ():
                        if isinstance(target, Bound):
                            above |= self.ancestors(target.unit)
            self._ancestors[unit] = frozenset(above)
        return self._ancestors[unit]

    def held_by(self, unit: Unit, *, stands_for_any: bool = False) -> list[tuple[Unit, bool]]:
        """The definitions that a variable may stand for or hold.

        Each comes with ``True`` if the variable may stand for what that definition holds. A loop's variable and another
        name for a definition may stand for a function or class too.

        Args:
            unit: the variable.
            stands_for_any: ``True`` if what the variable holds is meant, whatever it is.
        """
        names = {leaf.id for statement in unit.statements for leaf in ast.walk(statement) if isinstance(leaf, ast.Name)}
        names -= {name for statement in unit.statements for name in bound_names(statement)}
        targets = [target for name in sorted(names) for target in self.project.lookup(unit.module, name)]
        is_loop = isinstance(unit.single, (ast.For, ast.With))
        is_name = isinstance(unit.single, (ast.Assign, ast.AnnAssign)) and (
            isinstance(unit.single.value, (ast.Name, ast.IfExp, ast.BoolOp, ast.NamedExpr)) or len(unit.names) > 1
        )
        return [
            (target.unit, is_loop or stands_for_any)
            for target in targets
            if isinstance(target, Bound) and (target.unit.is_variable or is_loop or is_name or stands_for_any)
        ]

    def loose(self, effect: TopLevelEffect) -> Piece:
        """The normal form of a top-level statement."""
        key = id(effect.statement)
        if key not in self._loose:
            self._loose[key] = Writer.of_module(self.reading, effect.module).loose(effect.statement, effect.change.whys)
        return self._loose[key]


def own(node: Node) -> Unit | None:
    """The unit that a definition means by its own name; with choices put in, a class means the class as it stands."""
    return None if node.folded else node.unit


def _frozen(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The known values that are written into code, which tells them apart; of an open one, its slot and type."""
    return tuple(
        (name, value.slot, value.kind_of_value, value.is_default)
        if isinstance(value, OpenValue)
        else (name, type(value).__name__, repr(value))
        for name, value in values.items()
        if isinstance(value, OpenValue) or is_constant(value)
    )


def _frozen_fields(fields: Fields) -> tuple[Any, ...]:
    return tuple((unit, _frozen(values)) for unit, values in fields.items())
