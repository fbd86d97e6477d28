"""Parts: the signature is the schema, and what does not fit it is refused with got / allowed / remedy."""

from typing import Any, Literal

import pytest
from torch import nn

from bench.parts import BenchError, ChoiceError, Count, Fraction, Level, Part, part


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
        ({"dropout": float("nan")}, "expected float"),
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
