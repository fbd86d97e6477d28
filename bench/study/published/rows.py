"""Published numbers as tables. Each row is one value with its protocol, its source and its known errors.

``accuracy.csv`` has quality in per cent, ``cost.csv`` training memory, ``speed.csv`` images per second and
milliseconds. Every row was read at its source and none is quoted from memory, so the tables are not complete.
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
"""The entry of a column about which the row's source says nothing."""

SETTINGS = ("backbone", "output_stride", "head", "upsampling", "attention", "shape", "multi_grid", "losses")
"""The columns of every table that say which network was measured."""
TRAINING = ("crop_px", "schedule", "batch", "initial_weights")
"""The columns that say how the network was trained."""
TESTING = ("metric", "class", "data", "classes", "split", "test", "scales", "flip")
"""The columns of ``accuracy.csv`` that say which score was measured, and how."""
MEMORY = ("metric", "unit", "data", "crop_px", "batch_per_gpu")
"""The columns of ``cost.csv`` that say under which conditions the memory was measured."""
TIMING = ("unit", "input", "data", "protocol", "hardware")
"""The columns of ``speed.csv`` that say under which conditions the network was timed."""
ALIKE = {"accuracy": (TESTING, TRAINING), "cost": (MEMORY, ()), "speed": (TIMING, ())}
"""Table -> two groups of columns for a difference between two rows: in the first group both rows must have the same
entries; in the second group too, unless one of them says ``not stated``."""


class PublishedError(BenchError, ValueError):
    """A study that refers to published rows that do not exist."""


@functools.cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"{name}.csv", dtype=str, keep_default_na=False)


def rows(name: str) -> pd.DataFrame:
    """All rows of the table ``accuracy``, ``cost`` or ``speed``. Every entry is the text in the file, ``value`` too."""
    return _read(name).copy()


@dataclass(frozen=True)
class Published:
    """The published rows that reports place beside the variants of a study.

    Attributes:
        system: the system whose numbers they are, as ``accuracy.csv`` names it.
        against: factor -> level of the variant from which a published difference is taken.
        levels: ``factor=level`` -> the entries of rows for such a variant, in columns among :data:`SETTINGS`. A variant
            with a level that is not named here has no published row.
        settings: the entries that the rows of all variants have in common.
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
        of_system = known[known["system"] == self.system]
        for name, value in [pair for entries in (self.settings, *self.levels.values()) for pair in entries.items()]:
            if name not in SETTINGS:
                raise PublishedError(
                    f"published rows have no setting {name!r}; they have {', '.join(SETTINGS)}{nearest(name, SETTINGS)}"
                )
            if value not in set(of_system[name]):
                values = sorted(set(of_system[name]))
                raise PublishedError(
                    f"no published row of {self.system} has {name}={value!r}{nearest(value, values)}; known: {values}"
                )


def matching(system: str, settings: Mapping[str, str], name: str = "accuracy") -> pd.DataFrame:
    """The rows of one system with these settings, in the table ``accuracy``, ``cost`` or ``speed``."""
    table = _read(name)
    wanted = (table["system"] == system).astype(bool)
    for setting, value in settings.items():
        wanted &= table[setting] == value
    return table[wanted]


def other_side(row: Mapping[str, str], others: pd.DataFrame, name: str = "accuracy") -> Mapping[str, str] | None:
    """The row that ``row`` can be compared with: measured alike, and trained alike as far as both sources say.

    The answer is ``None`` if no row fits, and if several do.
    """
    same, alike = ALIKE[name]
    fitting = [
        {str(column): str(value) for column, value in other.items()}
        for other in others.to_dict("records")
        if all(other[column] == row[column] for column in same)
        and all(other[column] == row[column] or NOT_STATED in (other[column], row[column]) for column in alike)
    ]
    return fitting[0] if len(fitting) == 1 else None
