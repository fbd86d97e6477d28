"""The shares of a plan: complete, disjoint, balanced over stages and variants, and the same whatever is done."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import pytest

from bench.protocol.setting import Stage
from bench.run.sharing.shares import Share, parse_share
from bench.study.factors import StudyError


class Planned(NamedTuple):
    """A trial as far as shares depend on it."""

    stage: Stage
    variant: int
    seed: int


def plan(variants: int, seeds: int, timings: int) -> list[Planned]:
    costs = [Planned("cost", variant, 0) for variant in range(variants)]
    speeds = [Planned("speed", timing, 0) for timing in range(timings)]
    return costs + speeds + [Planned("quality", variant, seed) for seed in range(seeds) for variant in range(variants)]


@pytest.mark.parametrize("of", [1, 2, 3, 4, 8, 16, 50])
@pytest.mark.parametrize(("variants", "seeds", "timings"), [(4, 8, 3), (16, 5, 0), (3, 7, 11), (1, 1, 0)])
def test_shares_are_complete_disjoint_and_differ_by_one_trial_at_most(
    variants: int, seeds: int, timings: int, of: int
) -> None:
    planned = plan(variants, seeds, timings)
    shares = [Share(number, of).of_plan(planned) for number in range(1, of + 1)]
    assert sorted(trial for share in shares for trial in share) == sorted(planned)
    for counts in (
        [len(share) for share in shares],
        *([sum(trial.stage == stage for trial in share) for share in shares] for stage in ("cost", "speed", "quality")),
    ):
        assert max(counts) - min(counts) <= 1
    for share in shares:
        assert all(planned.index(a) < planned.index(b) for a, b in pairwise(share)), "the order of the plan is kept"


def test_no_share_has_one_variant_alone_where_there_are_as_many_shares_as_variants() -> None:
    planned = plan(variants=4, seeds=8, timings=0)
    for number in range(1, 5):
        trained = [trial for trial in Share(number, 4).of_plan(planned) if trial.stage == "quality"]
        assert Counter(trial.variant for trial in trained) == dict.fromkeys(range(4), 2)


def test_a_share_is_written_as_its_number_and_their_count() -> None:
    assert parse_share("3/16") == Share(3, 16)
    assert str(parse_share("16/16")) == "16/16"
    for wrong in ("0/4", "5/4", "3", "a/b", "3/", "-1/4", "1/4/2", "٣/٤"):
        with pytest.raises(StudyError, match="expected NUMBER/COUNT"):
            parse_share(wrong)
