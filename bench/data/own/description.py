"""The description of a folder of images and label files: where they lie, how they are named and what a label means."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.data.base import IGNORE, MOST_CLASSES, DataError, SplitName
from bench.data.files import Naming
from bench.data.pixels import Coding, read_colour, spell_colour

DESCRIPTION = "classes.toml"
IMAGE_FILES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
LABEL_FILES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm")


def _inside(place: str) -> str:
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise ValueError(f"{place} lies outside the folder")
    return place


Place = Annotated[str, AfterValidator(_inside)]
"""A place inside the folder: neither absolute nor above it."""
Byte = Annotated[int, Field(ge=0, le=255)]
Hex = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Values(_Form):
    """Values of label files: bytes, or colours such as ``#804080``.

    Attributes:
        values: bytes, or positions in a palette.
        colours: colours as in HTML, for label files in colour.
    """

    values: list[Byte] = []
    colours: list[Hex] = []


class Class(Values):
    """A class.

    Attributes:
        name: its name.
    """

    name: Annotated[str, Field(min_length=1)]


class Description(_Form):
    """The content of ``classes.toml``.

    Attributes:
        images: the folder of a split's images; ``{split}`` stands for the folder of the split.
        labels: the folder of a split's label files.
        image_ending: the end of every image's name, before its suffix, that its label's name does not have.
        label_ending: the end of every label's name that its image's name does not have.
        splits: split -> its folder or, where it ends in ``.txt``, a file with the name of an image a line.
        ignored: the label values that count nowhere.
        classes: the classes in order.
    """

    images: Place = "images/{split}"
    labels: Place = "labels/{split}"
    image_ending: str = ""
    label_ending: str = ""
    splits: dict[Literal["train", "val", "test"], Place] = {"train": "train", "val": "val", "test": "test"}
    ignored: Values = Values(values=[IGNORE])
    classes: Annotated[list[Class], Field(min_length=1, max_length=MOST_CLASSES)]

    @property
    def in_colour(self) -> bool:
        return any(entry.colours for entry in self.classes)

    def folders(self, split: SplitName) -> tuple[str, str]:
        """The folders of images and labels of a split, relative to that of the data set."""
        place = self.splits.get(split, split)
        place = "" if place.endswith(".txt") else place
        return self.images.replace("{split}", place), self.labels.replace("{split}", place)

    def naming(self) -> Naming:
        return Naming(IMAGE_FILES, LABEL_FILES, self.image_ending, self.label_ending)

    def coding(self) -> Coding:
        """The meaning of the label files' values."""
        if self.in_colour:
            colours = {
                read_colour(colour): index for index, entry in enumerate(self.classes) for colour in entry.colours
            }
            colours |= {read_colour(colour): IGNORE for colour in self.ignored.colours}
            return Coding({}, ", ".join(map(spell_colour, colours)), colours)
        indices = {value: index for index, entry in enumerate(self.classes) for value in entry.values}
        indices |= dict.fromkeys(self.ignored.values, IGNORE)
        return Coding(indices, f"{ranges(indices)} ({DESCRIPTION})")


def read_description(folder: Path) -> Description | None:
    """The description of a folder, or ``None`` if it has none.

    Raises:
        DataError: for one that cannot be read, or that gives a value to two classes.
    """
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        return None
    try:
        description = Description.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {_first_problem(error)}") from error
    names = [entry.name for entry in description.classes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path}: two classes are called {twice!r}; give each a name of its own")
    kind = "colours" if description.in_colour else "values"
    seen: dict[int | str, str] = {}
    for owner, entry in [*((item.name, item) for item in description.classes), ("ignored", description.ignored)]:
        own: Iterable[int | str] = [text.lower() for text in entry.colours] if description.in_colour else entry.values
        if not own and owner != "ignored":
            raise DataError(f"{path}: the class {owner!r} has no {kind}; give it one, as the other classes have")
        for value in own:
            if value in seen:
                raise DataError(f"{path}: {value} belongs to {seen[value]!r} and to {owner!r}; leave it to one of them")
            seen[value] = owner
    if description.in_colour and any(entry.values for entry in description.classes):
        raise DataError(f"{path}: some classes have values and some colours; labels are read by one of the two")
    return description


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in short: ``0 to 18, 255``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _first_problem(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error).splitlines()[0]
