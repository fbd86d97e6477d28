"""Parts: the signature is the schema, and what does not fit it is refused with got / allowed / remedy."""

import enum
import functools
import json
import math
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pytest
import torch
from torch import nn

from bench.parts import BenchError, ChoiceError, Count, Fraction, Level, Part, part

if TYPE_CHECKING:
    from decimal import Decimal


class Neck(nn.Module):
    def __init__(
        self,
        levels: tuple[Level, ...],
        *,
        width: Count = 512,
        dilations: tuple[Count, ...] = (1, 2),
        mode: Literal["near", "far"] = "near",
        dropout: Fraction = 0.1,
        on: bool = True,
        inner: Part[Any] | None = None,
    ) -> None:
        super().__init__()
        self.facts, self.width = levels, width


class Needy(nn.Module):
    def __init__(self, *, width: Count) -> None:
        super().__init__()


class Loose(nn.Module):
    def __init__(self, **anything: int) -> None:
        super().__init__()


def test_defaults_are_filled_in_so_that_a_record_shows_the_value_used() -> None:
    bound = part(Neck, width=256)
    assert repr(bound) == ("Neck(width=256, dilations=(1, 2), mode='near', dropout=0.1, on=True, inner=None)")
    assert bound.describe()["choices"]["dilations"] == [1, 2]


def test_facts_come_from_neighbours_when_it_is_built() -> None:
    built = part(Neck, width=8).build((Level(4, 2),))
    assert (built.facts, built.width) == ((Level(4, 2),), 8)


def test_parts_are_hashable_and_equal_by_value() -> None:
    assert len({part(Neck), part(Neck, width=512), part(Neck, width=1)}) == 2


def test_one_and_one_point_zero_are_the_same_choice() -> None:
    assert part(Neck, dropout=1) == part(Neck, dropout=1.0)
    assert repr(part(Neck, dropout=1)) == repr(part(Neck, dropout=1.0))


def test_a_misspelt_choice_names_those_there_are_and_the_nearest() -> None:
    with pytest.raises(ChoiceError, match=r"Neck has no choice 'widht'; it has .*'width'.*did you mean 'width'\?"):
        part(Neck, widht=256)


def test_an_option_that_is_not_keyword_only_is_told_how_to_become_a_choice() -> None:
    class Positional:
        def __init__(self, levels: tuple[Level, ...], scale: float = 1.0) -> None:
            pass

    with pytest.raises(ChoiceError, match=r"no choice 'scale'; .* write it after a \* in the constructor"):
        part(Positional, scale=2.0)


def test_a_whole_number_that_no_file_can_hold_is_refused_without_being_written_out() -> None:
    with pytest.raises(ChoiceError, match="a number of 33220 bits"):
        part(Neck, width=10**10_000)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"width": 0}, r"Neck\(width=0\): expected int ≥ 1, got 0"),
        ({"width": True}, "expected int"),
        ({"width": 2.0}, "expected int"),
        ({"width": "8"}, "expected int"),
        ({"dilations": [1, 2]}, "expected a tuple of int"),
        ({"dilations": (1, 0)}, "expected a tuple of int"),
        ({"mode": "middle"}, "expected one of 'near', 'far', got 'middle'"),
        ({"dropout": 1.5}, "expected float ≥ 0 and ≤ 1"),
        ({"dropout": float("nan")}, "expected finite float"),
        ({"on": 1}, "expected bool"),
        ({"inner": nn.ReLU}, "expected Part or None, got ReLU"),
    ],
)
def test_a_value_outside_its_annotation_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        part(Neck, **choices)


def test_a_choice_without_default_must_be_given() -> None:
    with pytest.raises(ChoiceError, match="Needy needs the choice 'width'"):
        part(Needy)


def test_a_class_that_swallows_any_keyword_cannot_be_a_component() -> None:
    with pytest.raises(TypeError, match="names its choices as keyword-only"):
        part(Loose)


def test_having_changes_one_choice_and_checks_it() -> None:
    assert part(Neck, width=8).having(on=False) == part(Neck, width=8, on=False)
    with pytest.raises(ChoiceError, match="no choice 'off'"):
        part(Neck).having(off=True)


def test_what_a_user_got_wrong_is_a_bench_error() -> None:
    assert issubclass(ChoiceError, BenchError)


@pytest.mark.parametrize(("stride", "size"), [(1, (65, 97)), (8, (9, 13)), (32, (3, 4))])
def test_a_level_rounds_sizes_up(stride: int, size: tuple[int, int]) -> None:
    assert Level(3, stride).size(65, 97) == size


class Kind(enum.Enum):
    A = 1
    B = 2


@dataclass(frozen=True)
class Config:
    depth: int
    act: Any = nn.ReLU


@dataclass
class Changing:
    depth: int = 1


def double(x: int) -> int:
    return 2 * x


class Open(nn.Module):
    def __init__(self, *, choice=None):
        super().__init__()


NAMED = {
    "a class": (nn.GELU, "torch.nn.modules.activation.GELU"),
    "a function": (double, f"{__name__}.double"),
    "a function of torch": (torch.relu, "torch.relu"),
    "a hidden function of torch": (nn.functional.gelu, "torch._C._nn.gelu"),
    "a built-in function": (math.sqrt, "math.sqrt"),
    "a member of an enumeration": (Kind.B, f"{__name__}.Kind.B"),
    "a path": (Path("v.pth"), "v.pth"),
    "a dtype": (torch.float16, "torch.float16"),
    "a device": (torch.device("cpu"), "cpu"),
    "a scalar of numpy": (np.float64(0.25), 0.25),
    "a text of numpy": (np.str_("x"), "x"),
    "a truth of numpy": (np.bool_(True), True),
    "scalars of numpy in a tuple": ((np.int64(1), (np.float64(0.5),)), [1, [0.5]]),
    "a frozen dataclass": (
        Config(2),
        {"class": f"{__name__}.Config", "choices": {"depth": 2, "act": "torch.nn.modules.activation.ReLU"}},
    ),
    "a tuple of classes": ((nn.GELU, (Kind.A,)), ["torch.nn.modules.activation.GELU", [f"{__name__}.Kind.A"]]),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_choice_that_is_no_json_is_recorded_by_its_name_or_value(name: str) -> None:
    value, recorded = NAMED[name]
    described = part(Open, choice=value).describe()["choices"]["choice"]
    assert described == recorded
    assert json.loads(json.dumps(described, allow_nan=False)) == recorded


UNNAMED = {
    "a lambda": lambda x: x,
    "a partial function": functools.partial(double, 2),
    "a built layer": nn.ReLU(),
    "a method": "x".join,
    "infinity": math.inf,
    "not a number": math.nan,
    "a list": [1, 2],
    "a set": {1, 2},
    "a frozen set, whose order differs": frozenset("ab"),
    "a dict": {"a": 1},
    "an array": np.zeros(2),
    "bytes": b"x",
    "a complex number": 1j,
    "a lone surrogate": "\udcff",
    "a dataclass that can change": Changing(),
    "an object": object(),
    "a module": math,
    "infinity in a tuple": (1, (math.inf,)),
    "a list in a dataclass": Config(2, (math.inf,)),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_a_choice_that_no_record_can_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ChoiceError, match=r"^Open\(choice=") as refusal:
        part(Open, choice=UNNAMED[name])
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) <= 300


class Kinds(Protocol):
    def speak(self) -> None: ...


T = typing.TypeVar("T", bound=int)
Width = typing.NewType("Width", int)


@pytest.mark.parametrize(
    ("annotation", "fits", "does_not"),
    [
        (Sequence, (1, 2), 3),
        (Sequence[int], (1, 2), ("a",)),
        (typing.Sequence[str], ("a",), "a"),
        (Iterable[int], (1,), 1),
        (type, nn.GELU, 3),
        (type[nn.Module], nn.GELU, int),
        (type[nn.ReLU | nn.GELU], nn.GELU, nn.Tanh),
        (Callable, nn.GELU, 3),
        (Callable[..., nn.Module], nn.GELU, "gelu"),
        (Callable[[int], int] | None, double, 3),
        (Kind, Kind.A, 1),
        (Path | str, Path("x"), 1),
        (torch.dtype, torch.float16, "float16"),
        (Config, Config(1), 1),
        (T, 3, "x"),
        (Width, 3, "x"),
        (list[int], None, [1, 2]),
        (Kinds, 3, [1]),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),
)
def test_an_annotation_accepts_what_it_says(annotation: Any, fits: Any, does_not: Any) -> None:
    def constructor(self: Any, *, choice: Any) -> None: ...

    constructor.__annotations__["choice"] = annotation
    cls = type("Mine", (), {"__init__": constructor})
    if fits is not None:
        assert part(cls, choice=fits)["choice"] == fits
    with pytest.raises(ChoiceError, match=r"^Mine\(choice=.*\): "):
        part(cls, choice=does_not)


def test_a_list_is_refused_without_a_contradiction_where_the_annotation_says_list() -> None:
    def constructor(self: Any, *, choice: list[int]) -> None: ...

    with pytest.raises(ChoiceError, match="declare the choice as a tuple"):
        part(type("Mine", (), {"__init__": constructor}), choice=[1])


def test_an_annotation_for_type_checkers_alone_is_passed_over() -> None:
    class Typed:
        def __init__(self, fact: "Decimal", *, choice: "Decimal | None" = None, width: "Count" = 1) -> None: ...

    assert part(Typed, choice=3)["choice"] == 3
    with pytest.raises(ChoiceError, match="expected int ≥ 1"):
        part(Typed, width=0)
