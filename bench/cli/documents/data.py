"""The JSON documents of ``bench data``: check, and cache."""

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
