"""PASCAL VOC 2012, 21 classes: 1464 training and 1449 validation images of everyday objects.

**Source**: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010 and the development kit of
VOC2012: the positions in a label file's palette are the classes, 0 the background, 255 void. "Aug" adds the
annotations of Hariharan et al., "Semantic Contours from Inverse Detectors" (SBD), ICCV 2011: 10582 training images,
none of the validation split.

**Cross-checked** (names, order, void, lists): mmseg/datasets/voc.py of open-mmlab/mmsegmentation at 3bd2b6c with
tools/dataset_converters/voc_aug.py at 3f8d34e, and encoding/datasets/pascal_voc.py of wuhuikai/FastFCN at 42d90d9,
which writes "potted-plant" and "tv/monitor" and trains on train and val together; the list with two paths a line is
that of libs/datasets/voc.py of kazuto1011/deeplab-pytorch at 3923bf4.

**Departures**: in the enlarged split, an image of VOC's own training list has the label in ``SegmentationClassAug``
where there is one, as the lists of deeplab-pytorch say; mmsegmentation's configuration takes VOC's. The published
numbers of images are not enforced.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from bench.data.base import IGNORE, DataError, SplitName
from bench.data.files import NameList, files_of, read_names
from bench.data.official.layout import beginning, coding_of, unlabelled
from bench.data.official.listed import NAMING, ListedFiles
from bench.data.pixels import Colour
from bench.parts import Count

LISTS = "ImageSets/Segmentation"
AUG_LISTS = (f"{LISTS}/trainaug.txt", f"{LISTS}/train_aug.txt", "ImageSets/SegmentationAug/train_aug.txt")
"""The places at which the converters of SBD write the list of the enlarged training split."""

LABELS, AUG_LABELS = "SegmentationClass", "SegmentationClassAug"


def _colour(index: int) -> Colour:
    """The colour of a class in the development kit's ``VOClabelcolormap``: its bits, spread over red, green and blue.

    Bit 3 k + c of the index is bit 7 - k of colour c.
    """
    red, green, blue = (sum((index >> 3 * k + c & 1) << 7 - k for k in range(3)) for c in range(3))
    return red, green, blue


class VOC2012(ListedFiles):
    """PASCAL VOC 2012: ``JPEGImages``, ``SegmentationClass`` and the lists in ``ImageSets/Segmentation``.

    Args:
        folder: the folder that holds ``JPEGImages``, or one in which ``VOC2012`` or ``VOCdevkit/VOC2012`` lies.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them.
        training: the list that is trained on: ``train``, or ``trainaug`` with the labels in ``SegmentationClassAug``
            (those that are not there, in ``SegmentationClass``).
    """

    name = "voc2012"
    classes: tuple[str, ...] = (
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    )
    colours = tuple(_colour(index) for index in range(21))

    def __init__(
        self,
        folder: Path | None,
        *,
        train_images: Count | None = None,
        training: Literal["train", "trainaug"] = "train",
    ) -> None:
        super().__init__(folder, train_images)
        inner = ("VOC2012", "VOCdevkit/VOC2012")
        self.folder = beginning(self.folder, inner, ("JPEGImages", "ImageSets"), self.name)
        self._training = training
        indices = {index: index for index in range(len(self.classes))}
        self.coding = coding_of(indices | {255: IGNORE}, "0 to 20 and 255")

    def places(self, name: SplitName) -> list[tuple[NameList, Path]]:
        if name == "test":
            raise unlabelled("PASCAL VOC 2012", name)
        if name == "train" and self._training == "trainaug":
            return self._enlarged()
        return [(read_names(self.folder / LISTS / f"{name}.txt", name), self.folder / LABELS)]

    def _enlarged(self) -> list[tuple[NameList, Path]]:
        """The enlarged training split.

        Raises:
            DataError: if its list cannot be used, or names an image of the validation split.
        """
        present = [self.folder / place for place in AUG_LISTS if (self.folder / place).is_file()]
        listed = read_names(present[0] if present else self.folder / AUG_LISTS[0], "train", _name_in_line)
        evaluated = listed.names & read_names(self.folder / LISTS / "val.txt", "val").names
        if evaluated:
            raise DataError(
                f"{listed.file} names {min(evaluated)!r}, which is an image of the val split; "
                "take the images that are evaluated out of the list of those that are trained on"
            )
        enlarged = self.folder / AUG_LABELS
        there = {path.stem for path in files_of(enlarged, NAMING.label_suffixes)}
        parts = [(listed.names & there, enlarged), (listed.names - there, self.folder / LABELS)]
        return [(NameList(listed.file, names), labels) for names, labels in parts if names]


def _name_in_line(line: str) -> str:
    """The name of an image in a line that holds it alone, or the paths of image and label."""
    return PurePosixPath(line.split()[0]).stem
