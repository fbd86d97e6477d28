"""The check of a data set against its contract, before anything is trained on it, in the splits that a study reads.

What a class of one's own gets wrong would otherwise show after hours of training, when labels are compared with
predictions or results are written.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.data.base import IGNORE, MOST_CLASSES, SPLITS, DataError, Dataset, Sample, Split, SplitName
from bench.data.files import Pair

METHODS = ("split", "check", "fingerprint")
"""The methods of a data set that the trials of a study call."""


class ContractError(DataError):
    """A data set that does not keep to the contract of :mod:`bench.data.base`."""


def check_class(cls: type) -> None:
    """Check that a class has what a data set has.

    Raises:
        ContractError: for a missing name or method, or a constructor that does not take the folder.
    """
    if not (isinstance(name := getattr(cls, "name", None), str) and name.strip()):
        raise ContractError(f"data set {cls.__name__} has no name; give the class one: name = 'yard'")
    for method in METHODS:
        if not callable(getattr(cls, method, None)):
            raise ContractError(f"data set {cls.__name__} has no method {method}(); bench.data.base.Dataset lists all")
    try:
        inspect.signature(cls).bind_partial(None)
    except TypeError:
        raise ContractError(
            f"data set {cls.__name__}: its constructor does not take the folder; write def __init__(self, folder)"
        ) from None


def check_dataset(
    dataset: Dataset,
    splits: Collection[SplitName],
    evaluated: Collection[SplitName] = (),
    decoded: Container[Pair] = (),
) -> None:
    """Check a data set in the splits that will be read: its classes, some samples, then its own :meth:`Dataset.check`.

    Of a split that is trained on, the first and the last sample are looked at; of one that is evaluated, all of them
    where the class is not one of this package, whose own check reads all files.

    Args:
        dataset: the data set.
        splits: the splits that the study reads.
        evaluated: those of them that are evaluated.
        decoded: the pairs of files that need not be decoded again, of a data set whose check takes that.

    Raises:
        DataError: for a split that is not there or empty, or a file that cannot be used.
        ContractError: for the first thing in which the data set does not keep to the contract.
    """
    name = type(dataset).__name__
    if problem := _wrong_classes(dataset.classes):
        raise ContractError(f"data set {name}, classes: {problem}")
    chosen = tuple(split for split in SPLITS if split in splits)
    for split in chosen:
        _check_split(dataset, split, every=split in evaluated and not is_ours(dataset))
    given = {"splits": chosen, "decoded": decoded}
    taken = inspect.signature(dataset.check).parameters
    check: Any = dataset.check
    check(**{name: value for name, value in given.items() if name in taken})
    if not is_ours(dataset) and not isinstance(dataset.fingerprint(None), str):
        raise ContractError(f"data set {name}: fingerprint() gave no str; return a digest, such as hexdigest()")
    for split in chosen:
        if split in evaluated and not _has_labels(dataset.split(split)):
            raise ContractError(f"data set {name}, {split} split: every pixel is void, so there is nothing to evaluate")


def is_ours(dataset: object) -> bool:
    """True for a data set whose class is one of this package."""
    return type(dataset).__module__.partition(".")[0] == __name__.partition(".")[0]


def _wrong_classes(classes: Any) -> str:
    """The mistake in the names of classes, in words; empty for none."""
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        return f"expected a tuple of names, such as ('road', 'sky'), got {classes!r}"
    for name in classes:
        if problem := _wrong_name(name):
            return f"the name {name!r} {problem}"
    if twice := _twice(classes):
        return f"{twice!r} is there twice; each name may be there once"
    if len(classes) <= MOST_CLASSES:
        return ""
    return f"there are {len(classes)}; labels are uint8, of which two values are needed, so {MOST_CLASSES} is the most"


def _wrong_name(name: Any) -> str:
    """The mistake in the name of a class or sample, in words; empty for none."""
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}, expected a str"
    return "" if name.strip() and name.isprintable() else "is empty or cannot be printed"


def _twice(names: Iterable[str]) -> str | None:
    """The first name that was there before; ``None`` if each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_split(dataset: Dataset, name: SplitName, *, every: bool) -> None:
    """Raise :class:`ContractError` for the first thing that is wrong with a split."""
    where = f"data set {type(dataset).__name__}, {name} split"
    split = dataset.split(name)
    for method in ("__len__", "__getitem__"):
        if not hasattr(split, method):
            raise ContractError(f"{where}: a {type(split).__name__} has no {method}; return a list of Samples")
    if len(split) < 1:
        raise ContractError(f"{where} is empty: it has no sample")
    names = []
    for sample in _looked_at(split, every=every):
        if problem := _wrong_sample(sample, len(dataset.classes)):
            raise ContractError(f"{where}, {problem}")
        names.append(sample.name)
    if (twice := _twice(names)) is not None:
        raise ContractError(f"{where}: the name {twice!r} is there twice; give each sample a name of its own")


def _looked_at(split: Split, *, every: bool) -> Iterator[Sample]:
    indices = range(len(split)) if every else sorted({0, len(split) - 1})
    return (split[index] for index in indices)


def _wrong_sample(sample: Any, classes: int) -> str:
    """The mistake in a sample, in words that begin with the sample; empty for none."""
    if not all(hasattr(sample, part) for part in Sample._fields):
        return f"a sample: expected a Sample(image, label, name), got a {type(sample).__name__}"
    if problem := _wrong_name(sample.name):
        return f"the name {sample.name!r} {problem}"
    image, label = sample.image, sample.label
    for what, value, dimensions, form in (("image", image, 3, "3 H W"), ("label", label, 2, "H W")):
        if not isinstance(value, Tensor):
            return f"{what} of {sample.name}: expected a torch tensor, got a {type(value).__name__}"
        if value.dtype != torch.uint8:
            dtype = str(value.dtype).removeprefix("torch.")
            return (
                f"{what} of {sample.name}: its values are {dtype}, expected uint8; convert them with .to(torch.uint8)"
            )
        if value.ndim != dimensions or 0 in value.shape or (what == "image" and value.shape[0] != 3):
            return f"{what} of {sample.name}: its shape is {_shape(value)}, expected {form}"
        if value.device.type != "cpu":
            return f"{what} of {sample.name}: it lies on {value.device}, expected cpu"
    if image.shape[1:] != label.shape:
        return f"label of {sample.name}: it is {_shape(label)}, its image {_shape(image[0])} pixels (height, width)"
    values = set(label.unique().tolist()) - {IGNORE}
    if wrong := sorted(value for value in values if value >= classes):
        listed = ", ".join(map(str, wrong[:3]))
        return (
            f"label of {sample.name}: it holds {listed}, expected 0 to {classes - 1} for {classes} classes or {IGNORE}"
        )
    return ""


def _shape(pixels: Tensor) -> str:
    return " x ".join(map(str, pixels.shape))


def _has_labels(split: Split) -> bool:
    """True if some pixel of a split has a class; most splits have one in their first image."""
    return any(bool((split[index].label != IGNORE).any()) for index in range(len(split)))
