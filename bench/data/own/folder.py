"""A folder of one's own images and label files, described by a ``classes.toml`` beside them where that is needed.

Without a description the labels must be one byte a pixel, the classes 0, 1, 2 … without a gap and perhaps 255 for void.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from bench.data.base import DataError, SplitName
from bench.data.files import NameList, Pair, files_of, pair_up, read_names
from bench.data.own.arrangement import described
from bench.data.own.description import DESCRIPTION, IMAGE_FILES, LABEL_FILES, Description, read_description
from bench.data.paired import PairedFiles
from bench.parts import Count


class Folder(PairedFiles):
    """Images and label files in a folder of one's own.

    Args:
        folder: the folder, with ``images/train`` and ``labels/train``, ``images/val`` and ``labels/val``, or as its
            ``classes.toml`` says.
        train_images: the number of training images that are used; ``None`` for all of them.

    Raises:
        DataError: if the folder's arrangement or the classes of its labels cannot be told.
    """

    name = "folder"
    classes: tuple[str, ...] = ()

    def __init__(self, folder: Path | None, *, train_images: Count | None = None) -> None:
        super().__init__(folder, train_images)
        self.description = read_description(self.folder) or described(self.folder)
        self.classes = tuple(entry.name for entry in self.description.classes)
        self.coding = self.description.coding()
        self.name = _printable(self.folder.resolve().name) or type(self).name

    def pairs(self, name: SplitName) -> list[Pair]:
        return pairs_of(self.folder, self.description, name)

    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        if name not in self.description.splits:
            return [], []
        images, labels = (self.folder / place for place in self.description.folders(name))
        try:
            listed = _listed(self.folder, self.description, name)
        except DataError:
            return [], []  # a missing split is no error in a fingerprint: it may be one that nothing reads
        image_files = files_of(images, IMAGE_FILES, self.description.image_ending, listed)
        return image_files, files_of(labels, LABEL_FILES, self.description.label_ending, listed)

    def name_of(self, image: Path) -> str:
        return super().name_of(image).removesuffix(self.description.image_ending)

    def name_of_label(self, label: Path) -> str:
        return super().name_of_label(label).removesuffix(self.description.label_ending)

    def meaning(self) -> str:
        return json.dumps(self.description.model_dump(), sort_keys=True)


def pairs_of(folder: Path, description: Description, split: SplitName) -> list[Pair]:
    """The pairs of a split.

    Raises:
        DataError: if the split is missing or empty, if an image has no label or a label no image, or if a list names an
            image that is not there.
    """
    if split not in description.splits:
        raise DataError(f"{folder} has no {split} split; name one under [splits] in its {DESCRIPTION}")
    images, labels = (folder / place for place in description.folders(split))
    return pair_up(images, labels, split, description.naming(), _listed(folder, description, split))


def _listed(folder: Path, description: Description, split: SplitName) -> NameList | None:
    """The names that the list of a split holds; ``None`` for a split with folders of its own."""
    place = description.splits[split]

    def name_in(line: str) -> str:
        path = PurePosixPath(line)
        return (path.stem if path.suffix.lower() in IMAGE_FILES else line).removesuffix(description.image_ending)

    return read_names(folder / place, split, name_in) if place.endswith(".txt") else None


def _printable(name: str) -> str:
    return "".join(character for character in name if character.isprintable())
