"""The best settings of the arms of a study, as a tuning found them, and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.protocol.recipe import Recipe
from bench.study.factors import StudyError
from bench.study.tuning.ranges import Settings

SETTINGS, DEFAULT, TUNED = "settings", "default", "tuned"
"""The factor that a tuned study has besides its own, and its levels."""


@dataclass(frozen=True)
class Best:
    """The best settings of one arm.

    Attributes:
        levels: the levels that the arm's variants have in common.
        trials: the number of settings that were tried; 0 for an arm that was not tuned.
        settings: field -> value of the best one; the default settings for an arm that was not tuned.
        miou: its mean IoU on held-out training images; ``None`` for an arm that was not tuned.
        default_miou: that of the default settings, likewise.
    """

    levels: Mapping[str, str]
    trials: int
    settings: Settings
    miou: float | None = None
    default_miou: float | None = None


def write_best(best: Sequence[Best], path: Path) -> None:
    """Write the best settings of all arms into a file."""
    path.write_text(json.dumps({"version": 1, "arms": [asdict(arm) for arm in best]}, indent=1) + "\n", "utf-8")


def read_best(path: Path) -> tuple[Best, ...]:
    """The best settings of all arms from a file.

    Raises:
        StudyError: if the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        return tuple(Best(**arm) for arm in content["arms"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(f"--tuned {path}: no file of tuned settings; bench tune writes one") from None


def are_of(arm: Mapping[str, str], levels: Mapping[str, str]) -> bool:
    """True if a variant with these levels belongs to the arm that has the levels ``arm`` in common."""
    return all(levels[factor] == level for factor, level in arm.items())


def recipe_at(arms: Sequence[Best], levels: Mapping[str, str], recipe: Recipe) -> Recipe:
    """The recipe of a variant of a tuned study: that of its arm where its level of ``settings`` is ``tuned``."""
    if levels.get(SETTINGS) != TUNED:
        return recipe
    return recipe.having(**next(arm.settings for arm in arms if are_of(arm.levels, levels)))
