"""Keys of many trials: those of one trial after the other, whatever values differ and whatever the code looks at."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.protocol.recipe import Recipe
from bench.run import stages
from bench.run.identity.definitions.targets import Bound, Unit
from bench.run.identity.forms.pieces import OpenSlot, OpenValue, kind_of, spelled
from bench.run.identity.key import Computation
from bench.run.identity.library import Library, Root
from bench.run.identity.many.templates import Templates
from bench.run.identity.reader import Reader
from bench.run.identity.spelling import OpenSource
from bench.study.cells import Cell
from bench.study.source import Loaded, Source, load
from benchmarks.plan import study_text

ROOT = Path(__file__).parents[4]
Values = Mapping[str, Any]

# Code that looks at its choices in many ways, and small values for them

NAMES = ("first", "second", "third")
VALUES = st.one_of(
    st.integers(-2, 3), st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0]), st.booleans(), st.none(),
    st.sampled_from(["", "plain", "_private", "_own", "study.py"]),
    st.tuples(st.integers(0, 1), st.sampled_from([0, 1.0])),
)  # fmt: skip
USES = (
    "total = {a} + 1", "if {a}: total = 2", "if {a} == {b}: total = self._own()", "if not {a} and {b}: return {c}",
    "total = -{a}", "total = f'{{{a}}} {b}'", "total = helper({a}, {b})", "self.kept = {a}",
    "total = getattr(self, {a})",
    "if {a} is None: raise ValueError({b})", "total = ({a}, {b}, [{c}])", "total = {a} if {b} in ({c}, 1) else 3",
    "other = {a}\n        if other > 0: total = other", "total = [{a} for _ in range(3) if {b}]",
    "assert {a} or {b}", "total = open(str({a})).read()", "total = self.other({a})", "{a}_{b} = 4",
    "if self.{b} == 2: total = 5", "total = (lambda x: x + {a})({b})",
)  # fmt: skip


@st.composite
def classes(draw: st.DrawFn) -> str:
    """The text of a module with a component that uses its choices at random."""

    def body(owner: str) -> str:
        lines = ["total = 0"]
        for use in draw(st.lists(st.sampled_from(USES), min_size=1, max_size=4)):
            names = {letter: f"{owner}{draw(st.sampled_from(NAMES))}" for letter in "abc"}
            line = use.format(**names)
            if owner and ("{a}_{b}" in use or "self.{b}" in use):
                continue
            lines.append(line)
        return "\n        ".join([*lines, "return total" if owner else "self.total = total"]) + "\n"

    stored = "".join(f"        self.{name} = {name}\n" for name in draw(st.sets(st.sampled_from(NAMES))))
    choices = ", ".join(f"{name}=1" for name in NAMES)
    first = (
        body("").replace("return first", "return").replace("return second", "return").replace("return third", "return")
    )
    return (
        "def helper(one, two):\n    return one if one else two\n\n\n"
        f"class Mine:\n    def __init__(self, *, {choices}):\n{stored}        {first}"
        f"    def value(self):\n        {body('self.')}"
        "    def _own(self):\n        return self.first\n"
        "    def other(self, one):\n        return one\n"
    )


def mine() -> tuple[Reader, Unit]:
    """What reads code anew, and the class ``study.Mine``."""
    library = Library("bench", (), (), ())
    (found,) = library.project.lookup("study", "Mine")
    assert isinstance(found, Bound)
    return Reader(library), found.unit


class Twice:
    """Reads a component's code for one set of values after the other, openly where that was not done before."""

    def __init__(self) -> None:
        self.reader, self.unit = mine()
        self.read: list[tuple[OpenSource, frozenset[OpenSlot], dict[OpenSlot, Any], Any]] = []

    def check(self, values: Values) -> None:
        reader, unit = mine()
        alone = Root("head", unit, values, dict.fromkeys(NAMES, 1))
        slots = {OpenSlot(0, name): value for name, value in values.items()}
        frame = [(kind_of(value), alone.is_default(name)) for name, value in values.items()]
        known = [
            source
            for source, looked, then, shape in self.read
            if shape == frame and all(spelled(then[slot]) == spelled(slots[slot]) for slot in looked)
        ]
        if not known:
            choices = {
                name: OpenValue.of(value, OpenSlot(0, name), choice=name, is_default=alone.is_default(name))
                for name, value in values.items()
            }
            source, looked = self.reader.read_open([Root("head", self.unit, choices, alone.defaults)], {}, ["study"])
            self.read.append((source, looked, slots, frame))
            known.append(source)
        read = reader.read([alone], {}, ["study"])
        assert [source for source in known if source.with_values(slots) != read] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=classes(), assignments=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=2, max_size=8))
def test_code_that_was_read_for_other_values_is_the_code_of_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, assignments: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path / str(next(FOLDERS))
    folder.mkdir()
    (folder / "study.py").write_text(text)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        twice = Twice()
        for values in assignments:
            twice.check(dict(zip(NAMES, values, strict=True)))


FOLDERS = itertools.count()


def test_a_value_that_only_stands_in_the_code_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.py").write_text(
        "class Mine:\n    def __init__(self, *, first=1, second=1, third=1):\n"
        "        self.value = first * 2\n        if second > 1:\n            self.more = third\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    twice = Twice()
    for first in (2, 3, 4):
        for second in (2, 5):
            twice.check({"first": first, "second": second, "third": 7})
    assert [{slot.name for slot in looked} for _, looked, _, _ in twice.read] == [{"second"}, {"second"}]


# Trials of real studies

STAGES: tuple[Any, ...] = ("quality", "cost")
FIELDS: Mapping[str, Sequence[Any]] = {
    "learning_rate": (0.02, 0.5, 1, 1.0), "momentum": (0.0, 0.5, 1), "weight_decay": (0.0, 0.1), "batch": (2, 4, 6),
    "poly_power": (0.0, 1.5), "clip_norm": (None, 1.0, 2.0), "flip": (0.0, 0.25), "scale": ((0.5, 1.0), (1.0, 1.0)),
    "iterations": (600, 601), "rotation_deg": (0.0, 10.0), "warmup_iterations": (0, 5, 7), "eval_batch": (1, 3),
    "ema_decay": (0.0, 0.5, 0.75), "precision": ("float32", "bfloat16"), "latency_samples": (50, 60),
    "schedule": ("poly", "cosine"), "cost_px": (None, (64, 64)), "test_flip": (False, True),
}  # fmt: skip
CHOICES: Mapping[str, Sequence[Any]] = {
    "width": (8, 16, 24),
    "dropout": (0.0, 0.1, 0.25),
    "dilations": ((1, 2), (1, 4)),
}


def asked_of(loaded: Loaded, cell: Cell, stage: Any, seed: int | None, **more: Any) -> Computation:
    variants = [cell.variant, *([more["against"].variant] if "against" in more else [])]
    irrelevant, function = stages.IRRELEVANT[stage], stages.STAGE_FUNCTIONS[stage]
    setting = more.get("setting")
    return Computation(stage, function, variants, cell.recipe, seed, "data", setting, irrelevant, loaded.modules)


def random_trial(draw: random.Random, loaded: Loaded) -> Computation:
    """A trial of a study whose recipe and components have some random values."""
    cell = draw.choice(loaded.study.cells())
    recipe: Recipe = cell.recipe
    for name in draw.sample(sorted(FIELDS), k=draw.randint(0, 3)):
        recipe = recipe.having(**{name: draw.choice(FIELDS[name])})
    variant = cell.variant
    for slot, part in variant.parts().items():
        for name, _ in part.choices:
            if name in CHOICES and draw.random() < 0.4:
                variant = replace(
                    variant, **{slot: getattr(variant, slot).having(**{name: draw.choice(CHOICES[name])})}
                )
    return asked_of(loaded, Cell(cell.levels, variant, recipe), draw.choice(STAGES), draw.choice((0, 1)))


def assert_equal_keys(templates: Templates, asked: Computation) -> bool:
    """Compare the key of a trial beside others with its key by itself; ``True`` if its code was not read."""
    made, alone = templates.key(asked), templates.keys.key(asked)
    assert made.text == alone.text
    assert made.contents() == alone
    assert list(made.contents().settings) == list(alone.settings)
    return not made.is_read


def of_quickstart() -> Loaded:
    return load(Source(str(ROOT / "studies/quickstart.py")))


def random_trials(count: int, seed: int) -> None:
    loaded, draw = of_quickstart(), random.Random(seed)
    templates = Templates(stages.present_keys())
    copied = sum(assert_equal_keys(templates, random_trial(draw, loaded)) for _ in range(count))
    assert count < 20 or copied


def test_random_trials_have_the_keys_that_they_have_by_themselves() -> None:
    random_trials(6, seed=1)


@pytest.mark.keys
@pytest.mark.parametrize("seed", range(10))
def test_many_random_trials_have_the_keys_that_they_have_by_themselves(seed: int) -> None:
    random_trials(100, seed=seed)


@pytest.mark.keys
@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_the_trials_of_every_study_have_the_keys_that_they_have_by_themselves(path: Path) -> None:
    loaded = load(Source(str(path)))
    templates = Templates(stages.present_keys())
    for cell in loaded.study.cells():
        for stage in STAGES:
            assert_equal_keys(templates, asked_of(loaded, cell, stage, 0 if stage == "quality" else None))
    for cell, other, setting in loaded.study.pairs():
        assert_equal_keys(templates, asked_of(loaded, cell, "speed", None, against=other, setting=setting))


def test_a_grid_of_values_has_the_keys_of_its_trials_by_themselves_from_few_readings(tmp_path: Path) -> None:
    (tmp_path / "generated.py").write_text(study_text(rates=6, decays=5, momenta=2, powers=1))
    loaded = load(Source(str(tmp_path / "generated.py")))
    cells = loaded.study.cells()
    assert len(cells) == 1200
    templates = Templates(stages.present_keys())
    made = [templates.key(asked_of(loaded, cell, "quality", 0)) for cell in cells]
    assert len({key.text for key in made}) == len(cells)
    assert sum(key.is_read for key in made) == 8, "one for each network, and for dropout of 0"
    for key in random.Random(3).sample(made, 4):
        assert key.text == templates.keys.key(key.asked).text
