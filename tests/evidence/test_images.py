"""Images in pairs, from artifacts whose confusion matrices are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.evidence import images
from bench.evidence.evidence import evidence_of
from bench.evidence.images import read_image_scores
from bench.records.files import RecordError, read_arrays, write_arrays
from bench.records.quality import MeasuredQuality
from bench.records.record import read_all, write
from bench.report.page.page import write_report
from bench.report.tables import catalogue
from tests.conftest import plant_counts

Plant = Callable[..., Path]
Hits = Sequence[int | None]
FACTORS = {"neck": ["off", "on"]}
TRIALS = {"q0s0": "neck=off", "q0s1": "neck=off", "q1s0": "neck=on", "q1s1": "neck=on"}
"""Key of each trial -> its variant, in the order of seeds."""


def confusions(hits: Hits) -> list[list[list[int]]]:
    """Matrices of two classes of 10 pixels, both with IoU hits / (20 − hits); an image of ``None`` is all void."""
    return [[[0, 0], [0, 0]] if right is None else [[right, 10 - right], [10 - right, right]] for right in hits]


@pytest.fixture
def planted(tmp_path: Path, planted_results: Plant) -> Callable[..., Path]:
    def plant(hits: Mapping[str, Hits], names: Mapping[str, Sequence[str]] | None = None) -> Path:
        """Records of two variants and two seeds, with counts of each image where there are hits of the trial.

        Args:
            hits: key -> the right pixels of each class in each image.
            names: key -> the names of the images, where they are not ``i0``, ``i1`` …
        """
        usual = next(iter(hits.values()), [5])
        scores: dict[str, list[list[list[int]]]] = {"neck=off": [], "neck=on": []}
        for key, variant in TRIALS.items():
            scores[variant].append(np.sum(confusions(hits.get(key, usual)), axis=0).tolist())
        classes, images = ("road", "sky"), len(usual)
        folder = planted_results(tmp_path, factors=FACTORS, scores=scores, classes=classes, images=images)
        for record in read_all(folder / "records"):
            if record.key in hits:
                image_names = (names or {}).get(record.key, [f"i{index}" for index in range(images)])
                plant_counts(folder, record, image_names, confusions(hits[record.key]))
        return folder

    return plant


def scored(hits: int) -> float:
    return hits / (20 - hits)


def test_images_are_paired_by_name_and_averaged_over_the_common_seeds(planted: Callable[..., Path]) -> None:
    hits = {"q0s0": [5] * 6, "q0s1": [5] * 6, "q1s0": [6, 6, 6, 6, 4, 5], "q1s1": [5, 4, 6, 6, 6, 6]}
    folder = planted(hits, {"q1s1": ["i5", "i4", "i3", "i2", "i1", "i0"]})
    row = evidence_of(folder).images.iloc[0]
    assert (row["variant"], row["images"], row["n"], row["planned"]) == ("neck=on", 6, 2, 2)
    assert (row["better"], row["worse"]) == pytest.approx((4 / 6, 1 / 6))
    gain, loss = scored(6) - scored(5), scored(4) - scored(5)
    assert row["median"] == pytest.approx(gain)
    assert (row["low"], row["high"]) == pytest.approx((loss, gain))  # n = 6: the least and the largest mean of pairs
    printed = catalogue.table(evidence_of(folder), "images").printed().iloc[0]
    assert (printed["Better (%)"], printed["Worse (%)"], printed["Seeds"]) == ("66.67", "16.67", "2/2")


def test_a_seed_that_one_side_lacks_and_an_image_of_void_are_left_out(planted: Callable[..., Path]) -> None:
    folder = planted({"q0s0": [5, 5, None], "q1s0": [6, 5, None], "q1s1": [9, 9, None]})
    table = catalogue.table(evidence_of(folder), "images")
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
    planted: Callable[..., Path], keys: Sequence[str], reason: str
) -> None:
    table = catalogue.table(evidence_of(planted({key: [5, 6] for key in keys})), "images")
    assert table.rows.empty
    assert table.absent.startswith(reason)


def test_an_artifact_that_was_not_copied_along_is_no_error(planted: Callable[..., Path]) -> None:
    folder = planted({"q0s0": [5, 6], "q1s0": [5, 6]})
    for path in (folder / "artifacts").iterdir():
        path.unlink()
    assert catalogue.table(evidence_of(folder), "images").rows.empty


def test_the_counts_of_a_trials_images_are_read_once_for_a_whole_report(
    planted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted({key: [5, 6] for key in TRIALS})
    files = []

    def read_and_count(path: Path, measured: MeasuredQuality) -> images.ImageScores:
        files.append(path.name)
        return read_image_scores(path, measured)

    monkeypatch.setattr(images, "read_image_scores", read_and_count)
    write_report(folder)
    assert sorted(files) == ["q0s0.npz", "q0s1.npz", "q1s0.npz", "q1s1.npz"]


@pytest.mark.parametrize("content", [b"no zip file", b"PK\x03\x04 half a one", b""])
def test_a_damaged_artifact_is_refused_by_name(planted: Callable[..., Path], content: bytes) -> None:
    folder = planted({"q0s0": [5, 6], "q1s0": [5, 6]})
    (folder / "artifacts" / "q1s0.npz").write_bytes(content)
    with pytest.raises(RecordError, match=r"q1s0\.npz cannot be read .*delete it"):
        _ = evidence_of(folder).images


def test_arrays_of_another_trial_contradict_the_record(planted: Callable[..., Path]) -> None:
    folder = planted({"q0s0": [5, 6], "q1s0": [5, 7]})
    for record in read_all(folder / "records"):  # of an earlier bench, without the digest of the arrays
        measured = {name: value for name, value in record.measured.as_json().items() if name != "artifact_digest"}
        write(record.having(measured=measured), folder / "records")
    assert not evidence_of(folder).images.empty
    write_arrays(read_arrays(folder / "artifacts" / "q0s0.npz"), folder / "artifacts" / "q1s0.npz")
    with pytest.raises(RecordError, match=r"q1s0\.npz contradicts its record: its images have 11 pixels of road pred"):
        _ = evidence_of(folder).images


def test_an_artifact_outside_the_folder_is_refused(planted: Callable[..., Path]) -> None:
    folder = planted({})
    path = folder / "records" / "q0s0.aaaa1111.json"
    content = json.loads(path.read_text())
    content["measured"]["artifact"] = "../../etc/passwd"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"q0s0.* is not a record .*names a file outside its results folder"):
        evidence_of(folder)
