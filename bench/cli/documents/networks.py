"""The JSON documents of the commands that build networks: check, limits, cost, convert and predict."""

from __future__ import annotations

from typing import Literal

from bench.cli.documents.document import Document, JsonObject
from bench.cli.documents.plan import LeftOut


class CheckedVariant(JsonObject):
    """A variant that can be built and trained.

    Attributes:
        variant: the name of the variant.
        parameters: slot -> the number of parameters.
        trainable: slot -> the number of trainable parameters.
        macs: slot -> the multiply-accumulates of one forward.
        output_shape: the shape of the logits, 1 K H W.
        wasted: module -> multiply-accumulates that it runs although they never reach the output.
        extrapolated: how the multiply-accumulates were extrapolated; empty if they are those of the size itself.
        notes: sentences about what is probably not meant.
    """

    variant: str
    parameters: dict[str, int]
    trainable: dict[str, int]
    macs: dict[str, int]
    output_shape: list[int]
    wasted: dict[str, int]
    extrapolated: str
    notes: list[str]


class CheckDocument(Document):
    """The networks of a study as built.

    Attributes:
        study: the name of the study.
        input_px: the height and width at which they are counted.
        variants: the variants that can be built.
        faulty: those that cannot, and why.
        excluded: the cells that are not run, and why.
        audit: lines about differences between variants that no factor declares.
        crops: lines about training crops that no image fills.
    """

    document: Literal["check"] = "check"
    version: Literal[1] = 1
    study: str
    input_px: list[int]
    variants: list[CheckedVariant]
    faulty: list[LeftOut]
    excluded: list[LeftOut]
    audit: list[str]
    crops: list[str]


class TriedSize(JsonObject):
    """A size that was tried.

    Attributes:
        setting: the setting by name.
        size: the images in the batch, or the steps of 64 pixels in the side of the input.
        fits: true if the memory was enough.
        peak_bytes: the peak of memory; null if it did not fit.
        reason: the error if it did not fit.
    """

    setting: str
    size: int
    fits: bool
    peak_bytes: int | None
    reason: str


class LimitsDocument(Document):
    """The largest batch or input of a variant that fits into memory.

    Attributes:
        variant: the name of the variant.
        searched: batch or input.
        largest: the largest setting that fits, by name; null if none does.
        memory_limit_bytes: the limit that was given; null for none.
        attempts: all sizes that were tried.
        path: the file that holds the attempts.
    """

    document: Literal["limits"] = "limits"
    version: Literal[1] = 1
    variant: str
    searched: str
    largest: str | None
    memory_limit_bytes: int | None
    attempts: list[TriedSize]
    path: str


class CostDocument(Document):
    """The files that hold the cost of every module of a variant.

    Attributes:
        variant: the name of the variant.
        hardware: the hardware class on which it was measured; null if not known.
        written: the files, JSON and CSV.
    """

    document: Literal["cost"] = "cost"
    version: Literal[1] = 1
    variant: str
    hardware: str | None
    written: list[str]


class ConvertDocument(Document):
    """A state dict that was converted for a variant.

    Attributes:
        variant: the name of the variant.
        path: the file of the converted state dict.
        tensors: the number of tensors in it.
        dropped: the tensors of the original that no forward uses, by its names.
        filled: the tensors that the original lacks and that are 0, by our names.
        notes: what the tensors of the original do not show, such as how it resizes maps.
    """

    document: Literal["convert"] = "convert"
    version: Literal[1] = 1
    variant: str
    path: str
    tensors: int
    dropped: list[str]
    filled: list[str]
    notes: list[str]


class UnreadImage(JsonObject):
    """An image that could not be predicted.

    Attributes:
        path: the file.
        reason: why.
    """

    path: str
    reason: str


class PredictDocument(Document):
    """Images of one's own, predicted with the weights of a trial.

    Attributes:
        variant: the name of the variant.
        seed: the seed of the trial.
        folder: the folder that holds the predictions.
        predicted: the images that were predicted.
        unread: the images that could not be.
    """

    document: Literal["predict"] = "predict"
    version: Literal[1] = 1
    variant: str
    seed: int | None
    folder: str
    predicted: list[str]
    unread: list[UnreadImage]
