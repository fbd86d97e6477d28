"""The code of trials, read from the functions and classes that they start from."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .definitions.targets import Bound, Unit
from .forms.pieces import OpenSlot, PieceFacts, Token
from .known.attributes import constant_attributes
from .known.folding import Fields
from .library import Library, Root
from .spelling import OpenSource, ReadSource, Spelling, digest
from .walk import Attributes, Walk


@dataclass(frozen=True)
class Proof:
    """Two functions that were shown to compute the same: a plain one, and one that is run because it is faster.

    A key reads the plain one in place of the other, as long as the other's own code is that of the proof.

    Attributes:
        run: the function that is run.
        plain: the function that defines what is computed.
        digest: the digest of the code that only ``run`` reaches, from :meth:`Reader.own_code`, when it was shown.
    """

    run: Callable[..., Any]
    plain: Callable[..., Any]
    digest: str


class Reader:
    """Reads the code of trials.

    Args:
        library: the normal forms of definitions.
        proofs: the functions in whose place others are read.
    """

    def __init__(self, library: Library, proofs: Iterable[Proof] = ()) -> None:
        self.library = library
        self._proofs = tuple(proofs)

    @cached_property
    def plain_form(self) -> Mapping[Unit, Bound]:
        """Function that is run -> the plain form that is read in its place, for the proofs that hold."""
        forms = {}
        for proof in self._proofs:
            if self.own_code(proof) == proof.digest:
                unit = self.library.unit_of(proof.plain)
                forms[self.library.unit_of(proof.run)] = Bound(unit, unit.names[0])
        return forms

    def own_code(self, proof: Proof) -> str:
        """The digest of the code that a proof's function which is run reaches, and that its plain form does not."""
        run, plain = (self._reached(self.library.unit_of(function)) for function in (proof.run, proof.plain))
        own = [tokens for unit, tokens in run.items() if unit not in plain]
        return digest(sorted(digest([self._unplaced(token) for token in tokens]) for tokens in own))

    def _unplaced(self, token: Token) -> str:
        """A token as text in which a definition is known by its own code, whatever its name and wherever it lies."""
        if isinstance(token, Bound):
            tokens = self.library.node(token.unit, {}).text.main.tokens
            return f"R{digest([part for part in tokens if isinstance(part, str)])}"
        return token if isinstance(token, str) else f"{type(token).__name__} {getattr(token, 'name', '')}"

    def _reached(self, unit: Unit) -> dict[Unit, list[Token]]:
        """The definitions that a function reaches, with their code."""
        walk = Walk(self.library, {}, (), [Root("function", unit)], {}, {}, plain_form={})
        tokens: dict[Unit, list[Token]] = {}
        for _, number, piece in walk.emitted:
            if number is not None:
                tokens.setdefault(walk.nodes[number].unit, []).extend(walk.counting(piece.tokens))
        return tokens

    def read(self, roots: Sequence[Root], fields: Fields, modules: Sequence[str]) -> ReadSource:
        """The code that is reached from ``roots``.

        Args:
            roots: the roots in a fixed order.
            fields: known values of the plain classes that the trial is given instances of.
            modules: modules that are imported whatever is reached, such as the study's own.
        """

        return self._spelled(self.library, roots, fields, modules).source()

    def read_open(
        self, roots: Sequence[Root], fields: Fields, modules: Sequence[str]
    ) -> tuple[OpenSource, frozenset[OpenSlot]]:
        """The code that is reached from ``roots``, whose choices and fields hold open values; see :meth:`read`.

        It comes with the slots whose values were looked at: with other values there, it may be other code.
        """
        while True:
            library, reading = self.library.opened(fields, roots)
            source = self._spelled(library, roots, fields, modules).open_source()
            if reading.holds:
                return source, reading.looked

    def _spelled(self, library: Library, roots: Sequence[Root], fields: Fields, modules: Sequence[str]) -> Spelling:
        def walk(attributes: Attributes, unread: Mapping[int, set[str]]) -> Walk:
            return Walk(library, fields, modules, roots, attributes, unread, plain_form=self.plain_form)

        facts = walk({}, {}).facts
        attributes = {index: self._attributes(library, root, fields, facts) for index, root in enumerate(roots)}
        unread = walk(attributes, {}).unread(attributes)
        return Spelling(walk(attributes, unread))

    def _attributes(self, library: Library, root: Root, fields: Fields, facts: PieceFacts) -> dict[str, ast.Constant]:
        if root.choices is None or not isinstance(root.unit.single, ast.ClassDef) or facts.computed_write:
            return {}
        unit, _ = library.folded(root.unit, fields, root.choices)
        node = unit.statements[0]
        assert isinstance(node, ast.ClassDef)
        constants = constant_attributes(library.project, node, unit.module)
        return {name: value for name, value in constants.items() if name not in facts.stores}
