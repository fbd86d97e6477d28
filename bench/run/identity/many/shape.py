"""A variant, taken apart into what the code of a trial depends on and values that nothing may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ..forms.pieces import kind_of
from ..key import Keys
from ..known.logic import is_constant
from ..values import is_installed, is_part, side


class Other(NamedTuple):
    """A value that differs from that in the same place of the first trial.

    Attributes:
        place: ``recipe.FIELD``, or ``ROLE.CHOICE`` for the choice of a component.
        value: the value.
        text: the value as it is written into code.
    """

    place: str
    value: Any
    text: str


@dataclass
class Shape:
    """A variant, taken apart into what its code depends on and values that nothing may look at.

    Attributes:
        variant: the variant.
        skeleton: what must be the same for the same code, but for values in slots.
        values: place -> the value there.
        open_roles: the roles of components whose choices are open.
        first_number: the number of the first shape with the same skeleton.
        first: the values of that one.
        others: the values that differ from those.
    """

    variant: Any
    skeleton: tuple[Any, ...]
    values: dict[str, Any]
    open_roles: frozenset[str]
    first_number: int = 0
    first: Mapping[str, Any] = field(default_factory=dict)
    others: list[Other] = field(default_factory=list)

    @classmethod
    def of(cls, variant: Any, index: int, keys: Keys) -> Shape:
        skeleton: list[Any] = [type(variant)]
        values: dict[str, Any] = {}
        roles: list[str] = []
        for declared in fields(variant):
            value = getattr(variant, declared.name)
            items = value if isinstance(value, tuple) else (value,)
            for position, item in enumerate(items):
                role = f"{side(index)}{declared.name}{position if isinstance(value, tuple) else ''}"
                if not is_part(item) or is_installed(item, keys.library.project):
                    skeleton.append((role, type(value), item, repr(item)))
                    continue
                skeleton.append((role, item.cls))
                roles.append(role)
                root = keys.root(role, item)
                for name, chosen in item.choices:
                    if is_constant(chosen):
                        values[f"{role}.{name}"] = chosen
                        skeleton.append((name, kind_of(chosen), root.is_default(name)))
                    else:
                        skeleton.append((name, chosen, repr(chosen)))
        return cls(variant, tuple(skeleton), values, frozenset(roles))
