"""The conclusions that a set of results allows, each drawn once: tables, figures, findings and exports read them here.

:class:`Evidence` only arranges what the other modules of this folder compute, and remembers it. No torch, no ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.evidence import classes, confounds, effects, images, published, speedups, variants
from bench.evidence.confounds import VariantPair
from bench.evidence.contrasts import Contrast, contrasts, squares
from bench.evidence.effects import Resolution
from bench.evidence.images import ImageScores
from bench.evidence.sequential.progress import Progress
from bench.evidence.stats import Effect, paired
from bench.evidence.variants import Front
from bench.protocol.columns import JUDGED
from bench.records.plan.plan import labels_of
from bench.records.quality import MeasuredQuality
from bench.records.results import Results, load


@dataclass(frozen=True)
class Evidence:
    """The conclusions that may be drawn from a set of results.

    Every conclusion is computed when it is first asked for, and kept. The tables are shared by all who read them:
    derive a table of your own with ``assign`` rather than change one of these.

    Attributes:
        results: the plan and the records that the conclusions rest on.
    """

    results: Results

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Variant -> its short name, such as ``attention=on + gate=on``; ``baseline`` for the baseline."""
        return labels_of(self.results.plan)

    @cached_property
    def levels(self) -> Mapping[str, Mapping[str, str]]:
        """Variant -> factor -> its level."""
        return self.results.plan.levels

    @cached_property
    def contrasts(self) -> Sequence[Contrast]:
        """The comparisons that the plan allows; see :mod:`bench.evidence.contrasts`."""
        return contrasts(self.results, self.labels, self.levels)

    @cached_property
    def differences(self) -> Sequence[Mapping[int, float]]:
        """For each of :attr:`contrasts`: seed -> its difference in mIoU, a fraction."""
        return effects.by_seed(self.contrasts, self.results.scores(JUDGED))

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row a contrast, judged by mIoU, columns :data:`bench.evidence.effects.COLUMNS`."""
        return effects.effects(self.results, self.contrasts, JUDGED)

    @cached_property
    def rounds(self) -> Progress | None:
        """How far the rounds have come in which seeds are added; ``None`` for fixed seeds."""
        if self.results.plan.rounds is None:
            return None
        return effects.rounds_so_far(self.results, self.contrasts, self.differences)

    @cached_property
    def late_gains(self) -> Mapping[str, Effect]:
        """Variant -> the rise of its mIoU from the last look during training to the end, over seeds.

        Variants whose trials were not looked at, or that report another split than the looks, have none.
        """
        gains: dict[str, list[tuple[float, float]]] = {}
        for record, measured in self.results.done(MeasuredQuality):
            if measured.curve is not None and measured.split == "val":
                gains.setdefault(record.trial.variant, []).append((measured.miou, measured.curve.miou[-1]))
        return {variant: paired(*map(list, zip(*pairs, strict=True))) for variant, pairs in gains.items()}

    @cached_property
    def resolution(self) -> Resolution | None:
        """The differences that the study could have resolved; ``None`` where no variant has a spread over seeds."""
        return effects.resolution(self.effects, self.results.plan.rounds)

    def squares(self, first: str, second: str) -> Mapping[tuple[str, str], Sequence[str]]:
        """For each pair of levels of two factors: its variants, one for each setting of the other factors."""
        return squares(self.results, self.levels, first, second)

    @cached_property
    def variants(self) -> pd.DataFrame:
        """One row a variant: levels, seeds, quality, its difference to the baseline, costs and their ratios."""
        return variants.numbers(self.results, self.effects, self.levels)

    @cached_property
    def at_both_settings(self) -> pd.DataFrame:
        """One row a variant of a tuned study; columns :data:`bench.evidence.variants.AT_BOTH`."""
        return variants.at_both_settings(self.results)

    def best(self, name: str) -> str:
        """The variant that is resolved to be the best by a quality column; empty for none."""
        return variants.best(self.results, name)

    def front(self, cost: str) -> Front:
        """The variants by mIoU and a column of cost, with their places on the Pareto front."""
        return variants.front(self.results, cost)

    @cached_property
    def joint_front(self) -> pd.DataFrame:
        """One row a variant on the front of mIoU, latency and memory; see :func:`.variants.joint_front`."""
        return variants.joint_front(self.results)

    @cached_property
    def latency_quartiles(self) -> Mapping[str, tuple[float, float]]:
        """Variant -> the first and third quartile of its latency in seconds."""
        return variants.latency_quartiles(self.results)

    @cached_property
    def most_telling(self) -> Sequence[str]:
        """The variants with a score: the baseline, then those resolved from it, then the others, each by mean mIoU."""
        return variants.most_telling(self.results, self.effects)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """One row a variant and class: IoU over seeds, columns :data:`bench.evidence.classes.SCORES`."""
        return classes.scores(self.results)

    @cached_property
    def class_effects(self) -> pd.DataFrame:
        """One row a variant and class: IoU minus the baseline's, columns :data:`bench.evidence.classes.DIFFERENCES`."""
        return classes.differences(self.results, self.labels)

    @cached_property
    def best_by_class(self) -> Mapping[str, str]:
        """Class -> the variant that is resolved to be the best by its IoU; empty for none."""
        return variants.best_of_each(classes.iou_by_seed(self.results), "higher")

    @cached_property
    def image_scores(self) -> Mapping[str, Mapping[int, ImageScores]]:
        """Variant -> seed -> the mIoU of every image, of the trials whose counts of each image are there.

        Raises:
            RecordError: for an artifact that cannot be read, or that contradicts its record.
        """
        return images.scores_by_trial(self.results)

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row a variant, compared with the baseline image by image; columns :data:`bench.evidence.images.COLUMNS`.

        Raises:
            RecordError: as :attr:`image_scores` does.
        """
        return images.comparisons(self.results, self.labels, self.image_scores)

    @cached_property
    def speedups(self) -> pd.DataFrame:
        """One row a planned comparison of speed, as :func:`bench.evidence.speedups.frame` describes."""
        return speedups.frame(self.results)

    @cached_property
    def crossings(self) -> pd.DataFrame:
        """The sizes at which ratios of speed cross 1; see :func:`bench.evidence.speedups.crossing_table`."""
        return speedups.crossing_table(self.speedups)

    @cached_property
    def confounds(self) -> pd.DataFrame:
        """One row a difference between two compared sides; columns :data:`bench.evidence.confounds.COLUMNS`."""
        return confounds.differences(self.results, self.labels, self.levels)

    @property
    def confounded(self) -> Sequence[str]:
        """The comparisons whose sides differ beyond the factors, or were measured in different environments."""
        return confounds.confounded(self.confounds)

    @property
    def in_doubt(self) -> Sequence[str]:
        """The variants and comparisons with timings that are not known to be alone, are noisy or are not steady."""
        return confounds.in_doubt(self.confounds)

    def undeclared(self, pairs: Iterable[VariantPair]) -> str:
        """A sentence that names the differences between the sides of these pairs beyond the factors; empty if none."""
        return confounds.sentence(self.results, pairs)

    @cached_property
    def published(self) -> pd.DataFrame:
        """One row a published value of a variant beside ours; columns :data:`bench.evidence.published.MATCHED`."""
        return published.matched(self.results)

    @cached_property
    def published_classes(self) -> pd.DataFrame:
        """One row a published IoU of a class beside ours; columns :data:`bench.evidence.published.CLASSES`."""
        return published.matched_classes(self.results, self.classes)

    @cached_property
    def published_memory(self) -> pd.DataFrame:
        """One row a published training memory beside ours; columns :data:`bench.evidence.published.MEMORY`."""
        return published.matched_memory(self.results)

    @cached_property
    def published_speeds(self) -> pd.DataFrame:
        """One row a published speed beside ours; columns :data:`bench.evidence.published.SPEEDS`."""
        return published.matched_speeds(self.results, self.speedups)


def evidence_of(folder: str | Path) -> Evidence:
    """The evidence that a results folder holds.

    Raises:
        RecordError: as :func:`bench.records.results.load` does.
    """
    return Evidence(load(folder))
