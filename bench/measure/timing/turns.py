"""Two networks timed in turns in one process, so that whatever the machine does weighs on both alike.

Where a network lies in memory changes its speed on a CPU, by up to a per cent, and it would lie there for a whole
process (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong!, 2009). So it is placed anew for
every block, and what that changes is in the interval.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.measure.timing.isolation import Watch, watched
from bench.measure.timing.latency import Call, Progress, Protocol, stopwatch, warm_up

MIN_BLOCKS = 10
"""Six give a 95 % interval; ten can be resolved among 25 comparisons (:func:`bench.evidence.ranks.blocks_needed`)."""
MAX_BLOCKS = 200
LETTER_S = 0.005
"""A letter repeats the call until it lasts so long: the clock's noise is then far below a per cent, and a block is
short against what a neighbour does."""
COLD_S = 0.1
"""A faster call is made once, untimed, after its network was placed anew; a slower one does not feel cold caches."""

Placed = Callable[[], Call]
"""Makes the call of one side, placed anew where that is possible."""


@dataclass(frozen=True)
class Turns:
    """What the blocks gave.

    Attributes:
        ours_s: seconds a call, one value a letter, in the order in which they ran; two letters a block.
        other_s: the same of the other side.
        calls: calls a letter.
        steady: whether both warm-ups ended because the call had become steady.
        watch: what else went on meanwhile.
    """

    ours_s: list[float]
    other_s: list[float]
    calls: int
    steady: bool
    watch: Watch

    @property
    def log_ratios(self) -> list[float]:
        """log(other ÷ ours) of each block: above 0 where ours is the faster."""
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
    progress: Progress | None = None,
) -> Turns:
    """Time both in blocks of four letters, A B B A: a drift that is linear within a block cancels.

    Which side is A is drawn for each block. Of two equal sides each block's log-ratio is then positive or negative by
    the toss of a coin, whatever correlation there is between blocks: what the interval assumes is made true.

    Args:
        ours: makes a call of the first side, once a block.
        other: makes a call of the second side.
        device: where both run.
        least_s: no block is begun after so many seconds, but for the first :data:`MIN_BLOCKS`.
        protocol: of the warm-up of each side.
        letter_s: seconds of a letter, at least.
        seed: of the order.
        progress: told after every block how many of :data:`MIN_BLOCKS` there are.
    """
    protocol = protocol or Protocol()
    sides = ours, other
    warm = [warm_up(stopwatch(side(), device), protocol) for side in sides]
    call_s = min(each.call_s for each in warm)
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
            # In the drawn order too: whoever is placed last has the warmer caches.
            letters = {each: _letter(sides[each](), calls, device, cold=call_s < COLD_S) for each in (a, b)}
            for each in (a, b, b, a):
                seconds[each].append(letters[each]() / calls)
            if progress is not None:
                progress(min(block + 1, MIN_BLOCKS), MIN_BLOCKS)
    return Turns(*seconds, calls, all(each.steady for each in warm), watch)


def _letter(call: Call, calls: int, device: torch.device, *, cold: bool) -> Callable[[], float]:
    """``calls`` calls as one that returns its seconds."""
    if cold:
        call()

    def repeat() -> None:
        for _ in range(calls):
            call()

    return stopwatch(repeat, device)
