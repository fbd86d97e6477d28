"""The search for the best settings of one arm: which settings are tried next, and what is known of those tried.

Settings are asked for in rounds of fixed sizes, so that the same seed and the same scores give the same search, however
many trials a machine runs at a time, and whether or not it was interrupted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from bench.study.tuning.ranges import Among, LogRange, Settings, Space

FIRST_ROUND, LATER_ROUNDS = 8, 4
"""The settings of a round. Those of the first are the default ones and random ones, the same for all arms."""
REPEATS = 50
"""The suggestions in a row that may have been tried before; then settings are drawn at random or counted through."""


@dataclass(frozen=True)
class Scored:
    """Settings that were tried, and their score; ``None`` for a trial that failed."""

    settings: Settings
    score: float | None


class ArmSearch:
    """The search of one arm. Its study in Optuna's storage holds every setting and score.

    Args:
        name: the name of the study in the storage.
        tune: the ranges of the fields.
        default: the settings that are tried first.
        budget: the number of different settings to try; a finite space may have fewer.
        seed: the seed of the suggestions.
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
        self._tune, self._default, self._seed = tune, default, seed
        self._space = {field: _distribution(space) for field, space in tune.items()}
        self._study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True, sampler=self._sampler(0)
        )
        size = _size(tune)
        inside = all(
            self._space[field]._contains(self._space[field].to_internal_repr(default[field])) for field in tune
        )
        self._default_fits = inside
        self.budget = budget if size is None else min(budget, size)

    @property
    def scored(self) -> list[Scored]:
        """All settings that were tried, in the order in which they were suggested."""
        return [
            Scored(trial.params, trial.value if trial.state == TrialState.COMPLETE else None)
            for trial in self._trials()
            if trial.state.is_finished()
        ]

    @property
    def best(self) -> Scored | None:
        """The settings with the best score, the first of several; ``None`` if every trial failed."""
        able = [scored for scored in self.scored if scored.score is not None]
        return max(able, key=lambda scored: scored.score or 0.0, default=None)

    def ask(self) -> list[Settings]:
        """The settings of the next round, first those of an interrupted one; none once the budget is spent."""
        self._mend()
        waiting = [trial for trial in self._trials() if not trial.state.is_finished()]
        if waiting:
            return [trial.params for trial in waiting]
        done = len(self._trials())
        wanted = min(self.budget - done, LATER_ROUNDS if done >= FIRST_ROUND else FIRST_ROUND - done)
        self._study.sampler = self._sampler(done)
        for _ in range(wanted):
            self._ask_one()
        return [trial.params for trial in self._trials() if not trial.state.is_finished()]

    def tell(self, settings: Settings, score: float | None) -> None:
        """Note the score of settings that were asked for; ``None`` for a trial that failed."""
        trial = next(t for t in self._trials() if t.params == settings and not t.state.is_finished())
        if score is None:
            self._study.tell(trial.number, state=TrialState.FAIL)
        else:
            self._study.tell(trial.number, score)

    def _mend(self) -> None:
        """Put in order what a process left that was killed while it asked for settings."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING:
                self._study.ask(self._space)
            elif not trial.state.is_finished() and trial.params.keys() != self._tune.keys():
                self._study.tell(trial.number, state=TrialState.PRUNED)

    def _ask_one(self) -> None:
        """Add one trial of settings that no trial has yet."""
        known = [trial.params for trial in self._trials()]
        if not known and self._default_fits:
            self._add({field: self._default[field] for field in self._tune})
            return
        for _ in range(REPEATS):
            trial = self._study.ask(self._space)
            if trial.params not in known:
                return
            # Settings that were tried before are not run again; their score helps the suggestions no further.
            self._study.tell(trial.number, state=TrialState.PRUNED)
        self._add(next(settings for settings in _counted(self._tune) if settings not in known))

    def _add(self, settings: Settings) -> None:
        self._study.enqueue_trial(dict(settings))
        self._study.ask(self._space)

    def _trials(self) -> list[FrozenTrial]:
        """The trials, without suggestions that had been tried before."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.PRUNED]

    def _sampler(self, done: int) -> TPESampler:
        """The sampler of a round, which depends on no random numbers of earlier rounds."""
        return TPESampler(seed=self._seed + done, n_startup_trials=FIRST_ROUND, constant_liar=True)


def _distribution(space: Space) -> BaseDistribution:
    if isinstance(space, Among):
        return CategoricalDistribution(space.values)
    log = isinstance(space, LogRange)
    if space.is_whole:
        return IntDistribution(int(space.low), int(space.high), log=log)
    return FloatDistribution(space.low, space.high, log=log)


def _size(tune: Mapping[str, Space]) -> int | None:
    """The number of different settings; ``None`` if there is no end of them."""
    size = 1
    for space in tune.values():
        if isinstance(space, Among):
            size *= len(space.values)
        elif space.is_whole:
            size *= int(space.high) - int(space.low) + 1
        else:
            return None
    return size


def _counted(tune: Mapping[str, Space]) -> Iterator[Settings]:
    """All settings of a finite space."""
    values: list[Sequence[Any]] = [
        space.values if isinstance(space, Among) else range(int(space.low), int(space.high) + 1)
        for space in tune.values()
    ]
    return (dict(zip(tune, combination, strict=True)) for combination in itertools.product(*values))
