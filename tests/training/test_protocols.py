"""Testing by windows, scales and flips: against a slow direct implementation, and against the whole image."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.measure.quality.evaluate import evaluate
from bench.network.layers import resize
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.normalisation import normalise
from bench.parts import ChoiceError, part
from bench.protocol.recipe import Recipe
from bench.training.inference import predict
from bench.training.protocols import predict_by_views, windows

K = 4
RECIPE = Recipe(data=part(Synthetic), crop_px=(32, 32), iterations=1, batch=2)
CPU = torch.device("cpu")


class Lopsided(nn.Module):
    """A network whose scores depend on the neighbourhood and on where the frame is, and differ from left to right."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, num_classes, 5, padding=2)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = 3 * self.mix(image)
        ramp = torch.linspace(-1, 1, image.shape[-1], dtype=image.dtype)
        return logits * (1 + 0.5 * ramp)


def network() -> SegModel:
    return SegModel(Variant(whole=part(Lopsided), losses=(part(SegmentationLoss),)), K, seed=3).eval()


def images(height: int = 40, width: int = 56) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (2, 3, 5, 7), generator=generator).float()
    return resize(coarse, (height, width), align_corners=False).to(torch.uint8)


def direct(model: SegModel, batch: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Classes and confidences of one image at a time, from the words of the module's docstring."""
    classes, confidences = [], []
    for image in batch:
        total: Any = 0.0
        height, width = image.shape[-2:]
        views = 0
        first = recipe.test_long_side_px / max(height, width) if recipe.test_long_side_px else 1.0
        for scale in [first * scale for scale in recipe.test_scales or (1.0,)]:
            view = resize(normalise(image[None]), (round(height * scale), round(width * scale)), align_corners=False)
            flips = (False, True) if recipe.test_flip else (False,)
            if recipe.averaged == "exponentials":
                score = by_hand(
                    view, recipe, lambda x, flips=flips: np.exp(sum(scores(model, x, flip) for flip in flips))
                )
                total = total + resize(torch.from_numpy(score), (height, width), align_corners=False)[0].numpy()
                continue
            for flip in flips:
                seen = view.flip(-1) if flip else view
                score = by_hand(seen, recipe, lambda x: scores(model, x, False))
                score = score[..., ::-1].copy() if flip else score
                logits = resize(torch.from_numpy(score), (height, width), align_corners=False)[0]
                total = total + (logits if recipe.averaged == "logits" else F.softmax(logits, 0)).numpy()
                views += 1
        if recipe.averaged == "logits":
            total = np.exp(total / views)
        classes.append(total.argmax(0))
        confidences.append(total.max(0) / total.sum(0))
    return torch.from_numpy(np.stack(classes)), torch.from_numpy(np.stack(confidences))


def scores(model: SegModel, image: Tensor, flip: bool) -> np.ndarray:
    with torch.inference_mode():
        out = model(image.flip(-1) if flip else image, with_aux=False).logits.double().numpy()
    return np.asarray(out[..., ::-1] if flip else out)


def by_hand(view: Tensor, recipe: Recipe, score: Any) -> np.ndarray:
    if recipe.window_px is None or recipe.window_stride_px is None:
        return np.asarray(score(view))
    height, width = view.shape[-2:]
    (h, w), (dy, dx) = recipe.window_px, recipe.window_stride_px
    total, count = np.zeros((1, K, height, width)), np.zeros((height, width))
    # mmsegmentation's grid: the last window of a row or column is moved back to the border
    rows, columns = max(height - h + dy - 1, 0) // dy + 1, max(width - w + dx - 1, 0) // dx + 1
    for row, column in itertools.product(range(rows), range(columns)):
        bottom, right = min(row * dy + h, height), min(column * dx + w, width)
        top, left = max(bottom - h, 0), max(right - w, 0)
        total[..., top:bottom, left:right] += score(view[..., top:bottom, left:right].contiguous())
        count[top:bottom, left:right] += 1
    assert (count > 0).all()
    return total / count


WINDOWS = (
    {"window_px": None, "window_stride_px": None},
    {"window_px": (16, 24), "window_stride_px": (10, 16)},
    {"window_px": (32, 64), "window_stride_px": (32, 40)},
)


@pytest.mark.parametrize("averaged", ["probabilities", "logits", "exponentials"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("scales", "flip"), [((), False), ((), True), ((0.5, 1.0, 1.75), True), ((1.25,), False)])
def test_a_protocol_is_what_its_description_says(
    window: dict[str, Any], scales: tuple[float, ...], flip: bool, averaged: str
) -> None:
    recipe = RECIPE.having(**window, test_scales=scales, test_flip=flip, averaged=averaged)
    model, batch = network(), images()
    made = predict_by_views(model, batch, recipe)
    classes, confidence = direct(model, batch, recipe)
    torch.testing.assert_close(made.confidence.double(), confidence, rtol=1e-4, atol=1e-5)
    assert (made.classes == classes).float().mean() > 0.999  # equal scores may be told apart by rounding
    assert made.finite.all()


def test_a_long_side_is_what_images_are_resized_to_first() -> None:
    model, batch = network(), images()
    for sides in ({"test_long_side_px": 84}, {"test_long_side_px": 28, "test_scales": (1.0, 2.0), "test_flip": True}):
        recipe = RECIPE.having(**sides)
        made, (classes, confidence) = predict_by_views(model, batch, recipe), direct(model, batch, recipe)
        torch.testing.assert_close(made.confidence.double(), confidence, rtol=1e-4, atol=1e-5)
        assert (made.classes == classes).float().mean() > 0.999
    assert not torch.equal(made.confidence, predict(model, batch).confidence)


@pytest.mark.parametrize("averaged", ["probabilities", "logits", "exponentials"])
def test_one_window_that_holds_the_image_is_the_whole_image(averaged: str) -> None:
    model, batch = network(), images()
    whole = predict(model, batch)
    one = predict_by_views(
        model, batch, RECIPE.having(window_px=(64, 64), window_stride_px=(32, 32), averaged=averaged)
    )
    assert torch.equal(one.classes, whole.classes)
    torch.testing.assert_close(one.confidence, whole.confidence)


@pytest.mark.parametrize("size", [(40, 56), (16, 24), (17, 25), (100, 24), (7, 200)])
def test_windows_cover_every_pixel_and_never_leave_the_image(size: tuple[int, int]) -> None:
    places = windows(size, (16, 24), (11, 24))
    count = np.zeros(size, dtype=int)
    for rows, columns in places:
        assert 0 <= rows.start < rows.stop <= size[0]
        assert 0 <= columns.start < columns.stop <= size[1]
        assert (rows.stop - rows.start, columns.stop - columns.start) == (min(16, size[0]), min(24, size[1]))
        count[rows, columns] += 1
    assert count.min() >= 1
    assert len(set(map(repr, places))) == len(places)


def test_the_scores_of_a_split_follow_the_protocol() -> None:
    data = Synthetic(None, height_px=40, width_px=56, train_images=2, val_images=3)
    model = SegModel(Variant(whole=part(Lopsided), losses=(part(SegmentationLoss),)), len(data.classes), seed=3)
    split = data.split("val")
    plain = evaluate(model, split, RECIPE, device=CPU)
    sliding = RECIPE.having(window_px=(16, 24), window_stride_px=(10, 16), test_flip=True)
    tested = evaluate(model, split, sliding, device=CPU)
    confusion = sum(
        np.bincount(
            (label.long() * 256 + predict_by_views(model, image[None], sliding).classes[0].long())[label != 255],
            minlength=256 * 256,
        ).reshape(256, 256)[: len(data.classes), : len(data.classes)]
        for image, label, _ in (split[index] for index in range(len(split)))
    )
    assert np.array_equal(tested.per_image["confusion"].sum(0), confusion)
    assert not np.array_equal(tested.per_image["confusion"], plain.per_image["confusion"])


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite_are_seen_in_every_view(number: float) -> None:
    model, batch = network(), images()
    assert model.whole is not None
    with torch.no_grad():
        model.whole.get_parameter("mix.bias")[0] = number
    assert not predict(model, batch).finite.any()
    for averaged in ("probabilities", "logits", "exponentials"):
        recipe = RECIPE.having(window_px=(16, 24), window_stride_px=(16, 24), averaged=averaged)
        assert not predict_by_views(model, batch, recipe).finite.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_px": (32, 32)}, "a window needs a stride"),
        ({"window_stride_px": (32, 32)}, "a stride a window"),
        ({"window_px": (32, 32), "window_stride_px": (33, 32)}, "in no window"),
        ({"test_scales": (1.0, 1.0)}, "once"),
    ],
)
def test_a_protocol_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        RECIPE.having(**changes)
