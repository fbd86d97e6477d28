"""Evaluation of a whole split, against hand-computed counts and the measures themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.base import IGNORE, Sample
from bench.data.synthetic import Synthetic
from bench.measure.quality import evaluate as module
from bench.measure.quality.bands import boundary_iou_counts
from bench.measure.quality.boundary import match_boundaries
from bench.measure.quality.confusion import pair_counts
from bench.measure.quality.evaluate import Quality, _sums, evaluate
from bench.network.model import SegModel, Variant
from bench.network.normalisation import normalise
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.training import inference
from bench.training.inference import predict, predictions
from bench.training.late import DivergedError


class Brightness(nn.Module):
    """Class 1 where the image is bright; needs no training to be right or wrong."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, image: Tensor) -> Tensor:
        bright = image.mean(1, keepdim=True)
        return torch.cat([-bright, bright], 1)


class Loss(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()


class Pictures:
    """Three images of two sizes, bright in the left half."""

    sizes = ((4, 6), (4, 6), (8, 10))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Sample:
        height, width = self.sizes[index]
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        image[..., : width // 2] = 255
        label = torch.zeros(height, width, dtype=torch.uint8)
        label[:, : width // 2] = 1
        label[0, 0] = IGNORE
        return Sample(image, label, str(index))


MODEL = SegModel(Variant(whole=part(Brightness), losses=(part(Loss),)), 2)


RECIPE = Recipe(data=part(Synthetic), crop_px=(16, 16), iterations=1, batch=2)
CPU = torch.device("cpu")


def scored(split: Pictures | None = None, recipe: Recipe = RECIPE) -> Quality:
    return evaluate(MODEL, split or Pictures(), recipe, device=CPU)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_whole_split_is_scored_at_native_size_whatever_the_batch(batch: int) -> None:
    told: list[tuple[int, int]] = []
    recipe = RECIPE.having(eval_batch=batch)
    quality = evaluate(MODEL, Pictures(), recipe, device=CPU, progress=lambda *at: told.append(at))
    assert quality.measured() == scored().measured()
    assert quality.measured()["confusion"] == [[12 + 12 + 40, 0], [0, 11 + 11 + 39]]
    assert told[-1] == (3, 3)


def test_what_is_measured_is_plain_json() -> None:
    measured = scored(recipe=RECIPE.having(distance_crop_px=(1,))).measured()
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_counts_of_each_image_are_kept_in_the_order_of_the_split() -> None:
    arrays = scored().arrays()
    assert arrays["images"].tolist() == ["0", "1", "2"]
    assert arrays["confusion"].tolist() == [[[12, 0], [0, 11]]] * 2 + [[[40, 0], [0, 39]]]
    last = Pictures()[2].label.numpy()[None]
    ours = match_boundaries(np.where(last == 1, last, 0), last, 2, (3, 5, 9, 12))
    for name, counts in ours._asdict().items():
        assert arrays[f"boundary_{name}"].dtype == np.int32
        assert arrays[f"boundary_{name}"][2].tolist() == counts[0].tolist()


class Lopsided(Pictures):
    """The same images; in the labels of the last, class 0 is void and class 1 is everywhere else."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return sample if index < 2 else sample._replace(label=torch.where(sample.label == 0, IGNORE, sample.label))


def test_boundary_sums_are_of_all_images_and_of_those_that_have_the_class() -> None:
    boundary = scored(Lopsided()).measured()["boundary"]
    assert boundary["images_with_class"] == [2, 3]
    # All predictions are right: F is 1 in every image, also where class 0 is absent from both maps.
    assert boundary["sum_over_images"]["f"] == [[3.0, 3.0]] * 4
    assert boundary["sum_over_images_with_class"]["f"] == [[2.0, 3.0]] * 4
    assert boundary["tolerance_px"] == [3, 5, 9, 12]
    assert boundary["matched_label"][0] == boundary["label"]


def test_a_trimap_counts_only_what_is_near_a_boundary_of_the_label() -> None:
    trimap = scored(recipe=RECIPE.having(trimap_px=(1, 2))).measured()["trimap"]
    assert trimap["radius_px"] == [1, 2]
    # One column of each region on either side, of 4, 4 and 8 rows; and (0, 1), (1, 0), (1, 1) beside the void corner.
    assert trimap["confusion"][0] == [[4 + 4 + 8, 0], [0, (4 + 4 + 8) + 3 * 3]]


def test_a_crop_leaves_out_each_side_and_may_lie_off_the_centre() -> None:
    recipe = RECIPE.having(distance_crop_px=(1, 3), vanishing_point=(0.5, 0.0))
    crops = scored(recipe=recipe).measured()["distance_crop"]
    assert crops["excluded_px"] == [1, 3]
    # 2 x 4 of the small images from the left edge: three bright columns and a dark one; 6 x 8: five and three.
    assert crops["confusion"][0] == [[2 + 2 + 6 * 3, 0], [0, 6 + 6 + 6 * 5]]
    # 4 x 6 has nothing left without 3 px on each side, 8 x 10 has 2 x 4.
    assert crops["confusion"][1] == [[0, 0], [0, 8]]


def test_confidence_is_the_softmax_probability_of_the_predicted_class() -> None:
    image = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    image[..., :3] = 255
    classes, confidence, _ = predict(MODEL.eval(), image)
    logits = MODEL(normalise(image), with_aux=False).logits
    assert classes.dtype == torch.uint8
    torch.testing.assert_close(confidence, logits.softmax(1).amax(1))
    assert torch.equal(classes.long(), logits.argmax(1))


def test_calibration_counts_every_labelled_pixel() -> None:
    bins = scored().measured()["calibration"]
    assert sum(bins["pixels"]) == sum(bins["correct"]) == 12 + 12 + 40 + 11 + 11 + 39
    assert sum(bins["pixels"]) / 2 < sum(bins["confidence"]) <= sum(bins["pixels"])


def test_nothing_but_totals_is_measured_of_a_recipe_without_tolerances() -> None:
    measured = scored(recipe=RECIPE.having(boundary_px=(), trimap_px=())).measured()
    assert measured["boundary"]["matched_label"] == measured["boundary"]["sum_over_images"]["f"] == []
    assert measured["trimap"] == {"radius_px": [], "confusion": []}


def test_a_label_outside_the_classes_is_refused_at_the_end_of_the_split() -> None:
    class Wrong(Pictures):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            return sample._replace(label=sample.label + 2)

    with pytest.raises(ValueError, match="label 3 with 2 classes; allowed: 0 … 1"):
        scored(Wrong())


def test_prediction_in_training_mode_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"call model.eval\(\) first"):
        predict(SegModel(Variant(whole=part(Brightness), losses=(part(Loss),)), 2).train(), torch.zeros(1, 3, 4, 4))


def counted_batch_by_batch(split: Pictures, recipe: Recipe) -> Quality:
    """The plain form of :func:`evaluate`: each batch is predicted, checked and counted before the next one is read."""
    names: list[str] = []
    kept: dict[str, list[Tensor]] = {}
    total: dict[str, Tensor] = {}
    for prediction, samples in predictions(MODEL.eval(), split, batch=recipe.eval_batch, device=CPU):
        label = torch.stack([sample.label for sample in samples])
        pairs = pair_counts(prediction.classes, label, 2)
        for name, counts in _sums(prediction, label, 2, recipe).items():
            total[name] = total[name] + counts if name in total else counts
        near = boundary_iou_counts(prediction.classes, label, 2, recipe.boundary_iou_share)
        matches = match_boundaries(prediction.classes.numpy(), label.numpy(), 2, recipe.boundary_px)
        boundaries = {f"boundary_{name}": torch.from_numpy(counts) for name, counts in matches._asdict().items()}
        for name, counts in {"confusion": pairs[:, :2, :2], "boundary_iou": near, **boundaries}.items():
            kept.setdefault(name, []).append(counts.int())
        names += [sample.name for sample in samples]
    arrays = {name: torch.cat(counts).numpy() for name, counts in kept.items()}
    return Quality(tuple(names), arrays, {name: counts.numpy() for name, counts in total.items()}, recipe)


@pytest.mark.parametrize("behind", [0, 1, 2, 9])
@pytest.mark.parametrize("batch", [1, 2])
def test_counts_are_those_of_the_plain_form_however_many_batches_are_on_their_way(batch: int, behind: int) -> None:
    recipe = RECIPE.having(eval_batch=batch, trimap_px=(1, 2), distance_crop_px=(1,))
    plain = counted_batch_by_batch(Pictures(), recipe)
    quality = evaluate(MODEL, Pictures(), recipe, device=CPU, behind=behind)
    assert quality.names == plain.names
    for ours, theirs in ((quality.per_image, plain.per_image), (quality.total, plain.total)):
        assert list(ours) == list(theirs)
        for name, counts in ours.items():
            assert counts.dtype == theirs[name].dtype
            assert np.array_equal(counts, theirs[name]), name


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The forwards and the countings of boundaries, in the order in which they happen."""
    happened: list[str] = []

    def matched(prediction: Any, label: Any, num_classes: int, tolerances_px: Any) -> Any:
        happened.append("count")
        return match_boundaries(prediction, label, num_classes, tolerances_px)

    def predicted(model: SegModel, images: Tensor) -> Any:
        happened.append("forward")
        return predict(model, images)

    monkeypatch.setattr(module, "match_boundaries", matched)
    monkeypatch.setattr(inference, "predict", predicted)
    return happened


def test_the_next_forward_is_launched_before_boundaries_are_counted_and_never_more_than_one(steps: list[str]) -> None:
    recipe = RECIPE.having(eval_batch=1)

    def progress(done: int, _: int) -> None:
        steps.append(f"{done} done")

    def show(_: Tensor, samples: Sequence[Sample]) -> None:
        steps.append(f"show {samples[0].name}")

    evaluate(MODEL, Pictures(), recipe, device=CPU, behind=1, progress=progress, show=show)
    first, second, third = (["count", f"show {number}", f"{number + 1} done"] for number in range(3))
    assert steps == ["forward", "forward", *first, "forward", *second, *third]
    steps.clear()
    evaluate(MODEL, Pictures(), recipe, device=CPU, progress=progress, show=show)
    assert steps == ["forward", *first, "forward", *second, "forward", *third], "on a CPU nothing would be gained"


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_an_image_that_cannot_be_read_is_told_after_the_batches_before_it(behind: int, steps: list[str]) -> None:
    class Torn(Pictures):
        def __getitem__(self, index: int) -> Sample:
            if index == 2:
                raise OSError("image 2 is torn")
            return super().__getitem__(index)

    shown: list[str] = []
    with pytest.raises(OSError, match="torn"):
        evaluate(
            MODEL,
            Torn(),
            RECIPE.having(eval_batch=1),
            device=CPU,
            behind=behind,
            show=lambda _, samples: shown.extend(sample.name for sample in samples),
        )
    assert shown == ["0"], "the image after which the split is torn is read together with it"
    assert steps == ["forward", "count"]


class Spoilt(nn.Module):
    """Logits that are right but for one number: that of class 0 at the last pixel of the images that are 8 high."""

    def __init__(self, num_classes: int, *, number: str = "nan", everywhere: bool = False) -> None:
        super().__init__()
        self.number, self.everywhere = float(number), everywhere

    def forward(self, image: Tensor) -> Tensor:
        logits = torch.cat([-image.mean(1, keepdim=True), image.mean(1, keepdim=True)], 1)
        if image.shape[-2] == 8:
            logits[0, :, -1, -1] = self.number if self.everywhere else torch.tensor([self.number, 0.0])
        return logits


@pytest.mark.parametrize("behind", [0, 1, 2])
@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_an_image_whose_logits_are_not_finite_is_refused_by_name_and_never_counted(
    number: str, everywhere: bool, behind: int
) -> None:
    model = SegModel(Variant(whole=part(Spoilt, number=number, everywhere=everywhere), losses=(part(Loss),)), 2)
    shown: list[str] = []
    with pytest.raises(DivergedError, match="logits are not finite in image 2 after iteration 1; lower"):
        evaluate(
            model,
            Pictures(),
            RECIPE,
            device=CPU,
            behind=behind,
            show=lambda _, samples: shown.extend(sample.name for sample in samples),
        )
    assert shown == ["0", "1"]


def test_a_divergence_is_told_before_an_error_of_the_batch_after_it(steps: list[str]) -> None:
    class Torn(Pictures):
        sizes = ((4, 6), (8, 10), (4, 6), (4, 6))

        def __getitem__(self, index: int) -> Sample:
            if index == 3:
                raise OSError("image 3 is torn")
            return super().__getitem__(index)

    model = SegModel(Variant(whole=part(Spoilt, number="nan"), losses=(part(Loss),)), 2)
    with pytest.raises(DivergedError, match="image 1 after"):
        evaluate(model, Torn(), RECIPE.having(eval_batch=1), device=CPU, behind=2)
    assert steps.count("count") == 1


def test_of_a_batch_with_an_image_that_is_not_finite_that_image_is_named() -> None:
    class Second(Pictures):
        sizes = ((8, 4), (8, 4), (8, 4))

    class Later(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()

        def forward(self, image: Tensor) -> Tensor:
            logits = torch.cat([-image.mean(1, keepdim=True), image.mean(1, keepdim=True)], 1)
            logits[1, 1, 3, 2] = math.nan
            return logits

    model = SegModel(Variant(whole=part(Later), losses=(part(Loss),)), 2)
    with pytest.raises(DivergedError, match="image 1 after"):
        evaluate(model, Second(), RECIPE.having(eval_batch=3), device=CPU)


@pytest.mark.parametrize("number", ["3e38", "-3e38", "1e-45"])
def test_large_and_small_logits_are_numbers_like_any_other(number: str) -> None:
    model = SegModel(Variant(whole=part(Spoilt, number=number, everywhere=True), losses=(part(Loss),)), 2)
    measured = evaluate(model, Pictures(), RECIPE, device=CPU).measured()
    assert all(0 <= total <= pixels for total, pixels in zip(
        measured["calibration"]["confidence"], measured["calibration"]["pixels"], strict=True
    ))  # fmt: skip
