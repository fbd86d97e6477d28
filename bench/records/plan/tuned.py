"""The best settings of the arms of a study, as a tuning found them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.forms import Finite, Form, Whole

SETTINGS, DEFAULT, TUNED = "settings", "default", "tuned"
"""The factor that a study at tuned settings has besides its own, and its levels."""


class Best(Form):
    """The best settings of one arm of a study, as a tuning found them.

    Attributes:
        levels: the levels that the arm's variants have in common.
        trials: the number of settings that were tried; 0 for an arm that was not tuned.
        settings: field of the recipe -> its best value; empty for an arm that was not tuned.
        miou: the mean IoU of the best settings on held-out training images; ``None`` for an arm that was not tuned.
        default_miou: that of the study's own settings; ``None`` where they were not tried or failed.
        pruned: the number of settings whose training was ended early, as they were worse than others of the arm.
        iterations: the iterations of all trainings of the search that were done or pruned; ``None`` in files of an
            earlier bench.
    """

    levels: dict[str, str]
    trials: Whole
    settings: dict[str, Any]
    miou: Finite | None = None
    default_miou: Finite | None = None
    pruned: Whole = 0
    iterations: Whole | None = None

    def has(self, levels: Mapping[str, str]) -> bool:
        """True if a variant with these levels belongs to the arm."""
        return all(levels.get(factor) == level for factor, level in self.levels.items())


class Tuned(Form):
    """The best settings of all arms of a study.

    Attributes:
        arms: the arms.
        as_written: true if the file that they were read from is as ``bench tune`` wrote it, by its digest.
    """

    arms: list[Best]
    as_written: bool
