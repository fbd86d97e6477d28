"""Levels and Parts: the descriptions from which a network is put together, before any of it is built.

A component is an ``nn.Module`` whose constructor follows one rule: **positional parameters are facts** derived from
its neighbours (``levels``, ``num_classes``), **keyword-only parameters with defaults are choices** that a study may
vary. The signature is the configuration schema, so that no component is registered or declared twice:

>>> part(JPU, width=256)
JPU(width=256, dilations=(1, 2, 4, 8))
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
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
            value does not fit its annotation or is none that a record could name.
        TypeError: if the signature cannot serve as a schema because it has ``*args`` or ``**kwargs``.
    """
    schema = choices_of(cls)
    owner = cls.__name__
    for name in choices:
        if name not in schema:
            raise ChoiceError(_unknown_choice(cls, name, schema))
    bound = []
    for name, (annotation, default) in schema.items():
        value = _python_number(choices.get(name, default))
        if value is inspect.Parameter.empty:
            raise ChoiceError(f"{owner} needs the choice {name!r}: {owner}({name}=…)")
        problem = _problem(value, annotation)
        if problem:
            raise ChoiceError(f"{owner}({name}={shortened(value)}): {problem}")
        bound.append((name, float(value) if _wants_float(annotation) and isinstance(value, int) else value))
    return Part(cls, tuple(bound))


def _problem(value: Any, annotation: Any) -> str | None:
    """The reason why a value cannot be a choice: it does not fit the annotation, or no record could name it."""
    unfit, why = mismatch(value, annotation), unrecordable(value)
    if unfit and why and isinstance(value, (list, set, frozenset, dict)):
        declared = typing.get_origin(annotation) or annotation
        return why if _is_instance(value, declared) else unfit
    return unfit or why


def choices_of(cls: type) -> Mapping[str, tuple[Any, Any]]:
    """The choices of a component, as name -> (annotation, default), in the order of the signature.

    Those of an optimiser are all of its parameters with a default but :data:`OF_THE_RECIPE`.
    """
    parameters = inspect.signature(cls).parameters.values()
    hints = _hints(inspect.getattr_static(cls, "__init__"))
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
    if _fits(value, annotation):
        return None
    finite = "finite " * (isinstance(value, float) and not math.isfinite(value))
    return f"expected {finite}{_spell(annotation)}, got {shortened(value)}"


LARGEST_INT = 2**63
"""The bound of whole numbers, which other programs that read a record have too."""


def plain(value: Any) -> Any:
    """A choice as JSON-ready data.

    Parts become :meth:`Part.describe`, and tuples lists. A class, a function, a member of an enumeration and a type of
    torch become their qualified names, a path its text, and a dataclass its class with its fields.
    """
    if isinstance(value, Part):
        return value.describe()
    if isinstance(value, enum.Enum):
        return f"{qualified_name(type(value))}.{value.name}"
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": qualified_name(type(value)), "choices": fields}
    if _is_word_of_torch(value):
        return str(value)
    return qualified_name(value) or value


def unrecordable(value: Any) -> str | None:
    """The reason why a value cannot be a choice, with the remedy; ``None`` if a record can name it by its value.

    A choice is compared, kept in records and told from others in another process, so it must be hashable and print
    alike everywhere.
    """
    if isinstance(value, (list, set, frozenset, dict)):
        return f"a {type(value).__name__} has no place in a record; declare the choice as a tuple, and give one"
    if isinstance(value, tuple):
        return next((problem for item in value if (problem := unrecordable(item))), None)
    if isinstance(value, float) and not math.isfinite(value):
        return "expected a finite number; let None stand for no limit"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "expected a text that can be written as UTF-8"
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, Part)):
        if not _is_frozen(value) or not qualified_name(type(value)):
            return "declare its class at the top of a module, with @dataclass(frozen=True)"
        fields = (getattr(value, field.name) for field in dataclasses.fields(value))
        return next((problem for item in fields if (problem := unrecordable(item))), None)
    if isinstance(value, (Part, str, bool, int, float, PurePath, type(None))) or _is_word_of_torch(value):
        return None
    if isinstance(value, enum.Enum):
        return None if qualified_name(type(value)) else "declare the enumeration at the top of a module"
    if isinstance(value, type) or callable(value):
        return None if qualified_name(value) else "expected a class or a function with a name, from the top of a module"
    return (
        "expected a number, a text, a path, a class, a function, a member of an enumeration, a Part, None, or a tuple "
        "or frozen dataclass of these"
    )


def qualified_name(value: Any) -> str | None:
    """The name under which another process finds a class or a function, ``module.Class``; ``None`` if there is none.

    A class or function of the module that is being imported has its name already.
    """
    name, module = getattr(value, "__qualname__", None), getattr(value, "__module__", None)
    if not isinstance(name, str) or isinstance(value, types.MethodType) or "<" in name:
        return None
    if isinstance(module, str) and (isinstance(value, (type, types.FunctionType)) or _finds(module, name, value)):
        return f"{module}.{name}"
    short = name.rpartition(".")[2]  # torch.relu is '_VariableFunctionsClass.relu' of no module
    return next((f"{place}.{short}" for place in _PLACES if _finds(place, short, value)), None)


_PLACES = ("torch", "torch.nn.functional", "numpy", "builtins")
"""Modules that give functions of other, hidden modules their names."""


def _finds(module: str, name: str, value: Any) -> bool:
    item: Any = sys.modules.get(module)
    for step in name.split("."):
        item = getattr(item, step, None)
    return item is value


def _is_word_of_torch(value: Any) -> bool:
    """True for a dtype, a device, a layout or a memory format of torch, which print as their names."""
    kind = type(value)
    return kind.__module__ == "torch" and kind.__name__ in ("dtype", "device", "layout", "memory_format")


def _python_number(value: Any) -> Any:
    """The value, or the Python number, truth or text that a scalar of numpy stands for, in tuples too."""
    if type(value) is tuple:
        return tuple(map(_python_number, value))
    numpy_scalar = any(base.__module__ == "numpy" and base.__name__ == "generic" for base in type(value).__mro__)
    return value.item() if numpy_scalar else value


def _hints(constructor: Any) -> dict[str, Any]:
    """The annotations of a constructor. One that names nothing at run time, but for a type checker, is left out."""
    try:
        return typing.get_type_hints(constructor, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        hints: dict[str, Any] = {}
    for name, annotation in getattr(constructor, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(holder, getattr(constructor, "__globals__", {}), include_extras=True)
        except (NameError, AttributeError, TypeError, SyntaxError):
            continue
    return hints


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is closest to a misspelt one, `` (did you mean 'x'?)``, or an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _unknown_choice(cls: type, name: str, schema: Mapping[str, Any]) -> str:
    known = ", ".join(repr(choice) for choice in sorted(schema)) or "no choices"
    hint = nearest(name, schema)
    if name in inspect.signature(cls).parameters and name not in schema and not _is_optimiser(cls):
        hint = (
            f"; to make a choice of {name}, write it after a * in the constructor: def __init__(self, …, *, {name}=…)"
        )
    return f"{cls.__name__} has no choice {name!r}; it has {known}{hint}"


def _show(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (type, types.FunctionType)):
        return value.__name__
    if isinstance(value, int) and abs(value) >= LARGEST_INT:
        return f"a number of {value.bit_length()} bits"
    return f"({', '.join(map(_show, value))}{',' * (len(value) == 1)})" if type(value) is tuple else repr(value)


MOST_SHOWN = 80
"""The characters of a value that a message shows."""


def shortened(value: Any) -> str:
    """A value as a message shows it, cut after :data:`MOST_SHOWN` characters."""
    text = _show(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


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
    if annotation in _SEQUENCES or origin in _SEQUENCES:
        return isinstance(value, tuple) and all(_fits(item, args[0]) for item in value if args)
    if annotation is type or origin is type:
        return isinstance(value, type) and (not args or _is_subclass(value, args[0]))
    if annotation in _CALLABLES or origin in _CALLABLES:
        return callable(value)
    if annotation in (None, type(None)):
        return value is None
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST_INT
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(annotation, (TypeVar, typing.NewType)):
        return _fits(
            value, annotation.__bound__ or Any if isinstance(annotation, TypeVar) else annotation.__supertype__
        )
    return _is_instance(value, annotation if origin is None else origin) and _is_frozen(value)


_SEQUENCES = (Sequence, Collection, Iterable, typing.Sequence, typing.Collection, typing.Iterable)
"""Annotations that a tuple fits."""

_CALLABLES = (Callable, typing.Callable)


def _is_subclass(value: type, annotation: Any) -> bool:
    """True if ``type[annotation]`` allows a class; what cannot be decided at run time is allowed."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_is_subclass(value, option) for option in typing.get_args(annotation))
    try:
        return not isinstance(annotation, type) or issubclass(value, annotation)
    except TypeError:  # a protocol without run-time checks
        return True


def _is_instance(value: Any, annotation: Any) -> bool:
    try:
        return not isinstance(annotation, type) or isinstance(value, annotation)
    except TypeError:  # a protocol without run-time checks
        return True


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
        return "a hashable value (a tuple, not a list; a frozen dataclass)"
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
