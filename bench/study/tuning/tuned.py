"""The study at tuned settings: every variant at the study's default settings and at the best ones of its arm.

``bench tune`` writes the best settings into a file; the option ``--tuned`` selects the form of the study that they
make. A factor ``settings`` is added, with the levels ``default`` and ``tuned``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.records.plan.tuned import DEFAULT, SETTINGS, TUNED, Best, Tuned
from bench.study.designs import Listed
from bench.study.factors import Factor, StudyError, change, choose
from bench.study.study import Exclude, Study


def at_tuned_settings(study: Study, tuned: Tuned, path: Path) -> Study:
    """The study with a factor ``settings``. It trains alone: costs and speeds do not depend on the settings.

    Raises:
        StudyError: if the arms are not those of the study, or if the study has a factor of this name.
    """
    if any(factor.name == SETTINGS for factor in study.factors):
        raise StudyError(f"a tuned study has a factor {SETTINGS!r} of its own; rename that of study {study.name!r}")
    arms = tuned.arms
    for cell in study.cells():
        if sum(arm.has(cell.levels) for arm in arms) != 1:
            raise StudyError(f"--tuned {path}: {cell.name} is not in exactly one of its arms; run bench tune again")
    defaults = study.recipe.describe()
    base = next(arm for arm in arms if arm.has(study.baseline))
    fields: dict[str, Any] = dict(base.settings)
    levels = {DEFAULT: change(), TUNED: change(recipe=choose(**fields))}
    excluded = tuple(
        Exclude({**arm.levels, SETTINGS: TUNED}, reason) for arm in arms if (reason := _left_out(arm, defaults))
    )
    design = study.design
    if design != "factorial":
        design = Listed(tuple({**cell.levels, SETTINGS: level} for cell in study.cells() for level in levels))
    return study.having(
        factors=(*study.factors, Factor(SETTINGS, levels, about=("recipe",))),
        baseline={**study.baseline, SETTINGS: DEFAULT},
        design=design,
        exclude=(*study.exclude, *excluded),
        stages=("quality",),
        speed=None,
        published=(),
        tuned=tuned,
    )


def _left_out(arm: Best, defaults: Mapping[str, Any]) -> str | None:
    if not arm.trials:
        return "not tuned"
    if all(defaults[name] == value for name, value in arm.settings.items()):
        return f"the default settings are the best of the {arm.trials} that were tried"
    return None
