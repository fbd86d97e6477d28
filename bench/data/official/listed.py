"""Data sets with one folder of images for all splits and lists of the names of each, as PASCAL VOC has them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from bench.data.base import DataError, SplitName
from bench.data.files import NameList, Naming, Pair, files_of, pair_up
from bench.data.paired import PairedFiles

NAMING = Naming((".jpg", ".jpeg"), (".png",))


class ListedFiles(PairedFiles):
    """A data set whose images lie in one folder, whatever split they belong to.

    Attributes:
        images: the name of that folder.
        naming: how images and label files are named.
    """

    images = "JPEGImages"
    naming = NAMING

    @abstractmethod
    def places(self, name: SplitName) -> list[tuple[NameList, Path]]:
        """The lists of a split's images, each with the folder of their labels.

        Raises:
            DataError: if a list cannot be used, or if the split is published without labels.
        """

    def pairs(self, name: SplitName) -> list[Pair]:
        images, naming = self.folder / self.images, self.naming
        pairs = [pair for names, labels in self.places(name) for pair in pair_up(images, labels, name, naming, names)]
        return sorted(pairs, key=lambda pair: self.name_of(pair.image))

    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        try:
            places = self.places(name)
        except DataError:
            return [], []  # a missing split is no error in a fingerprint: it may be one that nothing reads
        images: list[Path] = []
        labels: list[Path] = []
        for names, folder in places:
            images += files_of(self.folder / self.images, self.naming.image_suffixes, listed=names)
            labels += files_of(folder, self.naming.label_suffixes, listed=names)
        return images, labels
