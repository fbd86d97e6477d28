"""Images and label maps in folders of files: they are paired by name, and refused if anything is missing.

Every file that looks like a part of the data set is used or refused, so that no split is smaller than it seems. Where a
list says which images a split has, every name of the list is there or the split is refused. Hidden
files and files that are no images, such as a list of names, are left alone. (``os.path`` instead of ``Path.is_…``: it
answers no where a folder may not be looked into, instead of an error.)
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import IO

from torch import Tensor

from bench.data.base import DataError, Sample
from bench.data.pixels import Coding, read_image, read_label

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LABEL_SUFFIXES = (".png",)
OTHER_SUFFIXES = (
    ".avif", ".bmp", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".mat", ".npy",
    ".npz", ".pbm", ".pgm", ".ppm", ".svg", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Forms of images and label maps that are not read; a file of one is refused, since it would be left out."""


@dataclass(frozen=True)
class Pair:
    """An image and the label file that belongs to it."""

    image: Path
    label: Path


@dataclass(frozen=True)
class Naming:
    """How the files of a data set are named.

    Attributes:
        image_suffixes: the suffixes of images, in lower case.
        label_suffixes: the suffixes of label files, in lower case.
        image_ending: the end of an image's name before its suffix that its label's name does not have, such as
            ``_leftImg8bit``. Other files are no images of the data set.
        label_ending: the same of a label's name, such as ``_mask``.
        other_label_ending: the end of the names of files beside the labels that hold the labels in another form.
    """

    image_suffixes: tuple[str, ...] = IMAGE_SUFFIXES
    label_suffixes: tuple[str, ...] = LABEL_SUFFIXES
    image_ending: str = ""
    label_ending: str = ""
    other_label_ending: str = ""


@dataclass(frozen=True)
class NameList:
    """The names of a split's images, without ending and suffix, and the file that lists them."""

    file: Path
    names: frozenset[str]


def read_names(file: Path, what: str, name_in: Callable[[str], str] = str) -> NameList:
    """The names in a file that lists the images of a split, one a line.

    Args:
        file: the list.
        what: the name of the split, for messages.
        name_in: gives the name that a line, without spaces around it, stands for.

    Raises:
        DataError: if the list is missing, cannot be read, is empty, or names an image twice.
    """
    if not os.path.isfile(file):
        raise DataError(f"{file} is missing: it lists the images of the {what} split; get the complete data set")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); get the file again") from error
    names = [unicodedata.normalize("NFC", name_in(line.strip())) for line in lines if line.strip()]
    if not names:
        raise DataError(f"the {what} split is empty: {file} names no image; get the file again")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{file} names {twice[0]!r} twice; remove one")
    return NameList(file, frozenset(names))


def pair_up(
    images: Path, labels: Path, what: str, naming: Naming = Naming(), listed: NameList | None = None
) -> list[Pair]:
    """The pairs in two folders, matched by file name without ending and suffix and sorted by that name.

    Args:
        images: the folder of images.
        labels: the folder of label files.
        what: the name of the split, for messages.
        naming: how the files are named.
        listed: the names of the split's images where the folders hold others too, which are left alone.

    Raises:
        DataError: if a folder is missing, empty or cannot be read, if two files have the same name but for the suffix,
            if an image has no label or a label no image, if a listed image is missing, or if a file would be left out:
            a link whose target is missing, a folder of images, or an image in a form that is not read.
    """
    for folder in (images, labels):
        if not os.path.isdir(folder):
            raise DataError(f"{folder} is missing: the {what} split needs it; get the complete data set")
    only = None if listed is None else listed.names
    image_of = _by_name(images, naming.image_suffixes, naming.image_ending, only)
    label_of = _by_name(labels, naming.label_suffixes, naming.label_ending, only)
    if naming.other_label_ending:
        label_of = {name: path for name, path in label_of.items() if not name.endswith(naming.other_label_ending)}
    if listed and (missing_images := sorted(listed.names - set(image_of))):
        raise DataError(
            f"{listed.file} names {missing_images[0]!r}, and {images} has no such image; get the complete data set"
        )
    if not image_of:
        raise DataError(
            f"the {what} split is empty: {images} holds no {' or '.join(naming.image_suffixes)} file; "
            "get the complete data set"
        )
    for name, path in image_of.items():
        if name not in label_of:
            missing = f"{labels / name}{naming.label_ending}{naming.label_suffixes[0]}"
            raise DataError(f"{path} has no label: {missing} is missing; add it or remove the image")
    for name, path in label_of.items():
        if name not in image_of:
            raise DataError(f"{path} has no image of that name in {images}; add it or remove the label")
    return [Pair(path, label_of[name]) for name, path in sorted(image_of.items())]


def pair_up_inside(images: Path, labels: Path, what: str, naming: Naming = Naming()) -> list[Pair]:
    """The pairs in the folders of two folders, such as one folder a city, sorted by folder and name.

    Raises:
        DataError: for what :func:`pair_up` refuses in any of them, if one of the two lacks a folder that the other has,
            or if an image lies in none.
    """
    inner = sorted({*_folders_in(images, what, naming), *_folders_in(labels, what, naming)})
    if not inner:
        raise DataError(f"the {what} split is empty: {images} holds no folder of images; get the complete data set")
    return [pair for folder in inner for pair in pair_up(images / folder, labels / folder, what, naming)]


def refuse_twice(pairs: Iterable[Pair]) -> None:
    """Check that no two images from several folders have the same name.

    Raises:
        DataError: for the first two that do.
    """
    image_of: dict[str, Path] = {}
    for pair in pairs:
        other = image_of.setdefault(_name(pair.image), pair.image)
        if other != pair.image:
            raise DataError(f"{other} and {pair.image} have the same name; keep the one that belongs to the data set")


def files_inside(folder: Path, suffixes: tuple[str, ...], ending: str = "") -> list[Path]:
    """The files with one of these suffixes and this ending in the folders of a folder, sorted; none without it."""
    inner = [path for path in _listed(folder) if os.path.isdir(path)] if os.path.isdir(folder) else []
    return [path for place in inner for path in files_of(place, suffixes, ending)]


def _folders_in(folder: Path, what: str, naming: Naming) -> list[str]:
    """The names of the folders in a folder that are neither hidden nor a system's own."""
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is missing: the {what} split needs it; get the complete data set")
    names = []
    for path in _listed(folder):
        if os.path.islink(path) and not os.path.exists(path):
            raise DataError(f"{path} is a link to something that is missing; mend the link, or remove it")
        if os.path.isdir(path):
            names += [] if _is_of_system(path) else [path.name]
        elif path.suffix.lower() in {*naming.image_suffixes, *naming.label_suffixes}:
            raise DataError(f"{path} lies in none of the folders of {folder}; move it into the one that it belongs to")
    return names


def read_pair(pair: Pair, coding: Coding) -> Sample:
    """The decoded image and label of a pair.

    Raises:
        DataError: if one of the files cannot be used, or if the sizes of image and label differ.
    """
    return sample_of(pair, read_label(pair.label, coding))


def sample_of(pair: Pair, label: Tensor) -> Sample:
    """The sample of a pair whose label, ``H W`` uint8 class indices, is decoded already.

    Raises:
        DataError: if the image cannot be used, or if the sizes of image and label differ.
    """
    image = read_image(pair.image)
    if image.shape[1:] != label.shape:
        raise DataError(
            f"{pair.label} is {_size(label)} pixels, its image {pair.image} is {_size(image)}; "
            "resize neither: get the pair as it was published"
        )
    return Sample(image, label, _name(pair.image))


def files_of(folder: Path, suffixes: tuple[str, ...], ending: str = "", listed: NameList | None = None) -> list[Path]:
    """The files of a folder with one of these suffixes, this ending and a listed name, sorted; none without folder."""
    paths = _listed(folder) if os.path.isdir(folder) else ()
    files = [path for path in paths if path.suffix.lower() in suffixes and os.path.isfile(path)]
    names = {path: unicodedata.normalize("NFC", path.stem) for path in files}
    return [
        path for path, name in names.items()
        if name.endswith(ending) and (listed is None or name.removesuffix(ending) in listed.names)
    ]  # fmt: skip


def _by_name(
    folder: Path, suffixes: tuple[str, ...], ending: str, only: frozenset[str] | None = None
) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in _files(folder, suffixes, ending, only):
        name = _name(path)
        if not name.endswith(ending):
            continue
        other = paths.setdefault(name.removesuffix(ending), path)
        if other != path:
            raise DataError(f"{other} and {path} have the same name but for the suffix; keep one of them")
    return paths


def _name(path: Path) -> str:
    """The name of a sample: that of the file without suffix. Accents are composed, as not all systems write them alike.

    Raises:
        DataError: if the name holds control characters or is not valid UTF-8.
    """
    name = unicodedata.normalize("NFC", path.stem)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):  # controls, bytes that are no UTF-8
        raise DataError(f"{str(path)!a} has a name that cannot be printed; rename image and label")
    return name


def _files(
    folder: Path, suffixes: tuple[str, ...], ending: str = "", only: frozenset[str] | None = None
) -> Iterator[Path]:
    """Yield the files of a folder with these suffixes, sorted; with ``only``, those of these names.

    Hidden files, such as the ``._name.png`` that macOS puts into archives, are left alone.

    Raises:
        DataError: for a file that would be left out although it looks like one of the data set.
    """
    for path in _listed(folder):
        if only is not None and unicodedata.normalize("NFC", path.stem).removesuffix(ending) not in only:
            continue
        suffix = path.suffix.lower()
        if suffix in suffixes:
            _refuse_unless_file(path)
            yield path
        elif suffix in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
            raise DataError(f"{path} is no {' or '.join(suffixes)} file; convert it, or take it out of the folder")
        elif os.path.isdir(path) and not _is_of_system(path):
            inside = next((entry for entry in _listed(path) if entry.suffix.lower() in suffixes), None)
            if inside:
                raise DataError(f"{inside} is in a folder of its own; move it into {folder}, or take the folder away")


def _is_of_system(folder: Path) -> bool:
    """True for ``@eaDir``, in which network drives keep thumbnails, and ``__MACOSX`` of archives made on a Mac."""
    return folder.name.startswith("@") or folder.name == "__MACOSX"


def _listed(folder: Path) -> list[Path]:
    """The entries of a folder that are not hidden, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); allow it to be read") from error


def _refuse_unless_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not os.path.islink(path):
            raise DataError(f"{path} cannot be read ({error.strerror}); get the file again") from error
        raise DataError(
            f"{path} is a link to a file that is missing; fetch it (git annex get, dvc pull), or remove the pair"
        ) from error
    if not S_ISREG(mode):
        raise DataError(f"{path} is no file; remove or rename it")


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[-1]}x{pixels.shape[-2]}"


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file that has its name only once it is whole.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); make room, or allow it to be written") from error
