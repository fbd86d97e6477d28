"""Damaged results folders: every one is refused in one sentence that says where, what is expected and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.protocol.setting import Setting
from bench.records.files import RecordError
from bench.records.record import read_all
from bench.records.results import load
from tests.planted_speed import measured_ratios, plant_speed

Plant = Callable[..., Path]
FACTORS = {"attention": ["off", "on"]}
SCORES = {"attention=off": [0.60, 0.62], "attention=on": [0.65, 0.66]}
QUALITY, COST, SPEED = "q1s0.aaaa1111.json", "c1.aaaa1111.json", "s1.aaaa1111.json"
MISSING = object()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, planted_results: Plant) -> Path:
    """Two variants with two seeds, costs and one comparison of speed. Read it only."""
    folder = planted_results(tmp_path_factory.mktemp("whole"), factors=FACTORS, scores=SCORES, boundary_px=(3,))
    comparison = {Setting(height=64, width=64): measured_ratios([2.0])}
    return plant_speed(folder, comparison, variant="attention=on", against="attention=off")


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy with one value changed in one file; a record is then one of the first format, which has no digest."""

    def change(file: str, path: str, value: Any) -> Path:
        (tmp_path / "records").mkdir()
        for each in whole.rglob("*.json"):
            (tmp_path / each.relative_to(whole)).write_bytes(each.read_bytes())
        target = tmp_path / (file if file == "study.json" else f"records/{file}")
        content = json.loads(target.read_text())
        *steps, last = (int(step) if step.isdecimal() else step for step in path.split("."))
        inner = content
        for step in steps:
            inner = inner[step]
        if value is MISSING:
            del inner[int(last) if isinstance(inner, list) else last]
        else:
            inner[int(last) if isinstance(inner, list) else last] = value
        if file != "study.json":
            content = {name: part for name, part in content.items() if name != "digest"} | {"version": 1}
        target.write_text(json.dumps(content))
        return tmp_path

    return change


def test_the_folder_that_is_damaged_here_is_whole_before(whole: Path) -> None:
    assert len(load(whole).records) == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"version": 1, "na', "Unterminated string"),
        (b"", "Expecting value"),
        (b"\0" * 9, "Expecting value"),
        (b'{"name": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, "it is nested too deep"),
        (b"9" * 5000, "Exceeds the limit"),
        (b'{"version": NaN}', "NaN is no number of JSON"),
        (b'{"version": -Infinity}', "-Infinity is no number of JSON"),
        (b'{"name": "\\ud800"}', "surrogates not allowed"),
    ],
)
@pytest.mark.parametrize("file", ["study.json", "records/q0s0.aaaa1111.json"])
def test_a_file_that_is_no_json_is_named(damaged: Callable[..., Path], file: str, content: bytes, said: str) -> None:
    folder = damaged("study.json", "name", "x")
    (folder / file).write_bytes(content)
    with pytest.raises(RecordError, match=rf"{Path(file).name} is .*{said}.*; (write it anew|delete it and run again)"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        (QUALITY, "key", "", "key: String should have at least 1 character"),
        (QUALITY, "key", 3, "key: Input should be a valid string, got 3"),
        (QUALITY, "outcome.status", "sleeping", "outcome.status: Input should be 'diverged', 'done'.*got 'sleeping'"),
        (QUALITY, "outcome.wall_s", -1, "outcome.wall_s: .*greater than or equal to 0, got -1"),
        (QUALITY, "trial.stage", "training", "trial.stage: Input should be 'quality', 'cost' or 'speed'"),
        (QUALITY, "trial.seed", None, "trial: a quality trial has a seed"),
        (QUALITY, "environment.bench", [], r"environment.bench: Input should be a valid dictionary, got \[\]"),
        (QUALITY, "measured", [], "measured: Input should be a valid dictionary"),
        (QUALITY, "measured.confusion", MISSING, "measured.confusion: Field required"),
        (QUALITY, "measured.confusion.1.2", "7", "measured.confusion.1.2: Input should be a valid integer, got '7'"),
        (QUALITY, "measured.confusion.1.2", -7, "measured.confusion.1.2: .*greater than or equal to 0, got -7"),
        (QUALITY, "measured.confusion.1.2", True, "measured.confusion.1.2: Input should be a valid integer, got True"),
        (QUALITY, "measured.confusion.1.2", 10**30, "measured.confusion.1.2: .*less than or equal to 9007199254740992"),
        (QUALITY, "measured.confusion", [[1, 2], [3, 4]], "confusion is not 3 x 3"),
        (QUALITY, "measured.confusion.2", [1, 2], "confusion is not 3 x 3"),
        (QUALITY, "measured.classes", ["a", "b"], "confusion is not 2 x 2"),
        (QUALITY, "measured.trimap.confusion.0", [[1]], "trimap is not 3 x 3"),
        (QUALITY, "measured.trimap.radius_px", [3, 9], "trimap has 1 entries where 2 belong"),
        (QUALITY, "measured.boundary.images_with_class", [1], "boundary has 1 entries where 3 belong"),
        (QUALITY, "measured.boundary_iou.label", [1], "boundary_iou has 1 entries where 3 belong"),
        (QUALITY, "measured.calibration.correct", [1], "different numbers of bins"),
        (QUALITY, "measured.images", 0, "measured.images: Input should be greater than or equal to 1, got 0"),
        (QUALITY, "measured.confusion", [[0] * 3] * 3, "confusion counts no pixel"),
        (QUALITY, "measured.confusion.0.0", 7, "calibration counts 3000000 pixels, .* right, and confusion"),
        (QUALITY, "measured.boundary.sum_over_images.f.0.1", 20.5, "sum_over_images.f counts 20.5 of 20, more than"),
        (QUALITY, "measured.boundary.sum_over_images_with_class.f.0.1", 11.0, "class.f counts 11 of 10, more than"),
        (QUALITY, "measured.boundary.images_with_class.0", 21, "images_with_class counts 21 of 20, more than"),
        (QUALITY, "measured.boundary_iou.intersection.0", 5, "boundary_iou.intersection counts 5 of 4, more than"),
        (QUALITY, "measured.boundary_iou.label.0", 10**7, "boundary_iou.label counts 1e.07 of 1e.06, more than"),
        (QUALITY, "measured.trimap.confusion.0.0.0", 10**7, "trimap counts 1e.07 of .*, more than there are"),
        (QUALITY, "measured.calibration.confidence.1", 4e6, "calibration.confidence counts 4e.06 of 3e.06, more than"),
        (QUALITY, "measured.history.iteration.9", 101, "a loss of iteration 101, after the last, 100"),
        (COST, "measured.isolation", {"reasons": ["a neighbour"]}, "isolated is true, although there are reasons"),
        (COST, "measured.isolation", {"unknown": ["no NVML"]}, "isolated is true, although it is not known"),
        (SPEED, "measured.log_ratios.0", 0.6, "log_ratios.0 is 0.6, and its times give 0.693147"),
        (SPEED, "measured.latency_s", [1.0] * 3, "3 times of one side, 2 of the other and 1 ratios"),
        (QUALITY, "measured.history.loss", [], "10 iterations and 0 losses"),
        (QUALITY, "measured.history.iteration.0", 1.5, "history.iteration.0: .*multiple of 1, got 1.5"),
        (QUALITY, "measured.artifact", "../../x.npz", "names a file outside its results folder: '../../x.npz'"),
        (COST, "measured.latency_s", [], "measured.latency_s: List should have at least 1 item"),
        (COST, "measured.latency_s.0", 0, "measured.latency_s.0: Input should be greater than 0, got 0"),
        (COST, "measured.parameters", {"head": "many"}, "measured.parameters.head: Input should be a valid number"),
        (COST, "measured.input_px", [3], "measured.input_px: List should have at least 2 items"),
        (COST, "measured.batch", 0, "measured.batch: Input should be greater than or equal to 1"),
        (SPEED, "measured.log_ratios", [], "measured.log_ratios: List should have at least 1 item"),
        (SPEED, "measured.log_ratios.0", 900.0, "measured.log_ratios.0: Input should be less than or equal to 50"),
        (SPEED, "measured.isolated", "yes", "measured.isolated: Input should be a valid boolean"),
        (SPEED, "trial.setting.batch", 0, "trial.setting: .*batch=0"),
        (SPEED, "trial.setting.colour", "red", "trial.setting: .*unexpected keyword argument 'colour'"),
    ],
)  # fmt: skip
def test_a_record_of_another_shape_is_refused_with_the_place(
    damaged: Callable[..., Path], file: str, path: str, value: Any, said: str
) -> None:
    with pytest.raises(RecordError, match=rf"{file} is not a record \(.*{said}.*\); delete it and run again") as caught:
        load(damaged(file, path, value))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("question", MISSING, "question: Field required"),
        ("name", "../", r"name: is '\.\./', expected a text that can name a folder: printable, without '/'"),
        ("name", "", "name: is '', expected a text that can name a folder"),
        ("name", "a/b", "name: is 'a/b', expected a text that can name a folder"),
        ("name", "x" * 101, "name: is 'x.*, expected a text that can name a folder"),
        ("folder", "../records", r"folder: is '\.\./records', expected the name of a folder"),
        ("stages", [], "stages: List should have at least 1 item"),
        ("factors.attention", "on", "factors.attention: Input should be a valid list"),
        ("factors", {"miou": ["off", "on"]}, "a factor is called as a column is: miou"),
        ("baseline_levels", {"attention": "maybe"}, "baseline_levels has a level of 'attention' that factors lacks"),
        ("trials.0.levels", {"attention": "maybe"}, "trials.0 has a level of 'attention' that factors lacks"),
        ("trials.0.levels", {"gate": "on"}, "trials.0 has a level of 'attention' that factors lacks"),
        ("trials.0.seed", "0", "trials.0.seed: Input should be a valid integer, got '0'"),
        ("trials.0.seed", None, "trials.0: a quality trial has a seed"),
        ("trials.1.key", "q0s0", "two trials have the key 'q0s0'"),
        ("trials.0.stage", "training", "trials.0.stage: Input should be"),
        ("stages", ["quality"], "trials.2 is of the stage cost, which stages lacks"),
        ("trials.6.against", None, "trials.6: a speed trial has another side: against"),
        ("data.classes", ["road", "road"], "data: a class is there twice"),
        ("data.classes", [], "data.classes: List should have at least 1 item"),
        ("baseline", "attention=of", "baseline is 'attention=of', of which trials has none"),
        ("baseline_levels", {"attention": "on"}, "baseline_levels are not those of baseline"),
        ("trials.1.levels", {"attention": "on"}, "trials.1 has other levels than its variant 'attention=off' before"),
        ("trials.0", MISSING, "trials lacks the quality trial of 'attention=off' with seed 0"),
        ("trials.2", MISSING, "trials lacks the cost trial of 'attention=off'"),
        ("margin", 2.0, "margin: Input should be less than 1"),
        ("against", {"attention": {"on": "of"}}, "against has a level of 'attention' that factors lacks"),
        ("against", {"attention": {"on": "off"}}, "against has the baseline's level of 'attention'"),
        ("audit", {"variants": {"attention=on": {}}}, "audit.variants.attention=on.levels: Field required"),
        ("published", [{"system": "DANet"}], "published.0.against: Field required"),
    ],
)  # fmt: skip
def test_a_plan_of_another_shape_is_refused_with_the_place(
    damaged: Callable[..., Path], path: str, value: Any, said: str
) -> None:
    with pytest.raises(RecordError, match=rf"study\.json is no plan of format 2 \({said}.*; write it anew with"):
        load(damaged("study.json", path, value))


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        (QUALITY, "trial.variant", "attention=off", "with variant 'attention=on', but says 'attention=off'"),
        (QUALITY, "trial.seed", 7, "with seed 0, but says 7"),
        (QUALITY, "measured.classes", ["sky", "pole", "road"], "was measured on other classes than the plan's"),
    ],
)
def test_a_record_that_is_not_of_the_trial_of_its_key_is_refused(
    damaged: Callable[..., Path], file: str, path: str, value: Any, said: str
) -> None:
    with pytest.raises(RecordError, match=rf"{file} .*{said}.*; delete it and run again"):
        load(damaged(file, path, value))


@pytest.mark.parametrize("name", ["boundary", "boundary_iou", "trimap", "distance_crop", "calibration"])
@pytest.mark.parametrize("value", [None, MISSING])
def test_what_a_recipe_may_leave_out_is_nan(damaged: Callable[..., Path], name: str, value: Any) -> None:
    frame = load(damaged(QUALITY, f"measured.{name}", value)).frame().set_index("key")
    columns = {
        "boundary": "boundary_f_3px", "boundary_iou": "boundary_iou", "trimap": "trimap_miou_3px",
        "distance_crop": "crop_miou_200px", "calibration": "ece",
    }  # fmt: skip
    assert frame[columns[name]].isna().to_dict()["q1s0"]
    assert frame[columns[name]].notna().to_dict()["q1s1"]
    assert frame["miou"].notna().to_dict()["q1s0"]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path, planted_results: Plant) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RecordError, match=r"file has no study\.json: it is no folder"):
        load(file)
    with pytest.raises(RecordError, match="file is no folder, so no record can be in it"):
        read_all(file)


def test_an_endless_link_is_an_error_of_the_system_with_its_path(damaged: Callable[..., Path]) -> None:
    folder = damaged("study.json", "name", "x")
    os.symlink("loop.json", folder / "records" / "loop.json")
    with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
        load(folder)
    assert str(caught.value.filename).endswith("loop.json")


def test_a_number_that_is_edited_is_seen_whatever_it_is(damaged: Callable[..., Path]) -> None:
    path = damaged("study.json", "name", "x") / "records" / QUALITY
    text = path.read_text()
    for old, new in (('"train_s": 12.5', '"train_s": 12.4'), ('"threads": 1', '"threads": 2'), ("12.5", "12.50000001")):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(RecordError, match=rf"{QUALITY} was edited after it was written: .*; restore it, or"):
            load(path.parents[1])


def test_a_record_that_lost_its_digest_is_no_older_record(damaged: Callable[..., Path]) -> None:
    path = damaged("study.json", "name", "x") / "records" / QUALITY
    record = json.loads(path.read_text())
    del record["digest"]
    path.write_text(json.dumps(record))
    with pytest.raises(RecordError, match=rf"{QUALITY} was edited after it was written"):
        load(path.parents[1])


def test_spaces_and_line_breaks_of_a_record_are_no_part_of_its_content(damaged: Callable[..., Path]) -> None:
    folder = damaged("study.json", "name", "x")
    before = load(folder).frame()
    path = folder / "records" / QUALITY
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(folder).frame().equals(before)
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert load(folder).frame().equals(before)


@pytest.mark.parametrize("file", ["study.json", f"records/{QUALITY}"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [("folder", "it is a folder"), ("pipe", "it is a pipe or a device"), ("device", "it is a pipe or a device"),
     ("huge file", "it has 200,000,000,000 bytes, and no file of results has more than")],
)  # fmt: skip
def test_what_is_no_file_to_read_is_named_at_once(
    damaged: Callable[..., Path], file: str, kind: str, said: str
) -> None:
    folder = damaged("study.json", "name", "x")
    path = folder / file
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 200 * 10**9)
    with pytest.raises(RecordError, match=rf"{path.name} is .*{said}"):
        load(folder)
