"""The arms of a study: the groups of variants that a tuning gives the same number of trials and, each, one setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.study.cells import Cell, cell_name
from bench.study.factors import StudyError
from bench.study.study import Study


@dataclass(frozen=True)
class Arm:
    """Variants that are tuned together.

    Attributes:
        levels: the levels that these variants have in common.
        cell: the variant that is trained in the search: the other factors are at the baseline's levels, if the study
            runs that combination.
    """

    levels: Mapping[str, str]
    cell: Cell

    @property
    def name(self) -> str:
        return cell_name(self.levels)


def arms_of(study: Study) -> tuple[Arm, ...]:
    """The arms of a study: the levels of its focus factor; without a focus, all of its variants.

    Raises:
        StudyError: if the study names no field to tune, if a factor sets such a field, or if one chooses the data.
    """
    if not study.tune:
        raise StudyError(
            f"study {study.name!r} names no field to tune; write tune={{'learning_rate': LogRange(1e-3, 1e-1)}} in it"
        )
    fixed = study.recipe.describe()
    for cell in study.cells():
        differing = [name for name, value in cell.recipe.describe().items() if value != fixed[name]]
        for name in differing:
            if name in study.tune:
                raise StudyError(f"tune: {name} is set by a factor (in {cell.name}), so it cannot be tuned too")
            if name == "data":
                raise StudyError(
                    f"tune: a factor chooses the data of {cell.name}; arms are tuned on the same data alone"
                )
    if study.focus is None:
        return tuple(Arm(cell.levels, cell) for cell in study.cells())
    factor = next(factor for factor in study.factors if factor.name == study.focus)
    arms = []
    for level in factor.levels:
        having = [cell for cell in study.cells() if cell.levels[factor.name] == level]
        wanted = {**study.baseline, factor.name: level}
        if having:
            nearest = max(having, key=lambda cell: sum(wanted[name] == own for name, own in cell.levels.items()))
            arms.append(Arm({factor.name: level}, nearest))
    return tuple(arms)


def chosen_arms(study: Study, names: list[str]) -> tuple[Arm, ...]:
    """The arms of these names; all of them if there is none.

    Raises:
        StudyError: for a name that no arm has, or what :func:`arms_of` refuses.
    """
    arms = arms_of(study)
    known = {arm.name: arm for arm in arms}
    for name in names:
        if name not in known:
            raise StudyError(f"--arm {name!r}: the arms of study {study.name!r} are {'; '.join(known)}")
    return tuple(arm for arm in arms if not names or arm.name in names)
