"""What a data set of one's own gets wrong is said in one line, from its class and some samples, before any training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.base import DataError, Sample
from bench.data.contract import ContractError, check_class, check_dataset
from bench.data.synthetic import Synthetic


class Yard:
    """A data set of four samples a split that is right."""

    name = "yard"
    classes: Any = ("grass", "stone", "path")

    def __init__(self, folder: Path | None = None, change: Callable[[str, int], Any] | None = None) -> None:
        self.change, self.checked = change, 0

    def split(self, name: str) -> Any:
        samples = [self.change(name, index) if self.change else sample(name, index) for index in range(4)]
        return [each for each in samples if each is not None]

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        self.checked += 1

    def fingerprint(self, cache: Path | None = None) -> str:
        return "f"


def sample(split: str, index: int, **parts: Any) -> Any:
    image, label = torch.zeros(3, 8, 6, dtype=torch.uint8), torch.full((8, 6), index % 3, dtype=torch.uint8)
    return Sample(image, label, f"{split}{index}")._replace(**parts)


def check(dataset: Any) -> None:
    check_dataset(dataset, ("train", "val"), ("val",))


def test_a_right_data_set_passes_and_its_own_check_is_called() -> None:
    dataset = Yard()
    check(dataset)
    assert dataset.checked == 1
    check(Synthetic(None, height_px=32, width_px=32, train_images=2, val_images=2))


LONG = torch.zeros(8, 6, dtype=torch.int64)
WRONG: dict[str, tuple[Callable[[str, int], Any], str]] = {
    "label dtype": (lambda n, i: sample(n, i, label=LONG), "train split, label of train0: its values are int64.*uint8"),
    "image dtype": (lambda n, i: sample(n, i, image=torch.zeros(3, 8, 6)), "image of train0: its values are float32"),
    "numpy": (lambda n, i: sample(n, i, image=LONG.numpy()), "expected a torch tensor, got a ndarray"),
    "channels last": (
        lambda n, i: sample(n, i, image=torch.zeros(8, 6, 3, dtype=torch.uint8)), "shape is 8 x 6 x 3, expected 3 H W",
    ),
    "grey": (lambda n, i: sample(n, i, image=torch.zeros(8, 6, dtype=torch.uint8)), "8 x 6, expected 3 H W"),
    "label in 3 dimensions": (
        lambda n, i: sample(n, i, label=torch.zeros(1, 8, 6, dtype=torch.uint8)), "1 x 8 x 6, expected H W",
    ),
    "sizes": (
        lambda n, i: sample(n, i, label=torch.zeros(7, 6, dtype=torch.uint8)), "train0: it is 7 x 6, its image 8 x 6",
    ),
    "values": (
        lambda n, i: sample(n, i, label=torch.full((8, 6), 7, dtype=torch.uint8)), "holds 7, expected 0 to 2 for 3 cla",
    ),
    "a later label": (
        lambda n, i: sample(n, i, label=torch.full((8, 6), 3 if (n, i) == ("val", 2) else 0, dtype=torch.uint8)),
        "val split, label of val2: it holds 3",
    ),
    "path": (lambda n, i: sample(n, i, name=Path("a.png")), r"name PosixPath\('a.png'\) is of type PosixPath.*str"),
    "no name": (lambda n, i: sample(n, i, name=" "), "the name ' ' is empty"),
    "a name with a break": (lambda n, i: sample(n, i, name="a\nb"), "cannot be printed"),
    "twins": (lambda n, i: sample(n, i, name="one"), "train split: the name 'one' is there twice"),
    "twins in the middle": (
        lambda n, i: sample(n, i, name=f"{n}{min(i, 1)}" if n == "val" and i < 3 else f"{n}{i}"),
        "val split: the name 'val1' is there twice",
    ),
    "empty": (lambda n, i: None if n == "val" else sample(n, i), "val split is empty"),
    "a tuple": (lambda n, i: tuple(sample(n, i)), r"expected a Sample\(image, label, name\), got a tuple"),
    "all void": (
        lambda n, i: sample(n, i, label=torch.full((8, 6), 255, dtype=torch.uint8)), "val split: every pixel is void",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_sample_is_named(name: str) -> None:
    change, told = WRONG[name]
    with pytest.raises(ContractError, match=told) as raised:
        check(Yard(change=change))
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("data set Yard, ")


CLASSES: dict[str, tuple[Any, str]] = {
    "twice": (("grass", "stone", "grass"), "'grass' is there twice"),
    "none": ((), "expected a tuple of names"),
    "text": ("grass", "expected a tuple of names"),
    "numbers": ((1, 2), "the name 1 is of type int"),
    "too many": (
        tuple(map(str, range(255))),
        "there are 255; labels are uint8, of which two values are needed, so 254 is the most",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_wrong_classes_are_named(name: str) -> None:
    classes, told = CLASSES[name]
    dataset = Yard()
    dataset.classes = classes
    with pytest.raises(ContractError, match=re.escape(told)):
        check(dataset)


@pytest.mark.parametrize("missing", ["name", "split", "check", "fingerprint"])
def test_a_class_that_lacks_something_is_named_before_it_is_built(missing: str) -> None:
    lacking = type("Lacking", (), {name: value for name, value in vars(Yard).items() if name != missing})
    check_class(Yard)
    with pytest.raises(ContractError, match=rf"data set Lacking has no (method )?{missing}"):
        check_class(lacking)


def test_splits_that_are_not_read_are_not_asked_for() -> None:
    def change(name: str, index: int) -> Any:
        if name == "test":
            raise DataError("there is no test split")
        return sample(name, index)

    check(Yard(change=change))
    with pytest.raises(DataError, match="there is no test split"):
        check_dataset(Yard(change=change), ("test",), ("test",))


def test_a_fingerprint_that_is_no_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Yard, "fingerprint", lambda self, cache=None: b"f")
    with pytest.raises(ContractError, match=r"data set Yard: fingerprint\(\) gave no str"):
        check(Yard())


def test_a_constructor_that_takes_no_folder_is_named() -> None:
    class Shut(Yard):
        def __init__(self) -> None:
            super().__init__()

    with pytest.raises(ContractError, match=r"data set Shut: its constructor does not take the folder"):
        check_class(Shut)
