"""PASCAL Context, 59 classes or 60 with the background: 4998 training and 5105 validation images of PASCAL VOC 2010.

**Source**: Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR
2014: of 459 annotated categories the 59 most frequent are the classes, all else is background.

**Cross-checked** (names, their order by the number of the category, ids, lists): mmseg/datasets/pascal_context.py of
open-mmlab/mmsegmentation at a5acc11 with tools/dataset_converters/pascal_context.py at 2b6a1aa, whose files are read
here; encoding/datasets/pcontext.py of wuhuikai/FastFCN at 42d90d9 (ids); san/data/datasets/register_pcontext.py of
MendelXu/SAN at c9fd1f2 (names of all 459 categories in order), which calls "table" in the list of 59 "diningtable".

**Departures**: where there are the PNG files and lists that mmsegmentation's converter writes from the published
``trainval_merged.json``, they are read in place of the published MATLAB files, whose splits are those of VOC2010's
``ImageSets/Main`` (the numbers of images agree, but no public reader was compared with this). The published numbers
of images are not enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench.data.base import IGNORE, DataError, Sample, SplitName
from bench.data.files import NameList, Naming, Pair, read_names, sample_of
from bench.data.official.layout import beginning, coding_of, unlabelled
from bench.data.official.listed import NAMING, ListedFiles
from bench.data.official.matlab import read_matlab_label
from bench.parts import Count

CATEGORIES: dict[str, int] = {
    "aeroplane": 2, "bag": 9, "bed": 18, "bedclothes": 19, "bench": 22, "bicycle": 23, "bird": 25, "boat": 31,
    "book": 33, "bottle": 34, "building": 44, "bus": 45, "cabinet": 46, "car": 59, "cat": 65, "ceiling": 68,
    "chair": 72, "cloth": 80, "computer": 85, "cow": 98, "cup": 104, "curtain": 105, "dog": 113, "door": 115,
    "fence": 144, "floor": 158, "flower": 159, "food": 162, "grass": 187, "ground": 189, "horse": 207,
    "keyboard": 220, "light": 232, "motorbike": 258, "mountain": 259, "mouse": 260, "person": 284, "plate": 295,
    "platform": 296, "pottedplant": 308, "road": 324, "rock": 326, "sheep": 347, "shelves": 349, "sidewalk": 354,
    "sign": 355, "sky": 360, "snow": 366, "sofa": 368, "table": 397, "track": 415, "train": 416, "tree": 420,
    "truck": 424, "tvmonitor": 427, "wall": 440, "water": 445, "window": 454, "wood": 458,
}  # fmt: skip
"""Class -> its number among the 459 categories. In the order of these numbers the classes are the bytes 1 to 59."""

CATEGORY_COUNT = 459
"""The highest number of a category; 0 is no category."""

BYTES = dict.fromkeys(range(CATEGORY_COUNT + 1), 0) | {
    number: byte for byte, number in enumerate(CATEGORIES.values(), start=1)
}
"""Number of a category -> its byte in the converted files; 0 for the background."""

CONVERTED = ("SegmentationClassContext", "ImageSets/SegmentationContext")
PUBLISHED = ("trainval", "ImageSets/Main")
"""The folders of label files and of lists."""


def read_categories(path: Path, values: Mapping[int, int] = BYTES) -> Tensor:
    """The label map in a published file, ``H W`` uint8, with a value for the number of each category.

    Raises:
        DataError: if the file cannot be read, or holds a number of no category.
    """
    return read_matlab_label(path, "LabelMap", values, f"0 to {CATEGORY_COUNT}")


class PascalContext(ListedFiles):
    """PASCAL Context in VOC2010: ``JPEGImages`` with ``trainval/*.mat``, or as mmsegmentation's converter leaves it.

    Args:
        folder: the folder that holds ``JPEGImages``, or one in which ``VOC2010`` or ``VOCdevkit/VOC2010`` lies.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
        background: the background is the first of 60 classes; without it, it is void and there are 59.
    """

    name = "pascal_context"
    classes: tuple[str, ...] = tuple(CATEGORIES)

    def __init__(self, folder: Path | None, *, train_images: Count | None = None, background: bool = False) -> None:
        super().__init__(folder, train_images)
        self.folder = beginning(self.folder, ("VOC2010", "VOCdevkit/VOC2010"), ("JPEGImages",), self.name)
        self._labels, self._lists = self._layout()
        self._in_matlab = self._labels == PUBLISHED[0]
        if self._in_matlab:
            self.naming = Naming(NAMING.image_suffixes, (".mat",))
        if background:
            self.classes = ("background", *CATEGORIES)
        indices = {byte: byte if background else byte - 1 for byte in range(1, len(CATEGORIES) + 1)}
        self.coding = coding_of({0: 0 if background else IGNORE} | indices, f"0 to {len(CATEGORIES)}")
        self._index_of_category = {number: self.coding.indices[byte] for number, byte in BYTES.items()}

    def places(self, name: SplitName) -> list[tuple[NameList, Path]]:
        if name == "test":
            raise unlabelled("PASCAL Context", name)
        return [(read_names(self.folder / self._lists / f"{name}.txt", name), self.folder / self._labels)]

    def read(self, pair: Pair) -> Sample:
        if not self._in_matlab:
            return super().read(pair)
        return sample_of(pair, read_categories(pair.label, self._index_of_category))

    def meaning(self) -> str:
        return "the background is a class" if "background" in self.classes else ""

    def _layout(self) -> tuple[str, str]:
        """The folders of label files and of lists, relative to that of the data set."""
        for layout in (CONVERTED, PUBLISHED):
            if all((self.folder / place).is_dir() for place in layout):
                return layout
        raise DataError(
            f"{self.folder} holds neither {' with '.join(PUBLISHED)} nor {' with '.join(CONVERTED)}; "
            "put the label files there"
        )
