"""A first ``classes.toml`` for a folder, written from what is found in it, with everything that was guessed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data.base import IGNORE, MOST_CLASSES, DataError, SplitName
from bench.data.files import pair_up
from bench.data.own.arrangement import (
    IMAGE_FOLDERS,
    LABEL_FOLDERS,
    arrangement_of,
    label_files,
    problem_of,
    values_of,
)
from bench.data.own.description import DESCRIPTION, Class, Description, Values, ranges
from bench.data.own.folder import pairs_of
from bench.data.pixels import Colour, spell_colour

VAL_SHARE = 0.2
"""The share of the images that become the val split where a folder has no splits."""


@dataclass(frozen=True)
class First:
    """A first description.

    Attributes:
        files: name of a file -> its text; ``classes.toml`` and, where splits were drawn, the lists of their images.
        guesses: a sentence for each thing that was guessed.
    """

    files: Mapping[str, str]
    guesses: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write the files into the folder.

        Raises:
            DataError: if one of them is there already, or cannot be written.
        """
        for name in self.files:
            if os.path.lexists(folder / name):
                raise DataError(f"{folder / name} is there already; edit it, or remove it and begin anew")
        for name, text in self.files.items():
            try:
                (folder / name).write_text(text, encoding="utf-8")
            except OSError as error:
                raise DataError(f"{folder / name} cannot be written ({error.strerror})") from error


def first_description(folder: Path) -> First:
    """The first description of a folder.

    Raises:
        DataError: if no images with labels are found, if they do not pair, or if their labels can be no classes.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    if os.path.lexists(folder / DESCRIPTION):
        raise DataError(f"{folder / DESCRIPTION} is there already; edit it, or remove it and begin anew")
    arrangement = arrangement_of(folder)
    if arrangement is None:
        raise DataError(
            f"{folder} has no folder of images ({', '.join(IMAGE_FOLDERS)}) beside one of labels "
            f"({', '.join(LABEL_FOLDERS)}); rename yours"
        )
    guesses = [f"images are in {arrangement.images}, labels in {arrangement.labels}"]
    if arrangement.image_ending or arrangement.label_ending:
        guesses.append(
            f"names of images end in {arrangement.image_ending!r}, of labels in {arrangement.label_ending!r}"
        )
    description, lists = _with_splits(folder, arrangement)
    if lists:
        counts = ", ".join(f"{len(names)} for {split}" for split, names in lists.items())
        guesses.append(f"no val split was found, so the images were shared out by the digests of their names: {counts}")
    files = label_files(folder, description if not lists else arrangement)
    description, guess = _with_classes(description, files)
    guesses.append(guess)
    texts = {f"{split}.txt": "".join(f"{name}\n" for name in names) for split, names in lists.items()}
    return First({DESCRIPTION: _text(description, guesses), **texts}, tuple(guesses))


def _with_splits(folder: Path, arrangement: Description) -> tuple[Description, dict[SplitName, list[str]]]:
    """The description with its splits; where there is no val, they are drawn, and their lists are given too."""
    if "train" in arrangement.splits and "val" in arrangement.splits:
        for split in arrangement.splits:
            pairs_of(folder, arrangement, split)
        return arrangement, {}
    images, labels = arrangement.folders("train")
    pairs = pair_up(folder / images, folder / labels, "train", arrangement.naming())
    if len(pairs) < 2:
        raise DataError(f"{folder / images} holds one image; a train and a val split need two at least")
    names = [pair.image.stem.removesuffix(arrangement.image_ending) for pair in pairs]
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    val = set(drawn[: max(1, round(VAL_SHARE * len(names)))])
    lists: dict[SplitName, list[str]] = {
        "train": [name for name in names if name not in val],
        "val": [name for name in names if name in val],
    }
    splits: dict[SplitName, str] = {split: f"{split}.txt" for split in lists}
    return arrangement.model_copy(update={"images": images, "labels": labels, "splits": splits}), lists


def _with_classes(description: Description, files: list[Path]) -> tuple[Description, str]:
    """The description with a class for each value of the labels, and the guess that this is."""
    found = values_of(files)
    values = found.colours if found.palettes_differ else found.values
    colours: list[Colour] = sorted(value for value in values if not isinstance(value, int))
    numbers = {value for value in values if isinstance(value, int)}
    if colours:
        colours = sorted({*colours, *((number, number, number) for number in numbers)})
    if len(colours or numbers - {IGNORE}) > MOST_CLASSES:
        raise DataError(
            f"{files[0].parent} holds {len(colours or numbers)} {'colours' if colours else 'values'}: its labels were "
            "smoothed or compressed with loss; get them as they were made"
        )
    if colours:
        classes = [Class(name=f"colour {spell_colour(colour)}", colours=[spell_colour(colour)]) for colour in colours]
        guess = f"{len(colours)} colours of labels are a class each; name them, and move void ones to [ignored]"
        return description.model_copy(update={"classes": classes, "ignored": Values()}), guess
    if numbers == {0, IGNORE}:
        classes = [Class(name="background", values=[0]), Class(name="foreground", values=[IGNORE])]
        guess = "labels hold 0 and 255 alone, so 255 is taken for a class and not for void"
        return description.model_copy(update={"classes": classes, "ignored": Values()}), guess
    classes = [Class(name=f"class {number}", values=[number]) for number in sorted(numbers - {IGNORE})]
    if not classes:
        raise DataError(f"{files[0].parent} holds labels of void (255) alone; there is no class to learn")
    guess = f"the label values {ranges(numbers - {IGNORE})} are a class each, 255 is void; name the classes"
    if problem_of(set(numbers)):
        guess += ", and give values that belong together to one class"
    return description.model_copy(update={"classes": classes, "ignored": Values(values=[IGNORE])}), guess


def _text(description: Description, guesses: list[str]) -> str:
    """The description as TOML, with its guesses as comments."""
    lines = ["# Written by bench data init. What was guessed, to be looked through:"]
    lines += [f"# - {guess}" for guess in guesses]
    lines += ["", f"images = {json.dumps(description.images)}", f"labels = {json.dumps(description.labels)}"]
    for name in ("image_ending", "label_ending"):
        if value := getattr(description, name):
            lines.append(f"{name} = {json.dumps(value)}")
    lines += ["", "[splits]  # the folder of a split, or a .txt file with the name of an image a line"]
    lines += [f"{split} = {json.dumps(place)}" for split, place in description.splits.items()]
    lines += ["", "[ignored]  # label values that count nowhere", *_values(description.ignored)]
    for entry in description.classes:
        lines += ["", "[[classes]]", f"name = {json.dumps(entry.name)}", *_values(entry)]
    return "\n".join(lines) + "\n"


def _values(entry: Values) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name in ("values", "colours") if (value := getattr(entry, name))]
