"""The device time that trials will take, with its spread: from finished trials of the study, else from a pilot."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from bench.protocol.setting import Setting, Stage
from bench.run.forecast.pilot import Pilot, evaluated_pixels, trial_s
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial

LEVEL = 0.95
"""The share of such intervals that hold the time that is taken."""


@dataclass(frozen=True)
class DeviceTime:
    """The time that trials will take.

    Attributes:
        device_s: the seconds of all trials one after the other.
        low_s: the lower end of the 95 % interval; ``None`` if the spread is not known.
        high_s: its upper end.
        here_s: the seconds on this machine, with as many trials side by side as it runs.
        basis: ``records`` of the same study, or a ``pilot``.
    """

    device_s: float
    low_s: float | None
    high_s: float | None
    here_s: float
    basis: Literal["records", "pilot"]


@dataclass(frozen=True)
class _Part:
    """The seconds of some of the trials: their sum, its variance (``None`` if not known) and degrees of freedom."""

    stage: Stage
    seconds: float
    variance: float | None
    freedom: int


def time_from_records(schedule: Schedule, trials: Iterable[Trial]) -> DeviceTime | None:
    """The time of trials from the finished ones of the same study; ``None`` if a stage has no record yet.

    A trial takes as long as the mean of the finished trials of its variant or, without any, as the mean of the variants
    of its stage. For speed trials, only records of the same setting count.
    """
    walls: dict[tuple[Stage, Setting | None], dict[str, list[float]]] = {}
    for record in schedule.records():
        if record.status == "done" and record.outcome.wall_s is not None:
            of_kind = walls.setdefault((record.trial.stage, record.trial.setting), {})
            of_kind.setdefault(record.trial.variant, []).append(record.outcome.wall_s)
    planned: dict[tuple[Stage, Setting | None], Counter[str]] = {}
    for trial in trials:
        planned.setdefault((trial.stage, trial.setting), Counter())[trial.variant] += 1
    if planned.keys() - walls.keys():
        return None
    return _joined(schedule, [_of_kind(kind[0], walls[kind], counts) for kind, counts in planned.items()], "records")


def time_from_pilot(schedule: Schedule, trials: Iterable[Trial], taken: Pilot) -> DeviceTime:
    """The time of trials from that of a few training steps.

    Its interval is that of the steps and, for the networks whose steps were not timed, of the networks. Processes that
    train together are taken to divide the time among them; what they wait for each other is not foretold.
    """
    seconds: dict[Stage, float] = {}
    of_variant: dict[str, float] = {}
    pixels_of = evaluated_pixels(schedule)
    for trial in trials:
        own_s = trial_s(schedule, trial, taken.image_s, pixels_of) / trial.processes
        seconds[trial.stage] = seconds.get(trial.stage, 0.0) + own_s
        of_variant[trial.variant] = of_variant.get(trial.variant, 0.0) + own_s
    parts = [_Part(stage, of_stage, 0.0, 0) for stage, of_stage in seconds.items()]
    return _joined(schedule, [*parts, _Part("quality", 0.0, *_spread_of_pilot(of_variant, taken))], "pilot")


def _spread_of_pilot(of_variant: Mapping[str, float], taken: Pilot) -> tuple[float | None, int]:
    """The variance of the seconds of all variants, and its degrees of freedom; ``None`` if it is not known."""
    untimed_s = sum(seconds for variant, seconds in of_variant.items() if variant not in taken.steps)
    if not taken.steps or (untimed_s and taken.unlike is None):
        return None, 0
    freedom = sum(len(steps) - 1 for steps in taken.steps.values())
    variance = sum(
        (seconds / statistics.fmean(steps)) ** 2 * statistics.variance(steps) / len(steps)
        for variant, seconds in of_variant.items()
        if (steps := taken.steps.get(variant))
    )
    if untimed_s and taken.unlike is not None:
        variance += (untimed_s * taken.unlike) ** 2
        freedom = len(taken.steps) - 2
    return variance, freedom


def _of_kind(stage: Stage, walls: Mapping[str, Sequence[float]], planned: Mapping[str, int]) -> _Part:
    """The seconds of planned trials of one kind, from the seconds of the finished ones of each variant.

    The variance of a sum of trials is that of their own times, and that of the mean by which they are foretold.
    """
    means = {variant: statistics.fmean(times) for variant, times in walls.items()}
    grand = statistics.fmean(means.values())
    repeated = [times for times in walls.values() if len(times) > 1]
    freedom = sum(len(times) - 1 for times in repeated)
    within = sum((len(times) - 1) * statistics.variance(times) for times in repeated) / freedom if freedom else None
    between = statistics.variance(means.values()) if len(means) > 1 else None
    total, variance = 0.0, 0.0
    unknown, spread_is_known = 0, True
    for variant, count in planned.items():
        total += count * means.get(variant, grand)
        own = within if variant in means else between
        if own is None:  # the spread between variants has that between seeds in it, so it stands for both
            own = between if variant in means else None
        if own is None:
            spread_is_known = False
        elif variant in means:
            variance += count * own + count**2 * own / len(walls[variant])
        else:
            variance += count**2 * own
            unknown += count
    variance += unknown**2 * (between or 0.0) / len(means)
    uses_between = unknown > 0 or within is None
    return _Part(stage, total, variance if spread_is_known else None, len(means) - 1 if uses_between else freedom)


def _joined(schedule: Schedule, parts: Sequence[_Part], basis: Literal["records", "pilot"]) -> DeviceTime:
    total = sum(part.seconds for part in parts)
    here_s = sum(part.seconds / schedule.resources.at_a_time(part.stage) for part in parts)
    variances = [part.variance for part in parts]
    if None in variances:
        return DeviceTime(total, None, None, here_s, basis)
    freedom = min(part.freedom for part in parts if part.variance) if any(variances) else 1
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * sum(filter(None, variances)) ** 0.5
    return DeviceTime(total, max(0.0, total - half), total + half, here_s, basis)
