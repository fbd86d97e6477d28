"""Named recipes: their numbers are those that were published, and each is a recipe that networks are trained by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import named_recipe, part
from bench.data.synthetic import Synthetic
from bench.parts import ChoiceError
from bench.protocol.recipe import OUTSIDE_QUALITY, Recipe
from bench.protocol.recipes import RECIPES, recipe_fields
from bench.protocol.testing import TEST_FIELDS
from bench.study.source import Source, load, source_of_command
from tests.data.official.drawn import Drawer

ROOT = Path(__file__).parents[2]

EXPECTED: dict[str, dict[str, Any]] = {
    # DANet: 240 epochs of 371 batches; base 1024, crop 768, scales 0.75 to 2, rate 0.003 and ten times that.
    "danet-cityscapes": {
        "iterations": 240 * 371, "batch": 8, "crop_px": (768, 768), "short_side_px": 1024, "scale": (0.75, 2.0),
        "learning_rate": 0.003, "head_lr_factor": 10, "weight_decay": 1e-4, "poly_power": 0.9, "blur": 0,
        "window_px": (768, 768), "test_long_side_px": 2048, "test_flip": True, "averaged": "exponentials",
    },
    # FastFCN: 80 epochs of 312 batches, 120 of 1263; base 520, crop 480, a blur of half the images.
    "fastfcn-pcontext": {
        "iterations": 80 * 312, "batch": 16, "crop_px": (480, 480), "short_side_px": 520, "scale": (0.5, 2.0),
        "learning_rate": 0.001, "head_lr_factor": 10, "weight_decay": 1e-4, "blur": 0.5, "blur_sigma_px": (0, 1),
        "window_px": (480, 480), "window_stride_px": (320, 320), "test_long_side_px": 520, "test_flip": False,
    },
    "fastfcn-ade20k": {"iterations": 120 * 1263, "batch": 16, "learning_rate": 0.01, "crop_px": (480, 480)},
    # Gated-SCNN: 175 epochs of 371 batches; crop 720, one rate, poly power 1, jitter of 0.25 and a blur of all images.
    "gscnn-cityscapes": {
        "iterations": 175 * 371, "batch": 8, "crop_px": (720, 720), "scale": (0.5, 2.0), "short_side_px": None,
        "learning_rate": 0.01, "head_lr_factor": 1, "weight_decay": 1e-4, "poly_power": 1, "colour_jitter": 0.25,
        "hue_jitter": 0.25, "blur": 1, "blur_sigma_px": (0.15, 1.3), "rotation_deg": 0, "window_px": None,
    },
    # mmsegmentation: 2048 × 1024 times 0.5 to 2, crops with the class limit, one rate that falls to 1e-4.
    "mmseg-cityscapes-80k": {
        "iterations": 80_000, "batch": 8, "crop_px": (512, 1024), "short_side_px": 1024, "long_side_px": 2048,
        "scale": (0.5, 2.0), "largest_class_share": 0.75, "photometric_distortion": True, "learning_rate": 0.01,
        "head_lr_factor": 1, "weight_decay": 5e-4, "poly_power": 0.9, "least_learning_rate": 1e-4, "blur": 0,
        "window_px": None, "test_scales": (), "test_flip": False,
    },
    "mmseg-cityscapes-40k": {"iterations": 40_000},
    "mmseg-cityscapes-160k": {"iterations": 160_000},
    "mmseg-ade20k-80k": {
        "iterations": 80_000, "batch": 16, "crop_px": (512, 512), "short_side_px": 512, "long_side_px": 2048,
        "learning_rate": 0.01, "weight_decay": 5e-4, "largest_class_share": 0.75,
    },
    "mmseg-ade20k-160k": {"iterations": 160_000, "batch": 16},
    "mmseg-pcontext-40k": {
        "iterations": 40_000, "batch": 16, "crop_px": (480, 480), "short_side_px": 520, "long_side_px": 520,
        "learning_rate": 0.004, "weight_decay": 1e-4, "window_px": (480, 480), "window_stride_px": (320, 320),
    },
    "mmseg-pcontext-80k": {"iterations": 80_000, "learning_rate": 0.004},
}  # fmt: skip
COMMON = {"momentum": 0.9, "flip": 0.5, "schedule": "poly", "optimiser": None, "precision": "float32", "ema_decay": 0}


@pytest.mark.parametrize("name", RECIPES)
def test_the_numbers_of_a_named_recipe_are_those_that_were_published(name: str) -> None:
    recipe = named_recipe(name, part(Synthetic))
    for field, value in {**COMMON, **EXPECTED[name]}.items():
        assert getattr(recipe, field) == value, field


def test_a_named_recipe_says_all_about_training_and_nothing_about_what_is_measured() -> None:
    training = {one.name for one in dataclasses.fields(Recipe)} - TEST_FIELDS - OUTSIDE_QUALITY - {"data"}
    for name in RECIPES:
        fields = recipe_fields(name)
        assert training <= fields.keys()
        assert not fields.keys() & {"data", "split", "boundary_px", "trimap_px", "cost_px", "eval_batch"}
        assert {"window_px", "test_scales", "test_flip", "averaged"} <= fields.keys()


def test_a_change_replaces_a_field_and_an_unknown_name_is_refused() -> None:
    assert named_recipe("danet-cityscapes", part(Synthetic), iterations=7).iterations == 7
    with pytest.raises(
        ChoiceError, match="no such recipe; there are danet-cityscapes.*did you mean 'gscnn-cityscapes'"
    ):
        recipe_fields("gscnn-cityscape")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny copies of the data sets in their official layouts."""
    drawer = Drawer()
    folders = {name: tmp_path_factory.mktemp(name) for name in ("cityscapes", "ade20k", "pascal_context")}
    for split, ade_split in (("train", "training"), ("val", "validation")):
        for number in range(2):
            city = folders["cityscapes"]
            stem = f"city/city_00000{number}_000000"
            drawer.image(city / f"leftImg8bit/{split}/{stem}_leftImg8bit.png")
            drawer.label(city / f"gtFine/{split}/{stem}_gtFine_labelIds.png", [7])
            drawer.image(folders["ade20k"] / f"images/{ade_split}/ADE_{split}_{number}.jpg")
            drawer.label(folders["ade20k"] / f"annotations/{ade_split}/ADE_{split}_{number}.png", [7])
            drawer.image(folders["pascal_context"] / f"JPEGImages/{split}_{number}.jpg")
            drawer.label(folders["pascal_context"] / f"SegmentationClassContext/{split}_{number}.png", [7])
        lists = folders["pascal_context"] / "ImageSets/SegmentationContext"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text(f"{split}_0\n{split}_1\n")
    return folders


@pytest.mark.parametrize("name", RECIPES)
def test_check_accepts_a_named_recipe_on_the_data_set_that_it_is_for(
    name: str,
    copies: dict[str, Path],
    bench: Callable[..., tuple[int, str, str]],
    tiny_study: Callable[..., Path],
) -> None:
    data = RECIPES[name].data
    code, out, err = bench("check", tiny_study(), "--data", f"{data}={copies[data]}", "--recipe", name)
    assert (code, err) == (0, ""), out + err
    assert "classes, checked" in out
    assert out.count("1×") >= 2


def test_a_study_takes_a_recipe_in_place_of_its_own_and_a_protocol_replaces_its_test() -> None:
    path = str(ROOT / "studies/fastfcn_jpu.py")
    own = load(Source(path)).study.recipe
    loaded = load(Source(path, protocol="flip", recipe="fastfcn-pcontext"))
    recipe = loaded.study.recipe
    assert (recipe.iterations, recipe.crop_px, recipe.blur) == (24_960, (480, 480), 0.5)
    assert (recipe.test_flip, recipe.window_px) == (True, None)
    assert (recipe.data, recipe.boundary_px, recipe.eval_batch) == (own.data, own.boundary_px, own.eval_batch)
    assert {cell.recipe.iterations for cell in loaded.study.cells()} == {24_960}
    assert loaded.folder_name == "fastfcn_jpu-fastfcn-pcontext-flip"


@pytest.mark.parametrize(
    ("study", "recipe"),
    [
        ("danet_attention", "danet-cityscapes"),
        ("fastfcn_jpu", "fastfcn-pcontext"),
        ("gscnn_gates", "gscnn-cityscapes"),
    ],
)
def test_the_study_of_each_paper_names_the_recipe_of_the_paper(study: str, recipe: str) -> None:
    command = f"bench run studies/{study}.py --recipe {recipe} --data {RECIPES[recipe].data}=/path"
    assert command in (ROOT / f"studies/{study}.py").read_text(encoding="utf-8")
    source = source_of_command(command, None, final=False)
    assert (source.recipe, source.data) == (recipe, f"{RECIPES[recipe].data}=/path")
    assert source.options == ["--data", f"{RECIPES[recipe].data}=/path", "--recipe", recipe]


@pytest.mark.parametrize("command", ["check", "plan", "run", "trial"])
def test_an_unknown_recipe_is_refused_in_one_line(
    command: str, bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path]
) -> None:
    variant = ["baseline"] if command == "trial" else []
    code, _, err = bench(command, tiny_study(), *variant, "--recipe", "danet")
    assert code == 2
    assert "no such recipe" in err
    assert len(err.splitlines()) == 1


def test_help_lists_every_recipe_with_its_source(bench: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = bench("check", "--help")
    assert all(f"  {name}: {recipe.source}" in out for name, recipe in RECIPES.items())
