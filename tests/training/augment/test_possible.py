"""Crops that no image fills, and shares of a class that no crop can meet, are said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from bench.data.synthetic import Synthetic
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.augment.possible import unfilled_crop, unreachable_share

SPLIT = Synthetic(None, height_px=40, width_px=60, train_images=3, val_images=1).split("train")
RECIPE = Recipe(data=part(Synthetic), crop_px=(80, 120), iterations=2, batch=2)


@pytest.mark.parametrize(
    ("changes", "is_filled"),
    [
        ({}, True),
        ({"crop_px": (81, 120)}, True),  # the rectangle that is cut has 40 rows
        ({"crop_px": (82, 120)}, False),
        ({"crop_px": (80, 122)}, False),
        ({"scale": (1.0, 1.9)}, False),
        ({"scale": (1.0, 1.0), "short_side_px": 80}, True),
        ({"scale": (1.0, 1.0), "short_side_px": 80, "long_side_px": 119}, False),
        ({"scale": (1.0, 1.0), "long_side_px": 120}, True),
    ],
)
def test_a_crop_is_filled_if_the_largest_scale_of_an_image_fills_it(changes: dict[str, Any], is_filled: bool) -> None:
    if changes.get("long_side_px") == 119:
        with pytest.raises(ValueError, match="no crop could be filled"):
            RECIPE.having(**changes)
        return
    words = unfilled_crop(RECIPE.having(**changes), SPLIT)
    assert (words == "") == is_filled
    assert "\n" not in words


def test_the_words_name_the_crop_and_an_image() -> None:
    words = unfilled_crop(RECIPE.having(crop_px=(90, 100)), SPLIT)
    assert words == (
        f"no crop of 90 × 100 pixels is filled: {SPLIT[0].name} of 40 × 60 is too small even at the largest scale of "
        "2, and what is missing is void"
    )


def test_a_share_is_unreachable_if_one_of_the_classes_always_has_it() -> None:
    assert unreachable_share(RECIPE, 1) == unreachable_share(RECIPE.having(largest_class_share=0.26), 4) == ""
    words = unreachable_share(RECIPE.having(largest_class_share=0.25), 4)
    assert words == (
        "largest_class_share=0.25 can be met by no crop: of 4 classes, one has at least 1/4 of the labelled pixels"
    )
    assert unreachable_share(RECIPE.having(largest_class_share=0.9), 1)
