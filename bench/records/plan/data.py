"""The data sets of a plan, and what a quality is measured on."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from bench.records.forms import Form, Names, Whole


class Data(Form):
    """A data set that variants are trained and evaluated on.

    Attributes:
        name: the name of the data set.
        classes: the names of its classes.
        fingerprint: the digest of its files or choices.
        choices: the choices of the data set, where variants of the study have other data.
        images: split -> the number of its images, in the same case.
    """

    name: str
    classes: Names
    fingerprint: str | None = None
    choices: dict[str, Any] = Field(default_factory=dict)
    images: dict[str, Whole] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        return self


class Evaluation(NamedTuple):
    """The classes and images that a quality is measured on. Qualities of other evaluations are never compared.

    Attributes:
        classes: the names of the classes.
        images: the digest of images and labels; empty where all variants have the same.
        unused: the data set that the variant's level chooses, of a plan whose bench ignored that choice.
    """

    classes: tuple[str, ...]
    images: str
    unused: str

    def differs_from(self, other: Evaluation) -> str:
        """The reason why a quality of this evaluation is not compared with one of ``other``; empty if it may be."""
        if self.unused != other.unused:
            return "measured by an earlier bench on the study's data, not on those of its level"
        if self.classes != other.classes:
            return "other classes"
        return "" if self.images == other.images else "other images"
