"""Scores of single images from the counts that a trial leaves."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.evidence.images import read_image_scores
from bench.records.files import RecordError, arrays_digest, write_arrays
from bench.records.forms import build
from bench.records.quality import MeasuredQuality

GOOD = {"images": np.array(["a", "b"]), "confusion": np.array([[[3, 1], [2, 4]], [[0, 0], [0, 0]]])}


def test_miou_is_over_the_classes_that_an_image_has(tmp_path: Path) -> None:
    write_arrays(GOOD, tmp_path / "x.npz")
    names, miou = read_image_scores(tmp_path / "x.npz", 2)
    assert names == ("a", "b")
    assert miou[0] == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert math.isnan(miou[1]), "an image of void"
    write_arrays({"images": np.array(["a"]), "confusion": np.array([[[4, 4], [0, 0]]])}, tmp_path / "y.npz")
    assert read_image_scores(tmp_path / "y.npz", 2).miou.tolist() == [(4 / 8 + 0) / 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confusion": GOOD["confusion"][0]}, r"they have the shape \(2, 2\), expected \(2, 2, 2\)"),
        ({"confusion": GOOD["confusion"][:1]}, r"they have the shape \(1, 2, 2\), expected \(2, 2, 2\)"),
        ({"confusion": GOOD["confusion"] * 0.5}, "they are no counts"),
        ({"confusion": -GOOD["confusion"]}, "they are no counts"),
        ({"confusion": np.full((2, 2, 2), 2**63, dtype=np.uint64)}, "they are no counts"),
        ({"images": np.array(["a", "a"])}, "its images are no list of names, each once"),
        ({"images": np.arange(2)}, "its images are no list of names, each once"),
        ({"images": np.array("a")}, "its images are no list of names, each once"),
    ],
)
def test_what_is_no_confusion_matrix_of_each_image_is_refused(
    tmp_path: Path, change: Mapping[str, Any], said: str
) -> None:
    write_arrays({**GOOD, **change}, tmp_path / "x.npz")
    with pytest.raises(RecordError, match=rf"x\.npz holds no confusion matrices of images \({said}\); delete it"):
        read_image_scores(tmp_path / "x.npz", 2)


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RecordError, match="it is one array, not an archive of arrays"):
        read_image_scores(tmp_path / "x.npz", 2)


def test_arrays_that_were_edited_are_not_what_the_records_digest_says(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_arrays(GOOD, path)
    measured = {
        "classes": ["a", "b"], "split": "val", "iterations": 1, "confusion": [[3, 1], [2, 4]], "images": 2,
        "history": {"iteration": [1], "loss": [2.0]}, "train_s": 5, "artifact_digest": arrays_digest(GOOD),
    }  # fmt: skip
    record = build(MeasuredQuality, measured)
    assert read_image_scores(path, 2, record).names == ("a", "b")
    write_arrays({**GOOD, "confusion": GOOD["confusion"].swapaxes(1, 2)}, path)
    with pytest.raises(RecordError, match=r"x\.npz was edited after it was written: .*; restore it"):
        read_image_scores(path, 2, record)


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
        read_image_scores(path, 2)
