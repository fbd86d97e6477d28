"""The progress of a trial: its events, and the words for the place that it has reached.

Nothing here needs torch, so that the process that watches a trial can say these words too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """The progress of a trial.

    Attributes:
        phase: ``train`` or ``evaluate`` of a quality trial; ``memory of a forward``, ``memory of a training step`` or
            ``count`` of a cost trial; ``time`` of a cost or speed trial.
        done: the number of steps of the phase that are done.
        total: the number of all steps of the phase.
        loss: the loss of the last iteration, in training.
    """

    phase: str
    done: int
    total: int
    loss: float | None = None


Listener = Callable[[Event], None]


def phase_of(reached: Event | None) -> str | None:
    """The phase of a trial with its last step, such as ``train at 3/800``; ``None`` before its first step."""
    return None if reached is None else f"{reached.phase} at {reached.done}/{reached.total}"


def place_of(reached: Event | None) -> str:
    """The phase of a trial as a sentence says it, such as ``in train at 3/800``."""
    phase = phase_of(reached)
    return "before its first step" if phase is None else f"in {phase}"
