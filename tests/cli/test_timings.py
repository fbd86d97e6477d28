"""bench speed: options, plan, keys, and a comparison from the command to its table; bench limits: options, a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli.timings import Modes, Sweep, limits, parse_bytes, parse_levels, question, scheduled, speed
from bench.evidence import speedups
from bench.parts import ChoiceError
from bench.protocol.setting import Setting
from bench.records import results as records
from bench.records.files import with_digest
from bench.records.speed import MeasuredSpeed
from bench.run.environment import Machine
from bench.run.limits import Attempt, LimitError, Question
from bench.run.resources import here
from bench.run.schedule.making import checked_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import run
from bench.study.factors import StudyError
from bench.study.source import Source, load, load_study

SWEEP = Sweep(
    against="neck=off", px=("32x32", "32x48"), batch=(1, 2), precision=("float32",), mode=("eager",),
    memory_format=("contiguous",), training=False, least_s=0.01,
)  # fmt: skip


def plan_of(path: Path, results: Path, sweep: Sweep | None = SWEEP) -> Schedule:
    schedule = scheduled(Source(str(path)), sweep, results, 1, 0)
    return replace(
        schedule, resources=replace(schedule.resources, node_cpus=1)
    )  # two threads may wait long on a busy machine


def test_settings_are_the_product_of_the_options(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    schedule = plan_of(tiny_study(), tmp_path)
    assert [(t.variant, t.against, t.setting and t.setting.name) for t in schedule.trials] == [
        ("neck=on", "neck=off", name) for name in ("32x32", "32x32 batch 2", "32x48", "32x48 batch 2")
    ]
    assert schedule.folder.name == "tiny-speed", "so that the study's own plan and report stay"
    assert len({t.key for t in schedule.trials}) == 4


def test_the_key_covers_both_sides_and_the_setting(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study()
    keys = [t.key for t in plan_of(path, tmp_path).trials]
    assert keys == [t.key for t in plan_of(path, tmp_path).trials]
    longer = plan_of(path, tmp_path, replace(SWEEP, least_s=0.02))
    assert not set(keys) & {t.key for t in longer.trials}
    other = path.with_name("other.py")
    text = path.read_text()
    other.write_text(text.replace('"off": change()', '"off": change(head=part(FCNHead, width=16))'))
    assert other.read_text() != text
    assert not set(keys) & {t.key for t in plan_of(other, tmp_path).trials}, "the other side changed"


def test_a_speed_trial_runs_like_any_other_and_leaves_samples_of_both_sides(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    schedule = plan_of(tiny_study(), tmp_path, replace(SWEEP, px=("32x32",), batch=(2,), training=True))
    write_plan(schedule, "bench speed tiny.py")
    record = run(schedule.trials[0], schedule.folder, Machine("cpu", 1))
    assert record.status == "done", record.outcome
    measured = record.measured.as_json()
    assert len(measured["latency_s"]) == len(measured["against_s"]) == 2 * len(measured["log_ratios"]) >= 12
    assert set(measured["step_s"]) == {"ours", "against"}
    assert record.trial.setting.phase == "training"
    assert record.key.startswith(f"{schedule.trials[0].key}-")
    [row] = speedups.frame(records.load(schedule.folder)).to_dict("records")
    assert (row["variant"], row["status"], row["isolated"]) == ("neck=on", "done", measured["isolated"])


def test_another_precision_is_compared_with_eager_torch_and_says_that_it_changes_the_answer(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    schedule = plan_of(tiny_study(), tmp_path, replace(SWEEP, px=("64x64",), batch=(1,), precision=("bfloat16",)))
    write_plan(schedule, "bench speed tiny.py")
    measured = run(schedule.trials[0], schedule.folder, Machine("cpu", 1)).measured
    assert isinstance(measured, MeasuredSpeed)
    assert measured.prepared_s == {}
    assert {side: apart.max_abs > 1e-4 * apart.largest for side, apart in measured.difference.items()} == {
        "ours": True, "against": True
    }  # fmt: skip
    [row] = speedups.frame(records.load(schedule.folder)).to_dict("records")
    assert row["difference"] == measured.difference["ours"].max_abs


def test_modes_alone_make_the_studys_own_comparisons_in_each_of_them(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study()
    asked = (
        'speed=Speed({"neck": "off"}, tuple(Setting(height=32, width=32, mode=mode) for mode in ("eager", "compile")))'
    )
    path.write_text(
        path.read_text().replace(
            "\nSTUDY = Study(", f"\nfrom bench import Setting, Speed\nSTUDY = Study({asked}, stages=('speed',), "
        )
    )
    schedule = scheduled(Source(str(path)), Modes(("compile", "compile_max_autotune")), tmp_path, 1, 0)
    names = [trial.setting and trial.setting.name for trial in schedule.trials]
    assert names == ["32x32 compile", "32x32 compile_max_autotune"]
    assert schedule.folder.name == "tiny-speed"
    for names, precisions, expected in (
        (("compile",), ("bfloat16", "float32"), ["32x32 bfloat16 compile", "32x32 compile"]),
        ((), ("bfloat16",), ["32x32 bfloat16", "32x32 bfloat16 compile"]),
    ):
        schedule = scheduled(Source(str(path)), Modes(names, precisions), tmp_path, 1, 0)
        assert [trial.setting and trial.setting.name for trial in schedule.trials] == expected
    for twice in (Modes(("compile", "compile")), Modes(("compile",), ("bfloat16", "bfloat16"))):
        with pytest.raises(ChoiceError, match="each may be there once"):
            scheduled(Source(str(path)), twice, tmp_path, 1, 0)
    with pytest.raises(ChoiceError, match="mode='fast'"):
        scheduled(Source(str(path)), Modes(("fast",)), tmp_path, 1, 0)


def test_options_that_only_another_comparison_heeds_are_refused_without_one(
    bench: Callable[..., tuple[int, str, str]], tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    options = ("--modes", "compile", "--px", "32x32", "--training", "--results", tmp_path)
    code, _, err = bench("speed", tiny_study(), *options)
    assert code == 2
    assert "--px and --training: for --against alone; add --against FACTOR=LEVEL" in err


UNEXPORTABLE = """
class Branching(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        logits, aux = super().forward(features, boundary, with_aux=with_aux)
        return (logits * 2 if float(logits.sum()) > 0 else logits), aux
"""


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # the packages warn of deprecations
def test_a_network_that_a_mode_cannot_prepare_fails_in_one_line_and_others_are_timed(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study()
    path.write_text(
        path.read_text()
        .replace("\nSTUDY = Study(", f"{UNEXPORTABLE}\nSTUDY = Study(")
        .replace('"on": change(', '"branching": change(head=part(Branching, width=8)), "on": change(')
    )
    sweep = replace(SWEEP, px=("32x32",), batch=(1,), mode=("openvino",))
    schedule = plan_of(path, tmp_path, sweep)
    write_plan(schedule, "bench speed tiny.py")
    found = {trial.variant: run(trial, schedule.folder, Machine("cpu", 1)) for trial in schedule.trials}
    assert {variant: record.status for variant, record in found.items()} == {
        "neck=branching": "failed", "neck=on": "done"
    }  # fmt: skip
    reason = found["neck=branching"].outcome.reason
    assert reason is not None
    assert reason.startswith("PreparationError: the export to ONNX failed: ")
    assert "\n" not in reason
    assert "openvino" in found["neck=on"].environment.bench


def test_a_finished_comparison_is_printed_and_not_run_again(
    tiny_study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = plan_of(tiny_study(), tmp_path, replace(SWEEP, batch=(1,)))
    for trial in schedule.trials:
        record = run(trial, schedule.folder, schedule.resources.machine("speed"))
        path = schedule.folder / "records" / record.file_name
        written = json.loads(path.read_text())
        sides = {"latency_s": [0.01] * 12, "against_s": [0.02] * 12, "log_ratios": [0.6931471805599453] * 6}
        written["measured"] |= {**sides, "isolated": True, "isolation": {"reasons": []}}
        path.write_text(with_digest(written))
    whole = speed(schedule, ["bench", "speed"], ["neck=on"], timeout_s=None, retry=())
    assert whole
    out = capsys.readouterr().out
    assert "2 of 2 trials done, 0 to run." in out
    assert out.count("2.000 [2.000, 2.000]") == 2
    assert "none in the range" in out
    assert (schedule.folder / "report" / "data" / "speed.csv").read_text().count("\n") == 3


def test_of_named_variants_alone_the_comparisons_are_run_and_printed(
    tiny_study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_study()
    two = '"on": change(', '"wide": change(backbone=choose(output_stride=32), neck=part(JPU, width=16)), "on": change('
    path.write_text(path.read_text().replace(*two))
    made = plan_of(path, tmp_path, replace(SWEEP, batch=(1,), px=("32x32",)))
    assert {trial.variant for trial in made.trials} == {"neck=on", "neck=wide"}
    trial = next(trial for trial in made.trials if trial.variant == "neck=on")
    run(trial, made.folder, made.resources.machine("speed"))
    assert speed(made, ["bench", "speed"], ["neck=on"], timeout_s=None, retry=())
    out = capsys.readouterr().out
    assert "neck=on" in out
    assert "neck=wide" not in out


def test_a_cuda_graph_on_a_cpu_is_refused_when_the_plan_is_made(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ChoiceError, match="needs a CUDA device"):
        plan_of(tiny_study(), tmp_path, replace(SWEEP, mode=("cuda_graph",)))


def test_tf32_on_a_cpu_is_refused_when_the_plan_is_made(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match="'tf32' needs a CUDA device"):
        plan_of(tiny_study(), tmp_path, replace(SWEEP, precision=("tf32",)))
    path = tiny_study("rounded")
    path.write_text(path.read_text().replace("Recipe(", 'Recipe(precision="tf32", '))
    with pytest.raises(ChoiceError, match="'tf32' needs a CUDA device"):
        checked_schedule(load(Source(str(path))), tmp_path, here(1, 0))


def test_what_cannot_be_compared_is_refused(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study()
    with pytest.raises(StudyError, match="has no speed=Speed"):
        plan_of(path, tmp_path, None)
    with pytest.raises(StudyError, match="no factor 'nck'"):
        plan_of(path, tmp_path, replace(SWEEP, against="nck=off"))
    with pytest.raises(StudyError, match="is the variant that others are compared with"):
        speed(plan_of(path, tmp_path), [], ["neck=off"], timeout_s=None, retry=())


def test_a_setting_that_is_asked_for_by_name_is_timed_alone(
    tiny_study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan_of(tiny_study(), tmp_path, replace(SWEEP, batch=(1, 2), px=("32x32",)))
    trial = next(trial for trial in made.trials if trial.setting and trial.setting.batch == 2)
    run(trial, made.folder, made.resources.machine("speed"))
    assert speed(made, ["bench", "speed"], [], ["32x32 batch 2"], timeout_s=None, retry=())
    assert [trial.setting and trial.setting.name for trial in made.trials] == ["32x32", "32x32 batch 2"]
    assert len(list((made.folder / "records").iterdir())) == 1
    with pytest.raises(StudyError, match="'32x32 batch 3': the settings are 32x32, 32x32 batch 2"):
        speed(made, [], [], ["32x32 batch 3"], timeout_s=None, retry=())


def test_levels_are_read() -> None:
    assert parse_levels("upsampling=dilated-8, head=fcn") == {"upsampling": "dilated-8", "head": "fcn"}
    with pytest.raises(StudyError, match="expected FACTOR=LEVEL"):
        parse_levels("dilated-8")


def test_the_cpu_subset_of_the_jpu_study_is_five_heads_at_two_sizes_and_one_pair_at_the_large_one() -> None:
    study = load_study(Path(__file__).parents[2] / "studies" / "jpu_speed.py", "cpu")
    pairs = [(cell.name, other.name, setting.name) for cell, other, setting in study.pairs()]
    assert len(pairs) == 11
    assert pairs[-1] == ("head=fcn,upsampling=jpu", "head=fcn,upsampling=dilated-8", "1024x2048")
    assert Setting(height=256, width=256).name == pairs[0][2]


def test_every_attempt_is_kept_beside_the_study(
    tiny_study: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fit(question: Question, size: int) -> Attempt:
        return Attempt(size, size <= 5, 2**20 * size if size <= 5 else None)

    monkeypatch.setattr("bench.cli.timings.in_child", fit)
    asking = question(Source(str(tiny_study())), "neck=on", "input", "2GiB", "64x64", 1, {}, 1, 0)
    limits(asking, tmp_path)
    assert "neck=on: the largest that fits is 320x320." in capsys.readouterr().out
    kept = json.loads((tmp_path / "tiny" / "limits-input-neck=on.json").read_text())
    assert [attempt["size"] for attempt in kept["attempts"]] == [1, 2, 4, 8, 6, 5]
    assert (kept["largest"]["height"], kept["memory_limit_bytes"]) == (320, 2**31)


def test_options_that_cannot_be_are_refused(tiny_study: Callable[..., Path]) -> None:
    source = Source(str(tiny_study()))
    assert parse_bytes("1.5GiB") == 3 * 2**29
    with pytest.raises(StudyError, match="such as 4GiB"):
        parse_bytes("4GB")
    with pytest.raises(StudyError, match="expected batch or input"):
        question(source, "baseline", "depth", "1GiB", "64x64", 1, {}, 1, 0)
    with pytest.raises(LimitError, match="give --memory-limit"):
        question(source, "baseline", "batch", None, "64x64", 1, {}, 1, 0)
