"""Metrics: counts and scores of stored predictions against those of the originals.

Counts and maps must be equal; scores are ratios of counts and may differ in the last bits of float64.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import IGNORE
from bench.measure.quality.boundary import BoundaryCounts, boundary_pixels, match_boundaries
from bench.measure.quality.confusion import confusion
from bench.protocol import scores
from parity.compare import Check, Verdict, check_count, check_equal, check_values, judge
from parity.golden import Case, GoldenError

ROUNDING = 1e-12
"""The tolerance of a ratio of counts, or of a mean of such ratios, in float64."""

BOUNDARY_MAP = re.compile(r"bmap_(?P<map>gt|pred)_(?P<pair>\d+)_c(?P<index>\d+)")


def run_accuracy(case: Case) -> Verdict:
    """The verdict on FastFCN's and DANet's pixel accuracy and mIoU, after each update and for all images."""
    checks: list[Check] = []
    for name, result in case.facts["results"].items():
        classes, target = case.facts["nclass"], case.array(f"target__{name}")
        # Their void is -1. Any other label that is no class counts as a wrong pixel, so it is a separate class here.
        label = target.where(target < classes, classes).where(target >= 0, IGNORE).to(torch.uint8)
        guess = case.array(f"pred__{name}").to(torch.uint8)
        updates = result["per_update"]
        batches = zip(guess.chunk(len(updates)), label.chunk(len(updates)), updates, strict=True)
        total = torch.zeros(classes + 1, classes + 1, dtype=torch.int64)
        for index, (some, truth, stated) in enumerate(batches):
            counts = confusion(some, truth, classes + 1)
            checks += _accuracy_counts(f"{name} update {index}", counts, stated)
            total += counts
        stated = [result["correct"], result["labeled"], case.arrays[f"inter__{name}"], case.arrays[f"union__{name}"]]
        checks += _accuracy_counts(name, total, stated)
        ious = np.nan_to_num(scores.iou(total.numpy())[:classes], nan=0.0)
        checks.append(_check_score(f"{name} pixAcc", float(scores.pixel_accuracy(total.numpy())), result["pixAcc"]))
        checks.append(_check_score(f"{name} mIoU", ious.mean(), result["mIoU"]))
    return judge(case, checks)


def _accuracy_counts(what: str, counts: Tensor, stated: Sequence[Any]) -> Iterator[Check]:
    correct, labelled, intersection, union = stated
    hits = counts.diagonal()
    ours = counts.sum(0) + counts.sum(1) - hits
    yield check_count(f"{what} correct", int(hits.sum()), correct)
    yield check_count(f"{what} labelled", int(counts.sum()), labelled)
    for name, mine, theirs in (("intersection", hits, intersection), ("union", ours, union)):
        yield check_equal(f"{what} {name}", mine[:-1], torch.as_tensor(theirs))


def run_histogram(case: Case) -> Verdict:
    """The verdict on Gated-SCNN's confusion matrix and the scores from it."""
    checks: list[Check] = []
    classes = case.facts["num_classes"]
    for name, result in case.facts["results"].items():
        guess, target = (case.array(f"{kind}__{name}") for kind in ("pred", "target"))
        # In Gated-SCNN, any label that is no class is void.
        label = target.where((target >= 0) & (target < classes), IGNORE).to(torch.uint8)
        counts = confusion(guess.to(torch.uint8), label, classes)
        checks.append(check_equal(f"hist__{name}", counts, case.array(f"hist__{name}")))
        matrix = counts.numpy()
        checks.append(_check_scores(f"iu__{name}", scores.iou(matrix), case.arrays[f"iu__{name}"]))
        ours = {
            "acc": scores.pixel_accuracy(matrix),
            "acc_cls": scores.mean_accuracy(matrix),
            "mean_iu": scores.mean_iou(matrix),
            "fwavacc": scores.frequency_weighted_iou(matrix),
        }
        checks += [_check_score(f"{name} {key}", float(ours[key]), stated) for key, stated in result.items()]
    return judge(case, checks)


def run_boundary_f(case: Case) -> Verdict:
    """The verdict on boundary precision, recall and F of each pair, threshold and class, with counts and maps."""
    facts = case.facts
    pairs = [_pair(case, index) for index in range(facts["n_pairs"])]
    radii = [[_radius(limit, label.shape[-2:]) for limit in facts["thresholds"]] for _, label in pairs]
    checks = [_check_scores("bound_pix", np.array(radii), case.arrays["bound_pix"])]
    matched = [
        match_boundaries(guess, label, facts["n_classes"], limits)
        for (guess, label), limits in zip(pairs, radii, strict=True)
    ]
    counts = BoundaryCounts(*(np.concatenate(each) for each in zip(*matched, strict=True)))
    checks.append(_check_scores("n_pred_boundary", counts.prediction, case.arrays["n_pred_boundary"], exact=True))
    checks.append(_check_scores("n_gt_boundary", counts.label, case.arrays["n_gt_boundary"], exact=True))
    ours = scores.boundary_scores(*counts)
    for key, values in (("P", ours.precision), ("R", ours.recall), ("F", ours.f)):
        checks.append(_check_scores(key, values, case.arrays[key]))
    total, images = ours.f.sum(0), np.full(ours.f.shape[1:], len(pairs))
    checks.append(_check_scores("Fpc", total, case.arrays["Fpc"]))
    checks.append(_check_scores("Fc", images, case.arrays["Fc"], exact=True))
    means = [scores.mean_over_images(*row) for row in zip(total, images, strict=True)]
    checks.append(_check_scores("mean F", np.array(means), np.array(facts["mean_F_per_threshold"])))
    return judge(case, [*checks, *_boundary_maps(case, pairs)])


def _pair(case: Case, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The prediction and the label, ``1 H W`` uint8, with pixels that the case ignores as void."""
    guess, label = (case.arrays[f"{kind}_{index:02d}"][None] for kind in ("pred", "gt"))
    return guess.astype(np.uint8), np.where(label == case.facts["ignore"], IGNORE, label).astype(np.uint8)


def _radius(threshold: float, size: Sequence[int]) -> float:
    """The radius in pixels: the threshold itself from 1 on, below 1 that share of the diagonal, rounded up."""
    return threshold if threshold >= 1 else math.ceil(threshold * math.hypot(*size))


def _boundary_maps(case: Case, pairs: Sequence[tuple[Any, Any]]) -> Iterator[Check]:
    for key in case.arrays:
        match = BOUNDARY_MAP.fullmatch(key)
        if match is None:
            if key.startswith("bmap"):
                raise GoldenError(f"{key} is no boundary map of a pair and a class")
            continue
        guess, label = pairs[int(match["pair"])]
        maps = label if match["map"] == "gt" else np.where(label == IGNORE, np.uint8(IGNORE), guess)
        planes = np.zeros((case.facts["n_classes"], *label.shape[1:]), dtype=bool)
        planes.ravel()[boundary_pixels(maps, len(planes))] = True
        yield _check_scores(key, np.packbits(planes[int(match["index"])]), case.arrays[key], exact=True)


def _check_score(what: str, ours: float, stated: float) -> Check:
    return _check_scores(what, np.array([ours]), np.array([stated]))


def _check_scores(what: str, ours: Any, stored: Any, *, exact: bool = False) -> Check:
    given, stated = (torch.from_numpy(np.asarray(each, dtype=np.float64)) for each in (ours, stored))
    scale = max(1.0, float(stated.nan_to_num().abs().max())) if stated.numel() else 1.0
    return check_values(what, given, stated, 0.0 if exact else ROUNDING * scale, scale)


METRICS: Mapping[str, Callable[[Case], Verdict]] = {
    "encmetric": run_accuracy,
    "gsmetric": run_histogram,
    "fboundary": run_boundary_f,
}
"""Kind of a case -> function that runs it."""
