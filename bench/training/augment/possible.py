"""Choices of the augmentation that some data cannot meet, in words."""

from __future__ import annotations

from bench.data.base import Split
from bench.protocol.recipe import Recipe
from bench.protocol.words import size
from bench.training.augment.geometry import base_scale


def unreachable_share(recipe: Recipe, classes: int) -> str:
    """The reason why no crop can be as mixed as the recipe asks for; empty if some crop can.

    Args:
        recipe: the recipe.
        classes: the number of classes of the data.
    """
    if recipe.largest_class_share == 1 or recipe.largest_class_share * classes > 1:
        return ""
    return (
        f"largest_class_share={recipe.largest_class_share:g} can be met by no crop: of {classes} classes, one has at "
        f"least 1/{classes} of the labelled pixels"
    )


def unfilled_crop(recipe: Recipe, split: Split) -> str:
    """The words for crops that are never filled, by the first and the last image of a split; empty if one fills them.

    Args:
        recipe: the recipe.
        split: the training split.
    """
    first, last = split[0], split[len(split) - 1]
    if any(_fills(recipe, (sample.label.shape[0], sample.label.shape[1])) for sample in (first, last)):
        return ""
    return (
        f"no crop of {size(recipe.crop_px)} pixels is filled: {first.name} of {size(tuple(first.label.shape))} is too "
        f"small even at the largest scale of {recipe.scale[1]:g}, and what is missing is void"
    )


def _fills(recipe: Recipe, image_px: tuple[int, int]) -> bool:
    largest = base_scale(image_px, recipe) * recipe.scale[1]
    return all(round(wanted / largest) <= have for wanted, have in zip(recipe.crop_px, image_px, strict=True))
