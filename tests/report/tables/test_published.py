"""Published accuracies beside ours: differences, what differs in protocol, and no agreement across data sets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.evidence.evidence import evidence_of
from bench.report.tables import published
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.study.published.rows import rows
from bench.study.source import Source
from bench.study.source import load as load_source
from tests.planted_speed import measured, planted

Plant = Callable[..., Path]
FACTORS = {"upsampling": ["dilated-8", "jpu", "fpn"], "head": ["encnet"]}
DECLARED = {
    "system": "FastFCN",
    "against": {"upsampling": "dilated-8"},
    "levels": {
        "upsampling=dilated-8": {"upsampling": "dilated-8"},
        "upsampling=jpu": {"upsampling": "jpu"},
        "head=encnet": {"head": "encnet"},
    },
    "settings": {"backbone": "resnet50"},
}
RECIPE = {"crop_px": [480, 480], "iterations": 20000, "batch": 16, "split": "val"}
PCONTEXT = {"name": "pascal-context", "classes": [f"class {index}" for index in range(59)], "fingerprint": "f"}
SLOT = {"class": "bench.network.backbones.resnet.ResNet", "choices": {"depth": 50, "width": 64, "weights": None}}


def table(
    folder: Path, plant: Plant, data: Mapping[str, Any] = PCONTEXT, jpu: list[Any] | None = None, **recipe: Any
) -> pd.DataFrame:
    scores = {
        "upsampling=dilated-8, head=encnet": [0.480, 0.485, 0.490],
        "upsampling=jpu, head=encnet": jpu or [0.490, 0.497, 0.499],
        "upsampling=fpn, head=encnet": [0.5, 0.5, 0.5],
    }
    unset: dict[str, Any] = {"levels": {}, "losses": [], "learning_rates": {}, "recipe": {}, "conventions": {}}
    facts = {name: {**unset, "slots": {"backbone": SLOT}} for name in scores}
    more = {"published": [DECLARED], "recipe": RECIPE | recipe, "data": data, "audit": {"variants": facts}}
    plant(folder, factors=FACTORS, scores=scores, plan=more)
    return published.accuracy(evidence_of(folder)).printed()


def on(table: pd.DataFrame, variant: str, value: str) -> Mapping[str, str]:
    [row] = table[(table["Variant"] == variant) & (table["Published"] == value)].to_dict("records")
    return {str(name): text for name, text in row.items()}


def test_a_published_difference_stands_beside_ours_with_its_interval(tmp_path: Path, planted_results: Plant) -> None:
    printed = table(tmp_path, planted_results)
    row = on(printed, "upsampling=jpu", "51.05")
    assert (row["Against"], row["Δ published"]) == ("baseline", "+1.14")
    # differences of 1.0, 1.2 and 0.9 points: mean 1.03, sd 0.153, t(0.975; 2) = 4.303
    assert (row["Ours"], row["Δ ours"], row["95 % interval"]) == ("49.53", "+1.03", "[+0.65, +1.41]")
    assert row["Agreement"] == "published Δ inside our interval"
    assert row["On"] == "PASCAL Context val, single scale, 80 epochs"
    baseline = on(printed, "baseline", "49.91")
    assert (baseline["Δ published"], baseline["Δ ours"]) == ("—", "—")
    assert set(printed["Variant"]) == {"baseline", "upsampling=jpu"}


def test_a_difference_outside_our_interval_is_said_to_be(tmp_path: Path, planted_results: Plant) -> None:
    printed = table(tmp_path, planted_results, jpu=[0.500, 0.5051, 0.5099])
    assert on(printed, "upsampling=jpu", "51.05")["Agreement"] == "published Δ outside our interval"


def test_what_differs_comes_from_the_rows_columns_and_the_recipe(tmp_path: Path, planted_results: Plant) -> None:
    row = on(table(tmp_path, planted_results, crop_px=[352, 480]), "upsampling=jpu", "51.05")
    assert row["Differs in"] == (
        "initial weights: ImageNet, here random; crop: 480x480, here 352x480; schedule: 80 epochs, here 20000 "
        "iterations; test: sliding 480x480, stride 2/3, here whole image"
    )
    assert "entry convolution" in row["Known flaw"]
    assert row["Source"] == "github.com/wuhuikai/FastFCN README.md"


@pytest.mark.parametrize(
    ("data", "recipe", "agreement"),
    [
        ({**PCONTEXT, "name": "camvid"}, {}, "not comparable: another data set"),
        ({**PCONTEXT, "classes": ["road", "sky"]}, {}, "not comparable: other classes"),
        (PCONTEXT, {"split": "test"}, "not comparable: another split"),
    ],
)
def test_no_agreement_is_claimed_over_other_data(
    tmp_path: Path, planted_results: Plant, data: Mapping[str, Any], recipe: Mapping[str, Any], agreement: str
) -> None:
    printed = table(tmp_path, planted_results, data=data, **recipe)
    assert on(printed, "upsampling=jpu", "51.05")["Agreement"] == agreement
    assert set(printed[printed["Variant"] == "upsampling=jpu"]["Agreement"]) == {
        agreement, "not comparable: another data set"  # ADE20K's row
    }  # fmt: skip


def test_a_split_that_the_source_does_not_name_is_not_called_another_one(
    tmp_path: Path, planted_results: Plant
) -> None:
    """DANet's 50.1 on PASCAL Context: classes and scales are known from its author, the split is not."""
    danet = {
        "system": "DANet", "against": {"attention": "none"}, "settings": {"backbone": "resnet50"},
        "levels": {"attention=none": {"attention": "none"}, "attention=both": {"attention": "both"}},
    }  # fmt: skip
    scores = {"attention=none": [0.48, 0.49], "attention=both": [0.5, 0.51]}
    data = {**PCONTEXT, "classes": [f"class {index}" for index in range(60)]}
    plan = {"published": [danet], "recipe": RECIPE, "data": data}
    planted_results(tmp_path, factors={"attention": ["none", "both"]}, scores=scores, plan=plan)
    row = on(published.accuracy(evidence_of(tmp_path)).printed(), "attention=both", "50.1")
    assert row["Agreement"] == "not comparable: split not stated"


def test_a_variant_that_was_not_measured_has_the_published_side_alone(tmp_path: Path, planted_results: Plant) -> None:
    row = on(table(tmp_path, planted_results, jpu=["failed", None, 0.5]), "upsampling=jpu", "51.05")
    assert (row["Seeds"], row["Δ published"], row["95 % interval"]) == ("1", "+1.14", "—")
    assert row["Agreement"] == "not measured"


def test_a_study_without_published_numbers_has_an_empty_table(tmp_path: Path, planted_results: Plant) -> None:
    printed = published.accuracy(evidence_of(planted_results(tmp_path))).printed()
    assert printed.empty
    assert "Agreement" in printed.columns


def test_published_training_memory_stands_beside_ours_as_ratios(tmp_path: Path, planted_results: Plant) -> None:
    toolbox = {**DECLARED, "system": "mmsegmentation"}
    scores = {f"upsampling={level}, head=encnet": [0.5] for level in FACTORS["upsampling"]}
    parts = {"weight_bytes": 0, "buffer_bytes": 0, "gradient_bytes": 0, "optimiser_bytes": 0, "input_bytes": 0}
    peaks = {"dilated-8": 400, "jpu": 300}
    costs = {
        f"upsampling={level}, head=encnet": {"training_memory": {**parts, "peak_bytes": mib * 2**20, "saved_bytes": {}}}
        for level, mib in peaks.items()
    }
    planted_results(tmp_path, factors=FACTORS, scores=scores, costs=costs, plan={"published": [toolbox]})
    printed = published.memory(evidence_of(tmp_path)).printed()
    rows = printed[printed["Variant"] == "upsampling=jpu"].set_index("Published (GB)")
    assert rows.loc["8.15", "Published ratio"] == "×0.95"  # over 8.6
    assert rows.loc["15.45", "Published ratio"] == "—"  # four images a GPU: nobody published the other side
    assert set(rows["Our ratio"]) == {"×0.75"}
    assert set(rows["Ours (MiB)"]) == {"300.0"}
    assert rows.loc["9.67", "Measured there"].startswith("crop 512x512, 4 images a GPU, V100; largest of")
    assert published.memory(evidence_of(planted_results(tmp_path / "none"))).printed().empty


def test_a_planned_study_carries_what_its_report_needs(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    study = tiny_study()
    declared = """
    published=(
        Published(
            "FastFCN",
            {"neck": "off"},
            {"neck=off": {"upsampling": "dilated-8"}, "neck=on": {"upsampling": "jpu"}},
            {"head": "aspp"},
        ),
    ),
    seeds=(0, 1),"""
    text = study.read_text().replace("    seeds=(0, 1),", declared)
    study.write_text("from bench.study.published.rows import Published\n" + text)
    plan = make_schedule(load_source(Source(str(study))), tmp_path / "results", here())
    before = [trial.key for trial in plan.trials]
    write_plan(plan, "bench plan tiny.py")
    printed = published.accuracy(evidence_of(plan.folder)).printed()
    row = on(printed, "neck=on", "50.07")
    assert (row["Against"], row["Δ published"], row["Agreement"]) == (
        "baseline", "+0.88", "not comparable: another data set",
    )  # fmt: skip
    assert row["Differs in"].startswith(
        "data set: PASCAL Context, here synthetic; classes: 59, here 9; backbone: resnet50"
    )
    assert "backbone: resnet50, here resnet18 of width 8; initial weights: ImageNet, here random" in row["Differs in"]
    study.write_text(text.replace(declared, "    seeds=(0, 1),"))
    sys.modules.pop("studies.tiny")
    plain = make_schedule(load_source(Source(str(study))), tmp_path / "plain", here())
    assert [trial.key for trial in plain.trials] == before  # no published number changes a trial's identity


def test_published_speeds_stand_beside_ours_with_what_differs(tmp_path: Path) -> None:
    declared = {
        "system": "FastFCN", "against": {"neck": "off"}, "settings": {"backbone": "resnet50", "head": "encnet"},
        "levels": {"neck=off": {"upsampling": "dilated-8"}, "neck=jpu": {"upsampling": "jpu"}},
    }  # fmt: skip
    times = {side: measured([0.5] * 20, [0.75] * 20) for side in (256, 512)}
    folder = planted(tmp_path, times)
    plan = json.loads((folder / "study.json").read_text()) | {"published": [declared]}
    (folder / "study.json").write_text(json.dumps(plan))
    faster, slower = published.speeds(evidence_of(folder)).printed().to_dict("records")
    assert (faster["Published"], faster["Times as fast, published"]) == ("37.56 images/s", "×2.00")  # over 18.77
    assert (faster["Times as fast, ours"], faster["95 % interval"]) == ("×1.50", "[1.500, 1.500]")
    assert (faster["Images/s, ours"], faster["Setting, ours"]) == ("4", "512x512 batch 2")
    assert faster["Differs in"].startswith(
        "data: PASCAL Context, 59 classes, here planted, 2 classes; hardware: Titan Xp (of the training machine; not "
        "stated beside the table), here Planted CPU, 2 threads; protocol: eval, batch 1"
    )
    assert "no cuda.synchronize" in faster["Known flaw"]
    # The other side has no pair of its own; ours is timed as the other side, two images in 0.75 s.
    assert (slower["Variant"], slower["Published"], slower["Against"]) == ("baseline", "18.77 images/s", "—")
    assert (slower["Images/s, ours"], slower["Times as fast, ours"]) == ("2.67", "—")
    (folder / "study.json").write_text(json.dumps(plan | {"stages": ["speed"], "trials": plan["trials"][:1]}))
    (faster, _) = published.speeds(evidence_of(folder)).printed().to_dict("records")
    assert "input: 512x512, here 256x256" in faster["Differs in"]


def test_a_study_that_times_nothing_says_so_beside_published_speeds(tmp_path: Path, planted_results: Plant) -> None:
    table(tmp_path, planted_results)
    printed = published.speeds(evidence_of(tmp_path)).printed()
    assert set(printed["Variant"]) == {"baseline", "upsampling=jpu"}
    assert set(printed["Setting, ours"]) == {"—"}
    assert printed["Differs in"].str.endswith("not timed here").all()


def test_the_toolboxs_latencies_are_the_reciprocals_of_its_images_per_second() -> None:
    printed = rows("speed")
    printed = printed[printed["head"].eq("dual-attention") & printed["data"].eq("Cityscapes")]
    by_unit = {
        unit: published_rows.set_index(["backbone", "input"])["value"].astype(float)
        for unit, published_rows in printed.groupby("unit")
    }
    assert sorted(by_unit["ms"]) == [375.94, 502.51, 641.03, 934.58]
    assert list(1000 / by_unit["images/s"]) == pytest.approx(
        list(by_unit["ms"].loc[by_unit["images/s"].index]), abs=0.01
    )


def test_published_ious_of_classes_stand_beside_ours_by_the_classes_names(
    tmp_path: Path, planted_results: Plant
) -> None:
    declared = {
        "system": "Gated-SCNN", "against": {}, "settings": {},
        "levels": {"attention=off": {"shape": "none"}, "attention=on": {"shape": "gates-gradients-dual"}},
    }  # fmt: skip
    scores = {"attention=off": [0.6, 0.62], "attention=on": [0.65, 0.67]}
    plan = {"published": [declared]}
    folder = planted_results(tmp_path, factors={"attention": ["off", "on"]}, scores=scores, plan=plan)
    printed = published.classes(evidence_of(folder)).printed()
    assert set(printed["Class"]) == {"road", "pole", "sky"}
    row = printed[(printed["Class"] == "pole") & (printed["Variant"] == "attention=on")].iloc[0]
    assert row["Published (%)"] == "70.8"
    assert (row["Seeds"], row["Ours (%)"]) == ("2/2", "66.00 ± 1.41")
    assert "data set: Cityscapes, here synthetic" in row["Differs in"]
