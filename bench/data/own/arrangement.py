"""The description of a folder that has none: its arrangement, the endings of its names and its label values."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data.base import IGNORE, SPLITS, DataError, SplitName
from bench.data.cache import state_of
from bench.data.files import files_of
from bench.data.own.description import DESCRIPTION, IMAGE_FILES, LABEL_FILES, Class, Description, ranges
from bench.data.pixels import Colour, label_values

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages", "rgb")
LABEL_FOLDERS = ("labels", "label", "masks", "mask", "annotations", "annotation", "SegmentationClass", "gt")
SPLIT_FOLDERS: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def described(folder: Path) -> Description:
    """The description of a folder that needs none: split folders, and bytes 0, 1, 2 … as labels.

    Raises:
        DataError: if the arrangement or the classes cannot be told without a description.
    """
    arrangement = arrangement_of(folder)
    remedy = f"`bench data init {folder}` writes a first {DESCRIPTION}, to be looked through"
    if arrangement is None:
        raise DataError(f"{folder} has no images/train with labels/train (or masks, annotations); {remedy}")
    if "train" not in arrangement.splits or arrangement.splits["train"].endswith(".txt"):
        raise DataError(f"{folder} has no folder of training images; {remedy}")
    values = _values(folder, arrangement)
    if problem := problem_of(values):
        raise DataError(f"{folder}: {problem}; {remedy}")
    count = max(value for value in values if isinstance(value, int) and value != IGNORE) + 1
    return arrangement.model_copy(update={"classes": [Class(name=f"class {i}", values=[i]) for i in range(count)]})


def problem_of(values: set[int | Colour]) -> str:
    """The reason why label values do not say by themselves what the classes are; empty if they do."""
    if any(not isinstance(value, int) for value in values):
        return "its labels are in colour, and which class a colour is stands nowhere"
    numbers = {value for value in values if isinstance(value, int)}
    if numbers == {0, IGNORE}:
        return "its labels hold the values 0 and 255 alone, and whether 255 is a class or void stands nowhere"
    numbers -= {IGNORE}
    if numbers != set(range(len(numbers))) or not numbers:
        return f"its labels hold the values {ranges(numbers) or 'of void alone'}, which are no classes 0, 1, 2 …"
    return ""


def arrangement_of(folder: Path) -> Description | None:
    """The places of images and labels in a folder, with one class as a placeholder; ``None`` if they cannot be told.

    Folders of images and of labels with folders of splits in them, splits with those two folders in them, and images
    and labels that are in no splits yet, are known.
    """
    entries = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    placeholder = [Class(name="class 0", values=[0])]
    for image_name in _present(entries, IMAGE_FOLDERS):
        for label_name in _present(entries, LABEL_FOLDERS):
            splits = _splits(folder / image_name, folder / label_name)
            if splits:
                return _with_endings(
                    folder,
                    Description(
                        images=f"{image_name}/{{split}}",
                        labels=f"{label_name}/{{split}}",
                        splits=splits,
                        classes=placeholder,
                    ),
                )
            if files_of(folder / image_name, IMAGE_FILES) and files_of(folder / label_name, LABEL_FILES):
                lists = _lists(folder)
                return _with_endings(
                    folder, Description(images=image_name, labels=label_name, splits=lists, classes=placeholder)
                )
    splits = _splits(folder, folder)
    for split_folder in list(splits.values())[:1]:
        inside = {path.name: path for path in sorted((folder / split_folder).iterdir()) if path.is_dir()}
        for image_name in _present(inside, IMAGE_FOLDERS):
            for label_name in _present(inside, LABEL_FOLDERS):
                return _with_endings(
                    folder,
                    Description(
                        images=f"{{split}}/{image_name}",
                        labels=f"{{split}}/{label_name}",
                        splits=splits,
                        classes=placeholder,
                    ),
                )
    return None


def _present(entries: Mapping[str, Path], names: Iterable[str]) -> list[str]:
    by_lower = {name.lower(): name for name in entries}
    return [by_lower[name.lower()] for name in names if name.lower() in by_lower]


def _splits(images: Path, labels: Path) -> dict[SplitName, str]:
    """Split -> its folder, of the splits that both folders have."""
    splits: dict[SplitName, str] = {}
    for split in SPLITS:
        for name in SPLIT_FOLDERS[split]:
            if (images / name).is_dir() and (labels / name).is_dir():
                splits.setdefault(split, name)
    return splits


def _lists(folder: Path) -> dict[SplitName, str]:
    """Split -> its list of names, of lists in the usual places."""
    lists: dict[SplitName, str] = {}
    for split in SPLITS:
        for name in SPLIT_FOLDERS[split]:
            for place in ("", "splits/", "ImageSets/Segmentation/"):
                if (folder / f"{place}{name}.txt").is_file():
                    lists.setdefault(split, f"{place}{name}.txt")
    return lists


def _with_endings(folder: Path, description: Description) -> Description:
    """The description with the endings by which names of images and labels differ, unless they pair as they are."""
    split: SplitName = "train" if "train" in description.splits else next(iter(description.splits), "train")
    images, labels = (folder / place for place in description.folders(split))
    image_names = sorted({path.stem for path in files_of(images, IMAGE_FILES)})
    label_names = {path.stem for path in files_of(labels, LABEL_FILES)}
    if not image_names or set(image_names) & label_names:
        return description
    first = image_names[0]
    endings = {
        (first[len(start) :], label[len(start) :])
        for label in sorted(label_names)
        if (start := _common_start(first, label))
    }
    for image_ending, label_ending in sorted(endings, key=lambda pair: (len(pair[0]) + len(pair[1]), pair)):
        stems = [name.removesuffix(image_ending) for name in image_names if name.endswith(image_ending)]
        if len(stems) == len(image_names) and all(f"{stem}{label_ending}" in label_names for stem in stems):
            return description.model_copy(update={"image_ending": image_ending, "label_ending": label_ending})
    return description


def _common_start(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def label_files(folder: Path, description: Description) -> list[Path]:
    """All label files of the splits that a folder has, or of the whole folder where there are no splits yet."""
    splits: list[SplitName] = list(description.splits) or ["train"]
    places = dict.fromkeys(description.folders(split)[1] for split in splits)
    return [path for place in places for path in files_of(folder / place, LABEL_FILES, description.label_ending)]


def _values(folder: Path, description: Description) -> set[int | Colour]:
    files = label_files(folder, description)
    if not files:
        raise DataError(f"{folder / description.folders('train')[1]} holds no label file")
    found = values_of(files)
    if found.palettes_differ:
        raise DataError(
            f"{files[0].parent} holds label files with different palettes, so that a byte is another colour in each; "
            f"`bench data init {folder}` describes them by their colours"
        )
    return set(found.values)


@dataclass(frozen=True)
class FoundValues:
    """The values that label files hold.

    Attributes:
        values: their bytes, and the colours of files in colour.
        colours: the same, with the colours of a palette in place of its bytes.
        palettes_differ: ``True`` if a byte has another colour in one file than in another, so that its colour is what
            counts.
    """

    values: frozenset[int | Colour]
    colours: frozenset[int | Colour]
    palettes_differ: bool


def values_of(files: Iterable[Path]) -> FoundValues:
    """The values in label files. A process decodes them once, unless one of them changes."""
    return _values_of(tuple((path, state_of(path)) for path in files))


@functools.lru_cache(maxsize=8)
def _values_of(files: tuple[tuple[Path, str], ...]) -> FoundValues:
    values: set[int | Colour] = set()
    colours: set[int | Colour] = set()
    colours_of: dict[int, set[Colour]] = {}
    for path, _ in files:
        own_values, palette = label_values(path)
        values |= own_values
        colours |= set(palette.values()) or own_values
        for byte, colour in palette.items():
            colours_of.setdefault(byte, set()).add(colour)
    return FoundValues(frozenset(values), frozenset(colours), any(len(several) > 1 for several in colours_of.values()))
