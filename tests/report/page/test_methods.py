"""The methods paragraph: every sentence from the records, and none without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import evidence_of
from bench.records.record import read, write
from bench.report.page import methods, summary
from bench.report.tables import catalogue

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)
RECIPE = {
    "crop_px": [64, 96], "batch": 8, "iterations": 150, "learning_rate": 0.1, "momentum": 0.9, "poly_power": 0.9,
    "clip_norm": None, "precision": "float32", "reported": "last iteration",
}  # fmt: skip


def test_the_paragraph_says_what_was_planned_and_what_came_of_it(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, 0.61, 0.62], B: ["failed", None, 0.61], C: [0.65, 0.67, 0.66]}
    plan = {"recipe": RECIPE, "design": "factorial", "margin": 0.005}
    text = methods.methods(evidence_of(planted_results(tmp_path, scores=scores, plan=plan, excluded={D: "too slow"})))
    for sentence in (
        "Data set: synthetic, 3 classes, fingerprint 0123456789ab.",
        "Quality was measured on the 20 images of its val split.",
        "Scores are those of the last iteration.",
        "Training: 8 images a batch, 150 iterations, learning rate 0.1, SGD with momentum 0.9, a polynomial schedule "
        "of power 0.9, precision float32.",
        "Augmentation: random crops of 64 × 96 pixels.",
        "Design: factorial design over attention (off, on); upsampling (dilated, jpu), 3 variants, baseline "
        "attention=off, upsampling=dilated.",
        "Seeds: 0, 1, 2.",
        "Of 9 planned quality trials: 7 done, 1 failed, 1 missing.",
        "Of 3 planned cost trials: 3 done.",
        "attention=on, upsampling=jpu was left out: too slow.",
        "Cost of 3 networks was measured on an input of 64 × 96 pixels at batch 1.",
        "Latency is the median of 3 forwards",
        "Of 3 timings, 3 had the machine alone",
        "Peak memory: cpu resident set.",
        "Source of the harness: commit c0ffee0c0ffe (with uncommitted changes). Source of the study: no repository.",
        "Of 11 records, 11 come from a tree with uncommitted changes, which its commit does not reproduce: "
        "q0s0.aaaa1111.json, q0s1.aaaa1111.json, q0s2.aaaa1111.json, c0.aaaa1111.json, q1s0.aaaa1111.json and 6 more.",
        "Holm's correction over 1 comparison.",
        "a margin of ±0.50 points",
        "Software: python 3.11.2, torch 2.13.0, numpy 2.4.6.",
    ):
        assert sentence in text
    assert "gradients clipped" not in text
    assert "Speed-ups" not in text


def test_effects_that_are_no_variants_are_explained_where_there_are_some(
    tmp_path: Path, planted_results: Plant
) -> None:
    text = methods.methods(evidence_of(planted_results(tmp_path / "factorial")))
    assert "Besides variants against the baseline: main effects, interactions, each a weighted sum of variants'" in text
    levels = {"attention": ["off", "frozen", "on"]}
    scores = {"attention=off": [0.5, 0.52], "attention=frozen": [0.52, 0.53], "attention=on": [0.6, 0.61]}
    plan = {"against": {"attention": {"on": "frozen"}}}
    text = methods.methods(evidence_of(planted_results(tmp_path / "one", factors=levels, scores=scores, plan=plan)))
    assert "Besides variants against the baseline: levels against levels, each" in text
    text = methods.methods(evidence_of(planted_results(tmp_path / "focus", plan={"focus": "upsampling"})))
    assert "baseline: a factor at single settings of the others, main effects, interactions, each" in text


def test_hours_are_summed_by_stage_and_device(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, environment={"threads": 2})
    for seed, wall_s in ((0, 3600.0), (1, 1800.0)):
        record = read(folder / "records" / f"q0s{seed}.aaaa1111.json")
        other = {**record.environment.as_json(), "device": "Other GPU"}
        write(
            record.having(environment=other, outcome={**record.outcome.as_json(), "wall_s": wall_s}), folder / "records"
        )
    text = methods.methods(evidence_of(folder))
    assert "2 quality trials ran on Other GPU (1 thread): 1.50 hours of device time, as the sum of" in text
    assert "10 quality trials ran on Planted CPU (1 thread): 15.0 seconds of device time, as the sum of" in text
    assert "4 cost trials ran on Planted CPU (2 threads): 6.0 seconds of device time." in text


def test_trainings_by_several_processes_are_told_and_count_the_hours_of_all_their_gpus(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    plan = json.loads((folder / "study.json").read_text())
    next(trial for trial in plan["trials"] if trial["key"] == "q0s0")["processes"] = 4
    (folder / "study.json").write_text(json.dumps(plan))
    record = read(folder / "records" / "q0s0.aaaa1111.json")
    gpu = {**record.environment.as_json(), "device": "Planted GPU", "cuda": "13.0"}
    measured = {**record.measured.as_json(), "processes": 4}
    outcome = {**record.outcome.as_json(), "wall_s": 900.0}
    write(record.having(environment=gpu, measured=measured, outcome=outcome), folder / "records")
    text = methods.methods(evidence_of(folder))
    assert "The networks of 1 quality trial were trained by 4 processes together each." in text
    assert "1 quality trial ran on Planted GPU (1 thread): 1.00 hours of device time" in text


def test_a_trial_whose_time_is_not_recorded_is_counted_beside_the_hours(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    record = read(folder / "records" / "c0.aaaa1111.json")
    write(record.having(outcome={"status": record.status, "wall_s": None}), folder / "records")
    text = methods.methods(evidence_of(folder))
    assert "4.5 seconds of device time, besides 1 trial whose time is not recorded." in text


def test_a_variant_of_earlier_runs_that_is_gone_from_the_study_is_told(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    plan = json.loads((folder / "study.json").read_text())
    for trial in plan["trials"]:
        trial["kept"] = trial["variant"] == D or trial["seed"] == 2
    (folder / "study.json").write_text(json.dumps(plan))
    evidence = evidence_of(folder)
    sentence = (
        "The report keeps 1 variant of earlier runs that the study does not have any more and that its command does "
        "not measure again: attention=on + upsampling=jpu."
    )
    assert sentence in methods.methods(evidence)
    assert [note.text for note in summary.notes(evidence)].count(sentence) == 1


def test_what_a_recipe_does_is_in_words_and_what_it_leaves_unused_is_not(
    tmp_path: Path, planted_results: Plant
) -> None:
    steps = {"schedule": "step", "step_at": [0.5, 0.9], "step_factor": 0.1, "poly_power": 0.9}
    recipe = {**steps, "momentum": 0.9, "optimiser": {"class": "torch.optim.AdamW", "choices": {"eps": 1e-8}}}
    recipe |= {"warmup_iterations": 0, "warmup_start": 1e-6, "ema_decay": 0.0, "frozen": "norms", "accumulate": 1}
    recipe |= {"window_px": [64, 96], "window_stride_px": [32, 48], "test_flip": True, "averaged": "logits"}
    text = methods.methods(evidence_of(planted_results(tmp_path, plan={"recipe": recipe})))
    assert (
        "Training: optimiser AdamW(eps=1e-08), steps at the shares 0.5 and 0.9 of the schedule, a factor of 0.1 at "
        "each step, frozen in the backbone: norms. Testing: windows of 64 × 96 pixels, 32 × 48 pixels from one to the "
        "next, with mirrored images too, scores averaged as logits." in text
    )


def test_a_variant_that_was_trained_otherwise_is_named(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, plan={"recipe": RECIPE})
    record = read(folder / "records" / "q2s0.aaaa1111.json")
    write(record.having(choices={"recipe": {**RECIPE, "batch": 4}}), folder / "records")
    assert "Other than that, attention=on had 4 images a batch." in methods.methods(evidence_of(folder))


def described(name: str, **choices: Any) -> dict[str, Any]:
    return {"class": f"mine.{name}", "choices": choices}


def network(levels: dict[str, str], head: dict[str, Any], **slots: dict[str, Any]) -> dict[str, Any]:
    """A network as the plan's audit keeps it."""
    backbone = described("Net", depth=18, weights="net.pth", weights_sha256="ab" * 32)
    return {
        "levels": levels,
        "slots": {"backbone": {**backbone, "parameters": 1_234_567}, "head": head, **slots},
        "losses": [described("CrossEntropy", weight=1.0), described("Boundary", weight=0.5)],
        "learning_rates": {"backbone": 0.1},
        "recipe": {"flip": 0.5},
        "conventions": {"align_corners": False, "logits_align_corners": None},
    }


def test_networks_losses_initial_weights_and_augmentation_are_named(tmp_path: Path, planted_results: Plant) -> None:
    plain, attention = described("Fcn", width=8), described("Attention", width=8, mode="both")
    audit = {
        "about": {"attention": ["head"], "upsampling": ["neck"]},
        "variants": {
            A: network({"attention": "off", "upsampling": "dilated"}, plain),
            B: network({"attention": "off", "upsampling": "jpu"}, plain, neck=described("Jpu", width=4)),
            C: network({"attention": "on", "upsampling": "dilated"}, attention),
            D: network({"attention": "on", "upsampling": "jpu"}, attention, neck=described("Jpu", width=4)),
        },
    }
    recipe = {**RECIPE, "scale": [0.5, 2.0], "flip": 0.5}
    costs = {variant: {"parameters": {"backbone": 1_234_567}} for variant in (A, B, C, D)}
    folder = planted_results(tmp_path, plan={"audit": audit, "recipe": recipe}, costs=costs)
    text = methods.methods(evidence_of(folder))
    digest = "ab" * 32
    for sentence in (
        f"Network of the baseline: backbone Net(depth=18, weights=net.pth, weights_sha256={digest}) with 1,234,567 "
        "parameters; head Fcn(width=8).",
        "Losses: CrossEntropy(weight=1.0) + Boundary(weight=0.5).",
        "Maps are resized with align_corners=False.",
        "attention=on changes head: Fcn(width=8) → Attention(width=8, mode=both).",
        "upsampling=jpu changes neck: none → Jpu(width=4).",
        f"Initial weights: the backbone Net starts from net.pth (SHA-256 {digest}); all other weights are drawn anew",
        "Augmentation: random scales between 0.5 and 2.0, random crops of 64 × 96 pixels, horizontal flips with "
        "probability 0.5.",
    ):
        assert sentence in text


@pytest.mark.parametrize(("slot", "is_told"), [("head", True), ("whole", False)])
def test_the_rate_of_heads_is_told_where_networks_have_one(
    slot: str, is_told: bool, tmp_path: Path, planted_results: Plant
) -> None:
    facts = network({"attention": "off", "upsampling": "dilated"}, described("Fcn"))
    variants = {variant: {**facts, "slots": {slot: described("Net")}} for variant in (A, B)}
    plan = {"audit": {"variants": variants}, "recipe": {**RECIPE, "head_lr_factor": 10.0}}
    text = methods.methods(evidence_of(planted_results(tmp_path, plan=plan)))
    assert ("10.0 times that for the parts beside the backbone" in text) == is_told


def test_a_plan_without_networks_has_those_of_the_records(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, plan={"recipe": {**RECIPE, "scale": [1.0, 1.0], "flip": 0.0}})
    for file, head in (("q0s0", described("Fcn")), ("q2s0", described("Attention", width=8))):
        record = read(folder / "records" / f"{file}.aaaa1111.json")
        choices = {"variant": {"head": head, "losses": [described("CrossEntropy", weight=2.0)], "align_corners": True}}
        write(record.having(choices=choices), folder / "records")
    text = methods.methods(evidence_of(folder))
    assert (
        "Network of the baseline: head Fcn(). Losses: CrossEntropy(weight=2.0). Maps are resized with align_c" in text
    )
    assert "attention=on changes head: Fcn() → Attention(width=8)." in text
    assert "Initial weights are drawn anew with the seed of each trial, in each slot from a random stream" in text
    assert "Augmentation: random crops of 64 × 96 pixels; no scaling and no flips." in text


def test_every_choice_of_the_augmentation_is_told(tmp_path: Path, planted_results: Plant) -> None:
    recipe = {
        **RECIPE, "scale": [0.5, 2.0], "flip": 0.5, "short_side_px": 520, "long_side_px": None, "rotation_deg": 10.0,
        "largest_class_share": 0.75, "colour_jitter": 0.25, "hue_jitter": 0.1, "photometric_distortion": False,
        "blur": 0.5, "blur_sigma_px": [0.15, 1.3],
    }  # fmt: skip
    text = methods.methods(evidence_of(planted_results(tmp_path, plan={"recipe": recipe})))
    assert (
        "Augmentation: images resized to a short side of 520 pixels, random scales between 0.5 and 2.0, random "
        "rotations by up to 10.0° either way, random crops of 64 × 96 pixels, another crop, up to ten times, where a "
        "class has 0.75 of the labelled pixels or more, horizontal flips with probability 0.5, brightness, contrast "
        "and saturation changed by up to 0.25 of themselves, the hue turned by up to 0.1 of the colour circle, a "
        "Gaussian blur with probability 0.5, of a standard deviation between 0.15 and 1.3 pixels."
    ) in text


def test_augmentation_that_changes_nothing_is_not_told(tmp_path: Path, planted_results: Plant) -> None:
    neutral = {
        "short_side_px": None, "long_side_px": None, "rotation_deg": 0.0, "largest_class_share": 1.0,
        "colour_jitter": 0.0, "hue_jitter": 0.0, "photometric_distortion": True, "blur": 0.0, "blur_sigma_px": [0, 1],
    }  # fmt: skip
    text = methods.methods(evidence_of(planted_results(tmp_path, plan={"recipe": {**RECIPE, **neutral}})))
    assert (
        "Augmentation: random crops of 64 × 96 pixels, brightness, contrast, saturation and hue changed as by "
        "mmsegmentation's PhotoMetricDistortion." in text
    )


def test_software_is_what_the_trials_use_and_the_studys_commit_stands_beside_the_harnesss(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    plan = json.loads((folder / "study.json").read_text())
    numbers = {"sources": [[]], "settings": [{}], "data": ["0"], "versions": [{"numpy": "2.0", "torch": "2.13.0"}]}
    trials = {trial["key"]: [0, 0, 0, 0] for trial in plan["trials"]}
    plan["identity"] = {"version": 2, "definitions": [], **numbers, "trials": trials}
    (folder / "study.json").write_text(json.dumps(plan))
    for path in (folder / "records").glob("*.json"):
        environment = {
            **read(path).environment.as_json(), "bench": {"segbench": "0.1.0", "numpy": "2.4.6", "timm": "1.0"},
            "dirty": False, "study_commit": "abcdef" * 6 + "abcd", "study_dirty": False,
        }  # fmt: skip
        write(read(path).having(environment=environment), folder / "records")
    text = methods.methods(evidence_of(folder))
    assert "Software: python 3.11.2, torch 2.13.0, segbench 0.1.0, numpy 2.4.6." in text
    assert (
        "Source of the harness: commit c0ffee0c0ffe (without uncommitted changes). Source of the study: commit "
        "abcdefabcdef (without uncommitted changes)." in text
    )
    assert "which its commit does not reproduce" not in text


def test_without_records_nothing_is_said_of_them(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None, None] for name in (A, B, C, D)}
    text = methods.methods(evidence_of(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys((A, B, C, D)))))
    assert "Of 8 planned quality trials: 8 missing." in text
    for word in ("ran on", "Source", "Software", "Latency", "Holm", "MACs", "split"):
        assert word not in text


def test_an_old_record_without_times_or_versions_is_no_error(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    for path in (folder / "records").glob("*.json"):
        record = read(path)
        write(record.having(environment={"host": "aaaa1111"}, outcome={"status": record.status}), folder / "records")
    text = methods.methods(evidence_of(folder))
    assert "12 quality trials ran on an unknown device. 4 cost trials ran on an unknown device.\n\nSource" in text
    assert "Source of the harness: no repository. Source of the study: no repository." in text
    assert "Software" not in text


def test_a_study_that_trains_nothing_says_nothing_of_training(tmp_path: Path, planted_results: Plant) -> None:
    text = methods.methods(evidence_of(planted_results(tmp_path, stages=["cost"], plan={"recipe": RECIPE})))
    assert "Of 4 planned cost trials: 4 done." in text
    for word in ("Training", "Seeds", "Reported", "paired"):
        assert word not in text


def test_comparisons_of_speed_have_their_protocol_and_table(
    tmp_path: Path, planted_results: Plant, plant_speed: Callable[..., None]
) -> None:
    folder = planted_results(tmp_path, stages=["cost"])
    plant_speed(folder, B, A, {256: True, 512: False})
    evidence = evidence_of(folder)
    assert "Speed-ups: 2 comparisons, both sides in turns in one process," in methods.methods(evidence)
    table = catalogue.table(evidence, "speed")
    raw, printed = table.unrounded(), table.printed()
    assert list(raw["ratio"].notna()) == [True, False]
    assert printed["Times as fast"][0] == f"{raw['ratio'][0]:.3f}"
    assert printed["Remark"][1].startswith("left out: ")
    assert printed["Remark"][1].endswith("; repeat with --retry not_alone")
