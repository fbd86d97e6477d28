"""Records: what is read, what is derived, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.synthetic import Synthetic
from bench.parts import part
from bench.protocol.columns import COLUMNS, ColumnError, column
from bench.protocol.recipe import Recipe
from bench.records.files import RecordError, json_text, write_arrays, write_json
from bench.records.record import Record, read, read_all, write
from bench.records.results import load

Plant = Callable[..., Path]
BASE = "attention=off, upsampling=dilated"


MEASURED = {
    "classes": ["road"], "split": "val", "images": 1, "iterations": 1, "confusion": [[9]], "train_s": 0.5,
    "history": {"iteration": [1], "loss": [0.7]},
}  # fmt: skip


def some_record(status: str = "done", host: str = "aaaa1111") -> Record:
    trial, measured = {"variant": "v", "seed": 0, "stage": "quality"}, MEASURED if status == "done" else {}
    return Record(
        key="k1", trial=trial, choices={}, environment={"host": host}, outcome={"status": status}, measured=measured
    )


def test_the_frame_has_one_row_a_planned_trial_and_exactly_the_known_columns(
    tmp_path: Path, planted_results: Plant
) -> None:
    frame = load(planted_results(tmp_path)).frame()
    assert len(frame) == 4 * (3 + 1)
    assert list(frame.columns[-len(COLUMNS) :]) == list(COLUMNS)
    assert set(frame["status"]) == {"done"}
    first = frame.iloc[0]
    assert first["miou"] == pytest.approx(0.6, abs=1e-6)
    # IoU q = h / (2n − h), so accuracy h / n = 2q / (1 + q).
    assert first["pixel_accuracy"] == pytest.approx(1.2 / 1.6, abs=1e-6)
    cost = frame[frame["stage"] == "cost"].iloc[1]
    assert cost["parameters"] == 4_000_000, "the auxiliary head is not deployed"
    assert cost["macs"] == 2 * 10**9
    assert cost["latency_s"] == 0.025


def test_boundary_and_calibration_columns_are_derived_from_the_json_alone(
    tmp_path: Path, planted_results: Plant
) -> None:
    first = load(planted_results(tmp_path, boundary_px=(3, 5))).frame().iloc[0]
    assert first["boundary_f_3px"] == first["boundary_f_5px"] == pytest.approx(18 / 20)
    assert first["boundary_f_present_3px"] == pytest.approx(8 / 10)
    assert first["boundary_iou"] == pytest.approx(3 / (4 + 5 - 3))
    assert first["trimap_miou_3px"] == pytest.approx(5 / 15)
    assert first["ece"] == pytest.approx(0.1)
    assert math.isnan(first["boundary_f_9px"])
    assert math.isnan(first["trimap_miou_9px"])


def test_a_record_without_boundary_measurements_has_nan_there(tmp_path: Path, planted_results: Plant) -> None:
    frame = load(planted_results(tmp_path)).frame()
    assert frame[["boundary_f_3px", "boundary_iou", "trimap_miou_3px", "ece"]].isna().all(axis=None)
    assert frame["miou_absent_zero"].notna().any()


def test_other_tolerances_and_crops_than_the_usual_ones_have_columns_of_their_own(
    tmp_path: Path, planted_results: Plant
) -> None:
    results = load(planted_results(tmp_path, boundary_px=(1, 3)))
    assert list(results.frame().columns[-4:]) == [
        "activation_bytes", "boundary_f_1px", "boundary_f_present_1px", "crop_miou_200px",
    ]  # fmt: skip
    assert results.frame()["boundary_f_1px"].iloc[0] == pytest.approx(0.9)
    assert results.columns["crop_miou_200px"].title == "mIoU, 200 px cut off (%) ↑"


def test_memory_of_training_is_derived_where_it_was_measured_and_nan_elsewhere(
    tmp_path: Path, planted_results: Plant
) -> None:
    memory = {
        "peak_bytes": 900, "weight_bytes": 100, "buffer_bytes": 20, "gradient_bytes": 90, "optimiser_bytes": 80,
        "input_bytes": 10, "saved_bytes": {"backbone": 300, "outside": 200},
    }  # fmt: skip
    costs = {"attention=on, upsampling=dilated": {"training_memory": memory}, BASE: {"training_memory": None}}
    frame = load(planted_results(tmp_path, costs=costs)).frame()
    cost = frame[frame["stage"] == "cost"].set_index("variant")
    names = ["train_peak_bytes", "train_state_bytes", "train_rest_bytes", "activation_bytes"]
    assert cost.loc["attention=on, upsampling=dilated", names].tolist() == [900, 290, 600, 500]
    assert cost.loc[BASE, names].isna().all()
    assert cost.loc["attention=off, upsampling=jpu", names].isna().all(), "a record without the key"


def test_a_trial_without_a_record_is_missing_not_absent(tmp_path: Path, planted_results: Plant) -> None:
    scores = {BASE: [0.6, None], "attention=on, upsampling=dilated": ["out_of_memory", None]}
    folder = planted_results(tmp_path, factors={"attention": ["off", "on"], "upsampling": ["dilated"]}, scores=scores)
    quality = load(folder).frame().query("stage == 'quality'")
    assert list(quality["status"]) == ["done", "missing", "out_of_memory", "missing"]
    assert list(quality["miou"].isna()) == [False, True, True, True]
    assert quality["reason"].iloc[2] == "planted reason"


def test_scores_are_of_what_was_measured_by_variant_and_seed(tmp_path: Path, planted_results: Plant) -> None:
    on, off = "attention=on", "attention=off"
    results = load(
        planted_results(tmp_path, factors={"attention": ["off", "on"]}, scores={off: [0.5, None], on: ["failed", 0.75]})
    )
    miou = results.scores("miou")
    assert {variant: list(own) for variant, own in miou.items()} == {off: [0], on: [1]}
    assert [miou[off][0], miou[on][1]] == pytest.approx([0.5, 0.75], abs=1e-3)
    assert results.scores("boundary_iou") == results.scores("latency_s") == {}


def test_zero_records_give_frames_of_the_right_columns(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(
        tmp_path, factors={"attention": ["off"]}, scores={"attention=off": [None]}, stages=["quality"]
    )
    results = load(folder)
    assert list(results.frame()["status"]) == ["missing"]
    assert list(results.class_iou().columns) == ["variant", "seed", "class", "iou"]
    assert list(results.curves().columns) == ["variant", "seed", "iteration", "loss"]
    assert results.class_iou().empty
    assert results.curves().empty


def test_a_level_called_none_stays_text(tmp_path: Path, planted_results: Plant) -> None:
    factors, scores = {"neck": ["none", "jpu"]}, {"neck=none": [0.5], "neck=jpu": [0.6]}
    frame = load(planted_results(tmp_path, factors=factors, scores=scores, stages=["quality"])).frame()
    assert list(frame["neck"]) == ["none", "jpu"]
    assert frame.groupby("neck", dropna=False)["miou"].count().to_dict() == {"none": 1, "jpu": 1}


def test_a_record_that_no_planned_cell_has_is_stale(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    write(read(folder / "records" / "q0s0.aaaa1111.json").having(key="gone"), folder / "records")
    results = load(folder)
    assert [record.key for record in results.stale] == ["gone"]
    assert len(results.records) == 16


def test_two_finished_records_of_one_trial_are_refused(tmp_path: Path) -> None:
    write(some_record(), tmp_path)
    write(some_record(host="bbbb2222"), tmp_path)
    with pytest.raises(RecordError, match=r"k1\.aaaa1111\.json and k1\.bbbb2222\.json; keep one"):
        read_all(tmp_path)


@pytest.mark.parametrize("hosts", [("aaaa1111", "bbbb2222"), ("bbbb2222", "aaaa1111")])
def test_an_unfinished_record_gives_way_to_a_finished_one_in_either_order(
    tmp_path: Path, hosts: tuple[str, str]
) -> None:
    write(some_record("failed", hosts[0]), tmp_path)
    write(some_record("done", hosts[1]), tmp_path)
    assert [record.status for record in read_all(tmp_path)] == ["done"]


@pytest.mark.parametrize(
    "content", ["{", "[1]", '"text"', "{}", '{"version": 1}', '{"version": 1, "what": 2}', "\udcff"]
)
def test_a_damaged_record_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecordError, match=r"bad\.json is not a record .*delete it and run again"):
        read(path)


def test_a_record_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text('{"version": 99}')
    with pytest.raises(RecordError, match="has record format 99, this bench reads up to 2"):
        read(tmp_path / "new.json")


def test_a_folder_without_a_plan_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no study\.json; make one with: bench run"):
        load(tmp_path)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RecordError, match=r"study\.json is damaged"):
        load(tmp_path)


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(ColumnError, match=r"no column 'mio' \(did you mean 'miou'\?\)"):
        column("mio")


@pytest.mark.parametrize("name", ["boundary_f_0px", "boundary_g_3px", "trimap_miou_px", "boundary_f_03px"])
def test_a_name_that_only_looks_like_one_of_a_family_is_unknown(name: str) -> None:
    with pytest.raises(ColumnError, match="no column"):
        column(name)


def test_the_usual_columns_are_those_of_the_default_recipe() -> None:
    recipe = Recipe(data=part(Synthetic), crop_px=(16, 16), iterations=1, batch=2)
    families = {"boundary_f": recipe.boundary_px, "boundary_f_present": recipe.boundary_px} | {
        "trimap_miou": recipe.trimap_px
    }
    names = {f"{family}_{pixels}px" for family, sizes in families.items() for pixels in sizes}
    assert {name for name in COLUMNS if name.endswith("px")} == names
    assert all(column(name) == COLUMNS[name] for name in names)


def test_arrays_survive_writing_and_leave_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "artifacts" / "k1.npz"
    write_arrays({"images": np.array(["a", "b"]), "counts": np.arange(6).reshape(2, 3)}, path)
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["images"].tolist() == ["a", "b"]
        assert arrays["counts"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert list(path.parent.iterdir()) == [path]


def test_arrays_that_would_need_pickle_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        write_arrays({"objects": np.array([object()])}, tmp_path / "k1.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    record = some_record()
    path = write(record, tmp_path)
    assert path.name == "k1.aaaa1111.json"
    assert read(path) == record
    assert [each.name for each in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_a_record_with_nan_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write(some_record().having(measured={"train_s": float("nan")}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_written_record_is_plain_json(tmp_path: Path) -> None:
    assert json.loads(write(some_record(), tmp_path).read_text())["outcome"] == {"status": "done"}


def test_json_has_a_row_of_numbers_on_a_line_and_leaves_text_alone() -> None:
    data = {"confusion": [[1, 2], [3, -4.5e-7]], "names": ["[\n1,\n2]", "b"], "none": [], "of": [{"x": [None, True]}]}
    text = json_text(data)
    assert json.loads(text) == data
    assert '"confusion": [\n  [1, 2],\n  [3, -4.5e-07]\n ],' in text
    assert '   "x": [null, true]\n' in text


@pytest.mark.parametrize("change", [{"outcome": {}}, {"trial": {"stage": "cost"}}, {"trial": None}, {"surplus": 1}])
def test_a_file_that_lacks_what_every_record_has_is_named(
    planted_results: Callable[..., Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    path = next((planted_results(tmp_path) / "records").glob("*.json"))
    write_json({**json.loads(path.read_text()), **change}, path)
    with pytest.raises(RecordError, match=rf"{path.name} is not a record"):
        load(tmp_path)


def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(
    planted_results: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted_results(tmp_path)

    def forbidden(path: str | Path = ".") -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(f"os.{name}", forbidden)
    with pytest.raises(PermissionError, match="records"):
        load(folder)


def test_the_folders_of_results_in_a_folder_are_named(planted_results: Callable[..., Path], tmp_path: Path) -> None:
    for name in "abcdefg":
        planted_results(tmp_path / name)
    with pytest.raises(RecordError, match=r"has no study.json; folders in it have one: a, b, c, d, e and 2 more$"):
        load(tmp_path)


def test_a_plan_of_a_newer_bench_is_not_to_be_written_over(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    (planted_results(tmp_path) / "study.json").write_text('{"version": 3}')
    with pytest.raises(RecordError, match=r"has format 3, this bench reads up to 2; use the bench that wrote it$"):
        load(tmp_path)


@pytest.mark.parametrize("plan", [[], {"version": "one"}, {"version": 1, "name": "x"}])
def test_a_plan_of_another_format_is_named(planted_results: Callable[..., Path], tmp_path: Path, plan: Any) -> None:
    (planted_results(tmp_path) / "study.json").write_text(json.dumps(plan))
    with pytest.raises(RecordError, match=r"study.json is no plan of format 2"):
        load(tmp_path)


def test_a_plan_of_version_1_is_read_as_the_same_plan(planted_results: Callable[..., Path], tmp_path: Path) -> None:
    path = planted_results(tmp_path) / "study.json"
    plan, document = load(tmp_path).plan, json.loads(path.read_text())
    document["cells"] = document.pop("trials")
    path.write_text(json.dumps({**document, "version": 1}))
    assert load(tmp_path).plan == plan
    assert "cells" not in load(tmp_path).plan.as_json()


def test_a_noisy_timing_is_kept_and_marked(tmp_path: Path, planted_results: Plant) -> None:
    samples = [0.020, 0.021, 0.0233, 0.024, 0.025]
    frame = load(planted_results(tmp_path, costs={BASE: {"latency_s": samples}})).frame().query("stage == 'cost'")
    assert frame["latency_s"].iloc[0] == 0.0233
    assert frame["reason"].iloc[0] == "noisy: the latency's quartiles are 13% of its median apart"


def test_a_timing_that_was_not_alone_is_left_out_with_the_reason(tmp_path: Path, planted_results: Plant) -> None:
    crowded = {"isolated": False, "isolation": {"reasons": ["other processes used 0.90 CPUs"]}}
    frame = load(planted_results(tmp_path, costs={BASE: crowded})).frame().query("stage == 'cost'")
    assert list(frame["latency_s"].isna()) == [True, False, False, False]
    assert frame["reason"].iloc[0] == "other processes used 0.90 CPUs"
    assert frame["macs"].notna().all()
    assert list(frame["status"]) == ["done"] * 4


def test_results_do_not_depend_on_the_names_of_record_files(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    before = load(folder)
    for number, path in enumerate(sorted((folder / "records").iterdir(), reverse=True)):
        path.rename(path.with_name(f"{number:04}-{path.name}"))
    after = load(folder)
    assert [record.key for record in after.records] == [record.key for record in before.records]
    pd.testing.assert_frame_equal(after.class_iou(), before.class_iou(), check_exact=True)


def test_a_hidden_file_beside_a_record_is_none(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    before = [record.key for record in load(folder).records]
    (folder / "records" / f"._{before[0]}.json").write_bytes(b"\0\5\x16\7")  # as macOS leaves it on foreign disks
    assert [record.key for record in load(folder).records] == before
