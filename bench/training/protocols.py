"""Testing by several views of an image: windows that slide over it, scales and a flip, whose scores are averaged.

Images are ``N 3 H W`` uint8, scores ``N K H W``. Normalised images are resized to a scale, and scores back to the size
of the image, by bilinear resizing without aligned corners. How scores are averaged is one of three conventions:

- ``logits``: the logits of all windows, flips and scales, each at the image's size.
- ``probabilities``: the logits of all windows; then, at the image's size, the softmax of each flip and scale. That is
  mmsegmentation's test with ``mode='slide'`` and test-time augmentation.
- ``exponentials``: in each window the exponential of the logits, with a flip of their sum with those of the mirrored
  window; then the mean over windows, resized, and the sum over scales. That is the test of DANet and FastFCN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import product

import torch
from torch import Tensor

from bench.data.base import Sample, Split
from bench.network.layers import resize
from bench.network.model import SegModel
from bench.network.normalisation import normalise
from bench.protocol.recipe import Recipe
from bench.training.inference import Prediction, stacked

Size = tuple[int, int]


@torch.inference_mode()
def predict_by_views(model: SegModel, images: Tensor, recipe: Recipe) -> Prediction:
    """The most probable class of every pixel by the recipe's windows, scales and flip.

    Args:
        model: the network, in evaluation mode and on the device of ``images``.
        images: the images, ``N 3 H W`` uint8 RGB.
        recipe: the windows, scales and flip, and the convention by which scores are averaged.

    Raises:
        RuntimeError: if the network is in training mode.
    """
    if model.training:
        raise RuntimeError("predict_by_views() needs the network in evaluation mode; call model.eval() first")
    normal = normalise(images)
    size = (images.shape[-2], images.shape[-1])
    scales = recipe.test_scales or (1.0,)
    # A running sum, so that the scores of all views need not be held at once.
    scores = reduce(torch.add, (view for scale in scales for view in _at_scale(model, normal, size, scale, recipe)))
    if recipe.averaged == "logits":
        scores = (scores / (len(scales) * (1 + recipe.test_flip))).softmax(1)
    highest, classes = scores.max(1)
    total = scores.sum(1)
    finite = (total.isfinite() & (total > 0)).all(-1).all(-1)
    return Prediction(classes.to(torch.uint8), (highest / total).float(), finite)


def predictions_by_views(
    model: SegModel, split: Split, recipe: Recipe, *, device: torch.device
) -> Iterator[tuple[Prediction, list[Sample]]]:
    """Yield the predictions over a whole split, image by image, as (prediction ``1 H W`` on the device, the sample).

    On a GPU, the host does not wait for them.
    """
    for index in range(len(split)):
        sample = split[index]
        image = stacked([sample.image], device).to(device, non_blocking=True)
        yield predict_by_views(model, image, recipe), [sample]


def windows(size: Size, window: Size, stride: Size) -> list[tuple[slice, slice]]:
    """The places of the windows that cover an image, row by row; the last of a row or column ends at the border.

    A window is not larger than the image.
    """
    sides = []
    for side, length, step in zip(size, window, stride, strict=True):
        kept = min(length, side)
        starts = [min(step * index, side - kept) for index in range(math.ceil((side - kept) / step) + 1)]
        sides.append([slice(start, start + kept) for start in starts])
    return list(product(*sides))


def _at_scale(model: SegModel, normal: Tensor, size: Size, scale: float, recipe: Recipe) -> Iterator[Tensor]:
    """Yield the scores of one scale at the image's size: those of each flip, or those of both together."""
    if recipe.test_long_side_px is not None:
        scale = scale * recipe.test_long_side_px / max(size)
    target = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    images = resize(normal, target, align_corners=False)

    def logits(view: Tensor) -> Tensor:
        out: Tensor = model(view, with_aux=False).logits
        return out.float().where(out.isfinite(), torch.nan)  # the softmax would hide an infinite number, but not NaN

    def mirrored(view: Tensor) -> Tensor:
        return logits(view.flip(-1)).flip(-1)

    def exponentials(view: Tensor) -> Tensor:
        both = logits(view) + mirrored(view) if recipe.test_flip else logits(view)
        return both.double().exp()  # in float32, a sum of 89 would be infinite; in float64 one of 710 still is

    if recipe.averaged == "exponentials":
        yield resize(_by_windows(exponentials, images, recipe), size, align_corners=False)
        return
    for flipped in (False, True) if recipe.test_flip else (False,):
        scores = _by_windows(logits, images.flip(-1) if flipped else images, recipe)
        scores = resize(scores.flip(-1) if flipped else scores, size, align_corners=False)
        yield scores if recipe.averaged == "logits" else scores.softmax(1)


def _by_windows(scores_of: Callable[[Tensor], Tensor], images: Tensor, recipe: Recipe) -> Tensor:
    """The scores of images, of every pixel the mean over the windows that hold it."""
    if recipe.window_px is None or recipe.window_stride_px is None:
        return scores_of(images)
    size = (images.shape[-2], images.shape[-1])
    count = torch.zeros(size, device=images.device)
    total: Tensor | None = None
    for rows, columns in windows(size, recipe.window_px, recipe.window_stride_px):
        scores = scores_of(images[..., rows, columns].contiguous())
        total = scores.new_zeros((*scores.shape[:2], *size)) if total is None else total
        total[..., rows, columns] += scores
        count[rows, columns] += 1
    assert total is not None
    return total / count
