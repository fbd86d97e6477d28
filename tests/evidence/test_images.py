"""Images in pairs, from artifacts whose confusion matrices are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.evidence import images
from bench.evidence.evidence import evidence_of
from bench.evidence.images import read_image_scores
from bench.records.files import RecordError, write_arrays
from bench.records.record import read, write
from bench.report.page.page import write_report
from bench.report.tables import catalogue

Plant = Callable[..., Path]
FACTORS = {"neck": ["off", "on"]}
SCORES = {"neck=off": [0.6, 0.6], "neck=on": [0.7, 0.7]}


def confusion(hits: int) -> list[list[int]]:
    """Of an image with two classes of 10 pixels, both with IoU hits / (20 − hits)."""
    return [[hits, 10 - hits], [10 - hits, hits]]


def leave(folder: Path, key: str, hits: Sequence[int | None], names: Sequence[str] | None = None) -> None:
    """Give a record an artifact; an image of ``None`` is all void."""
    path = folder / "records" / f"{key}.aaaa1111.json"
    matrices = [[[0, 0], [0, 0]] if each is None else confusion(each) for each in hits]
    arrays = {"images": np.array(names or [f"i{n}" for n in range(len(hits))]), "confusion": np.array(matrices)}
    write_arrays(arrays, folder / "artifacts" / f"{key}.npz")
    record = read(path)
    write(record.having(measured={**record.measured.as_json(), "artifact": f"artifacts/{key}.npz"}), folder / "records")


@pytest.fixture
def planted(tmp_path: Path, planted_results: Plant) -> Path:
    return planted_results(tmp_path, factors=FACTORS, scores=SCORES, classes=("road", "sky"))


def scored(hits: int) -> float:
    return hits / (20 - hits)


def test_images_are_paired_by_name_and_averaged_over_the_common_seeds(planted: Path) -> None:
    leave(planted, "q0s0", [5, 5, 5, 5, 5, 5])
    leave(planted, "q0s1", [5, 5, 5, 5, 5, 5])
    leave(planted, "q1s0", [6, 6, 6, 6, 4, 5])
    leave(planted, "q1s1", [5, 4, 6, 6, 6, 6], ["i5", "i4", "i3", "i2", "i1", "i0"])
    row = evidence_of(planted).images.iloc[0]
    assert (row["variant"], row["images"], row["n"], row["planned"]) == ("neck=on", 6, 2, 2)
    assert (row["better"], row["worse"]) == pytest.approx((4 / 6, 1 / 6))
    gain, loss = scored(6) - scored(5), scored(4) - scored(5)
    assert row["median"] == pytest.approx(gain)
    assert (row["low"], row["high"]) == pytest.approx((loss, gain))  # n = 6: the least and the largest mean of pairs
    printed = catalogue.table(evidence_of(planted), "images").printed().iloc[0]
    assert (printed["Better (%)"], printed["Worse (%)"], printed["Seeds"]) == ("66.67", "16.67", "2/2")


def test_a_seed_that_one_side_lacks_and_an_image_of_void_are_left_out(planted: Path) -> None:
    leave(planted, "q0s0", [5, 5, None])
    leave(planted, "q1s0", [6, 5, None])
    leave(planted, "q1s1", [9, 9, 9])
    table = catalogue.table(evidence_of(planted), "images")
    row = table.rows.iloc[0]
    assert (row["images"], row["n"], row["planned"]) == (2, 1, 2)
    assert (row["better"], row["worse"]) == (0.5, 0.0)
    assert np.isnan(row["low"])  # two images are too few for an interval
    assert table.required == ("n",)
    assert "given the networks that were trained" in table.caption


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ((), "no confusion matrix of an image is here"),
        (("q1s0",), "the baseline's confusion matrices of images are not here"),
        (("q0s0", "q1s1"), "no variant has images of a seed that the baseline has too"),
    ],
)
def test_images_that_cannot_be_paired_leave_the_table_empty_with_the_reason(
    planted: Path, keys: Sequence[str], reason: str
) -> None:
    for key in keys:
        leave(planted, key, [5, 6])
    table = catalogue.table(evidence_of(planted), "images")
    assert table.rows.empty
    assert table.absent.startswith(reason)


def test_an_artifact_that_was_not_copied_along_is_no_error(planted: Path) -> None:
    for key in ("q0s0", "q1s0"):
        leave(planted, key, [5, 6])
        (planted / "artifacts" / f"{key}.npz").unlink()
    assert catalogue.table(evidence_of(planted), "images").rows.empty


def test_the_counts_of_a_trials_images_are_read_once_for_a_whole_report(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("q0s0", "q0s1", "q1s0", "q1s1"):
        leave(planted, key, [5, 6])
    files = []

    def read_and_count(path: Path, *more: Any) -> images.ImageScores:
        files.append(path.name)
        return read_image_scores(path, *more)

    monkeypatch.setattr(images, "read_image_scores", read_and_count)
    write_report(planted)
    assert sorted(files) == ["q0s0.npz", "q0s1.npz", "q1s0.npz", "q1s1.npz"]


@pytest.mark.parametrize("content", [b"no zip file", b"PK\x03\x04 half a one", b""])
def test_a_damaged_artifact_is_refused_by_name(planted: Path, content: bytes) -> None:
    for key in ("q0s0", "q1s0"):
        leave(planted, key, [5, 6])
    (planted / "artifacts" / "q1s0.npz").write_bytes(content)
    with pytest.raises(RecordError, match=r"q1s0\.npz cannot be read .*delete it"):
        _ = evidence_of(planted).images


def test_an_artifact_of_other_arrays_is_refused(planted: Path) -> None:
    leave(planted, "q0s0", [5, 6])
    arrays: Mapping[str, np.ndarray] = {"images": np.array(["i0"])}
    write_arrays(dict(arrays), planted / "artifacts" / "q0s0.npz")
    with pytest.raises(RecordError, match=r"q0s0\.npz cannot be read .*confusion"):
        _ = evidence_of(planted).images


def test_an_artifact_outside_the_folder_is_refused(planted: Path) -> None:
    path = planted / "records" / "q0s0.aaaa1111.json"
    content = json.loads(path.read_text())
    content["measured"]["artifact"] = "../../etc/passwd"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"q0s0.* is not a record .*names a file outside its results folder"):
        evidence_of(planted)
