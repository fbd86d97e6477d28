"""CamVid: both layouts read alike, and every damage is refused with the file's name and a remedy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.base import IGNORE, SPLITS, DataError, SplitName
from bench.data.camvid import CamVid

Damage = Callable[[Path], object]

VAL_PIXELS = (
    1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010, 297271,
)  # fmt: skip
"""Label pixels of the published val split, classes 0 to 10 and void."""


@pytest.fixture
def copy(camvid_like: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(camvid_like, tmp_path / "copy"))


@pytest.fixture
def published() -> CamVid:
    folder = os.environ.get("BENCH_CAMVID")
    if not folder:
        pytest.skip("BENCH_CAMVID does not name the folder of CamVid, which nobody may make or download here")
    return CamVid(Path(str(folder)))


def test_both_layouts_hold_the_same_labels_in_the_same_order(camvid_like: Path, camvid_like_segnet: Path) -> None:
    for name in SPLITS:
        here, there = CamVid(camvid_like).split(name), CamVid(camvid_like_segnet).split(name)
        assert len(here) == len(there) == (24 if name == "train" else 8)
        for index in range(len(here)):
            assert here[index].name == there[index].name == f"{name}_{index:04d}"
            assert torch.equal(here[index].label, there[index].label)
            assert (here[index].image.float() - there[index].image.float()).abs().mean() < 6  # one of them is JPEG


def test_a_sample_is_uint8_with_void_as_ignore_and_every_class_occurs(camvid_like: Path) -> None:
    data = CamVid(camvid_like)
    for name in SPLITS:
        split, seen = data.split(name), set()
        for index in range(len(split)):
            assert (split[index].image.shape, split[index].image.dtype) == ((3, 72, 96), torch.uint8)
            assert (split[index].label.shape, split[index].label.dtype) == ((72, 96), torch.uint8)
            seen |= set(split[index].label.unique().tolist())
        assert seen == {*range(11), IGNORE}


def test_channels_are_red_green_blue_and_rows_come_first(copy: Path) -> None:
    pixels = np.zeros((72, 96, 3), dtype=np.uint8)
    pixels[:10, :, 0] = 255
    _first(copy, "images").unlink()
    Image.fromarray(pixels).save(_first(copy, "images").with_suffix(".png"))
    image = CamVid(copy).split("train")[0].image
    assert image[:, 0, 95].tolist() == [255, 0, 0]
    assert image[:, 10, 0].tolist() == [0, 0, 0]


def test_labels_with_a_palette_are_read_by_index(copy: Path) -> None:
    path = _first(copy, "labels")
    expected = CamVid(copy).split("train")[0].label
    with Image.open(path) as label:
        indexed = label.copy()
    indexed.putpalette([channel for index in range(256) for channel in (255 - index, 7, 99)])
    assert indexed.mode == "P"
    indexed.save(path)
    assert torch.equal(CamVid(copy).split("train")[0].label, expected)


def test_hidden_files_and_other_files_are_left_alone(copy: Path) -> None:
    (copy / "images" / "train" / "._train_0000.jpg").write_bytes(b"of a Mac archive")
    (copy / "labels" / "train" / "list.txt").write_text("train_0000")
    data = CamVid(copy)
    data.check()
    assert len(data.split("train")) == 24


def test_checking_reads_every_pair_and_reports_each(camvid_like: Path) -> None:
    seen: list[tuple[int, int]] = []
    CamVid(camvid_like).check(lambda done, total: seen.append((done, total)))
    assert seen == [(done, 40) for done in range(1, 41)]


def test_the_folder_must_be_given_and_be_one() -> None:
    with pytest.raises(DataError, match=r"CamVid needs a folder: --data camvid=/path/to/CamVid"):
        CamVid(None)
    with pytest.raises(DataError, match=r"nowhere is not a folder; give that of CamVid: --data camvid="):
        CamVid(Path("nowhere"))


def test_a_folder_of_neither_layout_is_refused_saying_what_was_looked_for(tmp_path: Path) -> None:
    looked_for = "holds neither images/train/ with labels/train/ nor train/ with trainannot/; give the folder that"
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))} {re.escape(looked_for)}"):
        CamVid(tmp_path)


def _first(folder: Path, kind: str, split: str = "train") -> Path:
    return folder / kind / split / f"{split}_0000.{'jpg' if kind == 'images' else 'png'}"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rewrite_label(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = _first(folder, "labels")
    with Image.open(path) as label:
        pixels = np.array(label)
    Image.fromarray(change(pixels)).save(path)


def _with_value(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(pixels: np.ndarray) -> np.ndarray:
        pixels[5, 5] = value
        return pixels

    return change


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


REFUSALS: dict[str, tuple[Damage, str]] = {
    "an image without a label": (
        lambda f: _first(f, "labels").unlink(),
        r"train_0000\.jpg has no label: .*labels.train.train_0000\.png is missing; add it or remove the image",
    ),
    "a label without an image": (
        lambda f: _first(f, "images").unlink(),
        r"train_0000\.png has no image of that name in .*images.train; add it or remove the label",
    ),
    "two images of one name": (
        lambda f: shutil.copy(_first(f, "images"), _first(f, "images").with_suffix(".jpeg")),
        r"train_0000\.jpeg and .*train_0000\.jpg have the same name but for the suffix; keep one of them",
    ),
    "an empty split": (
        lambda f: _empty(f / "images" / "val"),
        r"the val split is empty: .*val holds no \.jpg or \.jpeg or \.png file; get the complete data set",
    ),
    "a split that is missing": (
        lambda f: shutil.rmtree(f / "labels" / "test"),
        r"labels.test is missing: the test split needs it; get the complete data set",
    ),
    "a label of another size": (
        lambda f: _rewrite_label(f, lambda pixels: pixels[:, :48]),
        r"train_0000\.png is 48x72 pixels, its image .*train_0000\.jpg is 96x72; resize neither",
    ),
    "a value that is no class": (
        lambda f: _rewrite_label(f, _with_value(12)),
        r"train_0000\.png holds the value 12; allowed are 0 to 10 \(classes\) and 11 \(void\); convert",
    ),
    "void written as 255": (
        lambda f: _rewrite_label(f, _with_value(255)),
        r"train_0000\.png holds the value 255; allowed are 0 to 10",
    ),
    "a label in colours": (
        lambda f: _rewrite_label(f, lambda pixels: np.stack([pixels] * 3, -1)),
        r"train_0000\.png is an image of mode RGB; allowed are L and P, .*convert the colours to class indices",
    ),
    "a truncated image": (
        lambda f: _truncate(_first(f, "images")),
        r"train_0000\.jpg cannot be read as an image \(.*\); get the file again",
    ),
    "a truncated label": (
        lambda f: _truncate(_first(f, "labels")),
        r"train_0000\.png cannot be read as an image \(.*\); get the file again",
    ),
    "a file that is no image": (
        lambda f: _first(f, "images").write_text("<html>404</html>"),
        r"train_0000\.jpg cannot be read as an image",
    ),
    "an empty file": (
        lambda f: _first(f, "labels").write_bytes(b""),
        r"train_0000\.png cannot be read as an image",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_checking_refuses_with_the_file_and_a_remedy(kind: str, copy: Path) -> None:
    damage, message = REFUSALS[kind]
    CamVid(copy).check()
    damage(copy)
    with pytest.raises(DataError, match=message):
        CamVid(copy).check()


@pytest.mark.parametrize("kind", ["a value that is no class", "a truncated image", "a label of another size"])
def test_training_refuses_what_checking_refuses(kind: str, copy: Path) -> None:
    damage, message = REFUSALS[kind]
    damage(copy)
    with pytest.raises(DataError, match=message):
        CamVid(copy).split("train")[0]


@pytest.mark.parametrize(("name", "frames"), [("train", 367), ("val", 101), ("test", 233)])
def test_the_published_split_has_its_frames(published: CamVid, name: SplitName, frames: int) -> None:
    split = published.split(name)
    assert len(split) == frames
    assert split[0].image.shape == (3, 360, 480)


def test_the_published_val_labels_have_the_known_pixel_counts(published: CamVid) -> None:
    split = published.split("val")
    counts = sum(torch.bincount(split[index].label.flatten().long(), minlength=256) for index in range(len(split)))
    assert isinstance(counts, torch.Tensor)
    assert (*counts[:11].tolist(), int(counts[IGNORE])) == VAL_PIXELS
    assert int(counts.sum()) == sum(VAL_PIXELS)


def test_the_published_data_passes_its_check(published: CamVid) -> None:
    published.check()


def test_a_smaller_number_of_training_frames_is_part_of_a_larger_one_and_not_only_the_first_frames(
    camvid_like: Path,
) -> None:
    drawn = {count: CamVid(camvid_like, train_images=count).split("train") for count in (6, 12, 24)}
    names = {count: [split[index].name for index in range(count)] for count, split in drawn.items()}
    assert set(names[6]) < set(names[12]) < set(names[24])
    assert names[6] != names[24][:6]
    assert names[6] == sorted(names[6])
    with pytest.raises(DataError, match="train_images=25.* has 24 training images"):
        CamVid(camvid_like, train_images=25).split("train")


def test_the_number_of_training_frames_changes_the_fingerprint_and_no_other_split(camvid_like: Path) -> None:
    every, fewer = CamVid(camvid_like), CamVid(camvid_like, train_images=6)
    assert every.fingerprint() == CamVid(camvid_like, train_images=24).fingerprint() != fewer.fingerprint()
    assert len(every.split("val")) == len(fewer.split("val")) == 8


@pytest.mark.parametrize("damage", ["labels/test", "images/test"])
def test_a_split_that_nothing_reads_is_not_demanded(copy: Path, damage: str) -> None:
    shutil.rmtree(copy / damage)
    data = CamVid(copy)
    data.check(splits=("train", "val"))
    assert data.fingerprint()
    with pytest.raises(DataError, match="the test split needs it"):
        data.check()


def test_the_fingerprint_of_whole_data_does_not_depend_on_the_splits_that_are_read(copy: Path) -> None:
    whole = CamVid(copy).fingerprint()
    (copy / "labels" / "test" / "test_0003.png").unlink()
    assert CamVid(copy).fingerprint() != whole
