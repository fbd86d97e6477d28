"""How far the rounds of a study have come, as the documents of ``bench plan`` and ``bench run`` tell it."""

from __future__ import annotations

from bench.cli.documents.document import JsonObject


class RoundsState(JsonObject):
    """The rounds in which a study adds seeds until its comparisons are resolved.

    Attributes:
        over: the number of rounds that are over.
        ended: true if no round is due.
        seeds: the seeds of the round that is due, those of earlier rounds included; of the last round if none is due.
        most: the maximum number of seeds.
        effect: the effect that the rounds are made for, in spreads of the paired differences.
        comparisons: how comparisons stand -> their number: open, resolved, futile, at the maximum, no spread or without
            values.
    """

    over: int
    ended: bool
    seeds: int
    most: int
    effect: float
    comparisons: dict[str, int]
