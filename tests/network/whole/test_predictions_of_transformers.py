"""Predicted classes equal transformers' own post-processing, of whole images and of images in windows (extras)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.control import ControlScenes
from bench.network.layers import resize
from bench.network.model import SegModel, Variant
from bench.network.normalisation import normalise
from bench.network.own_losses import own_losses
from bench.network.whole.families import FAMILIES
from bench.network.whole.frame import Frame
from bench.network.whole.queries import answered
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training.protocols import predict_by_views
from tests.network.whole.small import network

pytestmark = pytest.mark.extras

CLASSES = 5


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


PIXELWISE = ("segformer", "upernet", "dpt", "beit")
PROCESSORS = {
    "oneformer": "OneFormerImageProcessor", "mask2former": "Mask2FormerImageProcessor",
    "maskformer": "MaskFormerImageProcessor", "eomt": "EomtImageProcessor", "segformer": "SegformerImageProcessor",
    "dpt": "DPTImageProcessor", "beit": "BeitImageProcessor",
}  # fmt: skip
"""Those of UPerNet and of EoMT on DINOv3 are SegFormer's and EoMT's."""


def processor(architecture: str) -> Any:
    """The processor of the images of an architecture; its post-processing, which alone is used, needs no settings."""
    named = {"upernet": "segformer", "eomt-dinov3": "eomt"}.get(architecture, architecture)
    cls = getattr(import_module("transformers"), PROCESSORS[named])
    return object.__new__(cls)


def built(architecture: str) -> SegModel:
    whole = network(architecture)
    return SegModel(Variant(whole=whole, losses=own_losses(whole)), CLASSES).eval()


def library_output(model: SegModel, image: Tensor) -> Any:
    whole: Any = model.whole
    seen = image if whole.scale is None else image * whole.scale + whole.shift
    return copy.deepcopy(whole.network)(seen)


@pytest.mark.parametrize("architecture", [name for name in FAMILIES if name not in PIXELWISE])
def test_classes_of_queries_are_those_of_the_library(architecture: str) -> None:
    """Of random masks and classes, at the size to which transformers brings all masks of Mask2Former: 384 x 384.

    MaskFormer's and OneFormer's it sums at their own size, unlike their authors, so here they have the image's.
    """
    size, own = (384, 384), (384, 384) if architecture in ("maskformer", "oneformer") else (24, 24)
    masks, classes = 4 * torch.randn(2, 20, *own), 4 * torch.randn(2, 20, CLASSES + 1)
    output = SimpleNamespace(masks_queries_logits=masks, class_queries_logits=classes, patch_offsets=None)
    given = {"size": {"shortest_edge": 384, "longest_edge": 384}} if architecture.startswith("eomt") else {}
    maps = processor(architecture).post_process_semantic_segmentation(output, target_sizes=[size] * 2, **given)
    scores, _ = answered([(masks, classes)], Frame(*size, 32), with_aux=False)
    assert torch.equal(scores.argmax(1), torch.stack(list(maps)))
    assert len(scores.argmax(1).unique()) == CLASSES


@pytest.mark.parametrize("architecture", PIXELWISE)
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 160)])
def test_classes_of_pixels_are_those_of_the_library(architecture: str, size: tuple[int, int]) -> None:
    if architecture == "dpt" and size[0] != size[1]:
        pytest.skip("transformers' DPT takes square images alone")
    model, image = built(architecture), torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output, logits = library_output(model, image), model(image).logits
    maps = processor(architecture).post_process_semantic_segmentation(output, target_sizes=[size] * 2)
    assert torch.equal(logits.argmax(1), torch.stack(list(maps)))
    assert len(logits.argmax(1).unique()) > 1


@pytest.mark.parametrize("architecture", [name for name in FAMILIES if name != "dpt"])
@pytest.mark.parametrize("size", [(70, 90), (33, 64)])
def test_an_image_of_another_size_is_seen_in_a_frame_of_the_mean_colour(
    architecture: str, size: tuple[int, int]
) -> None:
    """By hand: the library gets the image in its frame, and what it says of the frame is cut off."""
    model, image = built(architecture), torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    whole: Any = model.whole
    multiple = whole.multiple_px
    height, width = (side + -side % multiple for side in size)
    framed = torch.zeros(1, 3, height, width)
    framed[..., : size[0], : size[1]] = image
    with torch.no_grad():
        expected = model(framed).logits[..., : size[0], : size[1]]
        torch.testing.assert_close(model(image).logits, expected)
        if architecture in PIXELWISE:
            expected = resize(library_output(model, framed).logits, (height, width), False)[..., : size[0], : size[1]]
            torch.testing.assert_close(model(image).logits, expected)


def test_windows_are_averaged_as_eomt_averages_its_own() -> None:
    """The processor of EoMT cuts an image into squares, and averages the scores where they meet.

    The recipe's windows are at the same places here, and the scores that they average are the exponentials of logits.
    """
    model = built("eomt")
    images = ControlScenes(None, train_images=1, val_images=1).split("val")[0].image[None, :, :96, :64]
    assert images.shape[2:] == (96, 64)
    recipe = Recipe(
        data=part(ControlScenes),
        crop_px=(64, 64),
        iterations=1,
        batch=2,
        window_px=(64, 64),
        window_stride_px=(32, 32),
        averaged="exponentials",
    )
    own = processor("eomt")
    size = {"shortest_edge": 64, "longest_edge": None}
    windows, offsets = own._split_image(normalise(images), SimpleNamespace(**size), [0])
    with torch.no_grad():
        output = library_output(model, torch.stack(windows))
    output.patch_offsets = offsets
    (found,) = own.post_process_semantic_segmentation(output, [(96, 64)], size, return_segmentation_scores=True)
    prediction = predict_by_views(model, images, recipe)
    assert torch.equal(prediction.classes[0].long(), found.segmentation)
    shares = found.segmentation_scores / found.segmentation_scores.sum(0)
    torch.testing.assert_close(prediction.confidence[0], shares.amax(0))
