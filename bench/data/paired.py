"""Data sets of image files with a label file each, and all that they have in common.

A data set only says which files belong to a split and what the bytes of a label mean.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path

from bench.data.base import SPLITS, DataError, Sample, SplitName
from bench.data.cache import Remembered, fingerprint
from bench.data.files import Pair, read_pair
from bench.data.pixels import Coding


class PairedFiles(ABC):
    """A data set in a folder, whose samples are pairs of an image file and a label file.

    Args:
        folder: the folder of the data set.
        train_images: the number of training images that are used, drawn once and for all; ``None`` for all of them. The
            images of validation and test stay the same, so that scores are comparable.
    """

    name: str
    classes: tuple[str, ...]
    coding: Coding

    def __init__(self, folder: Path | None, train_images: int | None = None) -> None:
        title, option = type(self).__name__, f"--data {type(self).name}=/path/to/{type(self).__name__}"
        if folder is None:
            raise DataError(f"{title} needs a folder: {option}")
        if not os.path.isdir(folder):
            raise DataError(f"{folder} is not a folder; give that of {title}: {option}")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DataError(f"{folder} cannot be read; allow it to be read")
        self.folder = folder
        self._train_images = train_images

    @abstractmethod
    def pairs(self, name: SplitName) -> list[Pair]:
        """All pairs of a split, in a fixed order.

        Raises:
            DataError: if the split is missing or empty, or if an image has no label or a label no image.
        """

    @abstractmethod
    def files(self, name: SplitName) -> tuple[list[Path], list[Path]]:
        """The images and the label files of a split that there are, none if the split is missing."""

    def meaning(self) -> str:
        """The meaning of the files beyond their bytes, for the fingerprint; empty where all copies share it."""
        return ""

    def split(self, name: SplitName) -> Remembered:
        """The samples of a split, sorted by name.

        Raises:
            DataError: if the split is missing or empty, or if an image has no label or a label no image. Reading a
                sample raises it too, if one of the sample's files cannot be used.
        """
        pairs = self._chosen(name)
        return Remembered(len(pairs), lambda index: self.read(pairs[index]))

    def read(self, pair: Pair) -> Sample:
        """The decoded image and label of a pair."""
        return read_pair(pair, self.coding)

    def check(
        self,
        progress: Callable[[int, int], None] | None = None,
        splits: Sequence[SplitName] = SPLITS,
        decoded: Container[Pair] = (),
    ) -> None:
        """Decode every image and every label.

        Args:
            progress: a function that is called with (pairs done, pairs in all) after each pair.
            splits: the splits that are read.
            decoded: the pairs that are left out, because they were decoded before and have not changed since.

        Raises:
            DataError: for an image that belongs to two splits, or the first file that cannot be used.
        """
        split_of: dict[Path, str] = {}
        pairs = [(name, pair) for name in splits for pair in self._chosen(name)]
        for name, pair in pairs:
            if (other := split_of.setdefault(pair.image, name)) != name:
                raise DataError(f"{pair.image} is in the {other} and in the {name} split; take it out of one of them")
        for done, (_, pair) in enumerate(pairs, start=1):
            if pair not in decoded:
                self.read(pair)
            if progress:
                progress(done, len(pairs))

    def fingerprint(self, cache: Path | None = None) -> str:
        """The digest of the files that there are, without training images that are left out, and of their meaning.

        Where splits share a folder, so that the place of an image does not tell its split, the split counts too. See
        :func:`bench.data.cache.fingerprint`.
        """
        images: dict[SplitName, list[Path]] = {}
        labels: list[Path] = []
        for name in SPLITS:
            split_images, split_labels = self.files(name)
            all_names = {self.name_of(path) for path in split_images}
            left_out = all_names - self._used(name, all_names)
            images[name] = [path for path in split_images if self.name_of(path) not in left_out]
            labels += [path for path in split_labels if self.name_of_label(path) not in left_out]
        digest = fingerprint(self.folder, itertools.chain(*images.values()), labels, cache)
        meaning = f"{self._division(images)}{self.meaning()}"
        return hashlib.sha256(f"{digest} {meaning}".encode()).hexdigest() if meaning else digest

    def _division(self, images: Mapping[SplitName, Sequence[Path]]) -> str:
        """The split of each image, by name; empty if no folder has images of several splits."""
        folders = [folder for paths in images.values() for folder in {path.parent for path in paths}]
        if len(set(folders)) == len(folders):
            return ""
        names = {split: sorted(map(self.name_of, paths)) for split, paths in images.items()}
        return json.dumps(names)

    def name_of(self, image: Path) -> str:
        """The name of a sample by its image, with composed accents: not all systems write them alike."""
        return unicodedata.normalize("NFC", image.stem)

    def name_of_label(self, label: Path) -> str:
        """The name of a sample by its label file."""
        return unicodedata.normalize("NFC", label.stem)

    def _chosen(self, name: SplitName) -> list[Pair]:
        pairs = self.pairs(name)
        used = self._used(name, {self.name_of(pair.image) for pair in pairs})
        if name == "train" and len(used) < (self._train_images or 0):
            asked = f"{type(self).__name__}(train_images={self._train_images})"
            raise DataError(f"{asked}: {self.folder} has {len(used)} training images")
        return [pair for pair in pairs if self.name_of(pair.image) in used]

    def _used(self, name: SplitName, names: set[str]) -> set[str]:
        """The names of a split that are used, of those that there are.

        Images that were taken one after the other often follow each other by name, so training images are drawn by the
        digests of their names. The draw is the same everywhere, and a smaller number is part of a larger one.
        """
        if name != "train" or self._train_images is None:
            return names
        drawn = sorted(names, key=lambda text: hashlib.sha256(text.encode(errors="surrogateescape")).digest())
        return set(drawn[: self._train_images])


def used_pairs(dataset: PairedFiles, name: SplitName) -> list[Pair]:
    """The pairs of a split that are used, in the order of its samples.

    Raises:
        DataError: if the split is missing or incomplete.
    """
    return dataset._chosen(name)
