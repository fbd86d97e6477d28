"""The keys of many trials: which of them share a reading of the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..forms.pieces import kind_of, spelled
from ..key import Computation, Key, Keys
from ..known.logic import is_constant
from ..spelling import OpenSource, ReadSource
from .shape import Other, Shape
from .template import Template


class Made(NamedTuple):
    """A key, from which its contents can be made again.

    Attributes:
        text: the key.
        template: the template that it was made by.
        asked: the trial.
        is_read: ``True`` if the code was read for this very trial.
    """

    text: str
    template: Template
    asked: Computation
    is_read: bool

    def contents(self) -> Key:
        """The key with its contents."""
        return self.template.contents(self.asked)


class Templates:
    """Makes the keys of many trials, each equal to that of :meth:`.key.Keys.key`.

    Args:
        keys: makes the keys of single trials.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys, self.project = keys, keys.library.project
        self._recipes: dict[type, Any] = {}  # the first recipe of each class
        self._others: dict[tuple[str, int, type], tuple[Any, bool, Other | None]] = {}
        self._shapes: dict[tuple[int, int], Shape] = {}
        self._first_shapes: dict[Any, Shape] = {}
        self._families: dict[Any, _Family] = {}

    def key(self, asked: Computation) -> Made:
        """The key of a trial.

        Raises:
            ValueError: for a component whose source cannot be found.
        """
        shapes = [self._shape(variant, index) for index, variant in enumerate(asked.variants)]
        fixed, others = self._of_recipe(asked)
        for shape in shapes:
            others += shape.others
        setting = None if asked.setting is None else (asked.setting, repr(asked.setting))
        numbers = tuple(shape.first_number for shape in shapes)
        same_code = (
            asked.stage,
            asked.function,
            asked.processes,
            numbers,
            setting,
            tuple(asked.modules),
            asked.irrelevant,
            fixed,
        )
        family = self._families.setdefault(same_code, _Family())
        template = family.template(others)
        is_read = template is None
        if template is None:
            open_roles = frozenset(role for shape in shapes for role in shape.open_roles)
            first = {f"recipe.{name}": value for name, value in vars(self._first_recipe(asked)).items()}
            for shape in shapes:
                first |= shape.first
            template = Template.read(self.keys, asked, open_roles, others, first)
            family.add(template, others)
        return Made(template.key(asked, others), template, asked, is_read)

    def _first_recipe(self, asked: Computation) -> Any:
        return self._recipes.setdefault(type(asked.recipe), asked.recipe)

    def _of_recipe(self, asked: Computation) -> tuple[tuple[Any, ...], list[Other]]:
        """The values of a recipe that must be the same for the same code, and those that may be others and are."""
        first = vars(self._first_recipe(asked))
        fixed: list[Any] = [type(asked.recipe)]
        others: list[Other] = []
        for name, value in vars(asked.recipe).items():
            if value is first[name]:
                continue
            _, is_open, other = self._compared(name, value, first[name], type(asked.recipe))
            if other is None:
                continue
            if name in asked.irrelevant and is_constant(value) and is_constant(first[name]):
                continue
            if is_open:
                others.append(other)
            else:
                fixed.append((name, value, repr(value)))
        return tuple(fixed), others

    def _compared(self, name: str, value: Any, first: Any, kind: type) -> tuple[Any, bool, Other | None]:
        """A value, whether it may stand in a slot in place of the first one, and how it differs from that, if it does.

        The value is kept, so that its number stays its own.
        """
        known = (name, id(value), kind)
        if known not in self._others:
            is_open = is_constant(value) and kind_of(value) == kind_of(first)
            is_other = not is_open or spelled(value) != spelled(first)
            other = Other(f"recipe.{name}", value, spelled(value)) if is_other else None
            self._others[known] = value, is_open, other
        return self._others[known]

    def _shape(self, variant: Any, index: int) -> Shape:
        known = (id(variant), index)
        if known not in self._shapes:
            shape = Shape.of(variant, index, self.keys)
            first = self._first_shapes.setdefault((index, shape.skeleton), shape)
            shape.first_number = id(first)
            shape.first = first.values
            shape.others = [
                Other(place, value, spelled(value))
                for place, value in shape.values.items()
                if spelled(value) != spelled(first.values[place])
            ]
            self._shapes[known] = shape
        return self._shapes[known]


class _Family:
    """The templates of all trials that differ in the values of slots alone.

    Attributes:
        looked: the places at whose values one of the readings looked.
    """

    def __init__(self) -> None:
        self.looked: frozenset[str] = frozenset()
        self._read: list[tuple[Template, Sequence[Other]]] = []
        self._by_values: dict[tuple[tuple[str, str], ...], Template] = {}

    def template(self, others: Iterable[Other]) -> Template | None:
        """The template that was read with the same values wherever a reading looked; ``None`` if there is none."""
        return self._by_values.get(self._seen(others))

    def add(self, template: Template, others: Sequence[Other]) -> None:
        """Add a template that was read with these values."""
        self.looked |= template.looked
        self._read.append((template, others))
        self._by_values = {self._seen(values): read for read, values in self._read}

    def _seen(self, others: Iterable[Other]) -> tuple[tuple[str, str], ...]:
        return tuple((other.place, other.text) for other in others if other.place in self.looked)


class MadeKeys(Mapping[str, Key]):
    """The keys of many trials, whose contents are made when they are asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Made | Key] = {}

    def add(self, made: Made | Key) -> None:
        """Add a key, made by a template or by itself."""
        self._made[made.text] = made

    def __getitem__(self, text: str) -> Key:
        made = self._made[text]
        return made if isinstance(made, Key) else made.contents()

    @property
    def sources(self) -> list[OpenSource | ReadSource]:
        """The code of all trials, each only once for trials that differ in values alone."""
        sources = (made.source if isinstance(made, Key) else made.template.source for made in self._made.values())
        return list({id(source): source for source in sources}.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
