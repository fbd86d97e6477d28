"""Keys of whole trials: what goes into them, and how a plan says what changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from bench.data.synthetic import Synthetic
from bench.network.heads.fcn import FCNHead
from bench.network.model import Variant
from bench.parts import Part, part
from bench.protocol.recipe import Mode, Recipe
from bench.protocol.setting import Setting
from bench.run.identity.explained import difference, explained, packed, unpacked
from bench.run.identity.key import Computation, Key, Keys, digest, is_current
from bench.run.identity.library import Library
from bench.run.identity.reader import Reader
from bench.run.outcomes.progress import Event
from bench.run.schedule.plan import write_plan
from bench.run.stages import IRRELEVANT, STAGE_FUNCTIONS, key_of
from bench.study.cells import Cell
from bench.study.source import load_study

RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=3, batch=2)


@pytest.fixture(scope="module")
def cell() -> Cell:
    study = load_study(Path(__file__).parents[3] / "studies" / "quickstart.py")
    return Cell({}, study.base, RECIPE)


def test_a_key_holds_its_version_and_stays_a_name_of_a_file(cell: Cell) -> None:
    key = key_of(cell, "quality", 0, "data").text
    assert is_current(key)
    assert not is_current("0123456789abcdef")
    assert key.isalnum()
    assert len(key) == 18


def test_seed_data_and_settings_are_in_the_key(cell: Cell) -> None:
    plain = key_of(cell, "quality", 0, "data").text
    assert key_of(cell, "quality", 1, "data").text != plain
    assert key_of(cell, "quality", 0, "other").text != plain
    for changes in ({"batch": 4}, {"flip": 0.25}, {"split": "test"}, {"data": part(Synthetic, seed=1)}):
        changed = Cell({}, cell.variant, cell.recipe.having(**changes))
        assert key_of(changed, "quality", 0, "data").text != plain
    assert key_of(cell, "cost", None, "data").text != plain


def test_a_field_that_a_stage_does_not_read_keeps_its_key(cell: Cell) -> None:
    changed = Cell({}, cell.variant, cell.recipe.having(learning_rate=0.5, iterations=7))
    assert key_of(changed, "cost", None, "data").text == key_of(cell, "cost", None, "data").text
    changed = Cell({}, cell.variant, cell.recipe.having(latency_samples=7))
    assert key_of(changed, "quality", 0, "data").text == key_of(cell, "quality", 0, "data").text


def test_an_optimiser_of_torch_counts_with_its_class_its_settings_and_the_version_of_torch(cell: Cell) -> None:
    def key_with(chosen: Part[torch.optim.Optimizer]) -> Key:
        return key_of(Cell({}, cell.variant, cell.recipe.having(optimiser=chosen)), "quality", 0, "data")

    keys = [
        key_with(chosen)
        for chosen in (
            part(torch.optim.AdamW),
            part(torch.optim.AdamW, betas=(0.9, 0.98)),
            part(torch.optim.NAdam),
        )
    ]
    assert len({key.text for key in keys} | {key_of(cell, "quality", 0, "data").text}) == 4
    assert all("torch" in key.versions for key in keys)
    assert "settings changed" in difference(explained(keys[0]), explained(keys[1]))


def test_an_optimiser_changes_the_keys_of_what_it_takes_part_in(cell: Cell) -> None:
    chosen = Cell({}, cell.variant, cell.recipe.having(optimiser=part(torch.optim.AdamW)))
    frozen = Cell({}, cell.variant, cell.recipe.having(frozen="backbone"))
    warm = Cell({}, cell.variant, cell.recipe.having(warmup_iterations=1))
    cost = key_of(cell, "cost", None, "data").text
    assert key_of(chosen, "cost", None, "data").text != cost
    assert key_of(frozen, "cost", None, "data").text != cost
    assert key_of(warm, "cost", None, "data").text == cost


def test_what_training_does_with_another_precision_is_no_part_of_a_key_without_it(cell: Cell) -> None:
    half = Cell({}, cell.variant, cell.recipe.having(precision="float16"))
    key, other = key_of(cell, "quality", 0, "data"), key_of(half, "quality", 0, "data")
    assert difference(explained(key), explained(other)).startswith("settings changed: recipe.precision 'float32' → ")


def test_a_quality_trial_depends_on_training_data_and_scoring_but_not_on_the_runner(cell: Cell) -> None:
    names = set(key_of(cell, "quality", 0, "data").source.definitions)
    assert {"bench/training/plain.py:train_plainly", "bench/training/augment/plain.py:batches"} <= names
    assert {"bench/measure/quality/confusion.py:pair_counts", "bench/network/model.py:SegModel"} <= names
    outside = ("bench/study/study", "bench/run/plan", "bench/measure/cost", "bench/measure/timing", "bench/report")
    assert [name for name in names if name.startswith(outside)] == []


def test_the_code_of_an_augmentation_counts_only_where_the_recipe_asks_for_one(cell: Cell) -> None:
    blurred = Cell({}, cell.variant, cell.recipe.having(blur=0.5))
    key, other = key_of(cell, "quality", 0, "data"), key_of(blurred, "quality", 0, "data")
    folder, changing = "bench/training/augment", ("batches.py:finish", "blur.py:blur", "geometry.py:cut")
    assert {f"{folder}/{name}" for name in changing} <= set(other.source.definitions)
    files = {name.partition(":")[0] for name in key.source.definitions}
    assert files & {f"{folder}/{name}.py" for name in ("batches", "blur", "colours")} == set()
    assert difference(explained(key), explained(other)) != ""
    assert key_of(blurred, "cost", None, "data").text == key_of(cell, "cost", None, "data").text


@pytest.mark.parametrize(
    ("fields", "reached", "packages"),
    [
        ({"test_mode": "onnxruntime"}, {"onnxruntime"}, {"onnxruntime"}),
        ({"test_mode": "openvino"}, {"openvino"}, {"openvino"}),
        ({"test_mode": "openvino", "test_precision": "int8_static"}, {"openvino"}, {"openvino", "onnx", "onnxruntime"}),
        ({"test_mode": "compile"}, set(), set()),
        ({"test_precision": "bfloat16"}, set(), set()),
    ],
)
def test_a_test_in_a_mode_depends_on_the_runtime_of_that_mode_alone(
    cell: Cell, fields: dict[str, Any], reached: set[str], packages: set[str]
) -> None:
    key = key_of(Cell({}, cell.variant, cell.recipe.having(**fields)), "quality", 0, "data")
    files = {name.partition(":")[0] for name in key.source.definitions}
    runtimes = {mode for mode in get_args(Mode) if f"bench/measure/timing/runtimes/{mode}.py" in files}
    assert runtimes == reached
    others = {"onnx", "onnxruntime", "openvino", "torch_tensorrt"}
    assert {name.lower() for name in key.versions} & others == packages


def keys_with(versions: dict[str, str]) -> Keys:
    return Keys(Reader(Library("bench", (Variant, Recipe, Setting, Part), (Event,), ())), versions)


def asked(cell: Cell) -> Computation:
    return Computation(
        "quality", STAGE_FUNCTIONS["quality"], [cell.variant], cell.recipe, 0, "data", None, IRRELEVANT["quality"]
    )


def test_the_version_of_a_distribution_that_is_used_counts_but_not_its_build(cell: Cell) -> None:
    one = keys_with({"torch": "2.13.0+cpu", "numpy": "2.4.6", "scipy": "1.17.1"}).key(asked(cell))
    build = keys_with({"torch": "2.13.0+cu130", "numpy": "2.4.6", "scipy": "1.17.1"}).key(asked(cell))
    other = keys_with({"torch": "2.14.0", "numpy": "2.4.6", "scipy": "1.17.1"}).key(asked(cell))
    unused = keys_with({"torch": "2.13.0", "numpy": "2.4.6", "scipy": "1.17.1", "ray": "9"}).key(asked(cell))
    assert build.text == one.text == unused.text != other.text
    assert difference(explained(one), explained(other)) == "versions changed: torch 2.13.0 → 2.14.0"


def test_a_timing_counts_the_packages_of_its_own_mode_alone(cell: Cell) -> None:
    def timed(**choices: Any) -> Key:
        setting = Setting(height=64, width=64, **choices)
        return key_of(cell, "speed", None, "data", against=cell, setting=setting)

    modes: tuple[Mode, ...] = get_args(Mode)
    keys = {mode: timed(mode=mode) for mode in modes}
    assert len({key.text for key in keys.values()}) == len(modes)
    packages = {"onnxruntime", "openvino", "torch_tensorrt"}
    named = {mode: packages & {name.lower().replace("-", "_") for name in key.versions} for mode, key in keys.items()}
    own = {"onnxruntime": {"onnxruntime"}, "openvino": {"openvino"}, "tensorrt": {"torch_tensorrt"}}
    assert named == {mode: own.get(mode, set()) for mode in modes}
    assert timed().text != timed(precision="bfloat16").text != timed(memory_format="channels_last").text


def test_what_went_into_keys_is_packed_and_read_again(cell: Cell) -> None:
    keys = [explained(key_of(cell, "quality", seed, "data")) for seed in (0, 1)]
    data = packed(keys)
    assert list(unpacked(data).values()) == keys
    assert len(data["sources"]) == len(data["settings"]) == 1


@pytest.mark.parametrize("data", [None, [], {}, {"version": 1}, {"version": 2}, {"version": 2, "definitions": 3}])
def test_what_is_damaged_or_of_another_version_explains_nothing(data: object) -> None:
    assert unpacked(data) == {}


def test_a_difference_names_what_changed(cell: Cell) -> None:
    key = explained(key_of(cell, "quality", 0, "data"))
    definitions = dict(key.definitions)
    name = next(iter(definitions))
    assert difference(key, replace(key, definitions={**definitions, name: "0"})) == f"source changed: {name}"
    moved = {("elsewhere.py:f" if label == name else label): each for label, each in definitions.items()}
    assert "source changed" not in difference(key, replace(key, definitions=moved))
    assert difference(key, replace(key, data="other")) == "the data changed"
    many = dict.fromkeys(definitions, "0")
    assert difference(key, replace(key, definitions=many)).endswith(f"and {len(definitions) - 3} more")


def test_a_class_without_source_is_refused(cell: Cell) -> None:
    made = type("Made", (FCNHead,), {"__module__": __name__})
    with pytest.raises(ValueError, match="cannot find the source of .*:Made"):
        key_of(Cell({}, replace(cell.variant, head=part(made)), cell.recipe), "quality", 0, "data")


def test_a_digest_does_not_depend_on_key_order() -> None:
    assert digest({"a": 1, "b": [1, None]}) == digest({"b": [1, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})


def test_plain_values_are_what_they_are_made_from() -> None:
    """Keys take a recipe and a setting by their fields: their constructors must check, and change nothing."""
    recipe = {"crop_px": (32, 48), "iterations": 3, "batch": 2, "clip_norm": None, "scale": (0.5, 1.5)}
    made = Recipe(data=part(Synthetic), **recipe)
    assert {name: getattr(made, name) for name in recipe} == recipe
    setting = {"height": 32, "width": 48, "batch": 2, "mode": "compile"}
    timed = Setting(**setting)
    assert {name: getattr(timed, name) for name in setting} == setting


def test_a_study_that_changed_is_planned_with_the_reason(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    from bench.run.resources import here
    from bench.run.schedule.making import make_schedule
    from bench.run.trial import run
    from bench.study.source import Source, load

    path = tiny_study()
    plan = make_schedule(load(Source(str(path))), tmp_path / "results", here(1, 0))
    write_plan(plan, "bench run tiny.py")
    cost = next(trial for trial in plan.trials if trial.stage == "cost")
    run(cost, plan.folder, plan.resources.machine("cost"))
    path.write_text(path.read_text().replace("STUDY = Study(", "import torch\n\ntorch.manual_seed(1)\nSTUDY = Study("))
    changed = path.rename(path.with_name("changed.py"))
    again = make_schedule(load(Source(str(changed))), tmp_path / "results", here(1, 0))
    assert again.folder == plan.folder
    assert again.stale() == 1
    assert again.stale_reasons() == ["1 record: source changed: top-level statements"]
    write_plan(again, "bench run changed.py")
    third = make_schedule(load(Source(str(changed))), tmp_path / "results", here(1, 0))
    assert third.stale_reasons() == again.stale_reasons()
