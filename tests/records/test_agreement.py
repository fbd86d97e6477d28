"""Records that contradict their plan or each other: each is refused in one line that names its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.records.files import RecordError, write_json
from bench.records.record import read, write
from bench.records.results import load

Plant = Callable[..., Path]
FACTORS = {"attention": ["off", "on"]}
SCORES = {"attention=off": [0.60, 0.62], "attention=on": [0.65, 0.66]}


@pytest.fixture
def folder(tmp_path: Path, planted_results: Plant) -> Path:
    """Two variants with two seeds and costs, and a plan that says what the networks are."""
    head = {"class": "study.Head", "choices": {"width": 8, "norm": {"class": "Norm", "choices": {"eps": 0.1}}}}
    facts: dict[str, Any] = {"losses": [], "learning_rates": {}, "conventions": {}, "recipe": {"iterations": 100}}
    networks = {
        f"attention={level}": {
            **facts,
            "levels": {"attention": level},
            "slots": {"head": {**head, "parameters": count}},
        }
        for level, count in (("off", 1_000_000), ("on", 2_000_000))
    }
    audit = {"variants": networks}
    return planted_results(tmp_path, factors=FACTORS, scores=SCORES, boundary_px=(3,), plan={"audit": audit})


def change(folder: Path, name: str, **parts: Any) -> None:
    """Change a record's parts, and give it the digest of what it says now."""
    record = read(folder / "records" / name)
    old = record.as_json()
    write(record.having(**{part: {**old[part], **values} for part, values in parts.items()}), folder / "records")


def test_the_folder_agrees_before_it_is_changed(folder: Path) -> None:
    assert len(load(folder).records) == 6


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("q1s0", {"trial": {"levels": {"attention": "off"}}}, "with levels .*'on'.*, but says .*'off'."),
        ("q1s0", {"trial": {"seed": 1}}, "with seed 0, but says 1"),
        ("c1", {"measured": {"parameters": {"head": 3}}}, "counts 3 parameters in head, and the plan 2,000,000"),
    ],
)
def test_a_record_of_another_trial_is_named(folder: Path, name: str, parts: dict[str, Any], said: str) -> None:
    change(folder, f"{name}.aaaa1111.json", **parts)
    with pytest.raises(RecordError, match=rf"^{name}\.aaaa1111\.json .*{said}; delete it and run again$"):
        load(folder)


def test_a_record_of_a_variant_that_was_renamed_has_the_name_that_the_plan_has_now(folder: Path) -> None:
    change(folder, "q1s0.aaaa1111.json", trial={"variant": "attention=yes", "levels": {"attention": "yes"}})
    trials = [record.trial for record in load(folder).records if record.planned_key == "q1s0"]
    assert [(trial.variant, trial.levels) for trial in trials] == [("attention=on", {"attention": "on"})]


@pytest.mark.parametrize("place", ["trial", "choices"])
def test_records_of_levels_that_swapped_their_names_have_the_names_that_the_plan_has_now(
    place: str, folder: Path
) -> None:
    swapped = {"q0s0": "on", "q0s1": "on", "c0": "on", "q1s0": "off", "q1s1": "off", "c1": "off"}
    for key, level in swapped.items():
        parts: dict[str, dict[str, Any]] = {"trial": {"variant": f"attention={level}", "levels": None}, "choices": {}}
        parts[place]["levels"] = {"attention": level}
        change(folder, f"{key}.aaaa1111.json", **parts)
    frame = load(folder).frame().query("stage == 'quality'")
    scores = {variant: sorted(rows["miou"].round(2)) for variant, rows in frame.groupby("variant")}
    assert scores == {name: sorted(values) for name, values in SCORES.items()}, "a key says what was trained"


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"variant": {"head": {"class": "moved.Head", "choices": {"width": 16}}}}, "head.width 16, not 8"),
        (
            {"variant": {"head": {"class": "study.Head", "choices": {"norm": {"choices": {"eps": 0.2}}}}}},
            "0.2, not 0.1",
        ),
        ({"variant": {"head": None}}, "head None, not"),
        ({"recipe": {"iterations": 200}}, "recipe.iterations 200, not 100"),
    ],
)
def test_a_record_without_a_digest_must_have_the_choices_of_the_plan(
    folder: Path, choices: dict[str, Any], said: str
) -> None:
    path = folder / "records" / "q1s0.aaaa1111.json"
    record = json.loads(path.read_text())
    del record["digest"]
    write_json({**record, "version": 1}, path)
    assert len(load(folder).records) == 6
    write_json({**record, "version": 1, "choices": choices}, path)
    with pytest.raises(RecordError, match=rf"^{path.name} has other choices than the plan: .*{said}"):
        load(folder)


def test_labels_of_the_same_images_are_the_same_for_every_record(folder: Path) -> None:
    path = folder / "records" / "q1s1.aaaa1111.json"
    matrix = read(path).measured.as_json()["confusion"]
    transposed = [list(column) for column in zip(*matrix, strict=True)]
    parts = dict.fromkeys(("calibration", "boundary_iou", "trimap", "distance_crop"))
    change(folder, path.name, measured={"confusion": transposed, **parts})
    assert len(load(folder).records) == 6, "all classes have as many pixels here"
    matrix[0][0] -= 7
    change(folder, path.name, measured={"confusion": matrix, **parts})
    with pytest.raises(RecordError, match=r"q1s1\.\S+ counts 999,993 labelled pixels of road, and \S+ 1,000,000 of"):
        load(folder)


def test_two_records_never_share_the_arrays_of_a_trial(folder: Path) -> None:
    for name in ("q1s0", "q1s1"):
        change(folder, f"{name}.aaaa1111.json", measured={"artifact": "artifacts/q1s0.aaaa1111.npz"})
    with pytest.raises(RecordError, match=r"^q1s1\.aaaa1111\.json has the measurements of another trial, artif"):
        load(folder)
