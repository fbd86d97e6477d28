"""Batches with every augmentation: functions of (seed, iteration) alone, and the plain stream without any."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data.base import IGNORE
from bench.data.synthetic import Synthetic
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.ahead import ahead
from bench.training.augment import plain
from bench.training.augment.batches import augmented, finish, make_batch

SPLIT = Synthetic(None, height_px=40, width_px=56, train_images=7, val_images=1).split("train")
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 40), iterations=2, batch=3)
EVERYTHING = RECIPE.having(
    short_side_px=48, largest_class_share=0.6, rotation_deg=10.0, colour_jitter=0.25, hue_jitter=0.1, blur=0.5,
    blur_sigma_px=(0.15, 1.3),
)  # fmt: skip
DISTORTED = RECIPE.having(long_side_px=64, photometric_distortion=True)


def batch_of(recipe: Recipe, seed: int, iteration: int) -> tuple[Tensor, Tensor]:
    return finish(make_batch(SPLIT, recipe, seed, iteration), recipe)


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "changes", [{}, {"crop_px": (64, 48)}, {"scale": (1.0, 1.0), "flip": 0.0}, {"scale": (0.3, 3.0)}]
)
def test_a_recipe_that_asks_for_no_more_has_the_batches_of_the_plain_stream_bit_for_bit(
    changes: dict[str, Any],
) -> None:
    recipe = RECIPE.having(**changes)
    choices = {name: getattr(recipe, name) for name in ("batch", "crop_px", "scale", "flip")}
    stream = plain.batches(SPLIT, seed=4, start=2, **choices)
    for iteration, expected in zip(range(2, 14), stream, strict=False):
        assert same(batch_of(recipe, 4, iteration), expected)


@pytest.mark.parametrize("recipe", [EVERYTHING, DISTORTED], ids=["everything", "distorted"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_same_with_any_number_of_workers_and_after_a_resume(recipe: Recipe, workers: int) -> None:
    expected = list(itertools.islice(augmented(SPLIT, recipe, 4, torch.device("cpu")), 8))
    for start in (0, 3):
        with closing(ahead(lambda iteration: batch_of(recipe, 4, iteration), workers, start)) as made:
            assert all(same(*pair) for pair in zip(made, expected[start:], strict=False))
    assert len({tuple(label.flatten().tolist()) for _, label in expected}) == 8


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = batch_of(EVERYTHING, 0, 0)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(batch_of(EVERYTHING, 0, 0), first)
    assert not same(batch_of(EVERYTHING, 1, 0), first)


@pytest.mark.parametrize("recipe", [EVERYTHING, DISTORTED], ids=["everything", "distorted"])
def test_images_stay_finite_and_in_their_range_and_labels_are_those_of_the_data(recipe: Recipe) -> None:
    for iteration in range(10):
        image, label = batch_of(recipe, 0, iteration)
        assert (image.shape, image.dtype) == ((3, 3, 32, 40), torch.float32)
        assert (label.shape, label.dtype) == ((3, 32, 40), torch.int64)
        assert float(image.abs().max()) < 2.65  # black and white, normalised, lie within -2.12 … 2.64
        assert set(label.unique().tolist()) <= {*range(9), IGNORE}


@pytest.mark.parametrize(
    "changes",
    [
        {"colour_jitter": 0.5},
        {"hue_jitter": 0.5},
        {"photometric_distortion": True},
        {"blur": 1.0, "blur_sigma_px": (1.0, 2.0)},
    ],
    ids=["jitter", "hue", "distortion", "blur"],
)
def test_colours_and_blur_change_images_and_no_label(changes: dict[str, Any]) -> None:
    before, after = (batch_of(recipe, 0, 5) for recipe in (RECIPE, RECIPE.having(**changes)))
    assert torch.equal(before[1], after[1])
    assert float((before[0] - after[0]).abs().mean()) > 0.01


class Operators(TorchDispatchMode):
    """Collects the names of the operators that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("recipe", [EVERYTHING, DISTORTED], ids=["everything", "distorted"])
def test_a_device_is_not_waited_for_while_colours_change(recipe: Recipe) -> None:
    """A tensor made from numbers, or a number read from a tensor, would make the host wait for the step before."""
    batch = make_batch(SPLIT, recipe, 0, 0)
    with Operators() as operators:
        finish(batch, recipe)
    assert "mul" in operators.names
    assert not operators.names & {"lift_fresh", "_local_scalar_dense", "nonzero"}


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split is empty"):
        make_batch([], RECIPE, 0, 0)
