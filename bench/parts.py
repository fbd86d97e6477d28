"""Levels and Parts: the descriptions from which a network is put together, before any of it is built.

A component is an ``nn.Module`` whose constructor follows one rule: **positional parameters are facts** derived from
its neighbours (``levels``, ``num_classes``), **keyword-only parameters with defaults are choices** that a study may
vary. The signature is the configuration schema, so that no component is registered or declared twice:

>>> part(JPU, width=256)
JPU(width=256, dilations=(1, 2, 4, 8))
"""

from __future__ import annotations

import difflib
import inspect
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

T = TypeVar("T")


class BenchError(Exception):
    """A user's mistake. The message says what is wrong and how to mend it; the command line shows no traceback."""


class ChoiceError(BenchError, ValueError):
    """A choice that a component does not have, or a value that the choice does not allow."""


@dataclass(frozen=True)
class Level:
    """The number of channels and the output stride of one feature map.

    At stride ``s``, the map of an H x W image has ``ceil(H / s)`` x ``ceil(W / s)`` values. No code may assume that the
    size of an image is divisible by the stride.
    """

    channels: int
    stride: int

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The height and width of this level's map for an image of ``height`` x ``width`` pixels."""
        return math.ceil(height / self.stride), math.ceil(width / self.stride)


Levels = tuple[Level, ...]


@dataclass(frozen=True)
class Range:
    """The bounds of a number, for ``Annotated[float, Range(0, 1)]``; ``None`` leaves that side open."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None

    def allows(self, value: float) -> bool:
        return (
            (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.gt is None or value > self.gt)
        )

    def __str__(self) -> str:
        bounds = (("≥", self.ge), (">", self.gt), ("≤", self.le))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


Count = Annotated[int, Range(ge=1)]
"""A whole number of things, at least one."""

Fraction = Annotated[float, Range(ge=0, le=1)]
"""A share between 0 and 1, ends included."""

NonNegative = Annotated[float, Range(ge=0)]
"""A finite number that is not below zero."""

Positive = Annotated[float, Range(gt=0)]
"""A finite number above zero."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """A component's class with its choices bound, not yet built. Make one with :func:`part`.

    Attributes:
        cls: the component's class.
        choices: all choices with their values, in the order of the signature. Defaults are filled in, so that a record
            shows the value that was used even after a default changes.
    """

    cls: type[T]
    choices: tuple[tuple[str, Any], ...]

    def build(self, *facts: Any) -> T:
        """Build the component from the facts that its neighbours determine."""
        return self.cls(*facts, **dict(self.choices))

    def having(self, **changes: Any) -> Part[T]:
        """The same component with some choices changed.

        Raises:
            ChoiceError: for an unknown choice or a value that is not allowed.
        """
        return part(self.cls, **{**dict(self.choices), **changes})

    def __getitem__(self, choice: str) -> Any:
        return dict(self.choices)[choice]

    def __repr__(self) -> str:
        return f"{self.cls.__name__}({', '.join(f'{name}={_show(value)}' for name, value in self.choices)})"

    def describe(self) -> dict[str, Any]:
        """The Part as JSON-ready data: the qualified name of its class and all its choices."""
        return {
            "class": f"{self.cls.__module__}.{self.cls.__qualname__}",
            "choices": {name: plain(value) for name, value in self.choices},
        }


def part(cls: type[T], /, **choices: Any) -> Part[T]:
    """Bind choices to a component's class, and check them against its signature.

    Raises:
        ChoiceError: if the class does not have one of the choices, if a choice without a default is missing, or if a
            value does not fit its annotation.
        TypeError: if the signature cannot serve as a schema because it has ``*args`` or ``**kwargs``.
    """
    schema = choices_of(cls)
    owner = cls.__name__
    for name in choices:
        if name not in schema:
            raise ChoiceError(_unknown_choice(owner, name, schema))
    bound = []
    for name, (annotation, default) in schema.items():
        value = choices.get(name, default)
        if value is inspect.Parameter.empty:
            raise ChoiceError(f"{owner} needs the choice {name!r}: {owner}({name}=…)")
        problem = mismatch(value, annotation)
        if problem:
            raise ChoiceError(f"{owner}({name}={_show(value)}): {problem}")
        bound.append((name, float(value) if _wants_float(annotation) and isinstance(value, int) else value))
    return Part(cls, tuple(bound))


def choices_of(cls: type) -> Mapping[str, tuple[Any, Any]]:
    """The choices of a component, as name -> (annotation, default), in the order of the signature.

    Those of an optimiser are all of its parameters with a default but :data:`OF_THE_RECIPE`.
    """
    parameters = inspect.signature(cls).parameters.values()
    hints = typing.get_type_hints(inspect.getattr_static(cls, "__init__"), include_extras=True)
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise TypeError(
                f"{cls.__name__} takes *{parameter.name}: a component names its choices as keyword-only parameters, "
                "so that a misspelt one is caught"
            )
    if _is_optimiser(cls):
        chosen = [p for p in parameters if p.default is not p.empty and p.name not in OF_THE_RECIPE]
    else:
        chosen = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return types.MappingProxyType({p.name: (hints.get(p.name, Any), p.default) for p in chosen})


OF_THE_RECIPE = ("lr", "weight_decay")
"""Settings of an optimiser that a recipe has fields of its own for."""


def _is_optimiser(cls: type) -> bool:
    """True for an optimiser of torch, or of the same form, whose settings are all of its parameters with a default."""
    return any(base.__module__ == "torch.optim.optimizer" and base.__name__ == "Optimizer" for base in cls.__mro__)


def mismatch(value: Any, annotation: Any) -> str | None:
    """The reason why ``value`` does not fit ``annotation``, as "expected …, got …"; ``None`` if it fits."""
    return None if _fits(value, annotation) else f"expected {_spell(annotation)}, got {_show(value)}"


def plain(value: Any) -> Any:
    """A choice as JSON-ready data; Parts become :meth:`Part.describe`, tuples become lists."""
    if isinstance(value, Part):
        return value.describe()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is closest to a misspelt one, `` (did you mean 'x'?)``, or an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _unknown_choice(owner: str, name: str, schema: Mapping[str, Any]) -> str:
    known = ", ".join(repr(choice) for choice in sorted(schema)) or "no choices"
    return f"{owner} has no choice {name!r}; it has {known}{nearest(name, schema)}"


def _show(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)


def _fits(value: Any, annotation: Any) -> bool:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return _is_frozen(value)
    if origin is Annotated:
        bounds = [extra for extra in args[1:] if isinstance(extra, Range)]
        return _fits(value, args[0]) and (value is None or all(bound.allows(value) for bound in bounds))
    if origin is Literal:
        return any(value == allowed and type(value) is type(allowed) for allowed in args)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(_fits(item, args[0]) for item in value)
        return len(value) == len(args) and all(
            _fits(item, annotation) for item, annotation in zip(value, args, strict=True)
        )
    if origin is Part or annotation is Part:
        return isinstance(value, Part)
    if annotation in (None, type(None)):
        return value is None
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(annotation, type) and isinstance(value, annotation) and _is_frozen(value)


def _wants_float(annotation: Any) -> bool:
    """True if a choice is a float, so that ``1`` is stored as ``1.0``: equal choices must print and hash alike."""
    return annotation is float or (
        typing.get_origin(annotation) is Annotated and typing.get_args(annotation)[0] is float
    )


def _is_frozen(value: Any) -> bool:
    """True if a value is hashable. Only such a value can be a choice, because a Part must be hashable too."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _spell(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return "a hashable value (a tuple, not a list)"
    if origin is Annotated:
        bounds = " and ".join(str(extra) for extra in args[1:] if isinstance(extra, Range))
        return f"{_spell(args[0])} {bounds}".strip()
    if origin is Literal:
        return "one of " + ", ".join(repr(allowed) for allowed in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spell(option) for option in args)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return f"a tuple of {_spell(args[0])}"
        return f"a tuple ({', '.join(_spell(annotation) for annotation in args)})"
    if annotation in (None, type(None)):
        return "None"
    return getattr(annotation, "__name__", str(annotation))
