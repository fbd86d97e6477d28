"""The pieces of code in its normal form, and the facts about a piece that decide what counts in others."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

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
