"""COCO-Stuff 10k (version 1.1), 171 classes: 9000 training and 1000 other images of COCO's training images of 2014.

**Source**: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018; the numbers and
names of labels are those of COCO-Stuff 164k (see :mod:`bench.data.official.coco_stuff`), here from 1 with 0 as
unlabeled.

**Cross-checked** (layout, values, lists): tools/dataset_converters/coco_stuff10k.py of open-mmlab/mmsegmentation at
50546da, and libs/datasets/cocostuff.py of kazuto1011/deeplab-pytorch at 07c9ce5 with data/datasets/cocostuff/README.md
at 3a634f2.

**Departures**: the images of ``imageLists/test.txt``, on which published scores are computed, are the validation split
here, as the README of nightrome/cocostuff calls them; there is no third split. mmsegmentation's converter keeps
unlabeled as a class 0, which is void here. The published numbers of images are not enforced.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.base import IGNORE, DataError, Sample, SplitName
from bench.data.files import NameList, Naming, Pair, read_names, sample_of
from bench.data.official.coco_stuff import ALL_NAMES, COCOStuff
from bench.data.official.layout import beginning, coding_of
from bench.data.official.listed import ListedFiles
from bench.data.official.matlab import read_matlab_label
from bench.parts import Count

LISTS = {"train": "train.txt", "val": "test.txt"}


class COCOStuff10k(ListedFiles):
    """COCO-Stuff 10k: ``images/*.jpg``, ``annotations/*.mat`` and the lists in ``imageLists``.

    Args:
        folder: the folder that holds ``images``, ``annotations`` and ``imageLists``, or one in which ``dataset`` lies.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
    """

    name = "coco_stuff_10k"
    classes: tuple[str, ...] = COCOStuff.classes
    images = "images"
    naming = Naming((".jpg", ".jpeg"), (".mat",))

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        super().__init__(folder, train_images)
        needed = ("images", "annotations", "imageLists")
        self.folder = beginning(self.folder, ("dataset",), needed, self.name)
        indices = {ALL_NAMES.index(name) + 1: index for index, name in enumerate(self.classes)}
        self.coding = coding_of({0: IGNORE} | indices, "0 to 182 but for eleven removed things")

    def places(self, name: SplitName) -> list[tuple[NameList, Path]]:
        if name not in LISTS:
            raise DataError(
                "COCO-Stuff 10k has no third split; the images of its test list are the val split: leave --final out"
            )
        return [(read_names(self.folder / "imageLists" / LISTS[name], name), self.folder / "annotations")]

    def read(self, pair: Pair) -> Sample:
        return sample_of(pair, read_matlab_label(pair.label, "S", self.coding.indices, self.coding.meaning))
