"""The quality of predictions over a split, as raw counts from which :mod:`bench.protocol.scores` derives every score.

``I`` is the number of images, ``K`` of classes and ``T`` of tolerances. Labels are ``N H W`` with void as
:data:`~bench.data.base.IGNORE`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
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
from bench.training.inference import Prediction, predictions, stacked
from bench.training.late import DivergedError
from bench.training.protocols import predictions_by_views

Array = npt.NDArray[np.signedinteger[Any]]
Viewer = Callable[[Tensor, Sequence[Sample]], None]
"""A function that is called with each batch of predictions, ``N H W`` uint8 on the host, and the samples."""


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
    behind: int | None = None,
) -> Quality:
    """Count ``model``'s predictions over a whole split at native size, in one pass.

    After each batch, ``progress`` is called with (images done, images in all), and ``show`` with the predictions.
    Neither changes a count.

    On a GPU, the forward of the next batch is launched before the host counts the boundaries of a batch, so that both
    work at the same time; the host waits once a batch.

    Args:
        behind: the number of batches whose boundaries are counted while later ones are predicted; by default one on a
            GPU, else none. It changes no count.

    Raises:
        ValueError: if a label is outside the classes.
        DivergedError: if a logit is not a finite number; the message names the image. Nothing is counted of a batch
            that holds such an image, and ``show`` is not called with it.
    """
    model.to(device).eval()
    batches = (
        predictions(model, split, batch=recipe.eval_batch, device=device)
        if recipe.window_px is None
        and not recipe.test_scales
        and recipe.test_long_side_px is None
        and not recipe.test_flip
        else predictions_by_views(model, split, recipe, device=device)
    )
    launched = (_launch(prediction, samples, model.num_classes, recipe) for prediction, samples in batches)
    names: list[str] = []
    kept: dict[str, list[Tensor]] = {}
    total: dict[str, Tensor] = {}
    for batch in _in_turn(launched, int(device.type == "cuda") if behind is None else behind):
        batch.wait()
        _refuse_not_finite(batch.finite, batch.samples, recipe.iterations)
        for name, counts in batch.summed.items():
            total[name] = total[name] + counts if name in total else counts
        boundaries = _boundaries(batch.classes, batch.label, model.num_classes, recipe)
        for name, counts in {**batch.per_image, **boundaries}.items():
            kept.setdefault(name, []).append(counts.int())
        names += [sample.name for sample in batch.samples]
        if show is not None:
            show(batch.classes, batch.samples)
        if progress is not None:
            progress(len(names), len(split))
    check_pairs(total.pop("pairs"))
    return Quality(
        tuple(names),
        {name: torch.cat(counts).cpu().numpy() for name, counts in kept.items()},
        {name: counts.cpu().numpy() for name, counts in total.items()},
        recipe,
    )


@dataclass(frozen=True)
class _Launched:
    """A batch whose forward and counts on the device are launched; what the host reads is on its way there.

    Attributes:
        samples: the images and labels.
        label: the labels on the host, ``N H W``.
        classes: the predicted classes on the host, ``N H W`` uint8.
        finite: ``True`` where an image's logits are finite, on the host, ``N``.
        per_image: the counts on the device of each image, ``N …``.
        summed: the counts on the device that are summed over the images.
        arrived: the event after which the host may read ``classes`` and ``finite``; ``None`` if it may at once.
    """

    samples: list[Sample]
    label: Tensor
    classes: Tensor
    finite: Tensor
    per_image: dict[str, Tensor]
    summed: dict[str, Tensor]
    arrived: torch.cuda.Event | None

    def wait(self) -> None:
        """Wait until the host may read the predictions."""
        if self.arrived is not None:
            self.arrived.synchronize()


def _launch(prediction: Prediction, samples: list[Sample], classes: int, recipe: Recipe) -> _Launched:
    """Send the predictions to the host, then count what is counted on the device, without waiting for either."""
    device = prediction.classes.device
    label = stacked([sample.label for sample in samples], device)
    there = label.to(device, non_blocking=True)
    on_host = _to_host(prediction.classes), _to_host(prediction.finite)
    arrived = torch.cuda.Event() if device.type == "cuda" else None
    if arrived is not None:
        arrived.record()
    # A batch with logits that are not finite is refused before it counts; until then, its confidences need be numbers.
    prediction = prediction._replace(confidence=prediction.confidence.nan_to_num(0.0))
    pairs = pair_counts(prediction.classes, there, classes)
    per_image = {
        "confusion": pairs[:, :classes, :classes],
        "boundary_iou": boundary_iou_counts(prediction.classes, there, classes, recipe.boundary_iou_share),
    }
    summed = {"pairs": pairs.sum(0), **_sums(prediction, there, classes, recipe)}
    return _Launched(samples, label, *on_host, per_image, summed, arrived)


def _to_host(tensor: Tensor) -> Tensor:
    """The tensor on the host; from a GPU a copy into pinned memory that is on its way."""
    if tensor.device.type != "cuda":
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def _in_turn(batches: Iterator[_Launched], behind: int) -> Iterator[_Launched]:
    """Yield the batches in their order, each once ``behind`` later ones are launched.

    An error of launching a batch is raised after those before it were yielded, as it would be without any behind.
    """
    waiting: deque[_Launched] = deque()
    try:
        for batch in batches:
            waiting.append(batch)
            if len(waiting) > behind:
                yield waiting.popleft()
    except Exception:  # whatever a data set or a network raises; it is raised again
        yield from waiting
        raise
    yield from waiting


def _refuse_not_finite(finite: Tensor, samples: Sequence[Sample], iterations: int) -> None:
    for sample, is_finite in zip(samples, finite.tolist(), strict=True):
        if not is_finite:
            raise DivergedError(
                f"the logits are not finite in image {sample.name} after iteration {iterations}; lower the learning "
                "rate, or look for a division by 0, a logarithm or an overflow in the network"
            )


def _boundaries(prediction: Tensor, label: Tensor, classes: int, recipe: Recipe) -> dict[str, Tensor]:
    """The boundary counts of each image, ``N …``, from maps on the host, where boundaries are matched."""
    matches = match_boundaries(prediction.numpy(), label.numpy(), classes, recipe.boundary_px)
    return {f"boundary_{name}": torch.from_numpy(counts) for name, counts in matches._asdict().items()}


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
