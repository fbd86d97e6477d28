"""Pictures and counts of each image as trials leave them, so that a planted folder has a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.records.pictures import VOID, Album
from bench.records.record import read_all
from tests.conftest import plant_counts

LABEL = np.zeros((4, 6), dtype=np.uint8)
LABEL[0, 0] = VOID


def guess(wrong: int) -> np.ndarray:
    """Class 0 but for the first ``wrong`` of the 23 labelled pixels, which are class 1: mIoU is (23 - wrong) / 46."""
    prediction = np.zeros(24, dtype=np.uint8)
    prediction[1 : 1 + wrong] = 1
    return prediction.reshape(4, 6)


def counted(wrong: Sequence[int], classes: int) -> npt.NDArray[np.int32]:
    """The confusion matrices, ``I K K``, of :func:`guess` for each number of wrong pixels."""
    confusion = np.zeros((len(wrong), classes, classes), dtype=np.int32)
    confusion[:, 0, 0], confusion[:, 0, 1] = 23 - np.array(wrong), wrong
    return confusion


def plant_pictures(folder: Path, wrong: Mapping[str, Sequence[Sequence[int] | None]], names: Sequence[str]) -> None:
    """Give quality trials that are done what they keep of each image, with more images where a record counts more.

    Args:
        wrong: variant -> of each seed the wrong pixels of each image; ``None`` for a trial that kept nothing.
        names: of the images.
    """
    for record in read_all(folder / "records"):
        if record.trial.stage != "quality" or record.status != "done":
            continue
        counts = wrong[record.trial.variant][record.trial.seed]
        if counts is None:
            continue
        kept = {"predictions": f"artifacts/{record.key}.predictions.npz", "images": "pictures/planted.npz"}
        all_names = plant_counts(folder, record, names, counted(counts, len(record.measured.classes)), kept)
        _keep(folder, kept, all_names, [*counts, *[0] * (len(all_names) - len(counts))])


def _keep(folder: Path, kept: Mapping[str, str], names: Sequence[str], wrong: Sequence[int]) -> None:
    album = Album(folder / kept["predictions"], folder / kept["images"])
    for name, count in zip(names, wrong, strict=True):
        album.add(name, np.zeros((3, 4, 6), dtype=np.uint8), LABEL, guess(count))
    album.write()
