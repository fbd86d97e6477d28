"""The images on which two variants differ, from the counts of each image that quality trials keep.

Shapes: ``I`` is the number of images, ``S`` the number of seeds that both variants have.
"""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.evidence.evidence import Evidence
from bench.evidence.images import ImageScores
from bench.protocol.scores import Floats
from bench.records.pictures import read_names
from bench.records.quality import MeasuredQuality

ExampleKind = Literal["better", "worse", "median"]
BETTER, WORSE = 4, 2
"""The most images with a higher score, and with a lower one, that a pair shows besides the median image."""


class Kept(NamedTuple):
    """The archive of a trial's predictions, and that of the images which were predicted."""

    predictions: Path
    images: Path


class Archives(NamedTuple):
    """The archives of one seed: the images, and the predictions of the variant and of the baseline."""

    images: Path
    variant: Path
    baseline: Path


class RankedSide(NamedTuple):
    """The scores of each image and the pictures that one trial kept.

    Attributes:
        scores: the mIoU of each image.
        kept: the archives of the pictures; ``None`` if the trial kept none or they are gone.
    """

    scores: ImageScores
    kept: Kept | None


@dataclass(frozen=True)
class Ranked:
    """The scores of two variants image by image.

    Attributes:
        seeds: the seeds that both variants have on the same images.
        pictured: seed -> the archives of its pictures, for the seeds in which both sides kept them; at least one.
        variant: the mIoU of the variant on each image, ``S I``.
        baseline: the mIoU of the baseline on each image, ``S I``.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    pictured: Mapping[int, Archives]
    variant: Floats
    baseline: Floats

    @property
    def mean_delta(self) -> Floats:
        """The mean over the seeds of the variant's mIoU minus the baseline's, ``I``."""
        return np.asarray((self.variant - self.baseline).mean(0))

    def order(self) -> list[int]:
        """The indices of the images from the best for the variant to the worst; images without a score are left out."""
        mean = self.mean_delta
        return [int(index) for index in np.argsort(-mean, kind="stable") if not np.isnan(mean[index])]

    def middle(self) -> int | None:
        """The index of the image in the middle of :meth:`order`; ``None`` if no image has a score."""
        order = self.order()
        return order[len(order) // 2] if order else None

    def chosen(self) -> list[tuple[int, ExampleKind]]:
        """The index and the kind of each image to show: the extremes and, unless it is one of them, the median."""
        mean, order = self.mean_delta, self.order()
        better = [index for index in order[:BETTER] if mean[index] > 0]
        worse = [index for index in order[: -WORSE - 1 : -1] if mean[index] < 0]
        chosen: list[tuple[int, ExampleKind]] = [(index, "better") for index in better[:1]]
        chosen += [(index, "worse") for index in worse[:1]]
        middle = self.middle()
        if middle is not None and middle not in (*better, *worse):
            chosen.append((middle, "median"))
        chosen += [(index, "better") for index in better[1:]]
        return chosen + [(index, "worse") for index in worse[1:]]

    def seed_of(self, index: int) -> int:
        """The seed in which an image is shown: the one with pictures whose difference is most like the mean difference,
        first in sign and then in size."""
        deltas = dict(zip(self.seeds, (self.variant - self.baseline)[:, index], strict=True))
        mean = self.mean_delta[index]
        return min(self.pictured, key=lambda seed: (deltas[seed] * mean < 0, abs(deltas[seed] - mean)))


def sides(folder: Path, evidence: Evidence) -> dict[str, dict[int, RankedSide]]:
    """Variant -> seed -> the scores and pictures that the trial kept, for trials with counts of each image.

    Raises:
        RecordError: as :attr:`bench.evidence.evidence.Evidence.image_scores` does.
    """
    trials = {
        (record.trial.variant, record.trial.seed): measured
        for record, measured in evidence.results.done(MeasuredQuality)
    }
    return {
        variant: {
            seed: RankedSide(scores, _kept(folder, trials[variant, seed])) for seed, scores in scores_by_seed.items()
        }
        for variant, scores_by_seed in evidence.image_scores.items()
    }


def rank(variant: Mapping[int, RankedSide], baseline: Mapping[int, RankedSide]) -> Ranked | None:
    """The scores of a variant and the baseline image by image; ``None`` if no seed has pictures of both.

    Raises:
        RecordError: for pictures that cannot be read.
    """
    common = sorted(set(variant) & set(baseline))
    pictured = {seed: archives for seed in common if (archives := _archives(variant[seed], baseline[seed])) is not None}
    if not pictured:
        return None
    names = variant[min(pictured)].scores.names
    seeds = tuple(seed for seed in common if variant[seed].scores.names == baseline[seed].scores.names == names)
    return Ranked(
        names,
        seeds,
        {seed: archives for seed, archives in pictured.items() if seed in seeds},
        np.stack([variant[seed].scores.miou for seed in seeds]),
        np.stack([baseline[seed].scores.miou for seed in seeds]),
    )


def _archives(one: RankedSide, other: RankedSide) -> Archives | None:
    """The archives of one seed; ``None`` unless both trials kept predictions of the same images."""
    names = one.scores.names
    if one.kept is None or other.kept is None or names != other.scores.names:
        return None
    if one.kept.images != other.kept.images and not filecmp.cmp(one.kept.images, other.kept.images, shallow=False):
        return None
    archives = Archives(one.kept.images, one.kept.predictions, other.kept.predictions)
    return archives if all(tuple(read_names(path)) == names for path in archives) else None


def _kept(folder: Path, measured: MeasuredQuality) -> Kept | None:
    """The archives of the pictures of a trial; ``None`` if it kept none or they are gone."""
    archives = {name: folder / where for name, where in measured.pictures.items()}
    are_there = {"predictions", "images"} <= set(archives) and all(path.is_file() for path in archives.values())
    return Kept(archives["predictions"], archives["images"]) if are_there else None
