"""Factors: the named axes of an ablation, and the change of each level to a Variant and a Recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.network.model import VARIANT_FIELDS, Variant
from bench.parts import BenchError, Part, nearest, shortened
from bench.protocol.columns import RESERVED
from bench.protocol.names import LONGEST_NAME, is_short
from bench.protocol.recipe import Recipe
from bench.study.cells import cell_name


class StudyError(BenchError, ValueError):
    """A study that contradicts itself. Most contradictions are raised when the study's file is imported."""


@dataclass(frozen=True)
class Choose:
    """Changed choices of the Part that a slot has already, or changed fields of the recipe. See :func:`choose`."""

    choices: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Adding:
    """Loss terms that are added to those that the variant has already. Make one with :func:`adding`."""

    losses: tuple[Part[Any], ...]


@dataclass(frozen=True)
class Change:
    """The fields that one level of a factor changes. Make one with :func:`change`."""

    fields: tuple[tuple[str, Any], ...] = ()


Changes = Sequence[tuple[str, Change]]
"""The changes that make a cell: each factor's name with the change of its level."""


def choose(**choices: Any) -> Choose:
    """Change some choices of the Part in a slot, or some fields of the recipe, and leave the others as they are."""
    return Choose(tuple(choices.items()))


def adding(*losses: Part[Any]) -> Adding:
    """Add loss terms to those that the variant has already."""
    return Adding(losses)


def change(**fields: Any) -> Change:
    """The change that a level makes: fields of :class:`~bench.network.model.Variant`, and ``recipe``.

    A slot takes a Part, ``None``, or :func:`choose`; ``losses`` takes a tuple of Parts or :func:`adding`; ``recipe``
    takes :func:`choose`. ``change()`` changes nothing.

    Raises:
        StudyError: for an unknown field, or a field whose value has the wrong form.
    """
    known = (*VARIANT_FIELDS, "recipe")
    for name, value in fields.items():
        if name not in known:
            raise StudyError(f"a level cannot change {name!r}; it can change {', '.join(known)}{nearest(name, known)}")
        if name == "recipe" and not isinstance(value, Choose):
            raise StudyError(f"recipe={value!r}: write recipe=choose(learning_rate=…)")
        if isinstance(value, Adding) and name != "losses":
            raise StudyError(f"{name}=adding(…): adding() is for losses; a slot takes a Part, None or choose(…)")
    return Change(tuple(fields.items()))


@dataclass(frozen=True)
class Factor:
    """A named axis of the ablation.

    Attributes:
        name: the name of the factor.
        levels: level -> the change that it makes; at least two levels.
        about: the fields that the factor is meant to change: slots, ``losses``, ``recipe``. Any other change is a
            confound, and reports say so. ``None`` stands for the only field that the levels change; if they change
            several, name those that are meant.
        against: level -> another level that it is compared with, besides the baseline's level: a control (attention
            against attention whose weight is frozen at 0), or the step before (image gradients against gates alone).
        within: levels of other factors at which alone this one exists, such as ``{"attention": "on"}`` for the kind of
            attention. Everywhere else it stays at the baseline's level.
    """

    name: str
    levels: Mapping[str, Change]
    about: tuple[str, ...] | None = None
    against: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, str] = field(default_factory=dict)

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of all fields that the levels change, in the order of the levels."""
        return tuple(dict.fromkeys(name for level in self.levels.values() for name, _ in level.fields))

    @property
    def subject(self) -> tuple[str, ...]:
        """:attr:`about` if it is given, else the only field that the levels change; empty if they change several."""
        return self.about if self.about is not None else self.touched if len(self.touched) == 1 else ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name in RESERVED:
            raise StudyError(
                f"factor {shortened(self.name)}: a name is a Python identifier and none of "
                f"{', '.join(sorted(RESERVED))}"
            )
        if not is_short(self.name):
            raise StudyError(f"factor {shortened(self.name)}: a name has {LONGEST_NAME} bytes at most")
        if not all(isinstance(given, Mapping) for given in (self.levels, self.against, self.within)):
            raise StudyError(f"factor {self.name!r}: levels, against and within are dicts, such as {{'off': change()}}")
        if self.name in self.within:
            raise StudyError(f"factor {self.name!r}, within: a factor cannot be nested in itself")
        if not isinstance(self.about, tuple | None):
            raise StudyError(f"factor {self.name!r}: about={self.about!r}: expected a tuple, such as ('neck',)")
        if len(self.levels) < 2:
            raise StudyError(f"factor {self.name!r} has levels {list(self.levels)}; a comparison needs at least two")
        for level, level_change in self.levels.items():
            if not isinstance(level_change, Change):
                raise StudyError(f"factor {self.name!r}, level {level!r}: expected change(…), got {level_change!r}")
            if not isinstance(level, str) or not level or not level.isprintable() or set(level) & set("=,/\\ "):
                raise StudyError(
                    f"factor {self.name!r}, level {shortened(level)}: a level is a word without '=', ',', '/', '\\', "
                    "space"
                )
            if not is_short(level):
                raise StudyError(
                    f"factor {self.name!r}, level {shortened(level)}: a level has {LONGEST_NAME} bytes at most"
                )
        for pair in self.against.items():
            for level in pair:
                if level not in self.levels:
                    raise StudyError(
                        f"factor {self.name!r}, against: no level {level!r}; it has "
                        f"{', '.join(self.levels)}{nearest(level, self.levels)}"
                    )
            if len(set(pair)) == 1:
                raise StudyError(f"factor {self.name!r}, against: level {pair[0]!r} stands against itself")
            if self.against.get(pair[1]) == pair[0]:
                raise StudyError(
                    f"factor {self.name!r}, against: {pair[0]!r} and {pair[1]!r} are there both ways round"
                )
        for changed in self.about or ():
            if changed not in self.touched:
                raise StudyError(
                    f"factor {self.name!r} is about {changed!r}, which no level changes; "
                    f"they change {', '.join(self.touched) or 'nothing'}{nearest(changed, self.touched)}"
                )


def have(levels: Mapping[str, str], some: Mapping[str, str]) -> bool:
    """True if a combination of levels has some levels, each of its factor."""
    return all(levels[factor] == level for factor, level in some.items())


def apply(base: Variant, recipe: Recipe, changes: Changes) -> tuple[Variant, Recipe]:
    """The variant and the recipe of one cell: the base, with the change of each factor's level.

    Args:
        base: the network before any factor changes it.
        recipe: the recipe before any factor changes it.
        changes: each factor's name with the change of its level.

    Raises:
        StudyError: if two factors set the same field or choice, or if a slot has no Part whose choices could change.
    """
    return _changed_network(base, changes), _changed_recipe(recipe, changes)


def _changed_network(base: Variant, changes: Changes) -> Variant:
    """The network of one cell.

    New Parts are put in first, then choices are changed, then losses are added, so that the result does not depend on
    the order of the factors.
    """
    steps = [(factor, name, value) for factor, level in changes for name, value in level.fields if name != "recipe"]
    set_by: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for factor, name, value in steps:
        if isinstance(value, (Choose, Adding)):
            continue
        _claim(set_by, name, factor)
        fields[name] = value
    variant = replace(base, **fields) if fields else base
    for factor, name, value in steps:
        if not isinstance(value, Choose):
            continue
        for choice, _ in value.choices:
            _claim(set_by, f"{name}.{choice}", factor)
        part = getattr(variant, name)
        if not isinstance(part, Part):
            raise StudyError(f"factor {factor!r} changes choices of {name}, which is {part!r} here; exclude that cell")
        chosen: dict[str, Any] = {name: part.having(**dict(value.choices))}
        variant = replace(variant, **chosen)
    added = tuple(loss for _, _, value in steps if isinstance(value, Adding) for loss in value.losses)
    return replace(variant, losses=variant.losses + added) if added else variant


def _changed_recipe(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe of one cell: fields are set first, then choices of a field's Part are changed."""
    steps = [
        (factor, name, value)
        for factor, level in changes
        for slot, chosen in level.fields
        if slot == "recipe"
        for name, value in chosen.choices
    ]
    set_by: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for factor, name, value in steps:
        if not isinstance(value, Choose):
            _claim(set_by, f"recipe.{name}", factor)
            fields[name] = value
    recipe = recipe.having(**fields)
    for factor, name, value in steps:
        if isinstance(value, Choose):
            recipe = recipe.having(**{name: _chosen_part(set_by, factor, recipe, name, value)})
    return recipe


def composed(
    base: Variant, recipe: Recipe, factors: Sequence[Factor], combinations: Iterable[Mapping[str, str]]
) -> Iterator[tuple[Mapping[str, str], Variant, Recipe]]:
    """Yield each combination of levels with its variant and recipe, as :func:`apply` makes them.

    Cells with the same levels of all factors that change the network share one variant, and likewise one recipe.

    Args:
        base: the network before any factor changes it.
        recipe: the recipe before any factor changes it.
        factors: the factors.
        combinations: the combinations of levels, factor -> level.

    Raises:
        StudyError: for a cell that cannot be composed, which it names.
    """
    of_network, of_recipe = _only(factors, of_recipe=False), _only(factors, of_recipe=True)
    variants: dict[tuple[str, ...], Variant] = {}
    recipes: dict[tuple[str, ...], Recipe] = {}
    for levels in combinations:
        network = tuple([levels[factor.name] for factor in of_network])
        trained = tuple([levels[factor.name] for factor in of_recipe])
        try:
            if network not in variants:
                variants[network] = _changed_network(base, _changes(factors, levels))
            if trained not in recipes:
                recipes[trained] = _changed_recipe(recipe, _changes(factors, levels))
        except (BenchError, TypeError) as error:
            raise StudyError(f"cell {cell_name(levels)}: {error}") from error
        yield levels, variants[network], recipes[trained]


def _changes(factors: Sequence[Factor], levels: Mapping[str, str]) -> Changes:
    """Each factor's name with the change of its level."""
    return [(factor.name, factor.levels[levels[factor.name]]) for factor in factors]


def _only(factors: Sequence[Factor], *, of_recipe: bool) -> list[Factor]:
    """The factors that change the recipe, or the network."""
    return [factor for factor in factors if any((name == "recipe") is of_recipe for name in factor.touched)]


def _chosen_part(set_by: dict[str, str], factor: str, recipe: Recipe, field: str, chosen: Choose) -> Part[Any]:
    """The Part in a field of the recipe, the data set, with the choices that a factor changes.

    Raises:
        StudyError: if two factors change the same choice, or if the field holds no Part.
    """
    for choice, _ in chosen.choices:
        _claim(set_by, f"recipe.{field}.{choice}", factor)
    current = getattr(recipe, field, None)
    if not isinstance(current, Part):
        raise StudyError(f"factor {factor!r}: {field}=choose(…) is for the recipe's data set; give {field} a value")
    return current.having(**dict(chosen.choices))


def _claim(set_by: dict[str, str], name: str, factor: str) -> None:
    other = set_by.setdefault(name, factor)
    if other != factor:
        raise StudyError(f"factors {other!r} and {factor!r} both set {name}; make them one factor, or use choose(…)")
