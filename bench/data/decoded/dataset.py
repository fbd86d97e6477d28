"""A data set whose samples are decoded once for this machine, and are otherwise those of the data set beneath it.

It moves bytes and computes nothing: a sample from the shelf has the values that decoding its files gives.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import PIL
from PIL import Image, ImageFile, features

import bench.data
from bench.data.base import SPLITS, DataError, Dataset, Sample, Split, SplitName
from bench.data.cache import KnownFile, known_files, state_of
from bench.data.composed.composed import Composed
from bench.data.contract import is_ours
from bench.data.decoded.shelf import Shelf
from bench.data.files import Pair
from bench.data.paired import PairedFiles, used_pairs

log = logging.getLogger("bench.data.decoded")


class DecodedDataset:
    """A data set whose decoded samples lie on ``shelf`` or are put there when they are first read.

    Args:
        dataset: the data set.
        files: the data set of image files and label files that each of its splits is taken from; a split that is left
            out is read from ``dataset`` as ever.
        shelf: the shelf for decoded samples.
        digests: the file that keeps the digests of files, as :meth:`~bench.data.base.Dataset.fingerprint` takes it.
    """

    def __init__(
        self, dataset: Dataset, files: Mapping[SplitName, PairedFiles], shelf: Shelf, digests: Path | None = None
    ) -> None:
        self._dataset, self._files = dataset, files
        self.shelf, self.digests = shelf, digests
        self.name, self.classes = dataset.name, dataset.classes
        self._splits: dict[SplitName, DecodedSplit] = {}

    def split(self, name: SplitName) -> Split:
        """The samples of a split.

        Raises:
            DataError: if the split is missing or incomplete, or if a file of it cannot be read.
        """
        return self.decoded_split(name) or self._dataset.split(name)

    def decoded_split(self, name: SplitName) -> DecodedSplit | None:
        """The samples of a split that is kept on the shelf; ``None`` for any other.

        Raises:
            DataError: if the split is missing or incomplete, or if a file of it cannot be read.
        """
        if name in self._files and name not in self._splits:
            files = self._files[name]
            pairs = used_pairs(files, name)
            paths = [path for pair in pairs for path in (pair.image, pair.label)]
            known = known_files(files.folder, paths, self.digests)
            self._splits[name] = DecodedSplit(files, name, pairs, known, self.shelf)
        return self._splits.get(name)


class DecodedSplit:
    """The samples of one split, from the shelf or else decoded from their files.

    Threads may read it side by side. While the shelf cannot be written to, samples are decoded as if there were none.
    """

    def __init__(
        self, files: PairedFiles, name: SplitName, pairs: Sequence[Pair], known: dict[Path, KnownFile], shelf: Shelf
    ) -> None:
        self._files, self._pairs, self._known, self._shelf = files, pairs, known, shelf
        self._without_shelf = files.split(name)
        self.keys = [self._key(pair) for pair in pairs]
        self._is_full = threading.Event()

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of a split of {len(self)}; allowed are 0 to {len(self) - 1}")
        sample = self._shelf.get(self.keys[index])
        if sample is not None:
            return sample
        if self._is_full.is_set():
            return self._without_shelf[index]
        try:
            return self.put(index)
        except OSError as error:
            self._is_full.set()
            log.warning("no decoded samples are kept in %s from here on: %s", self._shelf.folder, error.strerror)
            return self._without_shelf[index]

    def on_shelf(self) -> set[Pair]:
        """The pairs whose samples are on the shelf, so that their files, as they are now, could be decoded."""
        return {pair for pair, key in zip(self._pairs, self.keys, strict=True) if self._shelf.has(key)}

    def image_of(self, index: int) -> Path:
        """The image file of a sample."""
        return self._pairs[index].image

    def put(self, index: int) -> Sample:
        """Decode a sample and put it on the shelf, unless one of its files has changed since its digest was taken.

        Raises:
            DataError: if one of the sample's files cannot be used.
            OSError: if the shelf cannot be written to.
        """
        pair = self._pairs[index]
        sample = self._files.read(pair)
        if all(self._is_unchanged(path) for path in (pair.image, pair.label)):
            self._shelf.put(self.keys[index], sample)
        return sample

    def _is_unchanged(self, path: Path) -> bool:
        try:
            return state_of(path) == self._known[path].state
        except OSError:
            return False

    def _key(self, pair: Pair) -> str:
        """The digest of all that a sample is made from: reader, meaning of labels, names and bytes of both files."""
        files = self._files
        accepted = f"{Image.MAX_IMAGE_PIXELS} {ImageFile.LOAD_TRUNCATED_IMAGES}"  # which a study's file may set
        parts = [_reader_digest(), accepted, type(files).__qualname__, repr(files.coding), files.meaning()]
        for path in (pair.image, pair.label):
            parts += [path.relative_to(files.folder).as_posix(), self._known[path].digest]
        return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def decoded(dataset: Dataset, shelf: Shelf, digests: Path | None = None) -> DecodedDataset | None:
    """A data set of this package's readers with its samples decoded once; ``None`` for any other.

    The code of a class of one's own is not known here, so its samples cannot be told from those of an earlier version
    of it; and the synthetic data sets have no files. Of a data set that is made of others, the splits that are theirs
    unchanged are decoded once.
    """
    sources = {name: _source_of(dataset, name) for name in SPLITS}
    files = {name: source for name, source in sources.items() if isinstance(source, PairedFiles) and is_ours(source)}
    return DecodedDataset(dataset, files, shelf, digests) if files else None


def _source_of(dataset: Dataset | None, name: SplitName) -> Dataset | None:
    """The data set that a split is taken from unchanged; ``None`` if there is none."""
    while isinstance(dataset, Composed):
        dataset = dataset.unchanged(name)
    return dataset


@functools.cache
def _reader_digest() -> str:
    """The digest of everything that turns bytes into values: this package's code about data, Pillow and its decoders.

    Raises:
        DataError: if the code cannot be read.
    """
    digest = hashlib.sha256(f"{PIL.__version__} {features.version('jpg')} {features.version('zlib')}".encode())
    root = Path(bench.data.__path__[0])
    try:
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    except OSError as error:
        raise DataError(f"the code of the readers in {root} cannot be read ({error.strerror})") from error
    return digest.hexdigest()
