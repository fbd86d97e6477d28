"""Scores of single images from the counts that a trial leaves."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.evidence.images import read_image_scores
from bench.records.files import RecordError, arrays_digest, write_arrays
from bench.records.forms import build
from bench.records.quality import MeasuredQuality

GOOD = {"images": np.array(["a", "b"]), "confusion": np.array([[[3, 1], [2, 4]], [[0, 0], [0, 0]]])}


def recorded(
    confusion: Sequence[Sequence[int]] = ((3, 1), (2, 4)), images: int = 2, digest: str = ""
) -> MeasuredQuality:
    """The measurements of a quality trial, by default those that :data:`GOOD` agrees with."""
    measured = {
        "classes": ["road", "sky"], "split": "val", "iterations": 1, "confusion": confusion, "images": images,
        "history": {"iteration": [1], "loss": [2.0]}, "train_s": 5, "artifact_digest": digest,
    }  # fmt: skip
    return build(MeasuredQuality, measured)


def test_miou_is_over_the_classes_that_an_image_has(tmp_path: Path) -> None:
    write_arrays(GOOD, tmp_path / "x.npz")
    names, miou = read_image_scores(tmp_path / "x.npz", recorded())
    assert names == ("a", "b")
    assert miou[0] == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert math.isnan(miou[1]), "an image of void"
    write_arrays({"images": np.array(["a"]), "confusion": np.array([[[4, 4], [0, 0]]])}, tmp_path / "y.npz")
    assert read_image_scores(tmp_path / "y.npz", recorded([[4, 4], [0, 0]], 1)).miou.tolist() == [(4 / 8 + 0) / 2]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"confusion": GOOD["confusion"][0]}, r"they have the shape \(2, 2\), expected \(2, 2, 2\)"),
        ({"confusion": GOOD["confusion"][:1]}, r"they have the shape \(1, 2, 2\), expected \(2, 2, 2\)"),
        ({"confusion": GOOD["confusion"] * 0.5}, "they are no counts"),
        ({"confusion": -GOOD["confusion"]}, "they are no counts"),
        ({"confusion": np.full((2, 2, 2), 2**63, dtype=np.uint64)}, "they are no counts"),
        ({"images": np.array(["a", "a"])}, "its images are no list of names, each once"),
        ({"images": np.arange(2)}, "its images are no list of names, each once"),
        ({"images": np.array("a")}, "its images are no list of names, each once"),
        ({"confusion": None}, "it has no confusion"),
        ({"images": None, "confusion": None}, "it has no images and no confusion"),
    ],
)
def test_what_is_no_confusion_matrix_of_each_image_is_refused(
    tmp_path: Path, change: Mapping[str, Any], problem: str
) -> None:
    arrays = {name: values for name, values in {**GOOD, **change}.items() if values is not None}
    write_arrays(arrays, tmp_path / "x.npz")
    refusal = (
        rf"^\S*x\.npz holds no confusion matrices of images \({problem}\); restore it, or delete it and its record"
    )
    for digest in ("", arrays_digest(arrays)):
        with pytest.raises(RecordError, match=refusal):
            read_image_scores(tmp_path / "x.npz", recorded(digest=digest))


@pytest.mark.parametrize(
    ("change", "contradiction"),
    [
        ({"confusion": GOOD["confusion"][:1], "images": np.array(["a"])}, "it has 1 image, and the record counts 2"),
        (
            {"confusion": GOOD["confusion"].swapaxes(1, 2)},
            "its images have 2 pixels of road predicted as sky, and the record 1",
        ),
        (
            {"confusion": GOOD["confusion"] + np.array([[0, 0], [0, 1]])},
            "its images have 6 pixels of sky predicted as sky, and the record 4",
        ),
    ],
)
def test_matrices_that_do_not_add_up_to_the_records_are_refused_with_or_without_a_digest(
    tmp_path: Path, change: Mapping[str, Any], contradiction: str
) -> None:
    arrays = {**GOOD, **change}
    write_arrays(arrays, tmp_path / "x.npz")
    for digest in ("", arrays_digest(arrays)):
        with pytest.raises(RecordError, match=rf"^\S*x\.npz contradicts its record: {contradiction}; restore it, or"):
            read_image_scores(tmp_path / "x.npz", recorded(digest=digest))


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RecordError, match=r"x\.npz cannot be read \(File is not a zip file\)"):
        read_image_scores(tmp_path / "x.npz", recorded())


def test_arrays_that_were_edited_are_not_what_the_records_digest_says(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_arrays(GOOD, path)
    record = recorded(digest=arrays_digest(GOOD))
    assert read_image_scores(path, record).names == ("a", "b")
    write_arrays({**GOOD, "confusion": GOOD["confusion"][::-1]}, path)  # it adds up to the same
    with pytest.raises(RecordError, match=r"x\.npz was edited after it was written: .*; restore it"):
        read_image_scores(path, record)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_of_arrays_is_named_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(RecordError, match=r"x\.npz cannot be read \(it is a "):
        read_image_scores(path, recorded())
