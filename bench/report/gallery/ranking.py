"""The images on which two variants differ, from the counts of each image that quality trials leave.

``I`` images, ``S`` seeds that both variants have.
"""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.evidence.images import read_image_scores
from bench.protocol.scores import Floats
from bench.records.pictures import read_names
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.records.results import Results

ExampleKind = Literal["better", "worse", "median"]
BETTER, WORSE = 4, 2
"""The most images that became better, and worse, that a pair shows, besides the median one."""


class Kept(NamedTuple):
    """Archives of a trial's predictions and of the images that they are of."""

    predictions: Path
    images: Path


class Archives(NamedTuple):
    """The archives of one seed: the images, and the predictions of the variant and of the baseline."""

    images: Path
    mine: Path
    base: Path


@dataclass(frozen=True)
class RankedSide:
    """The scores and pictures that one trial left.

    Attributes:
        names: the names of the images.
        miou: the mIoU of each image, a fraction; NaN for one without labelled pixels. Classes in
            neither its labels nor its predictions are left out.
        kept: its pictures, ``None`` if it kept none or they are gone.
    """

    names: tuple[str, ...]
    miou: Floats
    kept: Kept | None = None


@dataclass(frozen=True)
class Ranked:
    """The scores of two variants image by image.

    Attributes:
        seeds: the seeds that both have, on the same images.
        pictured: the seeds, at least one, of which both sides kept predictions, with these.
        mine: the per-image mIoU of the variant, ``S I``.
        base: the per-image mIoU of the baseline, ``S I``.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    pictured: Mapping[int, Archives]
    mine: Floats
    base: Floats

    @property
    def mean_delta(self) -> Floats:
        """Mean over the seeds of variant minus baseline, ``I``."""
        return np.asarray((self.mine - self.base).mean(0))

    def order(self) -> list[int]:
        """Images from the best for the variant to the worst; those without a score are left out."""
        mean = self.mean_delta
        return [int(index) for index in np.argsort(-mean, kind="stable") if not np.isnan(mean[index])]

    def middle(self) -> int | None:
        """The image in the middle of :meth:`order`; ``None`` if no image has a score."""
        order = self.order()
        return order[len(order) // 2] if order else None

    def chosen(self) -> list[tuple[int, ExampleKind]]:
        """The images to show, most telling first: extremes and the median one, none twice."""
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
        """The seed that shows an image: of those with pictures, that whose difference is most like the mean, first in
        sign and then in size."""
        deltas = dict(zip(self.seeds, (self.mine - self.base)[:, index], strict=True))
        mean = self.mean_delta[index]
        return min(self.pictured, key=lambda seed: (deltas[seed] * mean < 0, abs(deltas[seed] - mean)))


def sides(folder: Path, results: Results) -> dict[str, dict[int, RankedSide]]:
    """Variant -> seed -> the scores and pictures that its trial left, for trials with counts of each image.

    Raises:
        RecordError: for an artifact that cannot be read.
    """
    sides: dict[str, dict[int, RankedSide]] = {}
    for record in results.records:
        side = _side(folder, record, len(results.plan.data_of(record.trial.variant).classes))
        if side is not None and record.trial.seed is not None:
            sides.setdefault(record.trial.variant, {})[record.trial.seed] = side
    return sides


def rank(mine: Mapping[int, RankedSide], base: Mapping[int, RankedSide]) -> Ranked | None:
    """A variant's trials against the baseline's; ``None`` where no seed has pictures of both.

    Raises:
        RecordError: for pictures that cannot be read.
    """
    common = sorted(set(mine) & set(base))
    pictured = {seed: archives for seed in common if (archives := _archives(mine[seed], base[seed])) is not None}
    if not pictured:
        return None
    names = mine[min(pictured)].names
    seeds = tuple(seed for seed in common if mine[seed].names == base[seed].names == names)
    return Ranked(
        names,
        seeds,
        {seed: archives for seed, archives in pictured.items() if seed in seeds},
        np.stack([mine[seed].miou for seed in seeds]),
        np.stack([base[seed].miou for seed in seeds]),
    )


def _archives(one: RankedSide, other: RankedSide) -> Archives | None:
    """The pictures of one seed, if both trials kept predictions of the same images."""
    if one.kept is None or other.kept is None or one.names != other.names:
        return None
    if one.kept.images != other.kept.images and not filecmp.cmp(one.kept.images, other.kept.images, shallow=False):
        return None
    archives = Archives(one.kept.images, one.kept.predictions, other.kept.predictions)
    return archives if all(tuple(read_names(path)) == one.names for path in archives) else None


def _side(folder: Path, record: Record, classes: int) -> RankedSide | None:
    measured = record.measured
    if not isinstance(measured, MeasuredQuality):
        return None
    path = folder / measured.artifact
    if not path.is_file():
        return None
    scores = read_image_scores(path, classes)
    kept = {name: folder / where for name, where in measured.pictures.items()}
    there = {"predictions", "images"} <= set(kept) and all(path.is_file() for path in kept.values())
    return RankedSide(scores.names, scores.miou, Kept(kept["predictions"], kept["images"]) if there else None)
