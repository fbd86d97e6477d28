"""Published rows: each says how it was measured, where it stands and what is wrong with it; a study names its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.protocol.columns import column
from bench.study.factors import StudyError
from bench.study.published.rows import (
    NOT_STATED,
    SETTINGS,
    TESTING,
    TRAINING,
    Published,
    PublishedError,
    matching,
    rows,
)
from bench.study.published.rows import other_side as other_side_of
from bench.study.source import load_study

STUDIES = Path(__file__).parents[3] / "studies"
JPU = {"upsampling": "jpu", "head": "encnet", "backbone": "resnet50"}
DILATED = {**JPU, "upsampling": "dilated-8"}


@pytest.mark.parametrize("name", ["accuracy", "cost", "speed"])
def test_every_published_row_has_a_protocol_a_source_and_a_flaw_or_none_known(name: str) -> None:
    table = rows(name)
    assert len(table) > 20
    assert all(cell.strip() == cell != "" for cell in table.to_numpy().ravel())
    assert table["source"].str.contains(r"\.(?:com|org)\b", regex=True).all()
    assert not table.drop(columns=["value", "source", "flaw"]).duplicated().any()


@pytest.mark.parametrize(("name", "low", "high"), [("accuracy", 35, 100), ("cost", 1, 32), ("speed", 0.5, 60)])
def test_published_values_are_numbers_in_their_range(name: str, low: float, high: float) -> None:
    table = rows(name)
    values = table.loc[table["unit"] != "ms", "value"]
    assert values.str.fullmatch(r"\d+(\.\d+)?").all()
    assert values.astype(float).between(low, high).all()


def test_published_accuracies_use_the_harness_words() -> None:
    table = rows("accuracy")
    assert {*SETTINGS, *TRAINING, *TESTING} < set(table.columns)
    metrics = set(table["metric"]) - {"iou", "final_score", "crop_miou_0px"}  # a class, a challenge, nothing cut off
    assert {column(name).shown_unit for name in metrics} == {"%"} == set(table["unit"])
    assert (table[table["class"] == "all"]["metric"] != "iou").all()
    assert set(table["split"]) <= {"val", "test", NOT_STATED}
    assert set(table["scales"]) <= {"single", "multi", NOT_STATED}
    assert set(table["flip"]) <= {"yes", "no", NOT_STATED}
    assert table["crop_px"].map(lambda crop: crop == NOT_STATED or bool(re.fullmatch(r"\d+x\d+", crop))).all()


@pytest.mark.parametrize(("split", "published"), [("val", {"Gated-SCNN": [78.8, 80.8]}), ("test", {"DANet": [81.5]})])
def test_class_ious_of_a_table_average_to_its_miou(split: str, published: Mapping[str, list[float]]) -> None:
    table = rows("accuracy")
    for system, mious in published.items():
        of_one_split = table[(table["system"] == system) & (table["split"] == split) & (table["metric"] == "iou")]
        means = of_one_split["value"].astype(float).groupby(of_one_split["shape"]).mean()
        assert sorted(means) == pytest.approx(mious, abs=0.05)
        assert len(of_one_split) == 19 * len(mious)


def test_a_published_difference_is_to_the_row_that_was_tested_and_trained_alike() -> None:
    [row] = [row for row in matching("FastFCN", JPU).to_dict("records") if row["data"] == "PASCAL Context"]
    other = other_side_of(row, matching("FastFCN", DILATED))
    assert other is not None
    assert float(row["value"]) - float(other["value"]) == pytest.approx(1.14)


def test_no_other_side_is_chosen_among_several_or_across_protocols() -> None:
    jpu = matching("mmsegmentation", JPU)
    four_images_a_gpu = jpu[(jpu["batch"] == "16") & (jpu["data"] == "Cityscapes")].to_dict("records")
    dilated = matching("mmsegmentation", DILATED)
    assert len(four_images_a_gpu) == 2
    assert [other_side_of(row, dilated) for row in four_images_a_gpu] == [None, None]
    open_row = {**four_images_a_gpu[0], "batch": NOT_STATED}
    assert other_side_of(open_row, dilated) is not None
    assert other_side_of(open_row, dilated.loc[dilated.index.repeat(2)]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("FastFCNN", {}, {}), "did you mean 'FastFCN'"),
        (("FastFCN", {}, {"a=b": {"upsampler": "jpu"}}), "did you mean 'upsampling'"),
        (("FastFCN", {}, {}, {"upsampling": "none-32"}), "no published row of FastFCN has upsampling='none-32'"),
    ],
)
def test_what_nobody_published_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(PublishedError, match=re.escape(message)):
        Published(*arguments)


def test_a_study_names_its_own_factors_in_what_was_published() -> None:
    study = load_study(STUDIES / "fastfcn_jpu.py")
    assert {published.system for published in study.published} == {"FastFCN", "mmsegmentation"}
    with pytest.raises(StudyError, match="did you mean 'jpu'"):
        study.having(published=(Published("FastFCN", {}, {"upsampling=jpuu": {"upsampling": "jpu"}}),))
    with pytest.raises(StudyError, match="upsampling"):
        study.having(published=(Published("FastFCN", {"upsampler": "jpu"}, {}),))
