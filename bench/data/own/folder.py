"""A folder of one's own images and label files, described by a ``classes.toml`` beside them where that is needed.

Without a description the labels must be one byte a pixel, the classes 0, 1, 2 … without a gap and perhaps 255 for void.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

from bench.data.base import DataError, SplitName
from bench.data.files import Pair, files_of, pair_up
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
        listed = _listed(self.folder, self.description, name)
        image_files = [
            path for path in files_of(images, IMAGE_FILES) if path.stem.endswith(self.description.image_ending)
        ]
        label_files = [
            path for path in files_of(labels, LABEL_FILES) if path.stem.endswith(self.description.label_ending)
        ]
        if listed is not None:
            image_files = [path for path in image_files if self.name_of(path) in listed]
            label_files = [path for path in label_files if self.name_of_label(path) in listed]
        return image_files, label_files

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
    listed = _listed(folder, description, split)
    images, labels = (folder / place for place in description.folders(split))
    pairs = pair_up(images, labels, split, description.naming())
    if listed is None:
        return pairs
    by_name = {
        unicodedata.normalize("NFC", pair.image.stem).removesuffix(description.image_ending): pair for pair in pairs
    }
    for name in listed:
        if name not in by_name:
            raise DataError(f"{folder / description.splits[split]} names {name!r}, and {images} has no such image")
    if not listed:
        raise DataError(f"the {split} split is empty: {folder / description.splits[split]} names no image")
    return [by_name[name] for name in sorted(listed)]


def _listed(folder: Path, description: Description, split: SplitName) -> set[str] | None:
    """The names that the list of a split holds; ``None`` for a split with folders of its own."""
    place = description.splits.get(split)
    if place is None or not place.endswith(".txt"):
        return None
    try:
        lines = (folder / place).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / place} cannot be read ({error}); {DESCRIPTION} names it for {split}") from error
    names = [unicodedata.normalize("NFC", line.strip()) for line in lines if line.strip()]
    stems = [re.sub(r"\.\w{3,4}$", "", name).removesuffix(description.image_ending) for name in names]
    if len(set(stems)) < len(stems):
        twice = next(name for name in stems if stems.count(name) > 1)
        raise DataError(f"{folder / place} names {twice!r} twice; remove one")
    return set(stems)


def _printable(name: str) -> str:
    return "".join(character for character in name if character.isprintable())
