"""Study: a question, factors, a design, a baseline, a recipe and seeds, and the cells that follow from them.

A study's file is Python. It sets ``STUDY``, and also ``SIZES`` if the study has smaller or larger forms:

    STUDY = study(width=512, ...)
    SIZES = {"small": study(width=64, ...)}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bench.network.model import Variant
from bench.parts import BenchError, nearest, shortened
from bench.protocol.names import FILE_NAME, is_file_name
from bench.protocol.recipe import Recipe
from bench.protocol.setting import STAGES, Setting, Stage
from bench.records.plan.tuned import Tuned
from bench.study.cells import Cell, ExcludedCell, cell_name
from bench.study.designs import (
    Design,
    Explored,
    check_design,
    combinations_of,
    count_of,
    named_levels,
    where_factors_exist,
    word_of,
)
from bench.study.factors import Factor, StudyError, apply, composed, have
from bench.study.published.rows import Published
from bench.study.speed import Speed
from bench.study.tuning.best import recipe_at
from bench.study.tuning.ranges import Space, check_tuned_fields


@dataclass(frozen=True)
class Exclude:
    """A rule that excludes cells by their levels, with the reason. The plan and reports show excluded cells with it."""

    when: Mapping[str, str]
    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.when, Mapping) or not isinstance(self.reason, str) or not self.reason.strip():
            raise StudyError(
                f"Exclude({shortened(self.when)}, {shortened(self.reason)}): expected levels by factor, and the reason"
            )

    def covers(self, levels: Mapping[str, str]) -> bool:
        return have(levels, self.when)


@dataclass(frozen=True)
class Require:
    """A rule that levels are run beside certain others alone, with the reason.

    A cell that has the levels ``when`` without the levels ``needs`` is excluded. The plan and reports show it with the
    reason.
    """

    when: Mapping[str, str]
    needs: Mapping[str, str]
    reason: str

    def __post_init__(self) -> None:
        fits = isinstance(self.when, Mapping) and isinstance(self.needs, Mapping) and isinstance(self.reason, str)
        if not fits or not self.needs or not self.reason.strip():
            raise StudyError(
                f"Require({shortened(self.when)}, {shortened(self.needs)}, {shortened(self.reason)}): expected levels "
                "by factor, the levels that they need, and the reason"
            )

    def covers(self, levels: Mapping[str, str]) -> bool:
        """True for a cell that the rule excludes."""
        return have(levels, self.when) and not have(levels, self.needs)


MOST_SEED = 2**32 - 1
"""The largest seed that all generators of random numbers take: Python's, numpy's and torch's."""

MOST_CELLS = 200_000
"""The most combinations of levels of a study: all of them are composed and compared when it is imported, which takes
some 40 microseconds and a kilobyte each, so ten seconds for as many."""

_KINDS: dict[str, type] = {"question": str, "base": Variant, "baseline": Mapping, "recipe": Recipe}
_KINDS_IN_TUPLES: dict[str, type] = {
    "factors": Factor, "exclude": Exclude, "require": Require, "published": Published,
}  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A question and all that is needed to answer it.

    Attributes:
        name: the name of the study, which also begins the name of its results folder.
        question: the question that the study is to answer, as a sentence.
        base: the network before any factor changes it.
        factors: the factors that vary.
        baseline: factor -> level of the cell that every other cell is compared with.
        recipe: how each cell is trained and tested.
        seeds: the seeds of weights and batches. All cells run the same seeds, so that differences are paired.
        design: the combinations of levels that are run, as :mod:`bench.study.designs` describes: ``factorial`` runs all
            of them.
        exclude: the rules for combinations that are not run, with reasons.
        require: the rules for levels that are run beside certain others alone, with reasons.
        stages: the kinds of measurement: ``quality``, ``cost``, ``speed``.
        margin: the margin of equivalence, a difference in mIoU as a fraction: smaller differences count as equal.
            Choose it before the results are seen; with ``None``, reports claim no equivalence.
        focus: the factor that the question is about. Its levels are also compared at every setting of the other
            factors, and equivalence is claimed for it alone.
        speed: the speed comparisons, if ``speed`` is a stage.
        published: the published numbers that reports place beside those of this study.
        tune: the fields of the recipe that ``bench tune`` may change, with their ranges.
        tuned: the best settings of each arm, in the form of the study that ``bench tune`` runs at last.
    """

    name: str
    question: str
    base: Variant
    factors: tuple[Factor, ...]
    baseline: Mapping[str, str]
    recipe: Recipe
    seeds: tuple[int, ...] = (0, 1, 2)
    design: Design = "factorial"
    exclude: tuple[Exclude, ...] = ()
    require: tuple[Require, ...] = ()
    stages: tuple[Stage, ...] = ("quality", "cost")
    margin: float | None = None
    focus: str | None = None
    speed: Speed | None = None
    published: tuple[Published, ...] = ()
    tune: Mapping[str, Space] = field(default_factory=dict)
    tuned: Tuned | None = None
    _cells: tuple[Cell, ...] = field(init=False, repr=False)
    _by_name: Mapping[str, Cell] = field(init=False, repr=False, compare=False)
    _excluded: tuple[ExcludedCell, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_forms()
        names = [factor.name for factor in self.factors]
        if not names or len(set(names)) != len(names):
            raise StudyError(f"study {self.name!r} has factors {names}; expected at least one, each name once")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise StudyError(f"study {self.name!r} has seeds {self.seeds}; expected at least one, each once")
        if self.margin is not None and not 0 < self.margin < 1:
            raise StudyError(f"study {self.name!r} has margin={self.margin!r}; expected a fraction, such as 0.005")
        if self.focus is not None and self.focus not in names:
            known = ", ".join(names) + nearest(self.focus, names)
            raise StudyError(f"focus: no factor {self.focus!r}; study {self.name!r} has {known}")
        if ("speed" in self.stages) != (self.speed is not None):
            raise StudyError(f"study {self.name!r}: the stage 'speed' and speed=Speed(…) go together")
        for levels in [self.speed.against, *(self.speed.only or {}).values()] if self.speed else []:
            self._check_levels("speed", levels, complete=False)
        for reference in self.published:
            for levels in [reference.against, *(dict([term.split("=", 1)]) for term in reference.levels)]:
                self._check_levels("published", levels, complete=False)
        self._check_levels("baseline", self.baseline, complete=True)
        for factor in self.factors:
            if (level := self.baseline[factor.name]) in {*factor.against, *factor.against.values()}:
                raise StudyError(f"factor {factor.name!r}, against: all levels are compared with {level!r} anyway")
        for rule in self.exclude:
            self._check_levels("exclude", rule.when, complete=False)
        for need in self.require:
            self._check_levels("require", need.when, complete=False)
            self._check_levels("require", need.needs, complete=False)
        for factor in self.factors:
            self._check_levels(f"factor {factor.name!r}, within", factor.within, complete=False)
        for named in named_levels(self.design):
            self._check_levels("design", named, complete=False)
        if (count := count_of(self.design, self.factors)) > MOST_CELLS:
            raise StudyError(
                f"study {self.name!r} has {count:,} combinations of levels, and none has more than {MOST_CELLS:,}; fix "
                "some factors, choose design='one_at_a_time', or search them: design='explored' and bench explore"
            )
        rules = tuple(self._rules())
        planned = combinations_of(self.design, self.factors, self.baseline)
        reasons = ((levels, next((rule.reason for rule in rules if rule.covers(levels)), None)) for levels in planned)
        excluded = tuple(ExcludedCell(levels, reason) for levels, reason in (reasons if rules else ()) if reason)
        object.__setattr__(self, "_excluded", excluded)
        if any(rule.covers(self.baseline) for rule in rules):
            raise StudyError(f"study {self.name!r}: its baseline {self.baseline_name} is excluded")
        cells = tuple(self._composed())
        object.__setattr__(self, "_cells", cells)
        object.__setattr__(self, "_by_name", {cell.name: cell for cell in cells})
        self._check_cells()

    @property
    def baseline_name(self) -> str:
        return cell_name(self._in_order(self.baseline))

    @property
    def against(self) -> dict[str, dict[str, str]]:
        """Factor -> level -> another level that it is compared with, besides the baseline's level."""
        return {factor.name: dict(factor.against) for factor in self.factors if factor.against}

    def cells(self) -> tuple[Cell, ...]:
        """All cells that are run, in the order of the factors and their levels."""
        return self._cells

    @cached_property
    def recipe_examples(self) -> tuple[Cell, ...]:
        """A cell of each recipe, the baseline first: what holds for a recipe is looked at once, not in every cell."""
        examples: dict[int, Cell] = {}
        for cell in (self.cell("baseline"), *self._cells):
            examples.setdefault(id(cell.recipe), cell)
        return tuple(examples.values())

    def excluded(self) -> tuple[ExcludedCell, ...]:
        """All cells of the design that are not run, with the reasons."""
        return self._excluded

    def cell(self, name: str) -> Cell:
        """The cell with a variant's name, such as ``attention=on,gate=off``.

        Factors that the name leaves out have their baseline level; the name ``baseline`` leaves out all of them.

        Raises:
            StudyError: if the study runs no cell of this name.
        """
        levels = dict(self._in_order(self.baseline))
        for term in [] if name == "baseline" else name.split(","):
            factor, equals, level = term.strip().partition("=")
            owners = [f"{owner.name}={factor}" for owner in self.factors if factor in owner.levels]
            if not equals and owners:
                raise StudyError(f"variant: {factor!r} is a level, not a factor; write {' or '.join(owners)}")
            self._check_levels("variant", {factor: level}, complete=False)
            levels[factor] = level
        if (known := self._by_name.get(cell_name(levels))) is not None:
            return known
        for left_out in self._excluded:
            if dict(left_out.levels) == levels:
                raise StudyError(f"{left_out.name} is excluded from study {self.name!r}: {left_out.reason}")
        design = word_of(self.design, self.factors)
        raise StudyError(f"{cell_name(levels)} is not in the {design} design of study {self.name!r}")

    def at(self, levels: Mapping[str, str]) -> Cell | ExcludedCell:
        """The cell of any combination of levels, whether or not the design has it.

        Args:
            levels: factor -> level; a factor that is left out has its baseline level.

        Raises:
            StudyError: for a combination that makes no network, or a level that the study does not have.
        """
        self._check_levels("cell", levels, complete=False)
        of_all = self._in_order({**self.baseline, **levels})
        reason = next((rule.reason for rule in self._rules() if rule.covers(of_all)), None)
        return self._compose(of_all) if reason is None else ExcludedCell(of_all, reason)

    def where_factors_exist(self, levels: Mapping[str, str]) -> dict[str, str]:
        """The same levels, but with nested factors at the baseline's level wherever they do not exist."""
        return where_factors_exist(self.factors, levels, self.baseline)

    def pairs(self) -> Iterator[tuple[Cell, Cell, Setting]]:
        """All speed comparisons: a cell, the cell that it is timed against, and the setting.

        Raises:
            StudyError: if a cell would be timed against one that the study does not run.
        """
        if self.speed is None:
            return
        for setting in self.speed.timed():
            for cell in self._cells:
                if setting in self.speed.pairs(cell.levels):
                    yield cell, self.cell(cell_name({**cell.levels, **self.speed.against})), setting

    def having(self, **fields: Any) -> Study:
        """The same study with some fields changed."""
        return replace(self, **fields)

    def _check_forms(self) -> None:
        """Refuse fields of another kind than they are declared, as a Part and a Recipe refuse their choices.

        Raises:
            StudyError: for the first such field.
        """
        if not isinstance(self.name, str) or not is_file_name(self.name):
            raise StudyError(f"Study(name={shortened(self.name)}): expected {FILE_NAME}")
        for field_name, kind in _KINDS.items():
            value = getattr(self, field_name)
            if not isinstance(value, kind):
                raise self._unfit(field_name, f"a {kind.__name__}")
        for field_name, kind in _KINDS_IN_TUPLES.items():
            value = getattr(self, field_name)
            if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
                raise self._unfit(field_name, f"a tuple, each entry a {kind.__name__}")
        if not isinstance(self.seeds, tuple) or not all(
            type(seed) is int and 0 <= seed <= MOST_SEED for seed in self.seeds
        ):
            raise self._unfit("seeds", f"a tuple of Python's whole numbers from 0 to {MOST_SEED}, such as (0, 1, 2)")
        stages_fit = isinstance(self.stages, tuple) and all(stage in STAGES for stage in self.stages)
        if not stages_fit or len(set(self.stages)) != len(self.stages) or not self.stages:
            raise self._unfit("stages", f"a tuple, each stage once; allowed: {', '.join(STAGES)}")
        check_design(self.design)
        if self.margin is not None and type(self.margin) not in (int, float):
            raise self._unfit("margin", "a fraction, such as 0.005")
        if not isinstance(self.focus, str | None):
            raise self._unfit("focus", "the name of a factor, or None")
        if not isinstance(self.speed, Speed | None):
            raise self._unfit("speed", "Speed(…), or None")
        if not isinstance(self.tune, Mapping):
            raise self._unfit("tune", "ranges by field, such as {'learning_rate': LogRange(1e-3, 1e-1)}")
        check_tuned_fields(self.tune, self.recipe)

    def _unfit(self, field_name: str, expected: str) -> StudyError:
        return StudyError(
            f"study {self.name!r}: {field_name}={shortened(getattr(self, field_name))}: expected {expected}"
        )

    def _compose(self, levels: dict[str, str]) -> Cell:
        changes = [(factor.name, factor.levels[levels[factor.name]]) for factor in self.factors]
        try:
            variant, recipe = apply(self.base, self.recipe, changes)
        except (BenchError, TypeError) as error:
            raise StudyError(f"study {self.name!r}, cell {cell_name(levels)}: {error}") from error
        return Cell(levels, variant, recipe_at(self.tuned, levels, recipe))

    def _composed(self) -> Iterator[Cell]:
        """The cells of the design, which share variants and recipes."""
        left_out = {cell.name for cell in self._excluded}
        planned = combinations_of(self.design, self.factors, self.baseline)
        run = (levels for levels in planned if not left_out or cell_name(levels) not in left_out)
        try:
            for levels, variant, recipe in composed(self.base, self.recipe, self.factors, run):
                yield Cell(levels, variant, recipe_at(self.tuned, levels, recipe))
        except StudyError as error:
            raise StudyError(f"study {self.name!r}, {error}") from error.__cause__

    def _rules(self) -> Iterator[Exclude | Require]:
        """The rules for combinations that are not run."""
        yield from self.exclude
        yield from self.require
        yield from self._nesting()

    def _nesting(self) -> Iterator[Require]:
        """The rules that a nested factor varies only where it exists; elsewhere it stays at the baseline's level."""
        for factor in self.factors:
            where = ", ".join(f"{name}={level}" for name, level in factor.within.items())
            for level in factor.levels if where else ():
                if level != self.baseline[factor.name]:
                    yield Require({factor.name: level}, factor.within, f"{factor.name} exists at {where} alone")

    def _in_order(self, levels: Mapping[str, str]) -> dict[str, str]:
        return {factor.name: levels[factor.name] for factor in self.factors}

    def _check_levels(self, origin: str, levels: Mapping[str, str], *, complete: bool) -> None:
        known = {factor.name: factor for factor in self.factors}
        for name, level in levels.items():
            if name not in known:
                raise StudyError(
                    f"{origin}: no factor {name!r}; study {self.name!r} has {', '.join(known)}{nearest(name, known)}"
                )
            if level not in known[name].levels:
                raise StudyError(
                    f"{origin}: factor {name!r} has no level {level!r}; "
                    f"it has {', '.join(known[name].levels)}{nearest(level, known[name].levels)}"
                )
        if missing := [name for name in known if complete and name not in levels]:
            raise StudyError(f"{origin}: no level for {', '.join(missing)}; name one of each factor's levels")

    def _check_cells(self) -> None:
        numbers: dict[Variant | Recipe, int] = {}
        number_of: dict[int, int] = {}  # cells share objects, so each is compared with the others but once
        seen: dict[tuple[int, int], str] = {}
        for cell in self._cells:
            for made in (cell.variant, cell.recipe):
                if id(made) not in number_of:
                    number_of[id(made)] = numbers.setdefault(made, len(numbers))
            twin = seen.setdefault((number_of[id(cell.variant)], number_of[id(cell.recipe)]), cell.name)
            if twin != cell.name:
                raise StudyError(f"study {self.name!r}: {twin} and {cell.name} are the same network and recipe")
        names = self._by_name
        for factor in () if self.design == "explored" or isinstance(self.design, Explored) else self.factors:
            for level, other in factor.against.items():
                having = (cell for cell in self._cells if cell.levels[factor.name] == level)
                if not any(cell_name({**cell.levels, factor.name: other}) in names for cell in having):
                    raise StudyError(
                        f"factor {factor.name!r}, against: no two cells differ in {level!r} and {other!r} alone"
                    )
