"""The keys of many trials: which of them share a reading of the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..forms.pieces import kind_of, spelled
from ..key import Computation, Key, Keys
from ..known.logic import is_constant
from ..spelling import OpenSource
from .shape import Other, Shape
from .template import Template


class Made:
    """The key of one of many trials. Its text is made when it is first asked for, and its contents whenever they are.

    Attributes:
        template: the template that makes it.
        asked: the trial.
        is_read: ``True`` if the code was read for this very trial.
    """

    __slots__ = ("_others", "_text", "asked", "is_read", "template")

    def __init__(self, template: Template, asked: Computation, others: Sequence[Other], *, is_read: bool) -> None:
        self.template, self.asked, self.is_read = template, asked, is_read
        self._others = others
        self._text = ""

    @property
    def text(self) -> str:
        """The key."""
        if not self._text:
            self._text = self.template.key(self.asked, self._others)
        return self._text

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
        self._of_recipes: dict[tuple[int, frozenset[str]], _OfRecipe] = {}
        self._shapes: dict[tuple[int, int], Shape] = {}
        self._first_shapes: dict[Any, Shape] = {}
        self._families: dict[Any, _Family] = {}

    def key(self, asked: Computation) -> Made:
        """The key of a trial.

        Raises:
            ValueError: for a component whose source cannot be found.
        """
        shapes = [self._shape(variant, index) for index, variant in enumerate(asked.variants)]
        of_recipe = self._of_recipe(asked)
        others = [*of_recipe.others, *(other for shape in shapes for other in shape.others)]
        setting = None if asked.setting is None else (asked.setting, repr(asked.setting))
        numbers = tuple(shape.first_number for shape in shapes)
        same_code = (
            asked.stage,
            asked.function,
            asked.processes,
            numbers,
            setting,
            repr(asked.made),
            tuple(asked.modules),
            asked.irrelevant,
            of_recipe.fixed,
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
        return Made(template, asked, others, is_read=is_read)

    def _first_recipe(self, asked: Computation) -> Any:
        return self._recipes.setdefault(type(asked.recipe), asked.recipe)

    def _of_recipe(self, asked: Computation) -> _OfRecipe:
        known = (id(asked.recipe), asked.irrelevant)
        if known not in self._of_recipes:
            self._of_recipes[known] = self._compared_with_first(asked)
        return self._of_recipes[known]

    def _compared_with_first(self, asked: Computation) -> _OfRecipe:
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
        return _OfRecipe(asked.recipe, tuple(fixed), others)

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


class _OfRecipe(NamedTuple):
    """The part of a trial's key that its recipe makes, which many trials share.

    Attributes:
        recipe: the recipe, which is kept so that its number stays its own.
        fixed: the values that must be the same for the same code.
        others: the values that may be others, and are.
    """

    recipe: Any
    fixed: tuple[Any, ...]
    others: Sequence[Other]


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
    """The keys of many trials, whose texts and contents are made when they are asked for."""

    def __init__(self) -> None:
        self._added: list[Made] = []
        self._by_text: dict[str, Made] = {}
        self._sources: dict[int, OpenSource] = {}

    def add(self, made: Made) -> None:
        """Add the key of one more trial."""
        self._added.append(made)
        source = made.template.source
        self._sources.setdefault(id(source), source)

    def __getitem__(self, text: str) -> Key:
        return self._made()[text].contents()

    def __contains__(self, text: object) -> bool:
        return text in self._made()

    @property
    def sources(self) -> list[OpenSource]:
        """The code of all trials, each only once for trials that differ in values alone."""
        return list(self._sources.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def _made(self) -> Mapping[str, Made]:
        """Key -> what makes its contents; the texts of keys that were added since the last call are made now."""
        self._by_text |= {made.text: made for made in self._added}
        self._added = []
        return self._by_text
