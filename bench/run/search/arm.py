"""The search for the best settings of one arm, among the ranges of the fields that a study tunes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from bench.run.search.rounds import Point, SearchInRounds
from bench.study.tuning.ranges import Among, LogRange, Settings, Space


@dataclass(frozen=True)
class Scored:
    """Settings that were tried.

    Attributes:
        settings: the settings.
        score: their score; ``None`` for a trial that failed or was pruned.
        pruned: ``True`` if their training was ended early, as they were worse than others of the arm.
        iterations: the iterations for which they were trained; ``None`` if that was not noted.
    """

    settings: Settings
    score: float | None
    pruned: bool = False
    iterations: int | None = None


class ArmSearch:
    """The search of one arm. Its study in Optuna's storage holds every setting and score.

    Args:
        name: the name of the study in the storage.
        tune: the ranges of the fields.
        default: the settings that are tried first.
        budget: the number of different settings to try; a finite space may have fewer.
        seed: the seed of the proposals.
        storage: Optuna's storage.
    """

    def __init__(
        self,
        name: str,
        tune: Mapping[str, Space],
        default: Settings,
        budget: int,
        seed: int,
        storage: optuna.storages.BaseStorage,
    ) -> None:
        self._search = SearchInRounds(name, _InRanges(tune, default), budget, seed, storage)

    @property
    def budget(self) -> int:
        """The number of settings that are tried at most."""
        return self._search.budget

    @property
    def scored(self) -> list[Scored]:
        """All settings that were tried, in the order in which they were proposed."""
        return [
            Scored(each.point, None if each.scores is None else each.scores[0], each.pruned, each.iterations)
            for each in self._search.tried
        ]

    @property
    def rivals(self) -> list[Mapping[int, float]]:
        """The looks at settings of earlier rounds of this arm that were trained to the end."""
        return self._search.looks_before

    @property
    def best(self) -> Scored | None:
        """The settings with the best score, the first of several; ``None`` if every trial failed."""
        able = [scored for scored in self.scored if scored.score is not None]
        return max(able, key=lambda scored: scored.score or 0.0, default=None)

    def ask(self) -> list[Settings]:
        """The settings of the next round, first those of an interrupted one; none once the budget is spent."""
        return self._search.ask()

    def tell(
        self,
        settings: Settings,
        score: float | None,
        *,
        looks: Mapping[int, float] | None = None,
        pruned: bool = False,
        iterations: int | None = None,
    ) -> None:
        """Note how settings that were asked for ended.

        Args:
            settings: the settings.
            score: their score; ``None`` for a trial that failed or was pruned.
            looks: the mean IoU while they were trained, by the number of the look.
            pruned: ``True`` if their training was ended early, as they were worse than others of the arm.
            iterations: the iterations for which they were trained, if known.
        """
        scores = None if score is None else (score,)
        self._search.tell(settings, scores, looks=looks, pruned=pruned, iterations=iterations)


@dataclass(frozen=True)
class _InRanges:
    """The settings within ranges, the default ones first if they are among them."""

    tune: Mapping[str, Space]
    default: Settings

    @cached_property
    def space(self) -> Mapping[str, BaseDistribution]:
        return {field: _distribution(space) for field, space in self.tune.items()}

    @property
    def count(self) -> int | None:
        size = 1
        for space in self.tune.values():
            if isinstance(space, Among):
                size *= len(space.values)
            elif space.is_whole:
                size *= int(space.high) - int(space.low) + 1
            else:
                return None
        return size

    @property
    def first(self) -> Sequence[Point]:
        default = {field: self.default[field] for field in self.tune}
        inside = all(axis._contains(axis.to_internal_repr(default[field])) for field, axis in self.space.items())
        return [default] if inside else []

    def mended(self, point: Point) -> Point:
        return point

    def allow(self, point: Point, known: Sequence[Point]) -> bool:
        return True

    def others(self, seed: int) -> Iterator[Point]:
        if self.count is None:
            numbers = random.Random(seed)
            while True:
                yield {field: _drawn(space, numbers) for field, space in self.tune.items()}
        values: list[Sequence[Any]] = [
            space.values if isinstance(space, Among) else range(int(space.low), int(space.high) + 1)
            for space in self.tune.values()
        ]
        yield from (dict(zip(self.tune, combination, strict=True)) for combination in itertools.product(*values))


def _drawn(space: Space, numbers: random.Random) -> Any:
    """A value of a space, each as likely."""
    if isinstance(space, Among):
        return numbers.choice(space.values)
    return (
        numbers.randint(int(space.low), int(space.high)) if space.is_whole else numbers.uniform(space.low, space.high)
    )


def _distribution(space: Space) -> BaseDistribution:
    if isinstance(space, Among):
        return CategoricalDistribution(space.values)
    log = isinstance(space, LogRange)
    if space.is_whole:
        return IntDistribution(int(space.low), int(space.high), log=log)
    return FloatDistribution(space.low, space.high, log=log)
