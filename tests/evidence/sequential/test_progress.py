"""Rounds of a study: fixed beforehand, over when all trials ended, and no seeds for variants that need none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.evidence.contrasts import Contrast
from bench.evidence.sequential.boundaries import Rule
from bench.evidence.sequential.progress import Progress, fix_rounds, progress, rule_of
from bench.records.plan.rounds import Rounds

CONTRASTS = [
    Contrast(name, "variant", name, {name: 1.0, "base": -1.0}, ("factor",), ((name, "base"),)) for name in ("a", "b")
]
CLEAR = [0.10, 0.11, 0.09, 0.105]
UNCLEAR = [0.09, 0.01, 0.07, 0.03, 0.06]


def taken(rounds: Rounds, a: list[float], b: list[float], ended: dict[str, int]) -> Progress:
    """The progress after trials have ended: variant -> number of seeds."""
    differences = [dict(zip(rounds.seeds, values, strict=False)) for values in (a, b)]
    over = {(variant, seed) for variant, count in ended.items() for seed in rounds.seeds[:count]}
    return progress(rounds, CONTRASTS, differences, ("base", "a", "b"), over)


def test_the_studys_own_seeds_come_first_then_the_least_others() -> None:
    rounds = fix_rounds((7, 1), 2, most=6)
    assert (rounds.seeds, rounds.looks, rounds.comparisons) == ([7, 1, 0, 2, 3, 4], [4, 5, 6], 2)
    assert rule_of(rounds) == Rule((4, 5, 6), 0.025, effect=rounds.effect)
    assert fix_rounds((0,), 2).effect == 1.0
    for most in (4, 0, -1, 1000):
        with pytest.raises(ValueError, match="5 to 200 seeds"):
            fix_rounds((0,), 1, most)


def test_a_round_is_over_when_every_trial_of_its_variants_has_ended() -> None:
    rounds = fix_rounds((0,), 2, most=8)
    first = taken(rounds, CLEAR, UNCLEAR, {"base": 4, "a": 4, "b": 3})
    assert (first.over, first.ended, first.seeds) == (0, False, {"base": 4, "a": 4, "b": 4})
    second = taken(rounds, CLEAR, UNCLEAR, {"base": 4, "a": 4, "b": 4})
    assert [one.stand for one in second.following.comparisons] == ["resolved", "open"]
    assert (second.over, second.ended) == (1, False)
    assert second.seeds == {"base": 5, "a": 4, "b": 5}, "a is resolved, and takes no more seeds"
    again = taken(rounds, [*CLEAR, -9.0], UNCLEAR, {"base": 5, "a": 5, "b": 5})
    assert again.following.comparisons[0].values == CLEAR, "a seed that it has besides does not count"


def test_rounds_end_when_no_comparison_is_open() -> None:
    rounds = fix_rounds((0,), 2, most=8)
    futile = [0.1, -0.1, 0.12, -0.12]
    last = taken(rounds, CLEAR, futile, dict.fromkeys(("base", "a", "b"), 4))
    assert ([one.stand for one in last.following.comparisons], last.ended) == (["resolved", "futile"], True)
    assert last.seeds == {"base": 4, "a": 4, "b": 4}


@pytest.mark.parametrize(
    "change",
    [{"looks": [4, 4, 6]}, {"looks": [4, 5]}, {"seeds": [0, 0, 1, 2, 3, 4]}, {"alpha": 0.0}, {"spending": "x"}],
)
def test_rounds_that_contradict_themselves_are_refused(change: dict[str, object]) -> None:
    rounds = fix_rounds((0,), 1, most=6).as_json()
    assert Rounds(**rounds).looks == [4, 5, 6]
    with pytest.raises(ValidationError):
        Rounds(**{**rounds, **change})
