"""The quality of predictions over a split, as raw counts from which :mod:`bench.protocol.scores` derives every score.

``I`` is the number of images, ``K`` of classes and ``T`` of tolerances. Labels are ``N H W`` with void as
:data:`~bench.data.base.IGNORE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data.base import IGNORE, Sample, Split
from bench.measure.quality.bands import boundary_iou_counts, near_other_label
from bench.measure.quality.boundary import match_boundaries
from bench.measure.quality.confusion import UNIT, calibration_counts, check_pairs, pair_counts
from bench.network.model import SegModel
from bench.protocol.recipe import Recipe
from bench.protocol.scores import boundary_scores
from bench.training.inference import Prediction, predictions
from bench.training.late import DivergedError
from bench.training.protocols import predictions_by_views

Array = npt.NDArray[np.signedinteger[Any]]
Viewer = Callable[[Tensor, Sequence[Sample]], None]
"""A function that is called with each batch of predictions, ``N H W`` uint8, and the samples that were predicted."""


@dataclass(frozen=True)
class Quality:
    """The counts of a network's predictions on a split.

    Attributes:
        names: the names of the images, in the split's order.
        per_image: the counts of each image: ``confusion`` ``I K K`` [label][prediction]; the four counts of
            :class:`~bench.measure.quality.boundary.BoundaryCounts` as ``boundary_…``, ``I T K`` and ``I K``;
            ``boundary_iou`` ``I 3 K``.
        total: the counts that are summed over the images: ``trimap`` and ``distance_crop``, with a confusion matrix for
            each radius and crop; ``calibration`` ``3 bins``.
        recipe: the recipe by which the predictions were evaluated.
    """

    names: tuple[str, ...]
    per_image: dict[str, Array]
    total: dict[str, Array]
    recipe: Recipe

    def measured(self) -> dict[str, Any]:
        """The counts summed over the images, and sums of per-image boundary scores, as JSON-ready data."""
        recipe = self.recipe
        intersection, prediction, label = self.per_image["boundary_iou"].sum(0).tolist()
        pixels, correct, confidence = self.total["calibration"].tolist()
        return {
            "confusion": self.per_image["confusion"].sum(0).tolist(),
            "boundary": self._boundary(),
            "boundary_iou": {
                "share_of_diagonal": recipe.boundary_iou_share,
                "intersection": intersection,
                "prediction": prediction,
                "label": label,
            },
            "trimap": {"radius_px": list(recipe.trimap_px), "confusion": self.total["trimap"].tolist()},
            "distance_crop": {
                "excluded_px": list(recipe.distance_crop_px),
                "centre": list(recipe.vanishing_point),
                "confusion": self.total["distance_crop"].tolist(),
            },
            "calibration": {
                "pixels": pixels,
                "correct": correct,
                "confidence": [total * UNIT for total in confidence],
            },
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The counts of each image as arrays, for comparisons and rankings of images."""
        return {"images": np.array(self.names), **self.per_image}

    def _boundary(self) -> dict[str, Any]:
        """The boundary counts, and sums of scores ``T K`` over all images and over the images that have the class."""
        names = ("matched_prediction", "prediction", "matched_label", "label")
        counts = {name: self.per_image[f"boundary_{name}"] for name in names}
        scores = boundary_scores(*counts.values())
        confusion = self.per_image["confusion"]
        present = (confusion.sum(1) + confusion.sum(2)) > 0
        sums = {name: values.sum(0).tolist() for name, values in scores._asdict().items()}
        having = {
            name: np.where(present[:, None], values, 0).sum(0).tolist() for name, values in scores._asdict().items()
        }
        return {
            "tolerance_px": list(self.recipe.boundary_px),
            **{name: values.sum(0).tolist() for name, values in counts.items()},
            "sum_over_images": sums,
            "sum_over_images_with_class": having,
            "images_with_class": present.sum(0).tolist(),
        }


def evaluate(
    model: SegModel,
    split: Split,
    recipe: Recipe,
    *,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    show: Viewer | None = None,
) -> Quality:
    """Count ``model``'s predictions over a whole split at native size, in one pass.

    After each batch, ``progress`` is called with (images done, images in all), and ``show`` with the predictions.
    Neither changes a count.

    Raises:
        ValueError: if a label is outside the classes.
        DivergedError: if a logit is not a finite number; the message names the image. Nothing is counted of a batch
            that holds such an image, and ``show`` is not called with it.
    """
    model.to(device).eval()
    classes = model.num_classes
    names: list[str] = []
    kept: dict[str, list[Tensor]] = {}
    total: dict[str, Tensor] = {}
    for prediction, samples in (
        predictions(model, split, batch=recipe.eval_batch, device=device)
        if recipe.window_px is None
        and not recipe.test_scales
        and recipe.test_long_side_px is None
        and not recipe.test_flip
        else predictions_by_views(model, split, recipe, device=device)
    ):
        _refuse_not_finite(prediction, samples, recipe.iterations)
        label = torch.stack([sample.label for sample in samples])
        there = label.to(device)
        pairs = pair_counts(prediction.classes, there, classes)
        sums = {"pairs": pairs.sum(0), **_sums(prediction, there, classes, recipe)}
        for name, counts in sums.items():
            total[name] = total[name] + counts if name in total else counts
        each = {"confusion": pairs[:, :classes, :classes], **_boundaries(prediction.classes, label, classes, recipe)}
        for name, counts in each.items():
            kept.setdefault(name, []).append(counts.int())
        names += [sample.name for sample in samples]
        if show is not None:
            show(prediction.classes, samples)
        if progress is not None:
            progress(len(names), len(split))
    check_pairs(total.pop("pairs"))
    return Quality(
        tuple(names),
        {name: torch.cat(each).cpu().numpy() for name, each in kept.items()},
        {name: each.cpu().numpy() for name, each in total.items()},
        recipe,
    )


def _refuse_not_finite(prediction: Prediction, samples: Sequence[Sample], iterations: int) -> None:
    for sample, finite in zip(samples, prediction.finite.tolist(), strict=True):
        if not finite:
            raise DivergedError(
                f"the logits are not finite in image {sample.name} after iteration {iterations}; lower the learning "
                "rate, or look for a division by 0, a logarithm or an overflow in the network"
            )


def _boundaries(prediction: Tensor, label: Tensor, classes: int, recipe: Recipe) -> dict[str, Tensor]:
    """The boundary counts of each image, ``N …``; ``label`` is on the host, where boundaries are matched."""
    near = boundary_iou_counts(prediction, label.to(prediction.device), classes, recipe.boundary_iou_share)
    matches = match_boundaries(prediction.cpu().numpy(), label.numpy(), classes, recipe.boundary_px)
    named = {f"boundary_{name}": torch.from_numpy(counts) for name, counts in matches._asdict().items()}
    return {"boundary_iou": near, **named}


def _sums(prediction: Prediction, label: Tensor, classes: int, recipe: Recipe) -> dict[str, Tensor]:
    """The counts that are only summed over the images."""
    crops = [_crop(label.shape[-2:], excluded, recipe.vanishing_point) for excluded in recipe.distance_crop_px]
    bands = [label.masked_fill(~near_other_label(label, radius), IGNORE) for radius in recipe.trimap_px]
    guess = prediction.classes
    return {
        "trimap": _confusions([(guess, band) for band in bands], classes, label),
        "distance_crop": _confusions([(guess[crop], label[crop]) for crop in crops], classes, label),
        "calibration": calibration_counts(guess, prediction.confidence, label),
    }


def _confusions(maps: list[tuple[Tensor, Tensor]], classes: int, label: Tensor) -> Tensor:
    """The confusion matrices of pairs (prediction, label), ``len(maps) K K``."""
    counts = [pair_counts(guess, truth, classes).sum(0)[:classes, :classes] for guess, truth in maps]
    return torch.stack(counts) if counts else torch.zeros(0, classes, classes, dtype=torch.int64, device=label.device)


def _crop(size: torch.Size, excluded_px: int, centre: tuple[float, float]) -> tuple[Any, ...]:
    """The index of a crop that is smaller than the image by ``2 excluded_px`` rows and columns.

    The crop is centred on ``centre`` as far as the frame allows. It is empty if the image is not larger than that.
    """
    index = []
    for side, share in zip(size, centre, strict=True):
        kept = max(0, side - 2 * excluded_px)
        start = min(max(0, round(share * side - kept / 2)), side - kept)
        index.append(slice(start, start + kept))
    return (..., *index)
