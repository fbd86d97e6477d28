"""The pieces of code in its normal form, and the facts about a piece that decide what counts in others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .source import Bound, Project, Target, Unit, Whole

ANNOTATION = "annotation of a field"


@dataclass(frozen=True)
class Private:
    """The name of an attribute that begins with an underscore.

    Attributes:
        name: the name as it is written.
        owner: the class whose own object it is an attribute of, or which defines it; ``None`` for any object.
    """

    name: str
    owner: Unit | None = None


@dataclass(frozen=True, eq=False)
class Payload:
    """Code that counts only on a condition.

    Attributes:
        raised: the class of an exception: its arguments count only where a handler reads what it caught.
            :data:`ANNOTATION`: the annotation of a field, which counts only where annotations are read.
        piece: the code.
    """

    raised: Target | str | None
    piece: Piece


Token = str | Bound | Whole | Private | Payload


@dataclass
class PieceFacts:
    """The facts about a piece of code that decide what counts in other pieces.

    Attributes:
        loads: names of attributes that are read.
        stores: names of attributes that are set on another object than ``self``.
        texts: constant texts that look like a private name.
        computed_read: an attribute of an unknown object is read by a computed name.
        computed_self: classes that read attributes of their own objects by computed names.
        computed_write: an attribute of an unknown object is set by a computed name.
        class_names: the name of a class is read.
        all_names: names of functions or modules are read too.
        hints: annotations are read.
        handlers: exceptions whose content a handler reads; ``None`` for one that cannot be told.
        notes: ``file:line`` and why it cannot be decided what counts.
        packages: top-level packages outside this project.
        modules: project modules that are imported inside of functions.
        choices: choices of a component whose values are written into the piece.
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
    handlers: set[Target | str | None] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    modules: dict[str, None] = field(default_factory=dict)
    choices: set[str] = field(default_factory=set)

    def add(self, other: PieceFacts) -> None:
        """Take in what is known about another piece."""
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
        methods: private methods of a class, which count where something names them.
        kept: private names of methods that must not be renamed.
    """

    main: Piece
    methods: dict[str, Piece] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reading:
    """The settings by which a piece of code is read.

    Attributes:
        project: the project whose definitions names lead to.
        plain: classes of plain values: instances are known by their fields.
        reports: classes of progress reports: their content does not count.
    """

    project: Project
    plain: Mapping[Unit, str]
    reports: frozenset[Unit]
