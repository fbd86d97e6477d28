"""The pieces of code in its normal form, and the facts about a piece that decide what counts in others."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..definitions.project import Project
from ..definitions.targets import Bound, Target, Unit, Whole

FIELD_ANNOTATION = "annotation of a field"
"""The condition of the annotation of a dataclass's field, which counts only if something reads annotations."""
ANNOTATION = "annotation"
"""The condition of any other annotation, which counts only if code outside the package that measures reads annotations:
the package reads them to check choices, and computes nothing from them."""
DOCSTRING = "docstring"
"""The condition of a text that counts only if something reads docstrings."""


class ChosenValue(ast.Constant):
    """The value of a choice, in the places where code reads the choice.

    Attributes:
        choice: the name of the choice.
    """

    choice: str = ""


class OpenSlot(NamedTuple):
    """The name of a value that may be another in another trial of the same code.

    Attributes:
        owner: the class of plain values that has the field, or the number of the root that has the choice.
        name: the name of the field or of the choice.
    """

    owner: Unit | int
    name: str


class OpenValue(ChosenValue):
    """A value that is written into code, and that notes whether anything looks at it.

    What is made of code with such values is the same for every other value of the same type, apart from the value where
    it is written, as long as nothing has looked. So :attr:`value` is the only way to the value, and a way through the
    syntax tree does not come across it: the node has no fields.

    Attributes:
        slot: what the value is of.
        value_type: the type of the value, at which everyone may look.
        is_default: ``True`` for the value of a choice that is the default of the choice, which everyone may know too.
        looked: the slots whose values were looked at; shared by all values in one definition.
    """

    _fields = ()
    slot: OpenSlot
    value_type: type
    is_default: bool
    looked: set[OpenSlot]
    _held: Any

    @classmethod
    def of(cls, value: Any, slot: OpenSlot, *, choice: str = "", is_default: bool = False) -> OpenValue:
        """The node of a value that nothing has looked at yet."""
        node = cls.__new__(cls)
        node.slot, node.value_type, node.is_default, node.choice = slot, type(value), is_default, choice
        node.looked, node._held = set(), value
        return node

    def in_code(self, looked: set[OpenSlot]) -> OpenValue:
        """The value for one more place in code, which adds its slot to ``looked`` as soon as something looks."""
        node = copy.copy(self)
        node.looked = looked
        return node

    @property
    def kind_of_value(self) -> Any:
        """The type of the value, and the types in a tuple."""
        return kind_of(self._held)

    @property
    def value(self) -> Any:  # type: ignore[override]  # a node's value is an attribute; this one notes that it is read
        self.looked.add(self.slot)
        return self._held

    def token(self) -> OpenToken:
        """The value as it is written, where the slot stays known."""
        return OpenToken.of(self._held, self.slot)


class OpenToken(str):
    """The token of an :class:`OpenValue`, which is another one for another value in the same slot."""

    slot: OpenSlot

    @classmethod
    def of(cls, value: Any, slot: OpenSlot) -> OpenToken:
        token = cls(spelled(value))
        token.slot = slot
        return token


def kind_of(value: Any) -> Any:
    """The type of a constant, and the types in a tuple."""
    return tuple(map(kind_of, value)) if isinstance(value, tuple) else type(value)


def spelled(value: Any) -> str:
    """A constant as a token: its type and its value."""
    return f"{type(value).__name__}:{value!r}"


@dataclass(frozen=True)
class Private:
    """The name of an attribute that begins with an underscore.

    Attributes:
        name: the name as it is written.
        owner: the class that defines the attribute, or whose own object has it; ``None`` for an unknown object.
    """

    name: str
    owner: Unit | None = None


@dataclass(frozen=True)
class Caught:
    """The condition of what is done while an exception is made: it counts only if the trial goes on after it.

    Attributes:
        raised: the exception's class; ``None`` for an unknown one.
    """

    raised: Target | str | None


Condition = Target | Caught | str | None


@dataclass(frozen=True, eq=False)
class Payload:
    """Code that counts only on a condition.

    Attributes:
        condition: :data:`FIELD_ANNOTATION`, :data:`ANNOTATION`, :data:`DOCSTRING` or a kind of message, each of which
            counts only if something reads such a thing; for the arguments of an exception, the exception's class: they
            count only if a handler reads what it caught; :class:`Caught` for the calls among these arguments.
        piece: the code.
    """

    condition: Condition
    piece: Piece


Token = str | Bound | Whole | Private | Payload


@dataclass
class PieceFacts:
    """The facts about a piece of code that decide what counts in other pieces.

    Attributes:
        loads: the names of attributes that are read.
        stores: the names of attributes that are set on another object than ``self``.
        texts: the constant texts that look like a private name.
        computed_read: ``True`` if an attribute of an unknown object is read by a computed name.
        computed_self: the classes that read attributes of their own objects by computed names.
        computed_write: ``True`` if an attribute of an unknown object is set by a computed name.
        class_names: ``True`` if the name of a class is read.
        all_names: ``True`` if the names of functions or modules are read too.
        hints: ``True`` if annotations are read.
        all_hints: ``True`` if code outside the package that measures reads annotations.
        docs: ``True`` if docstrings are read.
        handlers: the exceptions whose content a handler reads; ``None`` stands for an unknown one.
        caught: the exceptions after which the code goes on; ``None`` stands for an unknown one.
        notes: sentences about the places, as ``file:line``, where it cannot be decided what counts.
        packages: the top-level packages outside this project that are used.
        modules: the project modules that are imported inside of functions.
        heard: the kinds of messages, such as warnings, that something reads.
        choices: the names of those choices of a component whose values are written into the piece.
    """

    loads: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    computed_read: bool = False
    computed_self: set[Unit] = field(default_factory=set)
    computed_write: bool = False
    class_names: bool = False
    all_names: bool = False
    hints: bool = False
    all_hints: bool = False
    docs: bool = False
    handlers: set[Target | str | None] = field(default_factory=set)
    caught: set[Target | str | None] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    modules: dict[str, None] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    choices: set[str] = field(default_factory=set)

    def add(self, other: PieceFacts) -> None:
        """Add the facts about another piece to these."""
        for name, facts in vars(self).items():
            value = getattr(other, name)
            if isinstance(facts, bool):
                setattr(self, name, facts or value)
            else:
                facts.update(value)


@dataclass
class Piece:
    """Code in its normal form."""

    tokens: list[Token] = field(default_factory=list)
    facts: PieceFacts = field(default_factory=PieceFacts)


@dataclass
class Text:
    """The normal form of a unit.

    Attributes:
        main: the code that always counts.
        methods: name of a private method of a class -> its code, which counts only if something uses the name.
        kept: the private names of methods that must stay as they are, because their spelling may be read.
    """

    main: Piece
    methods: dict[str, Piece] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reading:
    """The settings by which a piece of code is read.

    Attributes:
        project: the project whose definitions names lead to.
        plain: unit of a class of plain values -> its name; instances of the class are known by their fields.
        reports: the units of classes of progress reports, whose content does not count.
        observers: unit of a class of observers -> its name; a parameter that may hold one counts as ``None``.
    """

    project: Project
    plain: Mapping[Unit, str]
    reports: frozenset[Unit]
    observers: Mapping[Unit, str] = field(default_factory=dict)
