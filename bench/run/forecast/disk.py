"""The disk that trials will take: records, counts of images, weights, pictures and the states of trainings."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.protocol.setting import Stage
from bench.records.pictures import stride
from bench.records.quality import MeasuredQuality
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.cells import Cell

BYTES_OF_FLOAT = 4
RECORD_BYTES: Mapping[Stage, int] = {"quality": 25_000, "cost": 10_000, "speed": 25_000}
"""The size of a record, where a study has none yet: about that of the records in ``results/``."""
MAP_BYTES, IMAGE_BYTES = 0.03, 0.2
"""The bytes of a kept pixel of a map and of an image, of CamVid's frames: :mod:`bench.records.pictures`."""
TENSORS_OF_STATE = 5
"""The most tensors of a state for each parameter: weights, two of the optimiser, an average, and the last weights."""


@dataclass(frozen=True)
class Disk:
    """The bytes that the files of trials will take.

    Attributes:
        records: the records.
        counts: the counts of each image, ``artifacts/``.
        weights: the weights of quality trials.
        pictures: predictions, and the images and labels of the split.
        states: the states of trainings that run at the same time, at most; they are removed when a training is over.
    """

    records: int
    counts: int
    weights: int
    pictures: int
    states: int

    @property
    def total(self) -> int:
        return self.records + self.counts + self.weights + self.pictures + self.states


def disk_of(schedule: Schedule, trials: Iterable[Trial]) -> Disk:
    """The disk that trials will take: as much as the finished ones of the study, else estimated from their sizes."""
    todo = list(trials)
    trained = [trial for trial in todo if trial.stage == "quality"]
    sizes = _sizes(schedule)
    parameters = {network.cell.name: sum(network.parameters.values()) for network in schedule.checked}
    typical = statistics.fmean(parameters.values()) if parameters else 0.0
    tensors = [BYTES_OF_FLOAT * parameters.get(trial.variant, typical) for trial in trained]
    at_once = sorted(tensors, reverse=True)[: schedule.resources.at_a_time("quality")]
    records = sum(_mean(sizes.get(f"record {trial.stage}"), RECORD_BYTES[trial.stage]) for trial in todo)
    evaluations = _evaluations(schedule, trained)
    counts = sum(number * _mean(sizes.get("counts"), _most_counts(one)) for one, number in evaluations)
    maps = sum(number * _mean(sizes.get("predictions"), MAP_BYTES * one.kept_pixels) for one, number in evaluations)
    are_there = any((schedule.folder / "pictures").glob("*.zip"))  # which all trials of a split share
    images = 0.0 if are_there else sum((MAP_BYTES + IMAGE_BYTES) * one.kept_pixels for one, _ in evaluations)
    return Disk(
        records=round(records),
        counts=round(counts),
        weights=round(sum(tensors)),
        pictures=round(maps + images),
        states=round(TENSORS_OF_STATE * sum(at_once)),
    )


def _sizes(schedule: Schedule) -> dict[str, list[int]]:
    """The kind of a file of the study's finished trials -> the bytes of such files."""
    sizes: dict[str, list[int]] = {}
    for record in schedule.records():
        files = {f"record {record.trial.stage}": f"records/{record.file_name}"}
        if isinstance(record.measured, MeasuredQuality):
            files["counts"] = record.measured.artifact
            files["predictions"] = record.measured.pictures.get("predictions", "")
        for kind, path in files.items():
            if record.status == "done" and path and (size := _size_of(schedule.folder / path)):
                sizes.setdefault(kind, []).append(size)
    return sizes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _mean(sizes: Sequence[int] | None, otherwise: float) -> float:
    return statistics.fmean(sizes) if sizes else otherwise


class _Evaluated(NamedTuple):
    """The images that trials are evaluated on: their number, height and width, the classes, and the tolerances."""

    images: int
    height: int
    width: int
    classes: int
    tolerances: int

    @property
    def kept_pixels(self) -> int:
        step = stride(self.height, self.width)
        return self.images * (self.height // step) * (self.width // step)


def _evaluations(schedule: Schedule, trained: Iterable[Trial]) -> list[tuple[_Evaluated, int]]:
    """The images that trials are evaluated on, and the number of those trials. Each data set is read once."""
    cells = schedule.cells
    recipes = ((cells[trial.variant], cells[trial.variant].recipe) for trial in trained)
    alike: dict[object, list[Cell]] = {}
    for cell, recipe in recipes:
        alike.setdefault((recipe.data, recipe.split, recipe.boundary_px), []).append(cell)
    evaluations = []
    for cell, *others in alike.values():
        dataset = schedule.loaded.dataset_of(cell)
        split = dataset.split(cell.recipe.split)
        height, width = split[0].label.shape
        tolerances = len(cell.recipe.boundary_px)
        evaluated = _Evaluated(len(split), int(height), int(width), len(dataset.classes), tolerances)
        evaluations.append((evaluated, 1 + len(others)))
    return evaluations


def _most_counts(evaluated: _Evaluated) -> float:
    """The bytes of the counts of each image at most: as numbers that are not compressed."""
    return 8.0 * evaluated.images * (evaluated.classes**2 + 4 * evaluated.tolerances * evaluated.classes)
