"""The file of the best settings of the arms of a study, as a tuning found them, and the recipes that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.protocol.recipe import Recipe
from bench.records.files import is_digest, parse_json, with_digest, write_text
from bench.records.plan.tuned import SETTINGS, TUNED, Best, Tuned
from bench.study.factors import StudyError

VERSION = 2
"""The format of the file. 1: first (2026-11), without a digest, still read; 2: with one."""


def write_best(arms: Sequence[Best], path: Path) -> None:
    """Write the best settings of all arms into a file, with a digest that shows later edits."""
    write_text(with_digest({"version": VERSION, "arms": [arm.as_json() for arm in arms]}), path)


def read_best(path: Path) -> Tuned:
    """The best settings of all arms from a file. One that was edited is read too, and says so.

    Raises:
        StudyError: if the file cannot be read, or holds something else.
    """
    try:
        content = parse_json(path.read_bytes())
        digest = content.pop("digest", None)
        return Tuned.model_validate({"arms": content["arms"], "as_written": is_digest(digest, content)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StudyError(f"--tuned {path}: no file of tuned settings; bench tune writes one") from None


def recipe_at(tuned: Tuned | None, levels: Mapping[str, str], recipe: Recipe) -> Recipe:
    """The recipe of a variant of a tuned study: that of its arm where its level of ``settings`` is ``tuned``."""
    if tuned is None or levels.get(SETTINGS) != TUNED:
        return recipe
    return recipe.having(**next(arm.settings for arm in tuned.arms if arm.has(levels)))
