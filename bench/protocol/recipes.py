"""Named recipes of papers and of mmsegmentation, each with its source: how a network is trained and tested there.

The values were read in the published code; :attr:`PublishedRecipe.source` names the files. Epochs are counted as there,
without the last, smaller batch: ``iterations = epochs * (images // batch)`` for the official training split.

**Departures**, besides those of :mod:`bench.training.augment`:

- Gated-SCNN's rate falls once an epoch, here at every iteration.
- DANet, FastFCN and Gated-SCNN pad an image with black, here with the mean colour.
- mmsegmentation tests ADE20K at the size to which it resizes (512 pixels on the short side), here at the image's own.
- The networks' own losses, initial weights and auxiliary heads are the study's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from bench.parts import ChoiceError, Part, nearest
from bench.protocol.recipe import OUTSIDE_QUALITY, Recipe
from bench.protocol.testing import PROTOCOLS, TEST_FIELDS


@dataclass(frozen=True)
class PublishedRecipe:
    """A recipe as it was published.

    Attributes:
        source: the paper or toolbox and the files in which the values were read.
        data: the name of the data set that it is for, as ``--data`` takes it.
        protocol: the way of testing, a name of :data:`bench.protocol.testing.PROTOCOLS` or the fields of the recipe.
        training: the recipe's fields about training in which it differs from :class:`Recipe`.
    """

    source: str
    data: str
    protocol: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """All fields of a recipe about training, and those of testing that the protocol gives."""
        defaults = {one.name: one.default for one in fields(Recipe) if one.default is not MISSING}
        own = {name: value for name, value in defaults.items() if name not in TEST_FIELDS | OUTSIDE_QUALITY}
        return {**own, **self.protocol, **self.training}


def _iterations(epochs: int, images: int, batch: int) -> int:
    return epochs * (images // batch)


CITYSCAPES_IMAGES, ADE20K_IMAGES, PASCAL_CONTEXT_IMAGES = 2975, 20210, 4998
"""The images of the official training splits."""

_FASTFCN: Mapping[str, Any] = {
    "batch": 16, "crop_px": (480, 480), "short_side_px": 520, "scale": (0.5, 2.0), "flip": 0.5, "blur": 0.5,
    "blur_sigma_px": (0.0, 1.0), "head_lr_factor": 10.0, "weight_decay": 1e-4,
}  # fmt: skip
_MMSEG: Mapping[str, Any] = {
    "scale": (0.5, 2.0), "flip": 0.5, "largest_class_share": 0.75, "photometric_distortion": True,
    "learning_rate": 0.01, "head_lr_factor": 1.0, "weight_decay": 5e-4, "least_learning_rate": 1e-4,
}  # fmt: skip
_MMSEG_CITYSCAPES = PublishedRecipe(
    "mmsegmentation, configs/_base_: schedules and datasets/cityscapes.py, 4 × 2 images",
    "cityscapes",
    PROTOCOLS["whole"],
    {**_MMSEG, "batch": 8, "crop_px": (512, 1024), "short_side_px": 1024, "long_side_px": 2048},
)
_MMSEG_ADE20K = PublishedRecipe(
    "mmsegmentation, configs/_base_: schedules and datasets/ade20k.py, 4 × 4 images",
    "ade20k",
    PROTOCOLS["whole"],
    {**_MMSEG, "batch": 16, "crop_px": (512, 512), "short_side_px": 512, "long_side_px": 2048},
)
_MMSEG_PASCAL_CONTEXT = PublishedRecipe(
    "mmsegmentation, configs/deeplabv3 and configs/_base_: datasets/pascal_context_59.py, 4 × 4 images",
    "pascal_context",
    {**PROTOCOLS["whole"], "window_px": (480, 480), "window_stride_px": (320, 320), "test_long_side_px": 520},
    {
        **_MMSEG, "batch": 16, "crop_px": (480, 480), "short_side_px": 520, "long_side_px": 520, "learning_rate": 0.004,
        "weight_decay": 1e-4,
    },
)  # fmt: skip


def _of_length(recipe: PublishedRecipe, iterations: int) -> PublishedRecipe:
    return replace(recipe, training={**recipe.training, "iterations": iterations})


RECIPES: Mapping[str, PublishedRecipe] = {
    "danet-cityscapes": PublishedRecipe(
        "DANet, README and danet/option.py of 2018, for ResNet-101",
        "cityscapes",
        PROTOCOLS["danet-single"],
        {
            "iterations": _iterations(240, CITYSCAPES_IMAGES, 8), "batch": 8, "crop_px": (768, 768),
            "short_side_px": 1024, "scale": (0.75, 2.0), "flip": 0.5, "learning_rate": 0.003, "head_lr_factor": 10.0,
            "weight_decay": 1e-4,
        },
    ),
    "fastfcn-pcontext": PublishedRecipe(
        "FastFCN v1.0.0, experiments/segmentation/option.py and scripts for PASCAL Context",
        "pascal_context",
        PROTOCOLS["fastfcn-single"],
        {**_FASTFCN, "iterations": _iterations(80, PASCAL_CONTEXT_IMAGES, 16), "learning_rate": 0.001},
    ),
    "fastfcn-ade20k": PublishedRecipe(
        "FastFCN v1.0.0, experiments/segmentation/option.py and scripts for ADE20K's train split",
        "ade20k",
        PROTOCOLS["fastfcn-single"],
        {**_FASTFCN, "iterations": _iterations(120, ADE20K_IMAGES, 16), "learning_rate": 0.01},
    ),
    "gscnn-cityscapes": PublishedRecipe(
        "Gated-SCNN, README, train.py, optimizer.py and datasets/__init__.py of 2019",
        "cityscapes",
        PROTOCOLS["whole"],
        {
            "iterations": _iterations(175, CITYSCAPES_IMAGES, 8), "batch": 8, "crop_px": (720, 720),
            "scale": (0.5, 2.0), "flip": 0.5, "colour_jitter": 0.25, "hue_jitter": 0.25, "blur": 1.0,
            "blur_sigma_px": (0.15, 1.3), "learning_rate": 0.01, "head_lr_factor": 1.0, "poly_power": 1.0,
            "weight_decay": 1e-4,
        },
    ),
    "mmseg-cityscapes-40k": _of_length(_MMSEG_CITYSCAPES, 40_000),
    "mmseg-cityscapes-80k": _of_length(_MMSEG_CITYSCAPES, 80_000),
    "mmseg-cityscapes-160k": _of_length(_MMSEG_CITYSCAPES, 160_000),
    "mmseg-ade20k-80k": _of_length(_MMSEG_ADE20K, 80_000),
    "mmseg-ade20k-160k": _of_length(_MMSEG_ADE20K, 160_000),
    "mmseg-pcontext-40k": _of_length(_MMSEG_PASCAL_CONTEXT, 40_000),
    "mmseg-pcontext-80k": _of_length(_MMSEG_PASCAL_CONTEXT, 80_000),
}  # fmt: skip
"""Name -> the recipe."""


def recipe_fields(name: str) -> dict[str, Any]:
    """The fields of the recipe that an option ``--recipe`` names.

    Args:
        name: a name of :data:`RECIPES`.

    Raises:
        ChoiceError: for an unknown name.
    """
    if name not in RECIPES:
        raise ChoiceError(f"--recipe {name!r}: no such recipe; there are {', '.join(RECIPES)}{nearest(name, RECIPES)}")
    return RECIPES[name].fields


def named_recipe(name: str, data: Part[Any], **changes: Any) -> Recipe:
    """A published recipe for some data, such as ``named_recipe("fastfcn-pcontext", part(PascalContext))``.

    Args:
        name: a name of :data:`RECIPES`.
        data: the data set as a Part.
        changes: other fields, or other values for the recipe's own.

    Raises:
        ChoiceError: for an unknown name, an unknown field or a value that is not allowed.
    """
    return Recipe(data=data, **{**recipe_fields(name), **changes})
