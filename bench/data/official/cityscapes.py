"""Cityscapes, 19 classes: 2975 training and 500 validation images of street scenes, 2048x1024, in 27 cities' folders.

**Source**: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016; the folders are
described by the README of the official mcordts/cityscapesScripts (commit 02a0f28), the ids by its ``helpers/labels.py``
(commit aed41b9).

**Cross-checked** (names, order, ids): torchvision/datasets/cityscapes.py of pytorch/vision at aaca9bd, and
detectron2/data/datasets/builtin_meta.py of facebookresearch/detectron2 at 0dd2b65.

**Departures**: none. The published numbers of images are not enforced, so that a subset can serve for a short run; the
fingerprint tells a subset from the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.data.base import IGNORE, SplitName
from bench.data.files import Naming, Pair, files_inside, pair_up_inside, refuse_twice
from bench.data.official.layout import beginning, coding_of, unlabelled
from bench.data.paired import PairedFiles
from bench.data.pixels import Coding, read_colours
from bench.parts import Count

IDS: dict[str, int] = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""Class -> its byte in ``labelIds`` files, in the order of the train ids 0 to 18."""

COLOURS = read_colours(
    "804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 "
    "005064 0000e6 770b20"
)
"""The colours of the classes in ``helpers/labels.py``."""

ALL_IDS = 34
"""The number of ids that ``labelIds`` files hold; those of no evaluated class are void."""

IMAGE_ENDING = "_leftImg8bit"

LabelFiles = Literal["labelIds", "labelTrainIds"]
Training = Literal["fine", "coarse", "fine and coarse"]

PLACES: dict[Training, tuple[tuple[str, str], ...]] = {
    "fine": (("gtFine", "train"),),
    "coarse": (("gtCoarse", "train"), ("gtCoarse", "train_extra")),
    "fine and coarse": (("gtFine", "train"), ("gtCoarse", "train_extra")),
}
"""Choice of the training split -> the folders of its labels, each with the folder of its images in ``leftImg8bit``."""


class Cityscapes(PairedFiles):
    """The Cityscapes data set: ``leftImg8bit/<split>/<city>`` with ``gtFine/<split>/<city>``.

    Args:
        folder: the folder that holds ``leftImg8bit`` and ``gtFine``.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
        training: the labels that are trained on: the fine ones of the 2975 training images; the coarse ones of these
            and of the 19998 images of ``train_extra``; or fine ones of the former, coarse ones of the latter.
        label_files: ``labelIds`` as they are distributed, or the ``labelTrainIds`` that csCreateTrainIdLabelImgs makes.
    """

    name = "cityscapes"
    classes: tuple[str, ...] = tuple(IDS)
    colours = COLOURS

    def __init__(
        self,
        folder: Path | None,
        *,
        train_images: Count | None = None,
        training: Training = "fine",
        label_files: LabelFiles = "labelIds",
    ) -> None:
        super().__init__(folder, train_images)
        self.folder = beginning(self.folder, (), ("leftImg8bit",), self.name)
        self._places = PLACES[training]
        self._label_files = label_files
        self.coding = _coding(label_files)

    def pairs(self, name: SplitName) -> list[Pair]:
        if name == "test":
            raise unlabelled("Cityscapes", name)
        pairs = []
        for kind, images in self._places_of(name):
            naming = Naming((".png",), (".png",), IMAGE_ENDING, f"_{kind}_{self._label_files}")
            pairs += pair_up_inside(self.folder / "leftImg8bit" / images, self.folder / kind / images, name, naming)
        refuse_twice(pairs)
        return pairs

    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        images: list[Path] = []
        labels: list[Path] = []
        for kind, place in self._places_of(name):
            images += files_inside(self.folder / "leftImg8bit" / place, (".png",), IMAGE_ENDING)
            labels += files_inside(self.folder / kind / place, (".png",), f"_{kind}_{self._label_files}")
        return images, labels

    def name_of(self, image: Path) -> str:
        return super().name_of(image).removesuffix(IMAGE_ENDING)

    def name_of_label(self, label: Path) -> str:
        return super().name_of_label(label).removesuffix(f"_{self._label_files}").rpartition("_")[0]

    def _places_of(self, name: SplitName) -> tuple[tuple[str, str], ...]:
        return {"train": self._places, "val": (("gtFine", "val"),), "test": ()}[name]


def _coding(label_files: LabelFiles) -> Coding:
    if label_files == "labelTrainIds":
        return coding_of({index: index for index in range(len(IDS))} | {255: IGNORE}, "0 to 18 (train ids)")
    indices = dict.fromkeys(range(ALL_IDS), IGNORE) | {byte: index for index, byte in enumerate(IDS.values())}
    return coding_of(indices, f"0 to {ALL_IDS - 1} (ids)")
