"""Data sets with a folder of images and a folder of labels for each split, as ADE20K has them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from bench.data.base import SplitName
from bench.data.files import Naming, Pair, files_of, pair_up
from bench.data.official.layout import unlabelled
from bench.data.paired import PairedFiles


class FolderedFiles(PairedFiles):
    """A data set of which each split has two folders of its own.

    Attributes:
        title: the name of the data set in sentences.
        naming: how images and label files are named.
    """

    title: str
    naming = Naming((".jpg", ".jpeg"), (".png",))

    @abstractmethod
    def folders(self, name: SplitName) -> tuple[Path, Path] | None:
        """The folder of a split's images and that of its labels; ``None`` for a split without published labels."""

    def pairs(self, name: SplitName) -> list[Pair]:
        folders = self.folders(name)
        if folders is None:
            raise unlabelled(self.title, name)
        return pair_up(*folders, name, self.naming)

    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        folders = self.folders(name)
        if folders is None:
            return [], []
        images, labels = folders
        label_files = files_of(labels, self.naming.label_suffixes)
        if other := self.naming.other_label_ending:
            label_files = [path for path in label_files if not path.stem.endswith(other)]
        return files_of(images, self.naming.image_suffixes), label_files
