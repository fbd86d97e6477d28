"""Searches in rounds: which point of a space is tried next, and what is known of those tried.

Points are asked for in rounds of fixed sizes, so that the same seed and the same scores give the same search, however
many trials a machine runs at a time, and whether or not it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from bench.records.record import Record
from bench.study.factors import StudyError

Point = Mapping[str, Any]
"""The name of each axis of a space -> the value there."""
Direction = Literal["maximize", "minimize"]
"""The way in which a score is good."""
FIRST_ROUND, LATER_ROUNDS = 8, 4
"""The points of a round. The first ones are given and random ones, which depend on no score."""
REPEATS = 50
"""The proposals in a row that may be known or refused; then points are taken as :meth:`Points.others` has them."""


class Points(Protocol):
    """The points of a space that may be tried."""

    @property
    def space(self) -> Mapping[str, BaseDistribution]:
        """The values along each axis."""

    @property
    def count(self) -> int | None:
        """The number of points, or a number above it; ``None`` if there is no end of them."""

    @property
    def first(self) -> Sequence[Point]:
        """The points that are tried first."""

    def mended(self, point: Point) -> Point:
        """The point that a proposal stands for."""

    def allow(self, point: Point, known: Sequence[Point]) -> bool:
        """True if a point may be tried beside those known, of which it is none."""

    def others(self, seed: int) -> Iterator[Point]:
        """Points in an order that depends on the seed alone; all there are, if their number is finite."""


ITERATIONS = "iterations"
"""The name of the attribute of a trial in Optuna's storage that has the iterations of its trainings."""


@dataclass(frozen=True)
class TriedPoint:
    """A point that was tried.

    Attributes:
        point: the point.
        scores: its scores, one for each direction; ``None`` for a trial that failed or was pruned.
        pruned: ``True`` if its training was ended early, as it was worse than others.
        iterations: the iterations for which it was trained; ``None`` if that was not noted.
    """

    point: Point
    scores: tuple[float, ...] | None
    pruned: bool = False
    iterations: int | None = None


class SearchInRounds:
    """A search with Optuna's TPE, whose study in Optuna's storage holds every point and score.

    Args:
        name: the name of the study in the storage.
        points: the points that may be tried.
        budget: the number of different points to try; there may be fewer.
        seed: the seed of the proposals.
        storage: Optuna's storage.
        directions: the way in which each score is good.
    """

    def __init__(
        self,
        name: str,
        points: Points,
        budget: int,
        seed: int,
        storage: optuna.storages.BaseStorage,
        directions: Sequence[Direction] = ("maximize",),
    ) -> None:
        self._points, self._seed, self._storage, self._directions = points, seed, storage, list(directions)
        self._study = optuna.create_study(
            storage=storage, study_name=name, directions=self._directions, load_if_exists=True, sampler=self._sampler(0)
        )
        self.budget = budget if points.count is None else min(budget, points.count)

    @property
    def tried(self) -> list[TriedPoint]:
        """All points that were tried, in the order in which they were proposed."""
        return [
            TriedPoint(
                self._point(trial),
                tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
                trial.state == TrialState.PRUNED,
                trial.user_attrs.get(ITERATIONS),
            )
            for trial in self._trials()
            if trial.state.is_finished()
        ]

    @property
    def proposed(self) -> list[Point]:
        """All points that were asked for, tried or not, in this order."""
        return [self._point(trial) for trial in self._trials()]

    @property
    def looks_before(self) -> list[Mapping[int, float]]:
        """The looks at each point of earlier rounds that has a score; those of this round do not count."""
        trials = self._trials()
        first_open = next((place for place, trial in enumerate(trials) if not trial.state.is_finished()), len(trials))
        begin, _ = _round_of(first_open)
        return [
            dict(trial.intermediate_values)
            for trial in trials[:begin]
            if trial.state == TrialState.COMPLETE and trial.intermediate_values
        ]

    def ask(self) -> list[Point]:
        """The points of the next round, first those of an interrupted one; none once the budget is spent.

        A round that a killed process asked for in part is proposed again as a whole: the proposals are the same.
        """
        self._mend()
        trials = self._trials()
        begin, end = _round_of(len(trials))
        waiting = not all(trial.state.is_finished() for trial in trials)
        if not waiting or len(trials) > begin:
            known: list[Point] = [trial.params for trial in trials]
            for point in self._proposals(trials[:begin], min(end, self.budget) - begin):
                if point not in known and len(known) < self.budget:
                    self._study.enqueue_trial(dict(point))
                    self._study.ask(dict(self._points.space))
                    known.append(point)
        return [self._point(trial) for trial in self._trials() if not trial.state.is_finished()]

    def tell(
        self,
        point: Point,
        scores: Sequence[float] | None,
        *,
        looks: Mapping[int, float] | None = None,
        pruned: bool = False,
        iterations: int | None = None,
    ) -> None:
        """Note how a point that was asked for ended.

        Args:
            point: the point.
            scores: its scores; ``None`` for a trial that failed or was pruned.
            looks: the scores while it was trained, by the number of the look; for a search with one score alone.
            pruned: ``True`` if its training was ended early, as it was worse than others.
            iterations: the iterations for which it was trained, if known.
        """
        trial = next(t for t in self._trials() if t.params == point and not t.state.is_finished())
        # Optuna has public methods for both on the object that asked for a trial, which an earlier process may have.
        for number, value in (looks or {}).items():
            self._storage.set_trial_intermediate_value(trial._trial_id, number, value)
        if iterations is not None:
            self._storage.set_trial_user_attr(trial._trial_id, ITERATIONS, iterations)
        if scores is not None:
            self._study.tell(trial.number, list(scores))
        else:
            self._study.tell(trial.number, state=TrialState.PRUNED if pruned else TrialState.FAIL)

    def _proposals(self, before: Sequence[FrozenTrial], count: int) -> list[Point]:
        """Different points that are not among those tried before, at most ``count``.

        They are drawn in a study in memory: what is known or refused never reaches the storage.
        """
        if count <= 0:
            return []
        drawing = optuna.create_study(directions=self._directions, sampler=self._sampler(len(before)))
        drawing.add_trials(before)
        known: list[Point] = [trial.params for trial in before]
        wanted = len(known) + count

        def add(point: Point) -> bool:
            if len(known) == wanted or point in known or not self._points.allow(point, known):
                return False
            known.append(point)
            return True

        for point in () if before else self._points.first:
            add(point)
        refused = 0
        while len(known) < wanted and refused < REPEATS:
            trial = drawing.ask(dict(self._points.space))
            if add(self._points.mended(trial.params)):
                refused = 0
            else:
                refused += 1
                drawing.tell(trial.number, state=TrialState.FAIL)  # else the sampler takes it for one that runs
        if len(known) < wanted:
            for point in self._points.others(self._seed):
                add(point)
                if len(known) == wanted:
                    break
        return known[len(before) :]

    def _mend(self) -> None:
        """Put in order what a process left that was killed while it asked for points."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING:
                self._study.ask(dict(self._points.space))
            elif not trial.state.is_finished() and not self._is_whole(trial):
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _trials(self) -> list[FrozenTrial]:
        """The trials, without those that a killed process left in part."""
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if not trial.state.is_finished() or self._is_whole(trial)
        ]

    def _is_whole(self, trial: FrozenTrial) -> bool:
        """True for a trial that has a value along each axis."""
        return trial.params.keys() == self._points.space.keys()

    def _point(self, trial: FrozenTrial) -> Point:
        """The point of a trial, with its axes in the order of the space."""
        return {axis: trial.params[axis] for axis in self._points.space}

    def _sampler(self, done: int) -> TPESampler:
        """The sampler of a round, which depends on no random numbers of earlier rounds."""
        return TPESampler(seed=self._seed + done, n_startup_trials=FIRST_ROUND, constant_liar=True)


def _round_of(count: int) -> tuple[int, int]:
    """The positions at which the round of the next point begins and ends, after ``count`` points."""
    if count < FIRST_ROUND:
        return 0, FIRST_ROUND
    begin = count - (count - FIRST_ROUND) % LATER_ROUNDS
    return begin, begin + LATER_ROUNDS


def check_round(records: Mapping[str, Sequence[Record | None]]) -> dict[str, list[Record]]:
    """The records of a round, once all of its trials have ended; refuse to go on if something else is at fault.

    A trial that fails beside others that do not counts as one without a score. If all fail, the machine may be at
    fault, so that no score of the round should be noted.

    Args:
        records: the name of each point -> the records of its trials; ``None`` for a trial without one.

    Raises:
        StudyError: if a trial was interrupted, or if every point has a trial that failed or took too long.
    """
    ended: dict[str, list[Record]] = {}
    faults = []
    for name, of_point in records.items():
        ended[name] = [record for record in of_point if record is not None and record.status != "interrupted"]
        if len(ended[name]) < len(of_point):
            raise StudyError(f"a trial of {name} was interrupted; give the same command again to go on")
        faults += [record for record in ended[name] if record.status in ("failed", "timed_out")][:1]
    if faults and len(faults) == len(ended):
        raise StudyError(
            f"every trial of this round has failed, one of them so: {faults[0].outcome.reason}; mend that, and give "
            "the same command again"
        )
    return ended
