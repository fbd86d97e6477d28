"""Pictures and counts of each image as trials leave them, so that a planted folder has a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.records.pictures import VOID, Album
from bench.records.record import read_all, write

LABEL = np.zeros((4, 6), dtype=np.uint8)
LABEL[0, 0] = VOID


def guess(wrong: int) -> np.ndarray:
    """Class 0 but for the first ``wrong`` of the 23 labelled pixels, which are class 1: mIoU is (23 - wrong) / 46."""
    classes = np.zeros(24, dtype=np.uint8)
    classes[1 : 1 + wrong] = 1
    return classes.reshape(4, 6)


def plant_pictures(folder: Path, wrong: Mapping[str, Sequence[Sequence[int] | None]], names: Sequence[str]) -> None:
    """Give quality trials that are done what they keep of each image.

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
        _keep(folder, kept, names, counts)
        classes = len(record.measured.classes)
        confusion = np.zeros((len(counts), classes, classes), dtype=np.int32)
        confusion[:, 0, 0], confusion[:, 0, 1] = 23 - np.array(counts), counts
        np.savez(folder / "artifacts" / f"{record.key}.npz", images=np.array(names), confusion=confusion)
        measured = {**record.measured.as_json(), "artifact": f"artifacts/{record.key}.npz", "pictures": kept}
        write(record.having(measured=measured), folder / "records")


def _keep(folder: Path, kept: Mapping[str, str], names: Sequence[str], wrong: Sequence[int]) -> None:
    album = Album(folder / kept["predictions"], folder / kept["images"])
    for name, count in zip(names, wrong, strict=True):
        album.add(name, np.zeros((3, 4, 6), dtype=np.uint8), LABEL, guess(count))
    album.write()
