"""The processes of a group make the samples of one process, each its own part; what cannot be shared is refused."""

from __future__ import annotations

import pytest
import torch

from bench.protocol.recipe import Recipe
from bench.training.augment.batches import finish, make_batch
from bench.training.parallel.group import SharingError, TrainingGroup, refuse_unshared
from bench.training.parallel.samples import make_share, places_of
from tests.training.test_plain import DATA, RECIPE


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_processes_make_the_batch_of_one(size: int, accumulate: int) -> None:
    recipe = RECIPE.having(batch=12, accumulate=accumulate, colour_jitter=0.25, blur=0.5, rotation_deg=10.0)
    split = DATA.split("train")
    image, label = finish(make_batch(split, recipe, 5, 3), recipe)
    seen: list[int] = []
    for rank in range(size):
        places = places_of(TrainingGroup(rank, size), recipe)
        own_image, own_label = finish(make_share(split, recipe, 5, 3, places=places), recipe)
        torch.testing.assert_close(own_image, image[places], rtol=0, atol=0)
        assert torch.equal(own_label, label[places])
        seen += places
    assert sorted(seen) == list(range(12))


def test_each_part_of_a_batch_is_divided_so_that_it_holds_the_samples_that_it_has_in_one_process() -> None:
    recipe = RECIPE.having(batch=8, accumulate=2)
    assert places_of(TrainingGroup(0, 2), recipe) == [0, 1, 4, 5]
    assert places_of(TrainingGroup(1, 2), recipe) == [2, 3, 6, 7]


@pytest.mark.parametrize(
    ("changes", "size", "reason"),
    [
        ({"batch": 6}, 4, "4 processes cannot share a batch of 6 evenly; take a batch that 4 divides"),
        ({"batch": 4, "accumulate": 2}, 4, "a batch of 4 in 2 parts evenly; take a batch that 8 divides"),
        ({"batch": 4, "compiled": True}, 2, r"Recipe\(compiled=True\) trains in one; take compiled=False"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_the_remedy(changes: dict[str, int], size: int, reason: str) -> None:
    recipe: Recipe = RECIPE.having(**changes)
    with pytest.raises(SharingError, match=reason):
        refuse_unshared(recipe, size)
    refuse_unshared(recipe, 1)
