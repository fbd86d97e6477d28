"""Published numbers as tables: one row a value with its protocol, its source and what is known to be wrong with it.

``accuracy.csv`` has qualities in per cent, ``cost.csv`` training memory, ``speed.csv`` images per second and
milliseconds. Every row was read at its source; nothing is quoted from memory, so what a paper reports may be missing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.parts import BenchError, nearest

HERE = Path(__file__).parent
NOT_STATED = "not stated"
"""What a row says where its source says nothing."""

SETTINGS = ("backbone", "output_stride", "head", "upsampling", "attention", "shape", "multi_grid", "losses")
"""Columns of every table that say which network it was."""
TRAINING = ("crop_px", "schedule", "batch", "initial_weights")
"""Columns that say how it was trained."""
TESTING = ("metric", "class", "data", "classes", "split", "test", "scales", "flip")
"""Columns that say what was measured, and how."""
MEMORY = ("metric", "unit", "data", "crop_px", "batch_per_gpu")
"""Columns of ``cost.csv`` that say what its memory was measured of."""
TIMING = ("unit", "input", "data", "protocol", "hardware")
"""Columns of ``speed.csv`` that say what was timed, and how."""
ALIKE = {"accuracy": (TESTING, TRAINING), "cost": (MEMORY, ()), "speed": (TIMING, ())}
"""Table -> what both sides of a published difference have in common, and what they have as far as both say it."""


class PublishedError(BenchError, ValueError):
    """A study that refers to published rows that are not there."""


@functools.cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"{name}.csv", dtype=str, keep_default_na=False)


def rows(name: str) -> pd.DataFrame:
    """The rows of ``accuracy``, ``cost`` or ``speed``, every cell as it is written there; ``value`` is text too."""
    return _read(name).copy()


@dataclass(frozen=True)
class Published:
    """Which published rows stand beside the variants of a study.

    Attributes:
        system: whose numbers, as ``accuracy.csv`` names it.
        against: factor -> level of the other side of a published difference.
        levels: ``factor=level`` -> what a row of such a variant has, among :data:`SETTINGS`. A variant with a level
            that is not named here has no published counterpart.
        settings: what the rows of all variants have.
    """

    system: str
    against: Mapping[str, str]
    levels: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = _read("accuracy")
        if self.system not in set(known["system"]):
            systems = sorted(set(known["system"]))
            raise PublishedError(
                f"nothing published by {self.system!r}{nearest(self.system, systems)}; known: {systems}"
            )
        own = known[known["system"] == self.system]
        for name, value in [pair for each in (self.settings, *self.levels.values()) for pair in each.items()]:
            if name not in SETTINGS:
                raise PublishedError(
                    f"published rows have no setting {name!r}; they have {', '.join(SETTINGS)}{nearest(name, SETTINGS)}"
                )
            if value not in set(own[name]):
                values = sorted(set(own[name]))
                raise PublishedError(
                    f"no published row of {self.system} has {name}={value!r}{nearest(value, values)}; known: {values}"
                )


def matching(system: str, settings: Mapping[str, str], name: str = "accuracy") -> pd.DataFrame:
    """The rows of ``accuracy``, ``cost`` or ``speed`` of one system with these settings, whatever else they have."""
    found = _read(name)
    wanted = (found["system"] == system).astype(bool)
    for setting, value in settings.items():
        wanted &= found[setting] == value
    return found[wanted]


def other_side(row: Mapping[str, str], others: pd.DataFrame, name: str = "accuracy") -> Mapping[str, str] | None:
    """The row that a published difference is taken to: measured alike, and trained alike as far as both say.

    ``None`` where there is none, and where there are several to choose from.
    """
    same, alike = ALIKE[name]
    found = [
        {str(column): str(value) for column, value in other.items()}
        for other in others.to_dict("records")
        if all(other[column] == row[column] for column in same)
        and all(other[column] == row[column] or NOT_STATED in (other[column], row[column]) for column in alike)
    ]
    return found[0] if len(found) == 1 else None
