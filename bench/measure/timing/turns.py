"""Two networks timed in turns in one process, so that disturbances of the machine affect both alike.

The place of a network in memory changes its speed on a CPU by up to a per cent, and would stay the same for a whole
process (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong!, 2009). So the network is moved
to a new place for every block, and the interval of the speed ratio includes the effect.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.measure.timing.isolation import Watch, watched
from bench.measure.timing.latency import Call, Protocol, TimingListener, WarmUp, stopwatch, warm_up

MIN_BLOCKS = 10
"""The least number of blocks. Six suffice for a 95 % interval; with ten, a difference can be resolved among
25 comparisons (:func:`bench.evidence.ranks.blocks_needed`)."""
MAX_BLOCKS = 200
LETTER_S = 0.005
"""The least seconds of a letter, which repeats the call that often. The clock's noise is then far below a per cent, and
a block is short compared with the disturbances by other processes."""
COLD_S = 0.1
"""A call of fewer seconds runs once untimed after its network was moved; longer calls hardly notice cold caches."""

Placed = Callable[[], Call]
"""A function that returns the call of one side, with its tensors at a new place in memory if that is possible."""


@dataclass(frozen=True)
class Turns:
    """The result of timing two sides in turns. Each block has four letters, two for each side.

    Attributes:
        ours_s: the seconds a call of our side, one value for each letter, in the order in which they ran.
        other_s: the same for the other side.
        calls: the number of calls in a letter.
        warm_ups: the warm-up of either side.
        watch: the use of the machine during the timing.
    """

    ours_s: list[float]
    other_s: list[float]
    calls: int
    warm_ups: tuple[WarmUp, WarmUp]
    watch: Watch

    @property
    def steady(self) -> bool:
        """``True`` if both warm-ups ended because the time of the call had become steady."""
        return all(side.steady for side in self.warm_ups)

    @property
    def log_ratios(self) -> list[float]:
        """The logarithm of other ÷ ours for each block, which is above 0 if ours is faster."""
        return [
            math.log((self.other_s[i] + self.other_s[i + 1]) / (self.ours_s[i] + self.ours_s[i + 1]))
            for i in range(0, len(self.ours_s), 2)
        ]


def take_turns(
    ours: Placed,
    other: Placed,
    device: torch.device,
    *,
    least_s: float,
    protocol: Protocol | None = None,
    letter_s: float = LETTER_S,
    seed: int = 0,
    progress: TimingListener | None = None,
) -> Turns:
    """Time two sides in blocks of four letters, A B B A, in which a drift that is linear within the block cancels.

    The side that is A is drawn for each block. If both sides are equally fast, the sign of each block's log-ratio is
    therefore random, whatever the correlation between blocks. So the assumption of the interval holds by design.

    Args:
        ours: the function that returns the call of the first side; it is called for every block.
        other: the function that returns the call of the second side.
        device: the device on which both run.
        least_s: the time, in seconds, after which no block begins, except for the first :data:`MIN_BLOCKS`.
        protocol: the rules for the warm-up of each side.
        letter_s: the least seconds of a letter.
        seed: the seed of the order.
        progress: a function that is called after every block, with (blocks done, :data:`MIN_BLOCKS`).
    """
    protocol = protocol or Protocol()
    sides = ours, other
    least_warm_up_s = protocol.least_warm_up_s(device)
    first, second = (warm_up(stopwatch(side(), device), protocol, least_warm_up_s) for side in sides)
    call_s = min(first.call_s, second.call_s)
    calls = max(1, math.ceil(letter_s / call_s))
    order = random.Random(seed)
    seconds: tuple[list[float], list[float]] = ([], [])
    with watched(device) as watch:
        start = time.perf_counter()
        for block in range(MAX_BLOCKS):
            if block >= MIN_BLOCKS and time.perf_counter() - start >= least_s:
                break
            a = order.randrange(2)
            b = 1 - a
            # The sides are moved in the drawn order too, because the one moved last has the warmer caches.
            letters = {side: _letter(sides[side](), calls, device, cold=call_s < COLD_S) for side in (a, b)}
            for side in (a, b, b, a):
                seconds[side].append(letters[side]() / calls)
            watch.look()
            if progress is not None:
                progress(min(block + 1, MIN_BLOCKS), MIN_BLOCKS)
    return Turns(*seconds, calls, (first, second), watch)


def _letter(call: Call, calls: int, device: torch.device, *, cold: bool) -> Callable[[], float]:
    """A function that makes ``calls`` calls and returns their seconds together."""
    if cold:
        call()

    def repeat() -> None:
        for _ in range(calls):
            call()

    return stopwatch(repeat, device)
