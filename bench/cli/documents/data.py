"""The JSON documents of ``bench data``: init, check, unpack, prepare, cache and evict."""

from __future__ import annotations

from typing import Literal

from bench.cli.documents.document import Document, JsonObject


class ReadSplit(JsonObject):
    """A split of a data set as read.

    Attributes:
        split: train, val or test.
        images: the number of images.
        pixels: class -> the number of its pixels.
        void: the number of void pixels.
    """

    split: str
    images: int
    pixels: dict[str, int]
    void: int


class DataDocument(Document):
    """A data set, all of whose images and labels were read.

    Attributes:
        name: the name of the data set.
        classes: the names of its classes.
        splits: its splits.
    """

    document: Literal["data"] = "data"
    version: Literal[1] = 1
    name: str
    classes: list[str]
    splits: list[ReadSplit]


class CacheDocument(Document):
    """The decoded images of this machine.

    Attributes:
        folder: the folder that they are kept in; null if none are kept.
        samples: the number of images.
        size_bytes: the bytes that they take.
    """

    document: Literal["cache"] = "cache"
    version: Literal[1] = 1
    folder: str | None
    samples: int
    size_bytes: int


class DescriptionDocument(Document):
    """The first description of a folder of images and labels.

    Attributes:
        folder: the folder.
        written: the files that were written.
        guesses: a sentence for each thing that was guessed.
    """

    document: Literal["description"] = "description"
    version: Literal[1] = 1
    folder: str
    written: list[str]
    guesses: list[str]


class UnpackDocument(Document):
    """A data set of Hugging Face as a folder.

    Attributes:
        folder: the folder.
        images: split -> the number of its images.
        description: the first description of the folder; null if it had one.
    """

    document: Literal["unpack"] = "unpack"
    version: Literal[1] = 1
    folder: str
    images: dict[str, int]
    description: DescriptionDocument | None


class PrepareDocument(Document):
    """The files of a data set that its publishers' scripts make.

    Attributes:
        folder: the folder of the data set.
        made: the number of files that were made.
        there: the number of files that were there.
    """

    document: Literal["prepare"] = "prepare"
    version: Literal[1] = 1
    folder: str
    made: int
    there: int


class EvictDocument(Document):
    """Decoded images that were removed.

    Attributes:
        folder: the folder that they were kept in; null if none are kept.
        samples: the number of images.
        size_bytes: the bytes that they took.
    """

    document: Literal["evict"] = "evict"
    version: Literal[1] = 1
    folder: str | None
    samples: int
    size_bytes: int
